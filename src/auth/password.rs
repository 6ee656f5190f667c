//! Passwords: argon2id, a bounded number at a time.

use std::sync::{Arc, LazyLock};

use argon2::password_hash::{Error, PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Argon2, Params};
use tokio::sync::Semaphore;

use super::AuthError;

/// Each hash takes 19 MiB and some 20 ms of a core: two at a time leave the rest to everybody else.
const AT_ONCE_MAX: usize = 2;

/// Those that wait beside them are served within a second; who comes after that is sent away.
const WAITING_MAX: usize = 64;

/// The longest password that is looked at; hashing is not made slower by sending more.
pub(super) const PASSWORD_BYTES_MAX: usize = 1024;

/// Hashes and checks passwords.
#[derive(Debug)]
pub(super) struct Passwords {
    line: Semaphore,
    work: Arc<Semaphore>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self {
            line: Semaphore::new(AT_ONCE_MAX + WAITING_MAX),
            work: Arc::new(Semaphore::new(AT_ONCE_MAX)),
        }
    }

    /// A password's hash, as a PHC string.
    pub(super) async fn hash(&self, password: String) -> Result<String, AuthError> {
        self.run(move || hash(&password)).await?.map_err(|error| {
            tracing::error!(%error, "a password could not be hashed");
            AuthError::Unavailable
        })
    }

    /// Whether the password is the one that was hashed. Where there is no hash it is not, and
    /// finding out takes as long.
    pub(super) async fn verify(
        &self,
        password: String,
        stored: Option<String>,
    ) -> Result<bool, AuthError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        self.run(move || match stored {
            Some(stored) => is_match(&password, &stored),
            None => {
                is_match(&password, nobodys());
                false
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AuthError> {
        let _place = self.line.try_acquire().map_err(|_| AuthError::Unavailable)?;
        let turn = Arc::clone(&self.work).acquire_owned().await;
        let turn = turn.map_err(|_| AuthError::Unavailable)?;
        // The turn goes along: a client that goes away does not stop the work that it has caused.
        let job = move || {
            let _turn = turn;
            job()
        };
        tokio::task::spawn_blocking(job).await.map_err(|_| AuthError::Unavailable)
    }
}

/// A password's hash, as a PHC string. Takes some 20 ms: not for a task of the runtime.
///
/// # Errors
/// A text when the system has no randomness.
pub fn hash(password: &str) -> Result<String, String> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| error.to_string())?;
    hash_with(password, &salt).map_err(|error| error.to_string())
}

fn hash_with(password: &str, salt: &[u8]) -> Result<String, Error> {
    let salt = SaltString::encode_b64(salt)?;
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt)?.to_string())
}

fn is_match(password: &str, stored: &str) -> bool {
    PasswordHash::new(stored)
        .and_then(|hash| Argon2::default().verify_password(password.as_bytes(), &hash))
        .is_ok()
}

/// What no account has: it takes as long to find out as with one of today's hashes. No password is
/// known to have it, and it is written down instead of made: a hub need not spend 20 ms and 20 MB
/// on it, after which the allocator would keep what it gave back before.
fn nobodys() -> &'static str {
    static HASH: LazyLock<String> = LazyLock::new(|| {
        let (memory, turns, lanes) =
            (Params::DEFAULT.m_cost(), Params::DEFAULT.t_cost(), Params::DEFAULT.p_cost());
        let (salt, hash) = ("A".repeat(22), "A".repeat(43)); // 16 and 32 bytes, all zero
        format!("$argon2id$v=19$m={memory},t={turns},p={lanes}${salt}${hash}")
    });
    &HASH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_alone() {
        let passwords = Passwords::new();
        let stored = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let check = |password: &str, stored: Option<&String>| {
            passwords.verify(password.to_owned(), stored.cloned())
        };
        assert!(check("correct horse", Some(&stored)).await.unwrap());
        assert!(!check("correct horsf", Some(&stored)).await.unwrap());
        assert!(!check("correct horse", None).await.unwrap());
        assert!(!check("nobody's", None).await.unwrap());
        assert!(!check("x", Some(&"not a hash".to_owned())).await.unwrap());
        assert!(!check(&"x".repeat(1025), Some(&stored)).await.unwrap());
    }

    #[test]
    fn nobodys_hash_costs_what_a_hash_of_today_costs() {
        let made = hash_with("x", &[1; 16]).unwrap();
        let (made, nobodys) = (PasswordHash::new(&made), PasswordHash::new(nobodys()));
        let (made, nobodys) = (made.unwrap(), nobodys.unwrap());
        assert_eq!((made.algorithm, made.version), (nobodys.algorithm, nobodys.version));
        assert_eq!(made.params, nobodys.params);
        let lengths = |hash: &PasswordHash<'_>| {
            (hash.salt.map(|salt| salt.len()), hash.hash.map(|hash| hash.len()))
        };
        assert_eq!(lengths(&made), lengths(&nobodys));
    }

    #[tokio::test]
    async fn who_comes_when_the_line_is_full_is_sent_away_and_the_line_moves_on() {
        let passwords = Passwords::new();
        let taken = passwords.line.try_acquire_many(66).unwrap();
        let late = passwords.verify("x".to_owned(), None).await;
        assert_eq!(late, Err(AuthError::Unavailable));
        drop(taken);
        assert_eq!(passwords.verify("x".to_owned(), None).await, Ok(false));
    }
}
