//! The budgets of failures that all nodes share.
//!
//! A node gives turns by its own budgets. With a turn, before a password is tried, it takes a guess
//! from the budget that all nodes share; if the password was right, or none was tried, the guess is
//! given back. Without a guess the attempt waits again, as all of its name on this node do: what
//! the shared budget has said is remembered until it ends.
//!
//! Each node asks for itself when the next guess is free, and the first one has it. So attempts on
//! one account over N nodes have the turns of one node together, but not in one order.

use std::sync::Arc;
use std::time::Duration;

use bellpull_port::rate::Quota;
use bellpull_port::shared_limits::{RuleTurn, SharedLimits, SharedRule, Verdict, outcome};
use bellpull_port::shared_rate::SharedKey;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::claim::{Name, Subject};

/// What is asked together.
const GROUP: &str = "logins";

/// The budgets.
#[derive(Debug)]
pub(super) struct SharedBudgets {
    limits: Arc<dyn SharedLimits>,
    guesses: Quota,
    networks: Quota,
    /// Until when there is nothing left, as this node was told.
    spent: Cache<Spent, Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Spent {
    Guesses(Subject),
    Network(u64),
}

/// What was taken from the shared budgets.
#[derive(Debug)]
pub(super) struct Taken(Vec<SharedRule>);

impl SharedBudgets {
    /// Budgets of guesses at one account and of one network's failures; `spent_max` answers are
    /// remembered.
    pub(super) fn new(
        limits: Arc<dyn SharedLimits>,
        guesses: Quota,
        networks: Quota,
        spent_max: usize,
    ) -> Self {
        Self { limits, guesses, networks, spent: Cache::new(spent_max) }
    }

    /// How long this node knows the next guess to take; zero if it knows nothing.
    pub(super) fn wait(&self, subject: Subject) -> Duration {
        self.remembered(Spent::Guesses(subject))
    }

    /// Whether the network is known to have failed too often.
    pub(super) fn is_noisy(&self, network: u64) -> bool {
        !self.remembered(Spent::Network(network)).is_zero()
    }

    fn remembered(&self, spent: Spent) -> Duration {
        let until = self.spent.get(&spent);
        until.map(|at| at.saturating_duration_since(Instant::now())).unwrap_or_default()
    }

    /// Takes a guess, and a failure of the network. `None`: there is no answer, and this node's own
    /// budgets stand.
    ///
    /// # Errors
    /// How long until there is a guess; nothing was taken.
    pub(super) async fn take(
        &self,
        subject: Subject,
        network: u64,
    ) -> Result<Option<Taken>, Duration> {
        let (name, key) = key(subject);
        let rules = vec![
            SharedRule { name, key, quota: self.guesses, turn: RuleTurn::Require },
            SharedRule {
                name: "network",
                key: network.bytes(),
                quota: self.networks,
                turn: RuleTurn::Count,
            },
        ];
        let Some(verdicts) = self.limits.ask(GROUP, &rules).await else { return Ok(None) };
        for (spent, verdict) in
            [Spent::Guesses(subject), Spent::Network(network)].into_iter().zip(&verdicts)
        {
            if let Verdict::Refused(wait) = verdict {
                self.spent.insert(spent, Instant::now() + *wait);
            }
        }
        outcome(&rules, &verdicts)?;
        let taken = rules.into_iter().zip(verdicts).filter_map(|(rule, verdict)| {
            (verdict == Verdict::Admitted)
                .then_some(SharedRule { turn: RuleTurn::GiveBack, ..rule })
        });
        Ok(Some(Taken(taken.collect())))
    }

    /// Gives back what was taken, in a task of its own. If it is lost, a guess is missing until its
    /// time has come.
    pub(super) fn give_back(&self, taken: Taken) {
        // A runtime that ends drops turns, too.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let limits = Arc::clone(&self.limits);
            runtime.spawn(async move { limits.ask(GROUP, &taken.0).await });
        }
    }
}

/// The name of a subject's rule, and its key.
fn key(subject: Subject) -> (&'static str, Vec<u8>) {
    match subject {
        Subject::Name(Name::Account(user)) => ("account", user.bytes()),
        Subject::Name(Name::Unknown(hash)) => ("unknown", hash.bytes()),
        Subject::Pair(user, network) => ("pair", [user.bytes(), network.bytes()].concat()),
    }
}
