//! The file with another issuer's public keys, which changes while the hub runs.
//!
//! It is read every minute, and when a token has an unknown or unsuitable key, at most once in ten
//! seconds. If the file cannot be read or is invalid, the current keys stay in use and the log says
//! why.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::AuthStartError;
use super::key::{Key, from_jwks, from_pem};
use bellpull_config::AuthConfig;
use bellpull_system::followed_file;

/// How often the file is read without a reason: a withdrawn key is accepted for this long.
const EVERY: Duration = Duration::from_secs(60);

/// The pause between two reads that tokens cause: a client can make up any token.
const PAUSE: Duration = Duration::from_secs(10);

/// A key takes less than 1 KiB, and no issuer has more than some tens of them.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads the text of such a file.
type Parse = fn(&str) -> Result<Vec<Key>, &'static str>;

/// The file, and its keys when it was last valid.
#[derive(Debug)]
pub(super) struct KeyFile {
    source: Source,
    keys: RwLock<KeySet>,
    tried: Mutex<Tried>,
}

/// Keys that were read together.
#[derive(Debug, Clone)]
pub(super) struct KeySet {
    pub(super) keys: Arc<[Key]>,
    /// Counts the reads that changed something.
    generation: u64,
}

#[derive(Debug, Clone)]
struct Source {
    setting: &'static str,
    path: PathBuf,
    parse: Parse,
}

/// The last attempt to read the file.
#[derive(Debug)]
struct Tried {
    at: Instant,
    /// Its content, valid or not; `None` if it could not be read.
    text: Option<String>,
}

impl KeyFile {
    /// The configured file, if there is one.
    pub(super) fn open(config: &AuthConfig) -> Result<Option<Self>, AuthStartError> {
        let one: Parse = |text| from_pem(text).map(|key| vec![key]);
        let (setting, path, parse) = match (&config.public_key_file, &config.jwks_file) {
            (Some(path), _) => ("auth.public_key_file", path, one),
            (None, Some(path)) => ("auth.jwks_file", path, from_jwks as Parse),
            (None, None) => return Ok(None),
        };
        let source = Source { setting, path: path.clone(), parse };
        let wrong = |problem: String| {
            let problem = format!("{}: {problem}", path.display());
            AuthStartError::Setting { setting, problem }
        };
        let text = read(path).map_err(wrong)?;
        let keys = parse(&text).map_err(|problem| wrong(problem.to_owned()))?.into();
        let tried = Mutex::new(Tried { at: Instant::now(), text: Some(text) });
        let keys = RwLock::new(KeySet { keys, generation: 0 });
        Ok(Some(Self { source, keys, tried }))
    }

    /// The current keys.
    pub(super) fn keys(&self) -> KeySet {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file for keys that are not in `seen`, unless it was read just now; returns whether
    /// the keys have changed. Concurrent requests wait for the same read.
    pub(super) async fn look_again(&self, seen: &KeySet) -> bool {
        let mut tried = self.tried.lock().await;
        if self.keys().generation == seen.generation && tried.at.elapsed() >= PAUSE {
            self.read_anew(&mut tried).await;
        }
        self.keys().generation != seen.generation
    }

    /// Reads the file periodically. A read that panics is one that failed: without the reader a
    /// withdrawn key would be accepted for good.
    pub(super) async fn follow(&self) {
        loop {
            tokio::time::sleep(EVERY).await;
            if AssertUnwindSafe(self.read_now()).catch_unwind().await.is_err() {
                self.source.complain("reading it has panicked");
            }
        }
    }

    /// Reads the file.
    pub(super) async fn read_now(&self) {
        let mut tried = self.tried.lock().await;
        self.read_anew(&mut tried).await;
    }

    async fn read_anew(&self, tried: &mut Tried) {
        tried.at = Instant::now();
        let path = self.source.path.clone();
        let read = followed_file::in_time(move || read(&path)).await;
        let text = match read.unwrap_or_else(Err) {
            Ok(text) => text,
            Err(problem) => {
                tried.text = None;
                return self.source.complain(&problem);
            }
        };
        if tried.text.as_ref() == Some(&text) {
            return;
        }
        let parsed = (self.source.parse)(&text);
        tried.text = Some(text);
        match parsed {
            Ok(keys) => self.replace(keys.into()),
            Err(problem) => self.source.complain(problem),
        }
    }

    fn replace(&self, keys: Arc<[Key]>) {
        let Source { setting, path, .. } = &self.source;
        tracing::info!(path = %path.display(), keys = keys.len(), "{setting} was read anew");
        let mut set = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let generation = set.generation.wrapping_add(1);
        *set = KeySet { keys, generation };
    }
}

impl Source {
    fn complain(&self, problem: &str) {
        let Self { setting, path, .. } = self;
        tracing::error!("{setting}: {}: {problem}; the keys stay as they were", path.display());
        metrics::counter!("bellpull_key_file_errors_total").increment(1);
    }
}

fn read(path: &Path) -> Result<String, String> {
    let text = followed_file::read(path, FILE_BYTES_MAX).map_err(|error| error.to_string())?;
    String::from_utf8(text).map_err(|_| "is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = include_str!("testkeys/ed25519.pub.pem");
    const P256: &str = include_str!("testkeys/p256.pub.pem");

    fn opened(path: &Path) -> KeyFile {
        let mut config = bellpull_config::Config::default().auth;
        config.public_key_file = Some(path.to_owned());
        KeyFile::open(&config).unwrap().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_cause_one_reading_in_ten_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        std::fs::write(&path, ED25519).unwrap();
        let file = opened(&path);
        let first = file.keys();
        std::fs::write(&path, P256).unwrap();
        assert!(!file.look_again(&first).await, "it was read just now");
        tokio::time::advance(PAUSE).await;
        let (one, other) = tokio::join!(file.look_again(&first), file.look_again(&first));
        assert!(one && other, "both waited for one reading");
        let second = file.keys();
        std::fs::write(&path, ED25519).unwrap();
        assert!(!file.look_again(&second).await);
        tokio::time::advance(PAUSE).await;
        assert!(file.look_again(&second).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_read_every_minute_and_a_broken_or_missing_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        std::fs::write(&path, ED25519).unwrap();
        let file = Arc::new(opened(&path));
        let following = tokio::spawn({
            let file = Arc::clone(&file);
            async move { file.follow().await }
        });
        let algorithm = |set: KeySet| set.keys[0].algorithm();
        let first = algorithm(file.keys());
        for broken in ["", "no key", &ED25519[..60]] {
            std::fs::write(&path, broken).unwrap();
            tokio::time::sleep(EVERY * 2).await;
            assert_eq!(algorithm(file.keys()), first);
        }
        std::fs::remove_file(&path).unwrap();
        tokio::time::sleep(EVERY * 2).await;
        assert_eq!(algorithm(file.keys()), first);
        std::fs::write(&path, P256).unwrap();
        tokio::time::sleep(EVERY * 2).await;
        assert_ne!(algorithm(file.keys()), first);
        following.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn the_reader_goes_on_after_a_read_that_panicked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        std::fs::write(&path, ED25519).unwrap();
        let mut file = opened(&path);
        file.source.parse = |text| {
            assert!(!text.contains("panic"), "as a library might");
            from_pem(text).map(|key| vec![key])
        };
        let file = Arc::new(file);
        let following = tokio::spawn({
            let file = Arc::clone(&file);
            async move { file.follow().await }
        });
        let first = file.keys();
        std::fs::write(&path, "panic").unwrap();
        tokio::time::sleep(EVERY * 2).await;
        assert_eq!(file.keys().generation, first.generation);
        std::fs::write(&path, P256).unwrap();
        tokio::time::sleep(EVERY * 2).await;
        assert_ne!(file.keys().generation, first.generation);
        following.abort();
    }

    #[test]
    fn a_file_without_an_end_and_one_that_is_too_long_are_not_read() {
        assert_eq!(read(Path::new("/dev/zero")).unwrap_err(), "is not a regular file");
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(FILE_BYTES_MAX + 1).unwrap();
        assert!(read(file.path()).unwrap_err().starts_with("is larger than"));
    }
}
