//! A schedule of faults: all random choices come from one seed.

use std::time::Duration;

use fastrand::Rng;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum FaultKind {
    /// `kill -9` of a node, which is started again.
    Kill,
    /// A node is stopped (SIGSTOP) until the others count it as left, and continued (SIGCONT).
    Freeze,
    /// One node after the other is terminated (SIGTERM) and started again.
    Rolling,
    /// `kill -9` of Redis, which is started again empty.
    Redis,
    /// A fast restart of PostgreSQL.
    Postgres,
    /// Connections between nodes and PostgreSQL are cut.
    Cut,
}

impl FaultKind {
    /// As it is written on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Rolling => "rolling",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Cut => "cut",
        }
    }
}

/// All kinds.
pub const FAULTS: [FaultKind; 6] = [
    FaultKind::Kill,
    FaultKind::Freeze,
    FaultKind::Rolling,
    FaultKind::Redis,
    FaultKind::Postgres,
    FaultKind::Cut,
];

/// A fault and its moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// How long after the end of the previous fault it begins. Others fall into the time in which a
    /// node is frozen or Redis is away.
    pub after: Duration,
    /// What happens.
    pub action: Action,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A node is killed, and started again after this time.
    Kill {
        /// Its number; if it is busy with another fault, the next one's.
        node: usize,
        /// How long it is away.
        away: Duration,
    },
    /// A node is frozen for this time.
    Freeze {
        /// Its number; if it is busy with another fault, the next one's.
        node: usize,
        /// For how long.
        time: Duration,
    },
    /// One node after the other is restarted.
    Rolling,
    /// Redis is killed, and started again after this time.
    Redis {
        /// How long it is away.
        away: Duration,
    },
    /// PostgreSQL is restarted.
    Postgres,
    /// A share of the connections to PostgreSQL is cut.
    Cut {
        /// Which share.
        lane: usize,
    },
}

impl Action {
    /// Its kind.
    #[must_use]
    pub fn kind(self) -> FaultKind {
        match self {
            Self::Kill { .. } => FaultKind::Kill,
            Self::Freeze { .. } => FaultKind::Freeze,
            Self::Rolling => FaultKind::Rolling,
            Self::Redis { .. } => FaultKind::Redis,
            Self::Postgres => FaultKind::Postgres,
            Self::Cut { .. } => FaultKind::Cut,
        }
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kill { node, away } => write!(f, "kill node {node}, away {away:?}"),
            Self::Freeze { node, time } => write!(f, "freeze node {node} for {time:?}"),
            Self::Rolling => f.write_str("rolling restart"),
            Self::Redis { away } => write!(f, "kill Redis, away {away:?}"),
            Self::Postgres => f.write_str("restart PostgreSQL"),
            Self::Cut { lane } => write!(f, "cut connections to PostgreSQL ({lane})"),
        }
    }
}

/// The most time between two faults, in milliseconds.
const PAUSE_MS_MAX: u64 = 4_000;
/// The shares of connections of which a cut takes one.
pub const LANES: usize = 3;

/// Each kind's share of a schedule, and how long it takes on average, its pause included: a
/// schedule of a hundred faults has to end within a quarter of an hour.
fn weight(kind: FaultKind) -> usize {
    match kind {
        FaultKind::Kill => 5,
        FaultKind::Freeze => 3,
        FaultKind::Rolling => 1,
        FaultKind::Redis | FaultKind::Postgres => 2,
        FaultKind::Cut => 6,
    }
}

/// A schedule of `count` faults of these kinds on so many nodes. Every kind is there, if the count
/// allows it.
#[must_use]
pub fn schedule(seed: u64, kinds: &[FaultKind], nodes: usize, count: usize) -> Vec<Fault> {
    let mut rng = Rng::with_seed(seed);
    let bag: Vec<FaultKind> =
        kinds.iter().flat_map(|kind| std::iter::repeat_n(*kind, weight(*kind))).collect();
    if bag.is_empty() || nodes == 0 {
        return Vec::new();
    }
    let mut chosen: Vec<FaultKind> = kinds.iter().copied().take(count).collect();
    while chosen.len() < count {
        chosen.push(bag[rng.usize(..bag.len())]);
    }
    rng.shuffle(&mut chosen);
    let faults = chosen.into_iter().map(|kind| Fault {
        after: Duration::from_millis(rng.u64(100..PAUSE_MS_MAX)),
        action: action(kind, nodes, &mut rng),
    });
    faults.collect()
}

fn action(kind: FaultKind, nodes: usize, rng: &mut Rng) -> Action {
    let mut ms = |from, to| Duration::from_millis(rng.u64(from..to));
    match kind {
        FaultKind::Kill => {
            let away = ms(0, 3_000);
            Action::Kill { node: rng.usize(..nodes), away }
        }
        // A node that is silent for 15 s has left; a send's claim ends after 30 s.
        FaultKind::Freeze => {
            let time = ms(16_000, 34_000);
            Action::Freeze { node: rng.usize(..nodes), time }
        }
        FaultKind::Rolling => Action::Rolling,
        FaultKind::Redis => Action::Redis { away: ms(0, 8_000) },
        FaultKind::Postgres => Action::Postgres,
        FaultKind::Cut => Action::Cut { lane: rng.usize(..LANES) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_schedule_with_every_kind() {
        let one = schedule(7, &FAULTS, 3, 100);
        assert_eq!(one, schedule(7, &FAULTS, 3, 100));
        assert_ne!(one, schedule(8, &FAULTS, 3, 100));
        assert_eq!(one.len(), 100);
        for kind in FAULTS {
            assert!(one.iter().any(|fault| fault.action.kind() == kind), "{kind:?}");
        }
        let few = schedule(7, &FAULTS, 3, 6);
        let mut kinds: Vec<FaultKind> = few.iter().map(|fault| fault.action.kind()).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, FAULTS);
    }

    #[test]
    fn only_what_was_asked_for_happens() {
        let cuts = schedule(1, &[FaultKind::Cut], 2, 9);
        assert!(cuts.iter().all(|fault| fault.action.kind() == FaultKind::Cut));
        assert!(schedule(1, &[], 2, 9).is_empty());
        assert!(schedule(1, &FAULTS, 0, 9).is_empty());
    }
}
