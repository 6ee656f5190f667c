//! A supervisor's record of its children's failures and restarts: budgets, back-off, and the last
//! cause of each.

use std::collections::{HashMap, VecDeque};
use std::fmt::{self, Display};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use tokio::time::Instant;

/// The most failures within a duration.
#[derive(Debug, Clone)]
pub struct Budget {
    most: usize,
    within: Duration,
    recent: VecDeque<Instant>,
}

impl Budget {
    /// At most `most` failures within `within`.
    #[must_use]
    pub fn new(most: usize, within: Duration) -> Self {
        Self { most, within, recent: VecDeque::new() }
    }

    /// Counts a failure; whether the budget still holds.
    pub fn spend(&mut self, now: Instant) -> bool {
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|at| now.duration_since(*at) > self.within) {
            self.recent.pop_front();
        }
        self.recent.len() <= self.most
    }
}

/// The back-off before the restart after the `nth` failure in a row (from 1): none for the first,
/// then 100 ms, doubled each time, at most 10 s.
#[must_use]
pub fn back_off(nth: u32) -> Duration {
    // Doubled seven times it is past the limit already; a larger shift would lose bits.
    let doublings = nth.saturating_sub(2).min(7);
    if nth <= 1 { Duration::ZERO } else { Duration::from_millis((100 << doublings).min(10_000)) }
}

/// A failure of an actor.
#[derive(Debug, Clone, Serialize)]
pub struct FailureReport {
    /// The panic's or the error's text.
    pub text: String,
    /// When, RFC 3339.
    pub at: jiff::Timestamp,
}

/// Why an actor is started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestartCause {
    /// It failed.
    Failure,
    /// The operator with that name requested it.
    Operator(Arc<str>),
}

/// A restart of an actor. As JSON `{"cause": "failure"|"operator", "operator", "at"}`, where
/// `operator` is null unless one requested it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartReport {
    /// Why.
    pub cause: RestartCause,
    /// When the actor was up again.
    pub at: jiff::Timestamp,
}

impl Display for RestartCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failure => f.write_str("restarted after a failure"),
            Self::Operator(name) => write!(f, "restarted by operator {name}"),
        }
    }
}

impl Display for RestartReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl Serialize for RestartReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (cause, operator) = match &self.cause {
            RestartCause::Failure => ("failure", None),
            RestartCause::Operator(name) => ("operator", Some(&**name)),
        };
        let mut report = serializer.serialize_struct("RestartReport", 3)?;
        report.serialize_field("cause", cause)?;
        report.serialize_field("operator", &operator)?;
        report.serialize_field("at", &self.at)?;
        report.end()
    }
}

/// One child's record.
#[derive(Debug, Clone)]
pub struct Record {
    /// How often it was started again.
    pub restarts: u32,
    /// Its last failure.
    pub last_failure: Option<FailureReport>,
    /// When and why it was last started again.
    pub last_restart: Option<RestartReport>,
    in_a_row: u32,
    failed_at: Instant,
    /// Why it is down, while it is.
    down: Option<RestartCause>,
}

impl Record {
    fn new(now: Instant) -> Self {
        let (last_failure, last_restart, down) = (None, None, None);
        Self { restarts: 0, last_failure, last_restart, in_a_row: 0, failed_at: now, down }
    }

    /// Until when the child stays down.
    #[must_use]
    pub fn down_until(&self) -> Instant {
        self.failed_at + back_off(self.in_a_row)
    }
}

/// The records of a supervisor's children, of those that failed or were restarted; the newest
/// thousand.
#[derive(Debug)]
pub struct Failures<K> {
    records: HashMap<K, Record>,
    order: VecDeque<K>,
}

/// How many children's failures a supervisor remembers.
const REMEMBERED_MAX: usize = 1_000;

/// A child that lived so long since its last failure begins a new row.
const FORGIVEN_AFTER: Duration = Duration::from_secs(30);

impl<K: Copy + Eq + Hash> Default for Failures<K> {
    fn default() -> Self {
        Self { records: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Copy + Eq + Hash> Failures<K> {
    fn record(&mut self, child: K, now: Instant) -> &mut Record {
        if !self.records.contains_key(&child) {
            self.order.push_back(child);
            if self.order.len() > REMEMBERED_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.records.remove(&oldest);
            }
        }
        self.records.entry(child).or_insert_with(|| Record::new(now))
    }

    /// Notes a failure.
    pub fn note(&mut self, child: K, text: String, at: Timestamp, now: Instant) -> &Record {
        let record = self.record(child, now);
        let forgiven = now.duration_since(record.failed_at) > FORGIVEN_AFTER;
        record.in_a_row = if forgiven { 1 } else { record.in_a_row + 1 };
        record.failed_at = now;
        record.down = Some(RestartCause::Failure);
        record.last_failure = Some(FailureReport { text, at });
        record
    }

    /// Records that a child ended because an operator requested its restart. That is no failure: it
    /// may start at once, and its back-off is reset.
    pub fn note_asked(&mut self, child: K, operator: Arc<str>, now: Instant) {
        let record = self.record(child, now);
        record.in_a_row = 0;
        record.down = Some(RestartCause::Operator(operator));
    }

    /// Records that an operator requested the restart of a child that is down: it may start at
    /// once. False if it is not down.
    pub fn hasten(&mut self, child: K, operator: &Arc<str>) -> bool {
        let down = self.records.get_mut(&child).filter(|record| record.down.is_some());
        let Some(record) = down else { return false };
        record.in_a_row = 0;
        record.down = Some(RestartCause::Operator(Arc::clone(operator)));
        true
    }

    /// Records that the child was started. Returns the restart to report, if it was one: a child
    /// that left because it was idle and came back was not restarted.
    pub fn started(&mut self, child: K, at: Timestamp) -> Option<&RestartReport> {
        let record = self.records.get_mut(&child)?;
        let cause = record.down.take()?;
        record.restarts += 1;
        Some(record.last_restart.insert(RestartReport { cause, at }))
    }

    /// Those that stay down for now.
    pub fn down(&self, now: Instant) -> impl Iterator<Item = (K, &Record)> {
        let is_down = move |record: &Record| record.down.is_some() && record.down_until() > now;
        self.records.iter().filter(move |(_, one)| is_down(one)).map(|(child, one)| (*child, one))
    }

    /// The child's record, if it ever failed or was restarted.
    #[must_use]
    pub fn of(&self, child: K) -> Option<&Record> {
        self.records.get(&child)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_within_its_window_only() {
        let start = Instant::now();
        let mut budget = Budget::new(2, Duration::from_secs(10));
        assert!(budget.spend(start));
        assert!(budget.spend(start + Duration::from_secs(1)));
        assert!(!budget.spend(start + Duration::from_secs(2)));
        assert!(budget.spend(start + Duration::from_secs(12)));
    }

    #[test]
    fn back_off_doubles_up_to_ten_seconds() {
        let waits: Vec<u128> = (1..=10).map(|n| back_off(n).as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert!((10..=100).chain([u32::MAX]).all(|n| back_off(n).as_millis() == 10_000));
    }

    #[test]
    fn only_a_start_after_a_failure_or_at_an_operators_wish_is_a_restart() {
        let (now, at) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let mut failures = Failures::default();
        assert!(failures.started(1, at).is_none());
        failures.note(1, "a".into(), at, now);
        assert_eq!(failures.started(1, at).unwrap().to_string(), "restarted after a failure");
        assert!(failures.started(1, at).is_none(), "it had left because it was idle");
        assert!(!failures.hasten(1, &"root".into()), "it is up");
        failures.note_asked(1, "root".into(), now);
        assert_eq!(failures.started(1, at).unwrap().to_string(), "restarted by operator root");
        let record = failures.of(1).unwrap();
        assert_eq!(record.restarts, 2);
        assert_eq!(record.last_failure.as_ref().unwrap().text, "a", "the restart was no failure");
    }

    #[test]
    fn an_operators_restart_ends_a_row_of_failures() {
        let (now, at) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let mut failures = Failures::default();
        for _ in 0..4 {
            failures.note(1, "a".into(), at, now);
        }
        assert_eq!(failures.of(1).unwrap().down_until(), now + Duration::from_millis(400));
        assert!(failures.hasten(1, &"root".into()));
        assert_eq!(failures.of(1).unwrap().down_until(), now);
        assert!(failures.started(1, at).is_some());
        failures.note(1, "a".into(), at, now);
        assert_eq!(failures.of(1).unwrap().down_until(), now, "the first of a new row");
    }

    #[test]
    fn failures_in_a_row_are_forgiven_after_a_while_and_the_memory_is_bounded() {
        let start = Instant::now();
        let at = Timestamp::UNIX_EPOCH;
        let mut failures = Failures::default();
        failures.note(1, "a".into(), at, start);
        let record = failures.note(1, "b".into(), at, start);
        assert_eq!(record.down_until(), start + Duration::from_millis(100));
        let later = start + Duration::from_secs(31);
        assert_eq!(failures.note(1, "c".into(), at, later).down_until(), later);
        for child in 2..2_000 {
            failures.note(child, "x".into(), at, start);
        }
        assert!(failures.of(1).is_none());
        assert_eq!(failures.records.len(), REMEMBERED_MAX);
    }
}
