//! What an attempt is: whose, how urgent, and what its failure is counted against.

use std::time::Duration;

use bellpull_domain::ids::UserId;

/// Guesses after a burst: 17,280 a day; a list of the million most common passwords takes two
/// months.
pub(super) const GUESSES_PER_MIN: u32 = 12;
pub(super) const GUESS_EVERY: Duration = Duration::from_secs(60 / GUESSES_PER_MIN as u64);

/// The account whose password is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Name {
    /// An existing account, by either of its names.
    Account(UserId),
    /// No account: a hash of the name, the same on all nodes.
    Unknown(u64),
}

/// What guesses are counted against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// A name, over all networks that it has not logged in from recently.
    Name(Name),
    /// An account and a network from which it has logged in recently: guesses from elsewhere do not
    /// slow it down.
    Pair(UserId, u64),
}

/// The priority of an attempt; the first class has the largest share of the turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// An account in a network from which it has logged in recently, and work for authenticated
    /// clients.
    Trusted,
    /// Another account.
    Ordinary,
    /// An account in a network with many failures, or while there are many everywhere.
    Doubtful,
    /// A name that no account has: all of them together have the smallest share.
    Unknown,
}

impl Class {
    pub(super) const ALL: [Self; 4] =
        [Self::Trusted, Self::Ordinary, Self::Doubtful, Self::Unknown];

    /// What a turn costs: while all four wait, the shares are 8:4:2:1.
    pub(super) fn cost(self) -> u64 {
        match self {
            Self::Trusted => 1,
            Self::Ordinary => 2,
            Self::Doubtful => 4,
            Self::Unknown => 8,
        }
    }
}

/// How an attempt is scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) class: Class,
    /// What gets one turn per round.
    pub(super) unit: u64,
    /// Whose budget decides when it may have a turn at all; `None` for other work.
    pub(super) subject: Option<Subject>,
    /// Where it comes from.
    pub(super) network: u64,
}
