//! Compares the calls of webhooks with the inboxes that they tell of.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use fastrand::Rng;
use tokio::time::{Instant, sleep};

use super::arena::{Call, CallAnswer, Calls};
use super::check::Facts;
use super::fault::FaultKind;
use super::finding::{Findings, Wrong};
use super::lists::read;
use super::people::{Person, Shared};
use super::plan::Plan;
use crate::LoadError;

/// How long deliveries may take once the provider is well: the wait before an attempt is about as
/// long as the provider was at fault.
const PATIENCE: Duration = Duration::from_secs(60);
/// The leases of a node that was killed, and those whose answer was lost with a connection to
/// PostgreSQL, end after 120 s; then any node takes over what was leased.
const LEASES: Duration = Duration::from_secs(150);
/// Schedules shorter than those do not wait for that.
const LONG: Duration = Duration::from_secs(300);
const SHORT: Duration = Duration::from_secs(4);
/// How often it is looked whether all have come.
const LOOK: Duration = Duration::from_millis(50);

/// How long deliveries are waited for, and whether some may still be queued then.
pub(super) fn patience(plan: &Plan, faults: &[(FaultKind, u64)]) -> (Duration, bool) {
    let strands_leases = |kind: &FaultKind| {
        use FaultKind::{Copy, Crash, Cut, Failover, Kill, Lag, Latency, Postgres, Silence};
        matches!(kind, Kill | Cut | Postgres | Crash | Silence | Latency | Copy | Failover | Lag)
    };
    let are_stranded = faults.iter().any(|(kind, _)| strands_leases(kind));
    match (plan.nodes > 1 && are_stranded, plan.time < LONG) {
        (false, _) => (PATIENCE, false),
        (true, true) => (SHORT, true),
        (true, false) => (LEASES, false),
    }
}

/// Waits until everything that is owed was delivered, or the time for that is over.
pub(super) async fn settled(calls: &Calls, owed: &BTreeSet<(u64, u64)>, patience: Duration) {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        let accepted = calls.accepted();
        if owed.iter().all(|row| accepted.contains(row)) {
            return;
        }
        sleep(LOOK).await;
    }
}

/// The users and notifications of queued calls.
///
/// # Errors
/// No node answers.
pub(super) async fn queued(
    shared: &Shared,
    checker: &Person,
    rng: &mut Rng,
) -> Result<HashSet<(u64, u64)>, LoadError> {
    let mut queued = HashSet::new();
    for page in 1.. {
        let path =
            format!("/api/deliveries/?status=QUEUED&channel=WEBHOOK&page_size=100&page={page}");
        let body = read(shared, checker, &path, rng).await?;
        let rows = body["results"].as_array().into_iter().flatten();
        queued.extend(
            rows.filter_map(|row| {
                Some((row["recipient"].as_u64()?, row["notification"].as_u64()?))
            }),
        );
        if body["next"].is_null() {
            break;
        }
    }
    Ok(queued)
}

/// What is known of the calls.
#[derive(Debug)]
pub(super) struct Delivered<'a> {
    /// All calls, in the order in which they came.
    pub(super) calls: &'a [Call],
    /// Users and notifications that the store still has queued.
    pub(super) queued: &'a HashSet<(u64, u64)>,
    /// Whether a fault happened after which a node does not know what became of a call.
    pub(super) may_repeat: bool,
    /// Whether rows may have been lost after they were delivered, and their numbers given again.
    pub(super) is_lossy: bool,
}

/// Whether a node may have lost an answer that the provider had given: then it calls again, with
/// the same key. A node that drains waits for its answers, and one whose database is away records
/// them later.
pub(super) fn loses_answers(kind: FaultKind) -> bool {
    match kind {
        FaultKind::Kill | FaultKind::Freeze | FaultKind::Panic => true,
        FaultKind::Rolling
        | FaultKind::Redis
        | FaultKind::Postgres
        | FaultKind::Crash
        | FaultKind::Cut
        | FaultKind::Silence
        | FaultKind::Latency
        | FaultKind::Garbage
        | FaultKind::Failover
        | FaultKind::Lag
        | FaultKind::Copy
        | FaultKind::Slow
        | FaultKind::HalfOpen
        | FaultKind::Provider
        | FaultKind::Disk
        | FaultKind::Clock
        | FaultKind::Files => false,
    }
}

/// The users and notifications of which a call is owed.
pub(super) fn owed(users: &[u64], facts: &Facts) -> BTreeSet<(u64, u64)> {
    let inboxes = users.iter().filter_map(|user| Some((*user, facts.inboxes.get(user)?)));
    inboxes.flat_map(|(user, inbox)| inbox.rows.iter().map(move |row| (user, row.id))).collect()
}

/// Every row of these inboxes was delivered, under one key and with one body; what was accepted is
/// called again only if a node could not know that.
pub(super) fn check(
    delivered: &Delivered<'_>,
    owed: &BTreeSet<(u64, u64)>,
    findings: &mut Findings,
) {
    let mut keys: HashMap<(u64, u64), &str> = HashMap::new();
    let mut bodies: HashMap<&str, u64> = HashMap::new();
    let mut accepted = HashSet::new();
    for call in delivered.calls {
        let Call { key, user, notification, body, answer, is_repeat } = call;
        let Some(notification) = notification else {
            findings.add(Wrong::Doubled, || format!("{key}: a call without a notification"));
            continue;
        };
        let row = (*user, *notification);
        if !owed.contains(&row) && !delivered.is_lossy {
            findings.add(Wrong::Lost, || {
                format!("{key}: notification {notification}, which user {user} has not")
            });
        }
        if matches!(answer, CallAnswer::Accepted | CallAnswer::Late) {
            accepted.insert(row);
        }
        let first = keys.entry(row).or_insert(key);
        if first != key && !delivered.is_lossy {
            findings.add(Wrong::Doubled, || {
                format!("notification {notification} of user {user}: {first} and {key}")
            });
        }
        if bodies.entry(key).or_insert(*body) != body && !delivered.is_lossy {
            findings.add(Wrong::Doubled, || format!("{key}: repeated with another body"));
        }
        if *is_repeat && !delivered.may_repeat && !delivered.is_lossy {
            findings.add(Wrong::Doubled, || format!("{key}: called again after it was accepted"));
        }
    }
    for row in owed.iter().filter(|row| !accepted.contains(row) && !delivered.queued.contains(row))
    {
        let (user, notification) = row;
        findings.add(Wrong::Lost, || {
            format!("notification {notification} of user {user} was not delivered")
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(key: &str, notification: u64, answer: CallAnswer, is_repeat: bool) -> Call {
        let (key, notification) = (key.to_owned(), Some(notification));
        Call { key, user: 7, notification, body: 1, answer, is_repeat }
    }

    /// Lost, doubled.
    fn found(calls: &[Call], queued: &[u64], may_repeat: bool) -> [u64; 2] {
        let queued = queued.iter().map(|id| (7, *id)).collect();
        let owed = BTreeSet::from([(7, 1), (7, 2)]);
        let mut findings = Findings::default();
        check(
            &Delivered { calls, queued: &queued, may_repeat, is_lossy: false },
            &owed,
            &mut findings,
        );
        [Wrong::Lost, Wrong::Doubled].map(|wrong| findings.count(wrong))
    }

    #[test]
    fn each_row_is_delivered_once_unless_an_answer_was_lost() {
        use CallAnswer::{Accepted, Late, Refused, Unknown};
        let one = [call("a", 1, Accepted, false)];
        let two = [call("b", 2, Accepted, false)];
        let found_for = |more: &[Call]| found(&[&one, more].concat(), &[], false);
        assert_eq!(found_for(&two), [0, 0]);
        assert_eq!(found_for(&[call("b", 2, Late, false)]), [0, 0]);
        assert_eq!(found_for(&[]), [1, 0]);
        assert_eq!(found(&one, &[2], false), [0, 0], "it is still queued");
        let unanswered = [call("b", 2, Unknown, false), call("b", 2, Refused, false)];
        assert_eq!(found_for(&unanswered), [1, 0]);
        assert_eq!(found_for(&[&unanswered[..], &two].concat()), [0, 0]);
        let again = [&two[..], &[call("b", 2, Accepted, true)]].concat();
        assert_eq!(found_for(&again), [0, 1]);
        assert_eq!(found(&[&one, &again[..]].concat(), &[], true), [0, 0]);
        let and = |call: Call| [&two[..], &[call]].concat();
        assert_eq!(found_for(&and(call("c", 2, Accepted, false))), [0, 1], "its key");
        let body = Call { body: 2, ..call("b", 2, Unknown, false) };
        assert_eq!(found_for(&and(body)), [0, 1], "its body");
        assert_eq!(found_for(&and(call("c", 3, Accepted, false))), [1, 0], "no row");
        let none = Call { notification: None, ..call("c", 3, Accepted, false) };
        assert_eq!(found_for(&and(none)), [0, 1]);
    }
}
