//! The slow log: requests, commits and frames that took longer than a bound, with what each waited
//! for.
//!
//! What measures a time anyway compares it with the bound. Only what is above it costs more, and
//! of that a bounded number a second is kept: a hub that is slow everywhere is not made slower.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Entries kept of each kind, so that many slow frames do not displace a slow request.
pub const KEPT_MAX: usize = 200;
/// Entries kept of each kind in a second; the others are only counted.
const KEPT_PER_S: u32 = 50;

/// What was slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowKind {
    /// A REST request, from its head to the head of its response.
    Request,
    /// A group of writes, from its oldest write's place in the queue to the commit.
    Commit,
    /// A notification's frame, from its announcement to the write to the connections.
    Frame,
}

impl SlowKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Request, Self::Commit, Self::Frame];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Commit => "commit",
            Self::Frame => "frame",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    const fn index(self) -> usize {
        match self {
            Self::Request => 0,
            Self::Commit => 1,
            Self::Frame => 2,
        }
    }
}

/// The bounds above which something is slow; `None` is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlowBounds {
    /// Of requests (`slow.request_ms`).
    pub request: Option<Duration>,
    /// Of commits (`slow.commit_ms`).
    pub commit: Option<Duration>,
    /// Of frames (`slow.frame_ms`).
    pub frame: Option<Duration>,
}

impl SlowBounds {
    /// That of a kind.
    #[must_use]
    pub const fn of(&self, kind: SlowKind) -> Option<Duration> {
        match kind {
            SlowKind::Request => self.request,
            SlowKind::Commit => self.commit,
            SlowKind::Frame => self.frame,
        }
    }
}

/// Something slow.
#[derive(Debug, Clone)]
pub struct Slow {
    /// A request's method and route, a frame's user, a group's size.
    pub what: String,
    /// The parts of its time, by name.
    pub waits: Vec<(&'static str, Duration)>,
    /// A response's status.
    pub status: Option<u16>,
    /// The trace that it belongs to, as a `traceparent`.
    pub trace: Option<String>,
}

/// An entry of the log.
#[derive(Debug)]
pub struct SlowEntry {
    /// Counts up from 1 during the process' lifetime.
    pub id: u64,
    /// When it ended.
    pub at: Timestamp,
    /// What it was.
    pub kind: SlowKind,
    /// How long it took.
    pub took: Duration,
    /// The rest.
    pub slow: Slow,
}

/// The log of a node. Cheap to clone; by default all is off.
#[derive(Debug, Clone, Default)]
pub struct SlowLog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    bounds: SlowBounds,
    last_id: AtomicU64,
    rings: [Ring; 3],
}

#[derive(Debug, Default)]
struct Ring {
    entries: Mutex<VecDeque<Arc<SlowEntry>>>,
    /// The second in which entries are counted, and how many there were in it.
    second: AtomicU64,
    in_second: AtomicU32,
    /// Those above the bound, whether kept or not.
    total: AtomicU64,
}

impl Ring {
    /// Whether one more may be kept in this second.
    fn admits(&self, now: Timestamp) -> bool {
        let second = now.as_second().unsigned_abs();
        if self.second.swap(second, Relaxed) != second {
            self.in_second.store(0, Relaxed);
        }
        self.in_second.fetch_add(1, Relaxed) < KEPT_PER_S
    }
}

impl SlowLog {
    /// An empty log.
    #[must_use]
    pub fn new(bounds: SlowBounds) -> Self {
        Self(Arc::new(Shared { bounds, ..Shared::default() }))
    }

    /// The bounds in force.
    #[must_use]
    pub fn bounds(&self) -> SlowBounds {
        self.0.bounds
    }

    /// Whether anything of this kind is logged.
    #[must_use]
    pub fn is_on(&self, kind: SlowKind) -> bool {
        self.0.bounds.of(kind).is_some()
    }

    /// Logs what took longer than its bound; `slow` is made only then.
    pub fn note(&self, kind: SlowKind, took: Duration, slow: impl FnOnce() -> Slow) {
        if self.0.bounds.of(kind).is_some_and(|bound| took > bound) {
            self.keep(kind, took, slow);
        }
    }

    #[cold]
    fn keep(&self, kind: SlowKind, took: Duration, slow: impl FnOnce() -> Slow) {
        let ring = &self.0.rings[kind.index()];
        ring.total.fetch_add(1, Relaxed);
        metrics::counter!("bellpull_slow_total", "kind" => kind.as_str()).increment(1);
        let at = Timestamp::now();
        if !ring.admits(at) {
            return;
        }
        let slow = slow();
        let mut entries = ring.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that a ring is in the order of its ids.
        let id = self.0.last_id.fetch_add(1, Relaxed) + 1;
        if entries.len() == KEPT_MAX {
            entries.pop_front();
        }
        entries.push_back(Arc::new(SlowEntry { id, at, kind, took, slow }));
    }

    /// How many of that kind were above the bound since the process started.
    #[must_use]
    pub fn total(&self, kind: SlowKind) -> u64 {
        self.0.rings[kind.index()].total.load(Relaxed)
    }

    /// The newest entries of a kind, or of all, newest first.
    #[must_use]
    pub fn newest(&self, kind: Option<SlowKind>, limit: usize) -> Vec<Arc<SlowEntry>> {
        let wanted = SlowKind::ALL.into_iter().filter(|one| kind.is_none_or(|kind| kind == *one));
        let mut found: Vec<_> = wanted
            .flat_map(|kind| {
                let entries = self.0.rings[kind.index()].entries.lock();
                let entries = entries.unwrap_or_else(PoisonError::into_inner);
                entries.iter().rev().take(limit).cloned().collect::<Vec<_>>()
            })
            .collect();
        found.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.id));
        found.truncate(limit);
        found
    }
}

/// What a request waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Its turn among others: of a page, or of a password to be hashed.
    Turn,
    /// An actor's answer, with what the actor did for it.
    Actor,
    /// A group of writes: its place in the queue, and the commit.
    Writer,
    /// A password to be hashed.
    Password,
}

const WAITS: [(Wait, &str); 4] = [
    (Wait::Turn, "turn"),
    (Wait::Actor, "actor"),
    (Wait::Writer, "writer"),
    (Wait::Password, "password"),
];

tokio::task_local! {
    static CURRENT: Waits;
}

/// The times that one request has waited; none, where they are not measured.
#[derive(Debug, Clone, Default)]
pub struct Waits(Option<Arc<[AtomicU64; 4]>>);

impl Waits {
    /// For a request that begins.
    #[must_use]
    pub fn begin(log: &SlowLog) -> Self {
        Self(log.is_on(SlowKind::Request).then(Arc::default))
    }

    /// Those of the running task.
    #[must_use]
    pub fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }

    /// Runs work whose waits are counted here.
    pub async fn within<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// The parts of a request's time: what it waited for, and the rest. Waits that overlap may be
    /// more than the time.
    #[must_use]
    pub fn parts(&self, took: Duration) -> Vec<(&'static str, Duration)> {
        let Some(times) = &self.0 else { return Vec::new() };
        let times = times.iter().map(|time| Duration::from_nanos(time.load(Relaxed)));
        let mut parts: Vec<_> = WAITS.iter().map(|(_, name)| *name).zip(times).collect();
        let waited: Duration = parts.iter().map(|(_, time)| *time).sum();
        parts.retain(|(_, time)| !time.is_zero());
        parts.push(("handler", took.saturating_sub(waited)));
        parts
    }

    fn add(&self, wait: Wait, time: Duration) {
        let Some(times) = &self.0 else { return };
        let place = WAITS.iter().position(|(one, _)| *one == wait).unwrap_or_default();
        times[place].fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}

/// Waits, and counts the time for the running request, if there is one.
pub async fn waiting<T>(wait: Wait, work: impl Future<Output = T>) -> T {
    let waits = Waits::current();
    if waits.0.is_none() {
        return work.await;
    }
    let counted = Counted { waits, wait, begun: Instant::now() };
    let done = work.await;
    drop(counted);
    done
}

/// Counts also where the request's time limit ends the wait.
struct Counted {
    waits: Waits,
    wait: Wait,
    begun: Instant,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.waits.add(self.wait, self.begun.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn log() -> SlowLog {
        SlowLog::new(SlowBounds { request: Some(10 * MS), frame: Some(MS), commit: None })
    }

    fn slow(what: &str) -> Slow {
        Slow { what: what.to_owned(), waits: Vec::new(), status: None, trace: None }
    }

    #[test]
    fn only_what_is_above_its_bound_is_kept() {
        let log = log();
        log.note(SlowKind::Request, 10 * MS, || unreachable!("at the bound"));
        log.note(SlowKind::Commit, 9_000 * MS, || unreachable!("it is off"));
        log.note(SlowKind::Request, 11 * MS, || slow("a"));
        log.note(SlowKind::Frame, 2 * MS, || slow("b"));
        let found = log.newest(None, 10);
        let found: Vec<_> = found.iter().map(|one| (one.id, one.slow.what.as_str())).collect();
        assert_eq!(found, [(2, "b"), (1, "a")]);
        assert_eq!(log.newest(Some(SlowKind::Request), 10).len(), 1);
        assert_eq!(log.newest(None, 1)[0].kind, SlowKind::Frame);
    }

    #[test]
    fn many_in_a_second_are_counted_and_not_kept() {
        let log = log();
        for _ in 0..1_000 {
            log.note(SlowKind::Frame, 2 * MS, || slow("x"));
        }
        assert_eq!(log.total(SlowKind::Frame), 1_000);
        // The loop may have crossed a second.
        let kept = log.newest(None, usize::MAX).len();
        let most = usize::try_from(KEPT_PER_S).unwrap() * 2;
        assert!((1..=most).contains(&kept), "{kept}");
    }

    #[tokio::test]
    async fn a_request_knows_what_it_waited_for() {
        let waits = Waits::begin(&log());
        let pause = || tokio::time::sleep(5 * MS);
        waits.clone().within(waiting(Wait::Writer, pause())).await;
        // One that the time limit cuts off counts too.
        let cut = waits.clone().within(waiting(Wait::Actor, std::future::pending::<()>()));
        assert!(tokio::time::timeout(5 * MS, cut).await.is_err());
        let parts = waits.parts(100 * MS);
        let of = |name| parts.iter().find(|(one, _)| *one == name).map(|(_, time)| *time);
        assert!(of("writer") >= Some(5 * MS) && of("actor") >= Some(4 * MS), "{parts:?}");
        assert_eq!(of("turn"), None);
        assert!(of("handler") <= Some(91 * MS));
        assert!(!Waits::current().is_counted(), "another task counts nothing");
    }

    impl Waits {
        fn is_counted(&self) -> bool {
            self.0.is_some()
        }
    }
}
