//! Passwords: argon2id, one at a time.
//!
//! A hash takes 19 MiB and some 20 ms of a core. One at a time makes 50 a second, more than the
//! users of one hub need, and bounds the cost of an attack: one core and the memory of one hash.
//! [`super::admission`] decides the order.

use std::sync::{Arc, LazyLock};

use argon2::password_hash::{Error, Output, ParamsString, PasswordHash, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use bellpull_port::SharedLimits;
use bellpull_port::slow::{Wait, waiting};
use unicode_normalization::UnicodeNormalization;

use super::AuthError;
use super::admission::{Admission, Turn};
use super::hash_memory::HashMemory;

/// The longest accepted password; longer ones do not make hashing slower.
pub(super) const PASSWORD_BYTES_MAX: usize = 1024;

/// The most bytes of salt in a PHC string.
const SALT_BYTES_MAX: usize = 64;

/// Hashes and checks passwords.
#[derive(Debug)]
pub(super) struct Passwords {
    pub(super) admission: Admission,
    memory: HashMemory,
}

impl Passwords {
    /// With the limits that nodes share, if they do.
    pub(super) fn new(shared: Option<Arc<dyn SharedLimits>>) -> Self {
        Self { admission: Admission::new(shared), memory: HashMemory::default() }
    }

    /// A password's hash, as a PHC string.
    pub(super) async fn hash(&self, turn: Turn, password: String) -> Result<String, AuthError> {
        let hashed = self.run(turn, move |memory| hash_in(memory, &password)).await?.0;
        hashed.map_err(|error| {
            tracing::error!(%error, "a password could not be hashed");
            AuthError::Unavailable
        })
    }

    /// Whether the password matches the hash, and the turn, which the caller ends. Without a hash
    /// it does not match, and takes as long.
    pub(super) async fn verify(
        &self,
        turn: Turn,
        password: String,
        stored: Option<String>,
    ) -> Result<(bool, Turn), AuthError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok((false, turn));
        }
        let check = move |memory: &HashMemory| match stored {
            Some(stored) => is_match(memory, &password, &stored),
            None => {
                is_match(memory, &password, dummy_hash());
                false
            }
        };
        self.run(turn, check).await
    }

    async fn run<T: Send + 'static>(
        &self,
        mut turn: Turn,
        job: impl FnOnce(&HashMemory) -> T + Send + 'static,
    ) -> Result<(T, Turn), AuthError> {
        let memory = self.memory.clone();
        // The turn moves along: a client that disconnects does not stop the work that it caused.
        let job = move || {
            turn.begin();
            (job(&memory), turn)
        };
        let hashed = tokio::task::spawn_blocking(job);
        waiting(Wait::Password, hashed).await.map_err(|_| AuthError::Unavailable)
    }
}

/// A password's hash, as a PHC string. Takes some 20 ms: not for a task of the runtime.
///
/// # Errors
/// A text if the system has no randomness.
pub fn hash(password: &str) -> Result<String, String> {
    hash_in(&HashMemory::default(), password)
}

fn hash_in(memory: &HashMemory, password: &str) -> Result<String, String> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| error.to_string())?;
    hash_with(memory, &normal(password), &salt).map_err(|error| error.to_string())
}

fn hash_with(memory: &HashMemory, password: &str, salt: &[u8]) -> Result<String, Error> {
    let (algorithm, version, params) =
        (Algorithm::default(), Version::default(), Params::default());
    let hash = Output::init_with(Params::DEFAULT_OUTPUT_LEN, |output| {
        let argon2 = Argon2::new(algorithm, version, params.clone());
        Ok(fill(memory, &argon2, password, salt, output)?)
    })?;
    let salt = SaltString::encode_b64(salt)?;
    let hash = PasswordHash {
        algorithm: algorithm.ident(),
        version: Some(version.into()),
        params: ParamsString::try_from(&params)?,
        salt: Some(salt.as_salt()),
        hash: Some(hash),
    };
    Ok(hash.to_string())
}

/// The same characters are typed as different code points on different machines. NIST SP 800-63B
/// (3.1.1.2) asks for NFKC or NFKD before hashing.
fn normal(password: &str) -> String {
    password.nfkc().collect()
}

fn is_match(memory: &HashMemory, password: &str, stored: &str) -> bool {
    let is_match = |password: &str| verify_with(memory, password, stored).unwrap_or(false);
    let normal = normal(password);
    // Earlier versions hashed what was typed.
    is_match(&normal) || (normal != password && is_match(password))
}

/// Like `PasswordVerifier::verify_password`, which would allocate memory for each hash.
fn verify_with(memory: &HashMemory, password: &str, stored: &str) -> Result<bool, Error> {
    let stored = PasswordHash::new(stored)?;
    let (Some(salt), Some(expected)) = (stored.salt, stored.hash) else {
        return Err(Error::Password);
    };
    let mut bytes = [0; SALT_BYTES_MAX];
    let salt = salt.decode_b64(&mut bytes)?;
    let algorithm = Algorithm::try_from(stored.algorithm)?;
    let version = stored.version.map(Version::try_from).transpose()?.unwrap_or_default();
    let argon2 = Argon2::new(algorithm, version, Params::try_from(&stored)?);
    let computed = Output::init_with(expected.len(), |output| {
        Ok(fill(memory, &argon2, password, salt, output)?)
    })?;
    Ok(computed == expected) // in constant time
}

fn fill(
    memory: &HashMemory,
    argon2: &Argon2<'_>,
    password: &str,
    salt: &[u8],
    output: &mut [u8],
) -> argon2::Result<()> {
    memory.with(argon2.params().block_count(), |blocks: &mut [Block]| {
        argon2.hash_password_into_with_memory(password.as_bytes(), salt, output, blocks)
    })
}

/// The hash for accounts that do not exist: checking a password against it takes as long as against
/// a real one. No known password matches it. It is a constant, because computing it would take 20
/// ms and the memory of a hash.
fn dummy_hash() -> &'static str {
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
    use argon2::password_hash::PasswordVerifier;

    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_alone() {
        let passwords = Passwords::new(None);
        let turn = async || passwords.admission.work().await.unwrap();
        let stored = passwords.hash(turn().await, "correct horse".to_owned()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let check = async |password: &str, stored: Option<&String>| {
            let verified =
                passwords.verify(turn().await, password.to_owned(), stored.cloned()).await;
            verified.unwrap().0
        };
        assert!(check("correct horse", Some(&stored)).await);
        assert!(!check("correct horsf", Some(&stored)).await);
        assert!(!check("correct horse", None).await);
        assert!(!check("an unknown", None).await);
        assert!(!check("x", Some(&"not a hash".to_owned())).await);
        assert!(!check(&"x".repeat(1025), Some(&stored)).await);
    }

    #[tokio::test]
    async fn a_password_is_the_same_however_its_characters_are_typed() {
        let passwords = Passwords::new(None);
        let turn = async || passwords.admission.work().await.unwrap();
        let check = async |password: &str, stored: &str| {
            let (password, stored) = (password.to_owned(), Some(stored.to_owned()));
            passwords.verify(turn().await, password, stored).await.unwrap().0
        };
        let forms = ["p\u{e4}ssword-\u{fb01}x", "pa\u{308}ssword-fix", "\u{ff50}\u{e4}ssword-fix"];
        for set in forms {
            let stored = passwords.hash(turn().await, set.to_owned()).await.unwrap();
            for typed in forms {
                assert!(check(typed, &stored).await, "{set:?} {typed:?}");
            }
            assert!(!check("password-fix", &stored).await);
            assert!(!check("P\u{e4}ssword-fix", &stored).await);
            // As earlier versions hashed it: what was typed then is typed again.
            let earlier = hash_with(&HashMemory::default(), set, &[7; 16]).unwrap();
            assert!(check(set, &earlier).await, "{set:?}");
        }
    }

    #[test]
    fn hashes_are_those_of_the_crate_whatever_was_in_the_memory() {
        let memory = HashMemory::default();
        for password in ["correct horse", "", "ünïcode"] {
            let made = hash_with(&memory, password, &[7; 16]).unwrap();
            let theirs = PasswordHash::new(&made).unwrap();
            assert!(Argon2::default().verify_password(password.as_bytes(), &theirs).is_ok());
            assert_eq!(verify_with(&memory, password, &made), Ok(true));
            assert_eq!(verify_with(&memory, "another", &made), Ok(false));
        }
        // From other software: other parameters, another length.
        let other = "$argon2i$v=19$m=64,t=1,p=2$c29tZXNhbHQ$";
        let params = Params::new(64, 1, 2, Some(16)).unwrap();
        let mut output = [0; 16];
        Argon2::new(Algorithm::Argon2i, Version::V0x13, params)
            .hash_password_into(b"elsewhere", b"somesalt", &mut output)
            .unwrap();
        let stored = format!("{other}{}", Output::new(&output).unwrap());
        assert_eq!(verify_with(&memory, "elsewhere", &stored), Ok(true));
        assert_eq!(verify_with(&memory, "elsewherf", &stored), Ok(false));
    }

    #[test]
    fn the_dummy_hash_costs_what_a_real_one_costs() {
        let made = hash_with(&HashMemory::default(), "x", &[1; 16]).unwrap();
        let (made, dummy) = (PasswordHash::new(&made), PasswordHash::new(dummy_hash()));
        let (made, dummy) = (made.unwrap(), dummy.unwrap());
        assert_eq!((made.algorithm, made.version), (dummy.algorithm, dummy.version));
        assert_eq!(made.params, dummy.params);
        let lengths = |hash: &PasswordHash<'_>| {
            (hash.salt.map(|salt| salt.len()), hash.hash.map(|hash| hash.len()))
        };
        assert_eq!(lengths(&made), lengths(&dummy));
    }
}
