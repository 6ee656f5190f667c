//! The server's certificate and key: two PEM files, read anew when they change.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::{info, warn};
use x509_cert::der::Decode;

use bellpull_config::TlsConfig;
use bellpull_system::followed_file::{self, read};

/// How soon a change of the files is seen.
const FOLLOW_EVERY: Duration = Duration::from_secs(10);

/// A chain of certificates has a few KiB.
const FILE_MAX: u64 = 1 << 20;

/// Why the files cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub struct BadFiles {
    /// The setting that names the file.
    pub setting: &'static str,
    file: PathBuf,
    problem: String,
}

/// The certificate in use.
#[derive(Debug)]
pub struct Certificate {
    files: TlsConfig,
    current: RwLock<Current>,
    /// Notified when the files are to be read at once.
    asked: Notify,
}

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    expires_at: Timestamp,
    /// Why the files of the last change cannot be used.
    problem: Option<BadFiles>,
}

/// What [`Certificate::reload`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Reload {
    /// The files are the same, or have the same problem as before.
    Unchanged,
    /// The new certificate is in use.
    Renewed,
    /// The new files cannot be used; the certificate before stays in use.
    Bad(BadFiles),
}

fn of_cert(files: &TlsConfig, problem: String) -> BadFiles {
    BadFiles { setting: "tls.cert", file: files.cert.clone(), problem }
}

fn read_chain(files: &TlsConfig) -> Result<Vec<CertificateDer<'static>>, BadFiles> {
    let text = read(&files.cert, FILE_MAX).map_err(|error| of_cert(files, error.to_string()))?;
    let chain: Result<_, _> = CertificateDer::pem_slice_iter(&text).collect();
    chain.map_err(|error| of_cert(files, format!("not valid PEM: {error}")))
}

/// The certificate that clients see.
pub(super) fn read_first(files: &TlsConfig) -> Result<CertificateDer<'static>, BadFiles> {
    let first = read_chain(files)?.into_iter().next();
    first.ok_or_else(|| of_cert(files, "no certificate in it".to_owned()))
}

fn read_both(files: &TlsConfig) -> Result<(Arc<CertifiedKey>, Timestamp), BadFiles> {
    let chain = read_chain(files)?;
    let of_cert = |problem: &str| of_cert(files, problem.to_owned());
    let first = chain.first().ok_or_else(|| of_cert("no certificate in it"))?;
    let expires_at = expiry(first).ok_or_else(|| of_cert("its first certificate is not X.509"))?;
    let of_key = |problem| BadFiles { setting: "tls.key", file: files.key.clone(), problem };
    let text = read(&files.key, FILE_MAX).map_err(|error| of_key(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| of_key(format!("no private key in PEM: {error}")))?;
    let key = CertifiedKey::from_der(chain, key, &ring::default_provider());
    let key = key.map_err(|error| {
        if matches!(error, rustls::Error::InconsistentKeys(_)) {
            return of_key(format!(
                "is not the key of the certificate in {}",
                files.cert.display()
            ));
        }
        of_key(format!("a key that cannot be used: {error}"))
    })?;
    Ok((Arc::new(key), expires_at))
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// [`BadFiles`].
    pub fn load(files: TlsConfig) -> Result<Self, BadFiles> {
        let (key, expires_at) = read_both(&files)?;
        let current = RwLock::new(Current { key, expires_at, problem: None });
        Ok(Self { files, current, asked: Notify::new() })
    }

    /// Reads the files again. Their content decides, not their times: a tool that swaps a link may
    /// keep those. Both must fit together, so while only one is replaced the certificate before
    /// stays in use, and the next call tries again.
    pub fn reload(&self) -> Reload {
        let read = read_both(&self.files);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok((key, expires_at)) => {
                let is_same = current.key.cert == key.cert;
                *current = Current { key, expires_at, problem: None };
                if is_same { Reload::Unchanged } else { Reload::Renewed }
            }
            Err(problem) if current.problem.as_ref() == Some(&problem) => Reload::Unchanged,
            Err(problem) => {
                current.problem = Some(problem.clone());
                Reload::Bad(problem)
            }
        }
    }

    /// Makes [`follow`] read the files now.
    pub fn ask(&self) {
        self.asked.notify_one();
    }

    /// Until when it is valid.
    pub fn expires_at(&self) -> Timestamp {
        self.current.read().unwrap_or_else(PoisonError::into_inner).expires_at
    }

    /// Sets the metric that an alert watches.
    fn publish(&self) {
        let seconds = self.expires_at().as_duration().as_secs_f64();
        metrics::gauge!("bellpull_tls_certificate_expiry_timestamp_seconds").set(seconds);
    }

    /// Its first certificate, as clients see it.
    pub fn end_entity(&self) -> Option<CertificateDer<'static>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.key.cert.first().cloned()
    }
}

impl std::fmt::Display for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "valid until {}", self.expires_at())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).key))
    }
}

fn expiry(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let seconds = certificate.tbs_certificate.validity.not_after.to_unix_duration().as_secs();
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

/// Uses new files within [`FOLLOW_EVERY`] of their change, or when asked to; ends with the hub.
pub async fn follow(certificate: Arc<Certificate>) {
    let mut hangs = false;
    loop {
        certificate.publish();
        let _ = timeout(FOLLOW_EVERY, certificate.asked.notified()).await;
        let reloading = Arc::clone(&certificate);
        let reload = followed_file::in_time(move || reloading.reload()).await;
        let has_hung = std::mem::replace(&mut hangs, reload.is_err());
        match reload {
            Ok(Reload::Renewed) => info!("a new TLS certificate is in use, {certificate}"),
            Ok(Reload::Bad(problem)) => {
                warn!("{}: {problem}; the certificate before stays in use", problem.setting);
            }
            Err(_) if has_hung => {}
            Err(problem) => {
                warn!("tls.cert, tls.key: {problem}; the certificate before stays in use");
            }
            Ok(Reload::Unchanged) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::write_files;

    #[test]
    fn new_files_are_used_once_they_fit_together() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let files = write_files(folder.path());
        let certificate = Certificate::load(files.clone()).unwrap();
        let first = certificate.end_entity();
        assert_eq!(certificate.reload(), Reload::Unchanged);
        let renewed = write_files(other.path());
        fs::copy(&renewed.cert, &files.cert).unwrap();
        let Reload::Bad(bad) = certificate.reload() else { panic!("the key is another's") };
        assert_eq!(bad.setting, "tls.key");
        assert!(bad.to_string().contains("is not the key of the certificate"), "{bad}");
        assert_eq!(certificate.reload(), Reload::Unchanged, "said once");
        assert_eq!(certificate.end_entity(), first);
        fs::copy(&renewed.key, &files.key).unwrap();
        assert_eq!(certificate.reload(), Reload::Renewed);
        assert_ne!(certificate.end_entity(), first);
        assert_eq!(certificate.reload(), Reload::Unchanged);
        fs::remove_file(&files.cert).unwrap();
        assert!(matches!(certificate.reload(), Reload::Bad(_)));
    }

    #[test]
    fn the_content_of_files_decides_and_not_their_time() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (files, renewed) = (write_files(folder.path()), write_files(other.path()));
        // As a link does that is swapped: same time, same length.
        let length = |path: &PathBuf| fs::metadata(path).unwrap().len();
        for (old, new) in [(&files.cert, &renewed.cert), (&files.key, &renewed.key)] {
            let longest = length(old).max(length(new));
            for path in [old, new] {
                let mut text = fs::read_to_string(path).unwrap();
                text.extend(std::iter::repeat_n(
                    '\n',
                    usize::try_from(longest - length(path)).unwrap(),
                ));
                fs::write(path, text).unwrap();
            }
        }
        let certificate = Certificate::load(files.clone()).unwrap();
        for (old, new) in [(&files.cert, &renewed.cert), (&files.key, &renewed.key)] {
            let time = fs::metadata(old).unwrap().modified().unwrap();
            fs::copy(new, old).unwrap();
            fs::File::options().append(true).open(old).unwrap().set_modified(time).unwrap();
        }
        assert_eq!(certificate.reload(), Reload::Renewed);
    }

    #[test]
    fn unusable_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let files = write_files(folder.path());
        let load = |files: TlsConfig| Certificate::load(files).unwrap_err();
        let swapped = TlsConfig { cert: files.key.clone(), key: files.cert.clone() };
        assert_eq!(load(swapped).problem, "no certificate in it");
        let missing = TlsConfig { key: folder.path().join("none.pem"), ..files.clone() };
        let bad = load(missing);
        assert_eq!(bad.setting, "tls.key");
        assert!(bad.to_string().contains("none.pem: No such file"), "{bad}");
        let keyless = TlsConfig { key: files.cert.clone(), ..files.clone() };
        assert!(load(keyless).problem.starts_with("no private key in PEM"));
        fs::write(&files.cert, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
            .unwrap();
        let bad = load(files);
        assert_eq!(bad.setting, "tls.cert");
        assert!(bad.problem.starts_with("not valid PEM"), "{bad}");
    }

    #[test]
    fn the_end_of_validity_is_the_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let files = write_files(folder.path());
        let mut params = rcgen::CertificateParams::new(vec!["hub.example".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 5, 6);
        let key = rcgen::KeyPair::generate().unwrap();
        fs::write(&files.cert, params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        let certificate = Certificate::load(files).unwrap();
        assert_eq!(certificate.to_string(), "valid until 2031-05-06T00:00:00Z");
    }
}
