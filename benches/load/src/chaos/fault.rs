//! The kinds of faults: where each makes sense, how often it is drawn, and how long it lasts.

mod shown;

use std::ops::Range;
use std::time::Duration;

use super::manner::{Flow, Garbage, Manner, Silence};
use crate::cluster::Shift;

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
    /// PostgreSQL crashes while commits are in flight, and is started again.
    Crash,
    /// Connections between nodes and PostgreSQL are cut.
    Cut,
    /// Connections between nodes and PostgreSQL fall silent, for a time or for good, without being
    /// closed; new ones are silent, refused or well.
    Silence,
    /// What nodes and PostgreSQL send each other arrives later.
    Latency,
    /// Redis answers what it did not mean, or carries messages of others than nodes.
    Garbage,
    /// PostgreSQL dies, and a standby that has everything takes its place.
    Failover,
    /// PostgreSQL dies, and a standby that lags behind takes its place.
    Lag,
    /// Nodes on a copy of the database run beside these, on the same Redis.
    Copy,
    /// Actors of a node are killed, of any kind, as an operator restarts them.
    Panic,
    /// A share of the clients' lines to a node carries only some KB/s, or nothing for a while, from
    /// the node to the client.
    Slow,
    /// A share of the clients' lines to a node carries nothing, in one direction or both, without
    /// being closed; then it is cut, or goes on.
    HalfOpen,
    /// The provider of webhooks hangs, answers late, twice or with 429 or 503, or resets its
    /// connections.
    Provider,
    /// The disk is full, slow or read-only, or fails to sync, for a time.
    Disk,
    /// The time of day is set, by minutes or hours, ahead or back, and then set right.
    Clock,
    /// A node can open no more files, for a time.
    Files,
}

/// All kinds.
pub const FAULTS: [FaultKind; 20] = [
    FaultKind::Kill,
    FaultKind::Freeze,
    FaultKind::Rolling,
    FaultKind::Redis,
    FaultKind::Postgres,
    FaultKind::Crash,
    FaultKind::Cut,
    FaultKind::Silence,
    FaultKind::Latency,
    FaultKind::Garbage,
    FaultKind::Failover,
    FaultKind::Lag,
    FaultKind::Copy,
    FaultKind::Panic,
    FaultKind::Slow,
    FaultKind::HalfOpen,
    FaultKind::Provider,
    FaultKind::Disk,
    FaultKind::Clock,
    FaultKind::Files,
];

/// The shares of connections of which a fault takes one.
pub(super) const LANES: usize = 3;

/// Of so many numbers the first name a share of the lines each, and the others all.
const SHARES: usize = LANES * 2;
/// How many nodes run on a copy at most.
const COPIES: usize = 2;

/// From so many numbers actors are drawn, for each node.
const ACTORS: usize = 1_000;
/// What a slow line carries.
pub(super) const SLOW: [Flow; 2] = [Flow::Slow, Flow::Held { to_node: false, to_client: true }];
/// What a half-open line carries, and whether it is cut at the end.
pub(super) const HALF_OPEN: [(Flow, bool); 6] = [
    (Flow::Held { to_node: true, to_client: false }, true),
    (Flow::Held { to_node: true, to_client: false }, false),
    (Flow::Held { to_node: false, to_client: true }, true),
    (Flow::Held { to_node: false, to_client: true }, false),
    (Flow::Held { to_node: true, to_client: true }, true),
    (Flow::Held { to_node: true, to_client: true }, false),
];

/// By how much PostgreSQL is farther away, in each direction: from another zone of a provider to
/// another continent.
const LATENCY_STEP: Duration = Duration::from_millis(25);
const LATENCIES: usize = 14;
/// Of so many crashes of PostgreSQL one is that of its first process alone.
pub(super) const CRASHES: usize = 4;

/// By how much a clock is set.
pub(super) const SHIFTS: [Shift; 4] = [
    Shift::Ahead(Duration::from_secs(3 * 3_600)),
    Shift::Behind(Duration::from_secs(3 * 3_600)),
    Shift::Ahead(Duration::from_secs(5 * 60)),
    Shift::Behind(Duration::from_secs(5 * 60)),
];
/// What is wrong with a disk.
pub(super) const DISKS: [&str; 4] = ["full", "slow", "read-only", "failing to sync"];

/// On how many nodes a kind of fault makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    /// On any number.
    Any,
    /// On several, which run on PostgreSQL and Redis.
    Several,
    /// On one, which runs on SQLite.
    One,
}

/// What a kind of fault is.
#[derive(Debug, Clone)]
struct Facts {
    name: &'static str,
    on: On,
    /// Its share of a schedule: those that take long are rare, for a schedule of a hundred faults
    /// has to end within a quarter of an hour.
    weight: usize,
    /// How long it lasts in a short schedule, in milliseconds.
    short_ms: Range<u64>,
    /// How long it lasts otherwise.
    long_ms: Range<u64>,
}

impl FaultKind {
    fn facts(self) -> Facts {
        let facts =
            |name, on, weight, short_ms, long_ms| Facts { name, on, weight, short_ms, long_ms };
        match self {
            Self::Kill => facts("kill", On::Any, 5, 0..800, 0..3_000),
            // A node that is silent for 15 s has left; a send's claim ends after 30 s.
            Self::Freeze => facts("freeze", On::Any, 3, 300..4_000, 16_000..34_000),
            Self::Rolling => facts("rolling", On::Any, 1, 0..1, 0..1),
            Self::Redis => facts("redis", On::Several, 2, 0..1_500, 0..8_000),
            Self::Postgres => facts("postgres", On::Several, 2, 0..1, 0..1),
            // Until nodes have connected again others' transactions may take the lost one's id.
            Self::Crash => facts("crash", On::Several, 5, 0..300, 0..2_000),
            Self::Cut => facts("cut", On::Several, 6, 0..1, 0..1),
            // A store is waited for 8 s.
            Self::Silence => facts("silence", On::Several, 4, 500..9_000, 5_000..40_000),
            Self::Latency => facts("latency", On::Several, 3, 1_000..4_000, 5_000..30_000),
            Self::Garbage => facts("garbage", On::Several, 3, 300..2_000, 1_000..10_000),
            Self::Failover => facts("failover", On::Several, 1, 300..2_000, 2_000..10_000),
            Self::Lag => facts("lag", On::Several, 1, 1_000..2_000, 2_000..10_000),
            Self::Copy => facts("copy", On::Several, 1, 2_000..5_000, 5_000..20_000),
            Self::Panic => facts("panic", On::Any, 4, 0..1, 0..1),
            Self::Slow => facts("slow", On::Any, 3, 1_000..5_000, 2_000..20_000),
            // A hub of a schedule pings after 3 s, and closes after 8 s of silence; a client gives
            // up after 7 s.
            Self::HalfOpen => facts("half-open", On::Any, 3, 2_000..10_000, 5_000..25_000),
            // An attempt may take 10 s.
            Self::Provider => facts("provider", On::Any, 3, 300..5_000, 1_000..25_000),
            Self::Disk => facts("disk", On::One, 4, 200..2_000, 500..8_000),
            // A process notices within a second that its clock was set.
            Self::Clock => facts("clock", On::One, 2, 1_500..3_000, 1_500..20_000),
            Self::Files => facts("files", On::Any, 2, 200..2_000, 500..8_000),
        }
    }

    /// As it is written on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// How many of a hundred faults it is, compared with the other kinds.
    pub(super) fn weight(self) -> usize {
        self.facts().weight
    }

    /// How long it lasts.
    pub(super) fn time_ms(self, is_short: bool) -> Range<u64> {
        let facts = self.facts();
        if is_short { facts.short_ms } else { facts.long_ms }
    }

    /// Among how many targets one is drawn.
    pub(super) fn targets(self, nodes: usize) -> usize {
        match self {
            Self::Kill | Self::Freeze | Self::Files => nodes,
            Self::Disk => DISKS.len(),
            Self::Clock => SHIFTS.len(),
            Self::Cut => LANES,
            Self::Crash => CRASHES,
            Self::Silence => Silence::ALL.len() * SHARES,
            Self::Latency => LATENCIES,
            // Any number: what is random comes from it.
            Self::Garbage => Garbage::ALL.len() * ACTORS,
            Self::Copy => COPIES,
            // Any number: the actors are drawn from it.
            Self::Panic => nodes * ACTORS,
            Self::Slow => nodes * LANES * SLOW.len(),
            Self::HalfOpen => nodes * LANES * HALF_OPEN.len(),
            Self::Provider => Manner::FAULTS.len(),
            Self::Rolling | Self::Redis | Self::Postgres | Self::Failover | Self::Lag => 1,
        }
    }

    /// Why it is impossible on so many nodes; `None` if it is possible.
    #[must_use]
    pub fn impossible_on(self, nodes: usize) -> Option<&'static str> {
        match self.facts().on {
            On::Several if nodes < 2 => {
                Some("one node runs on SQLite, without PostgreSQL and without Redis")
            }
            On::One if nodes > 1 => Some("it is a fault of the only node's machine"),
            On::Any | On::Several | On::One => None,
        }
    }
}

/// The kinds that are possible on so many nodes.
#[must_use]
pub fn possible_on(nodes: usize) -> Vec<FaultKind> {
    FAULTS.into_iter().filter(|kind| kind.impossible_on(nodes).is_none()).collect()
}

/// The node, the share of its lines, and what happens to them.
pub(super) fn line<T: Copy>(target: usize, of: &[T]) -> (usize, usize, T) {
    let (rest, which) = (target / of.len(), target % of.len());
    (rest / LANES, rest % LANES, of[which])
}

/// A fault and its moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// How long after the end of the previous fault it begins. Others fall into the time in which a
    /// node is frozen or Redis is away.
    pub after: Duration,
    /// What happens.
    pub kind: FaultKind,
    /// To which node, or to which other part of those to which it can happen. A node that is busy
    /// with another fault is replaced by the next one.
    pub target: usize,
    /// How long it lasts.
    pub time: Duration,
}

/// How PostgreSQL's connections fall silent, and which shares of them.
pub(super) fn silence(target: usize) -> (Silence, Range<usize>) {
    let (share, which) = (target / Silence::ALL.len(), target % Silence::ALL.len());
    let lanes = if share < LANES { share..share + 1 } else { 0..LANES };
    (Silence::ALL[which], lanes)
}

/// How far away PostgreSQL is.
pub(super) fn latency(target: usize) -> Duration {
    let steps = u32::try_from(target % LATENCIES + 1).unwrap_or(1);
    LATENCY_STEP * steps
}

/// What Redis answers, and the seed of what is random in it.
pub(super) fn garbage(target: usize) -> (Garbage, u64) {
    let seed = u64::try_from(target / Garbage::ALL.len()).unwrap_or_default();
    (Garbage::ALL[target % Garbage::ALL.len()], seed)
}
