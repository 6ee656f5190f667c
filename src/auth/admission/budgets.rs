//! How many failed logins each key may cause, and who has logged in lately.
//!
//! Only failures count. An exhausted budget rejects no attempt: an account's slows the attempts
//! on it down, an address's and that of all together give them a lower class.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use bellpull_actors::domain::ids::UserId;
use bellpull_actors::rate::{Quota, RateLimit};
use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::claim::{Claim, Class, GUESSES_PER_MIN, Name, Subject};

/// Guesses at one account from all addresses together: 10 at once, as many as a person needs to
/// find the right one of their passwords, then [`super::claim::GUESS_EVERY`].
const GUESSES_AT_ONCE: u32 = 10;

/// Failures of one network: an office behind one address on a Monday morning stays below it.
const NETWORK_BURST: u32 = 60;
const NETWORK_PER_S: u32 = 1;

/// Failures of all networks together: about half of what the hub can hash in a second.
const ALL_BURST: u32 = 200;
const ALL_PER_S: u32 = 20;

/// Keys that each table holds: some 2 MiB when full. An evicted key starts with a full budget;
/// 16,384 failures take longer than a budget needs to refill.
const KEYS_MAX: usize = 16_384;

/// How long a login from a network gives the next ones from there precedence.
const FAMILIAR_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// The budgets of failures.
#[derive(Debug)]
pub(super) struct Budgets {
    accounts: RateLimit<Subject>,
    /// Kept apart from accounts: an attacker can make up any number of names, which would evict
    /// accounts.
    unknown: RateLimit<Subject>,
    networks: RateLimit<u64>,
    all: RateLimit<()>,
    /// When an account last logged in from a network, by a hash of both.
    familiar: Cache<u64, Instant>,
    hasher: RandomState,
}

impl Default for Budgets {
    fn default() -> Self {
        let guesses = Quota::per_minute(GUESSES_PER_MIN, GUESSES_AT_ONCE);
        Self {
            accounts: RateLimit::new(guesses, KEYS_MAX),
            unknown: RateLimit::new(guesses, KEYS_MAX),
            networks: RateLimit::new(Quota::per_second(NETWORK_PER_S, NETWORK_BURST), KEYS_MAX),
            all: RateLimit::new(Quota::per_second(ALL_PER_S, ALL_BURST), 1),
            familiar: Cache::new(KEYS_MAX),
            hasher: RandomState::new(),
        }
    }
}

impl Budgets {
    /// A name that no account has.
    pub(super) fn unknown(&self, name: &str) -> Name {
        Name::Unknown(self.hasher.hash_one(name.to_lowercase()))
    }

    /// The claim of an attempt on a name from a network.
    pub(super) fn claim(&self, name: Name, network: u64) -> Claim {
        let unit = self.hasher.hash_one((name, network));
        let (class, subject) = match name {
            Name::Unknown(_) => (Class::Unknown, Subject::Name(name)),
            Name::Account(user) if self.is_familiar(user, network) => {
                (Class::Trusted, Subject::Pair(user, network))
            }
            Name::Account(_) => {
                let is_quiet = self.networks.check(&network).is_ok() && self.all.check(&()).is_ok();
                (if is_quiet { Class::Ordinary } else { Class::Doubtful }, Subject::Name(name))
            }
        };
        Claim { class, unit, subject: Some(subject), network }
    }

    /// The claim of other work for a network.
    pub(super) fn work(&self, class: Class, network: u64) -> Claim {
        Claim { class, unit: self.hasher.hash_one(("work", network)), subject: None, network }
    }

    /// How long until the next guess may be made; zero if one may be made now.
    pub(super) fn wait(&self, subject: Subject) -> Duration {
        self.guesses(subject).check(&subject).err().unwrap_or_default()
    }

    /// Counts a failed attempt.
    pub(super) fn failed(&self, subject: Subject, network: u64) {
        // An exhausted budget stays exhausted.
        let _ = self.guesses(subject).admit(&subject);
        let _ = self.networks.admit(&network);
        let _ = self.all.admit(&());
    }

    /// Gives the account a budget of its own in this network from now on.
    pub(super) fn succeeded(&self, user: UserId, network: u64) {
        self.familiar.insert(self.pair(user, network), Instant::now());
    }

    fn is_familiar(&self, user: UserId, network: u64) -> bool {
        let seen = self.familiar.get(&self.pair(user, network));
        seen.is_some_and(|seen| seen.elapsed() < FAMILIAR_FOR)
    }

    fn pair(&self, user: UserId, network: u64) -> u64 {
        self.hasher.hash_one((user, network))
    }

    fn guesses(&self, subject: Subject) -> &RateLimit<Subject> {
        match subject {
            Subject::Name(Name::Unknown(_)) => &self.unknown,
            Subject::Name(Name::Account(_)) | Subject::Pair(..) => &self.accounts,
        }
    }
}
