//! How this process reaches servers outside: through which proxy, and whose certificates it trusts
//! besides the public roots.
//!
//! That is a property of the host's network, so it is the same for everything that leaves: mails,
//! messages, pushes, webhooks and traces. It is set once, before the first client is made. Other
//! nodes and this installation's own hub are reached directly.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, OnceLock};

use reqwest::{NoProxy, Proxy};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tracing::warn;

use super::{built, provider};
use bellpull_config::OutboundConfig;
use bellpull_system::followed_file::read;

/// The certificates of an operating system are some hundred KiB.
const FILE_MAX: u64 = 4 << 20;

/// The variable by which other programs learn which certificates to trust.
const FILE_ENV: &str = "SSL_CERT_FILE";

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct BadOutbound {
    setting: &'static str,
    problem: String,
}

#[derive(Debug, Default)]
struct Outbound {
    proxy: Option<Proxy>,
    /// Trusted besides the public roots.
    pem: Vec<u8>,
}

static OUTBOUND: OnceLock<Outbound> = OnceLock::new();

/// Created once: it holds all the roots.
static TLS: LazyLock<Option<ClientConfig>> =
    LazyLock::new(|| outbound_tls(&[]).ok().map(Arc::unwrap_or_clone));

/// TLS for a server outside, which may be certified by these authorities too (in PEM).
///
/// # Errors
/// Why one of these cannot be used.
pub fn outbound_tls(pem: &[u8]) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    for certificate in CertificateDer::pem_slice_iter(extra_roots()).flatten() {
        if let Err(error) = roots.add(certificate) {
            warn!(%error, "a trusted certificate cannot be used");
        }
    }
    let provider = provider().ok_or("no cryptography")?;
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// Uses these settings for everything that leaves from now on; a second call changes nothing.
///
/// # Errors
/// [`BadOutbound`].
pub fn set_outbound(config: &OutboundConfig) -> Result<(), BadOutbound> {
    let bad = |setting, problem: String| BadOutbound { setting, problem };
    let mut pem = Vec::new();
    if let Some(file) = &config.ca_file {
        let found = certificates(file)
            .map_err(|problem| bad("outbound.ca_file", format!("{}: {problem}", file.display())))?;
        pem.extend(found);
    }
    if let Some(file) = env::var_os(FILE_ENV).filter(|file| !file.is_empty()).map(PathBuf::from) {
        // It is set for other programs too: a wrong one does not keep the hub from starting.
        match certificates(&file) {
            Ok(found) => pem.extend(found),
            Err(problem) => warn!("{FILE_ENV}: {}: {problem}", file.display()),
        }
    }
    let proxy = config.proxy.as_ref().map(|url| {
        let proxy =
            Proxy::all(url.reveal()).map_err(|_| bad("outbound.proxy", "is no URL".to_owned()))?;
        Ok::<_, BadOutbound>(proxy.no_proxy(NoProxy::from_env()))
    });
    let _ = OUTBOUND.set(Outbound { proxy: proxy.transpose()?, pem });
    Ok(())
}

/// A builder for clients of servers outside. Without a proxy of ours those of the environment count
/// (`HTTPS_PROXY`, `NO_PROXY`).
pub fn outbound_client() -> reqwest::ClientBuilder {
    let builder = built(TLS.clone());
    match &OUTBOUND.get_or_init(Outbound::default).proxy {
        Some(proxy) => builder.proxy(proxy.clone()),
        None => builder,
    }
}

/// Certificates in PEM that are trusted besides the public roots; empty without any.
fn extra_roots() -> &'static [u8] {
    &OUTBOUND.get_or_init(Outbound::default).pem
}

/// The certificates in a file, in PEM, with a line break at their end.
///
/// # Errors
/// Why they cannot be used.
pub fn certificates(file: &Path) -> Result<Vec<u8>, String> {
    let mut pem = read(file, FILE_MAX).map_err(|error| error.to_string())?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err("no certificate in it".to_owned()),
        Ok(_) => {
            pem.push(b'\n');
            Ok(pem)
        }
        Err(error) => Err(format!("not valid PEM: {error}")),
    }
}
