//! How many failed logins each key may cause, and who has logged in lately.
//!
//! Only failures count. An exhausted budget rejects no attempt: an account's slows the attempts
//! on it down, an address's and that of all together give them a lower class.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use bellpull_domain::ids::UserId;
use bellpull_port::SharedLimits;
use bellpull_port::rate::{Quota, RateLimit};
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::claim::{Claim, Class, GUESSES_PER_MIN, Name, Subject};
use super::shared::{SharedBudgets, Taken};

/// Guesses at one account from all addresses together, over all nodes: 10 at once, as many as a
/// person needs to find the right one of their passwords, then [`super::claim::GUESS_EVERY`].
const GUESSES_AT_ONCE: u32 = 10;

/// Failures of one network, over all nodes: an office behind one address on a Monday morning stays
/// below it.
const NETWORK_BURST: u32 = 60;
const NETWORK_PER_S: u32 = 1;

/// Failures of all networks together on this node: about half of what it can hash in a second.
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
    /// `None`: this node counts alone.
    shared: Option<SharedBudgets>,
}

impl Budgets {
    /// With the limits that nodes share, if they do.
    pub(super) fn new(shared: Option<Arc<dyn SharedLimits>>) -> Self {
        let guesses = Quota::per_minute(GUESSES_PER_MIN, GUESSES_AT_ONCE);
        let networks = Quota::per_second(NETWORK_PER_S, NETWORK_BURST);
        let shared = shared.zip(guesses.zip(networks)).map(|(limits, (guesses, networks))| {
            SharedBudgets::new(limits, guesses, networks, KEYS_MAX)
        });
        Self {
            accounts: RateLimit::new(guesses, KEYS_MAX),
            unknown: RateLimit::new(guesses, KEYS_MAX),
            networks: RateLimit::new(networks, KEYS_MAX),
            all: RateLimit::new(Quota::per_second(ALL_PER_S, ALL_BURST), 1),
            familiar: Cache::new(KEYS_MAX),
            hasher: RandomState::new(),
            shared,
        }
    }

    /// A name that no account has: the same on every node, as an account is. Two of them with one
    /// hash share a budget, which does not harm anyone.
    pub(super) fn unknown(name: &str) -> Name {
        let hash = Sha256::digest(name.to_lowercase());
        let head = hash.first_chunk().copied().unwrap_or_default();
        Name::Unknown(u64::from_be_bytes(head))
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
                let is_quiet = self.is_quiet(network) && self.all.check(&()).is_ok();
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
        let own = self.guesses(subject).check(&subject).err().unwrap_or_default();
        self.shared.as_ref().map_or(own, |shared| shared.wait(subject).max(own))
    }

    /// Takes a guess from what all nodes share, if this node has one; see [`SharedBudgets::take`].
    pub(super) async fn take(
        &self,
        subject: Subject,
        network: u64,
    ) -> Result<Option<Taken>, Duration> {
        match &self.shared {
            Some(shared) => shared.take(subject, network).await,
            None => Ok(None),
        }
    }

    /// Gives back a guess that did not fail.
    pub(super) fn give_back(&self, taken: Taken) {
        if let Some(shared) = &self.shared {
            shared.give_back(taken);
        }
    }

    fn is_quiet(&self, network: u64) -> bool {
        let is_noisy = self.shared.as_ref().is_some_and(|shared| shared.is_noisy(network));
        !is_noisy && self.networks.check(&network).is_ok()
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
