//! What became of a delivery: attempts, their records, reports, and another chance.

use std::time::Duration;

use bellpull_domain::delivery::{
    Attempt, Leased, Outcome, OutcomeKind, ProviderReport, ProviderStatus,
};
use bellpull_domain::ids::DeliveryId;
use bellpull_domain::notification::DeliveryStatus::{self, Failed, Queued, Sent};
use bellpull_domain::routing::Channel;
use bellpull_port::delivery_log::DeliveryRow;
use bellpull_port::{DeliveryLog, DeliveryStore};
use futures_util::future::join_all;

use super::outbox::{lease, names, reachable};
use super::people::{at, fill};
use super::{Fixture, Store};
use crate::support::owner;

fn sent(provider_id: &str) -> Outcome {
    Outcome::Sent { provider_id: Some(provider_id.to_owned()) }
}

fn later(error: &str) -> Outcome {
    let after = Some(Duration::from_secs(9));
    Outcome::Later { error: error.to_owned(), after, is_outage: true }
}

fn refused(error: &str) -> Outcome {
    Outcome::Refused { error: error.to_owned() }
}

fn attempt(leased: &Leased, outcome: Outcome, due_ms: Option<i64>) -> Attempt {
    let (delivery, number, due_at) = (leased.id, leased.attempt, due_ms.map(at));
    Attempt { delivery, number, started_at: at(60), took_ms: 7, outcome, due_at }
}

async fn record(store: &impl Store, leased: &Leased, outcome: Outcome, due_ms: Option<i64>) {
    store.record(vec![attempt(leased, outcome, due_ms)]).await.unwrap();
}

async fn row(store: &impl Store, id: DeliveryId) -> DeliveryRow {
    store.delivery(id).await.unwrap().unwrap()
}

/// What was recorded: number, outcome and detail.
async fn recorded(store: &impl Store, id: DeliveryId) -> Vec<(u32, OutcomeKind, Option<String>)> {
    let rows = store.attempts(&[id]).await.unwrap();
    assert!(rows.iter().all(|row| row.delivery == id));
    rows.into_iter().map(|row| (row.number, row.outcome, row.detail)).collect()
}

fn said(id: &str, status: ProviderStatus, error: Option<&str>) -> ProviderReport {
    let (provider_id, error) = (id.to_owned(), error.map(str::to_owned));
    ProviderReport { provider_id, status, error, at: at(69) }
}

/// A delivery that is leased for the first time.
async fn first_lease(store: &impl Store) -> Leased {
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 1).await;
    lease(store, 1, 50).await.remove(0)
}

pub(crate) async fn a_sent_one_is_sent_once<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let leased = first_lease(store).await;
    record(store, &leased, sent("m-1"), None).await;
    let row = row(store, leased.id).await;
    assert_eq!((row.status, row.attempts, row.sent_at), (Sent, 1, Some(at(67))));
    assert_eq!(
        (row.provider_id.as_deref(), row.error, row.leased_until),
        (Some("m-1"), None, None)
    );
    let rows = store.attempts(&[leased.id]).await.unwrap();
    let [one] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((one.number, one.started_at, one.took_ms), (1, at(60), 7));
    assert_eq!((one.outcome, one.detail.as_deref()), (OutcomeKind::Sent, Some("m-1")));
    assert!(lease(store, 10, 9_999).await.is_empty());
    assert_eq!(store.next_due(&owner(), Channel::Email, u32::MAX).await.unwrap(), None);
}

pub(crate) async fn a_later_one_comes_back_when_it_is_due<F: Fixture>() {
    let fixture = F::make().await;
    let leased = first_lease(&**fixture.store()).await;
    record(&**fixture.store(), &leased, later("421 not now"), Some(500)).await;
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    let found = row(store, leased.id).await;
    assert_eq!((found.status, found.due_at, found.leased_until), (Queued, at(500), None));
    assert_eq!(found.error.as_deref(), Some("421 not now"));
    assert!(lease(store, 10, 499).await.is_empty());
    let again = lease(store, 10, 500).await;
    assert_eq!((names(&again), again[0].failures), (vec![(leased.id.0, 2)], 1));
    record(store, &again[0], sent("m-2"), None).await;
    let found = row(store, leased.id).await;
    assert_eq!((found.status, found.error, found.attempts), (Sent, None, 2));
    let kinds: Vec<_> = recorded(store, leased.id).await.into_iter().map(|r| (r.0, r.1)).collect();
    assert_eq!(kinds, [(1, OutcomeKind::Later), (2, OutcomeKind::Sent)]);
}

pub(crate) async fn a_refused_one_has_failed<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 3).await;
    let leased = lease(store, 3, 50).await;
    let gone = Outcome::Gone { error: "410".to_owned() };
    store
        .record(vec![
            attempt(&leased[0], refused("550 no such mailbox"), None),
            attempt(&leased[1], gone, None),
            attempt(&leased[2], later("the last of them"), None),
        ])
        .await
        .unwrap();
    for (one, error) in leased.iter().zip(["550 no such mailbox", "410", "the last of them"]) {
        let row = row(store, one.id).await;
        assert_eq!((row.status, row.error.as_deref(), row.sent_at), (Failed, Some(error), None));
    }
    assert!(lease(store, 10, 99_999).await.is_empty());
}

pub(crate) async fn a_record_may_be_repeated<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let leased = first_lease(store).await;
    let failed = attempt(&leased, later("421"), Some(100));
    store.record(vec![failed.clone(), failed.clone()]).await.unwrap();
    let again = lease(store, 1, 200).await;
    assert_eq!((again[0].attempt, again[0].failures), (2, 1), "it counts once");
    // The answer to the record was lost, and it is written again while the next is on its way.
    store.record(vec![failed.clone()]).await.unwrap();
    assert!(lease(store, 1, 300).await.is_empty());
    record(store, &again[0], sent("m"), None).await;
    store.record(vec![failed]).await.unwrap();
    record(store, &again[0], sent("m"), None).await;
    let row = row(store, leased.id).await;
    assert_eq!((row.status, row.sent_at), (Sent, Some(at(67))));
    assert_eq!(recorded(store, leased.id).await.len(), 2);
    store.record(Vec::new()).await.unwrap();
    let dummy_hash = Attempt { delivery: DeliveryId(9_999), ..attempt(&leased, sent("m"), None) };
    store.record(vec![dummy_hash]).await.unwrap();
    assert!(recorded(store, DeliveryId(9_999)).await.is_empty());
}

pub(crate) async fn a_late_failure_leaves_its_row_only<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let first = first_lease(store).await;
    let second = lease(store, 1, 1_050).await.remove(0);
    record(store, &first, later("too slow"), Some(1_060)).await;
    let found = row(store, first.id).await;
    assert_eq!((found.status, found.leased_until), (Queued, Some(at(2_050))), "the second has it");
    assert_eq!(found.error, None);
    record(store, &second, sent("m-2"), None).await;
    record(store, &first, refused("much too slow"), None).await;
    let found = row(store, first.id).await;
    assert_eq!((found.status, found.error), (Sent, None));
    let numbers: Vec<u32> = recorded(store, first.id).await.into_iter().map(|r| r.0).collect();
    assert_eq!(numbers, [1, 2]);
}

pub(crate) async fn a_late_success_counts_whatever_came_meanwhile<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let first = first_lease(store).await;
    let second = lease(store, 1, 1_050).await.remove(0);
    record(store, &second, refused("550"), None).await;
    assert_eq!(row(store, first.id).await.status, Failed);
    record(store, &first, sent("m-1"), None).await;
    let found = row(store, first.id).await;
    assert_eq!((found.status, found.error), (Sent, None));
    assert_eq!(found.provider_id.as_deref(), Some("m-1"));
    assert!(!store.retry(first.id, at(2_000)).await.unwrap(), "it was sent");
}

pub(crate) async fn several_attempts_in_one_record_follow_each_other<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let first = first_lease(store).await;
    let second = lease(store, 1, 1_050).await.remove(0);
    // The store was away, and both came to their end meanwhile.
    let both = vec![attempt(&second, later("b"), Some(1_500)), attempt(&first, sent("m-1"), None)];
    store.record(both).await.unwrap();
    let found = row(store, first.id).await;
    assert_eq!((found.status, found.provider_id.as_deref()), (Sent, Some("m-1")));
    assert_eq!(recorded(store, first.id).await.len(), 2);
    assert!(lease(store, 1, 9_999).await.is_empty());
}

pub(crate) async fn records_of_a_crowd_are_written_together<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 300).await;
    let leased = lease(store, 300, 400).await;
    assert_eq!(leased.len(), 300);
    let records = leased.chunks(7).map(|some| {
        let all = some.iter().map(|one| match one.id.0 % 3 {
            0 => attempt(one, sent(&format!("m-{}", one.id)), None),
            1 => attempt(one, later("421"), Some(5_000)),
            _ => attempt(one, refused("550"), None),
        });
        store.record(all.collect())
    });
    for outcome in join_all(records).await {
        outcome.unwrap();
    }
    let rows = join_all(leased.iter().map(|one| row(store, one.id))).await;
    for (one, row) in leased.iter().zip(rows) {
        let wanted = [Sent, Queued, Failed][usize::try_from(one.id.0 % 3).unwrap()];
        assert_eq!((row.status, row.leased_until), (wanted, None), "{row:?}");
    }
}

pub(crate) async fn what_a_provider_says_is_bounded<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let leased = first_lease(store).await;
    record(store, &leased, refused(&"ä".repeat(10_000)), None).await;
    let kept = "ä".repeat(500);
    assert_eq!(row(store, leased.id).await.error.as_ref(), Some(&kept));
    assert_eq!(recorded(store, leased.id).await[0].2.as_ref(), Some(&kept));
}

/// The provider took it, and we died before that was written down.
pub(crate) async fn a_provider_that_took_it_may_have_died_with_us<F: Fixture>() {
    let fixture = F::make().await;
    let ann = reachable(&**fixture.store(), "ann").await;
    fill(&**fixture.store(), &ann, 50).await;
    let leased = lease(&**fixture.store(), 40, 50).await;
    // Thirty answers had come; twenty of them were on the disk.
    let written = leased[..20].iter().map(|one| attempt(one, sent("m"), None)).collect();
    fixture.store().record(written).await.unwrap();
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    store.release(&owner(), Channel::Email, Vec::new()).await.unwrap();
    let again = lease(store, 100, 60).await;
    assert_eq!(again.len(), 30, "nothing is lost, and what was recorded does not go out again");
    let expected = leased[20..].iter().map(|one| (one.id.0, 2));
    let mut expected: Vec<_> = expected.collect();
    let seen = names(&again);
    expected.extend(seen.iter().filter(|one| one.1 == 1).copied());
    expected.sort_unstable();
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected, "the same deliveries, and so the same keys at the provider");
    let all = again.iter().map(|one| attempt(one, sent("m"), None)).collect();
    store.record(all).await.unwrap();
    assert!(store.waiting().await.unwrap().iter().all(|one| one.channel != Channel::Email));
    let rows = join_all(leased.iter().map(|one| row(store, one.id))).await;
    assert!(rows.iter().all(|row| row.status == Sent));
}

pub(crate) async fn reports_never_go_back<F: Fixture>() {
    use ProviderStatus::{Delivered, Failed as Fails, Read, Sent as Leaves};
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 2).await;
    let leased = lease(store, 2, 50).await;
    for (one, id) in leased.iter().zip(["m-1", "m-2"]) {
        record(store, one, sent(id), None).await;
    }
    let report = async |id: &str, status, error: Option<&str>| {
        store.reported(Channel::Email, said(id, status, error), at(70)).await.unwrap()
    };
    assert!(!report("m-3", Read, None).await, "an unknown");
    assert!(!store.reported(Channel::Sms, said("m-1", Read, None), at(70)).await.unwrap());
    let mut shown: Vec<(DeliveryStatus, Option<ProviderStatus>)> = Vec::new();
    for status in [Leaves, Delivered, Leaves, Fails, Read, Delivered, Fails] {
        assert!(report("m-1", status, Some("131026 undeliverable")).await);
        let row = row(store, leased[0].id).await;
        assert_eq!(row.error, None, "what was delivered has not failed");
        shown.push((row.status, row.provider_status));
    }
    let expected = [Leaves, Delivered, Delivered, Delivered, Read, Read, Read];
    assert_eq!(shown, expected.map(|status| (Sent, Some(status))));
    // The second fails after all, in one crowd with what came before.
    let crowd = [Leaves, Fails, Leaves].map(|status| report("m-2", status, Some("131026")));
    assert_eq!(join_all(crowd).await, [true; 3]);
    let found = row(store, leased[1].id).await;
    assert_eq!((found.status, found.provider_status), (Failed, Some(Fails)));
    assert_eq!(found.error.as_deref(), Some("131026"));
    report("m-2", Delivered, None).await;
    assert_eq!(row(store, leased[1].id).await.status, Failed);
}

pub(crate) async fn a_report_that_comes_before_its_record_counts_with_it<F: Fixture>() {
    use ProviderStatus::{Delivered, Failed as Fails, Read, Sent as Leaves};
    let fixture = F::make().await;
    let leased = {
        let store = &**fixture.store();
        let ann = reachable(store, "ann").await;
        fill(store, &ann, 3).await;
        let leased = lease(store, 3, 50).await;
        // In any order, as providers do.
        for (id, status) in [("m-1", Delivered), ("m-1", Leaves), ("m-2", Fails), ("m-9", Read)] {
            let report = said(id, status, Some("131026 undeliverable"));
            assert!(!store.reported(Channel::Email, report, at(70)).await.unwrap(), "{id}");
        }
        leased
    };
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    // A store of one process has ended the leases of the process before.
    let leased = if F::IS_EXCLUSIVE { lease(store, 3, 51).await } else { leased };
    assert_eq!(leased.len(), 3);
    let all = leased.iter().zip(["m-1", "m-2", "m-3"]);
    let all: Vec<Attempt> = all.map(|(one, id)| attempt(one, sent(id), None)).collect();
    // The third's comes in the very moment of its record.
    let report = store.reported(Channel::Email, said("m-3", Read, None), at(71));
    let (recorded, _) = tokio::join!(store.record(all), report);
    recorded.unwrap();
    let mut shown = Vec::new();
    for one in &leased {
        let row = row(store, one.id).await;
        shown.push((row.status, row.provider_status, row.error));
    }
    let why = Some("131026 undeliverable".to_owned());
    let wanted =
        [(Sent, Some(Delivered), None), (Failed, Some(Fails), why), (Sent, Some(Read), None)];
    assert_eq!(shown, wanted);
    // They were taken once, and later ones go on from there.
    store.retry(leased[1].id, at(80)).await.unwrap();
    let again = lease(store, 1, 80).await.remove(0);
    record(store, &again, sent("m-2"), None).await;
    assert_eq!(row(store, leased[1].id).await.provider_status, None);
    for (status, stands) in [(Leaves, Delivered), (Read, Read)] {
        assert!(store.reported(Channel::Email, said("m-1", status, None), at(90)).await.unwrap());
        assert_eq!(row(store, leased[0].id).await.provider_status, Some(stands));
    }
}

pub(crate) async fn early_reports_are_kept_for_a_while_and_in_a_bound<F: Fixture>() {
    use ProviderStatus::{Delivered, Read};
    let minutes = 60_000;
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 4).await;
    let early = async |id: &str, status, now: i64| {
        store.reported(Channel::Email, said(id, status, None), at(now)).await.unwrap()
    };
    // While nothing is on its way, nothing can be early.
    assert!(!early("m-0", Read, 40).await);
    let leased = lease(store, 4, 50).await;
    early("m-1", Read, 50).await;
    early("m-2", Delivered, 51).await;
    // Ten minutes after the first one.
    early("an unknown", Read, 50 + 10 * minutes).await;
    let statuses = async |of: &[(usize, &str)]| {
        let mut found = Vec::new();
        for (n, id) in of {
            record(store, &leased[*n], sent(id), None).await;
            found.push(row(store, leased[*n].id).await.provider_status);
        }
        found
    };
    assert_eq!(statuses(&[(0, "m-0"), (1, "m-1")]).await, [None, None]);
    let crowd: Vec<String> = (0..4_095).map(|n| format!("x-{n}")).collect();
    join_all(crowd.iter().map(|id| early(id, Read, 51))).await;
    early("m-3", Delivered, 52).await;
    assert_eq!(statuses(&[(2, "m-2"), (3, "m-3")]).await, [None, Some(Delivered)]);
}

pub(crate) async fn a_failed_one_is_retried_and_no_other<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let leased = first_lease(store).await;
    assert!(!store.retry(leased.id, at(55)).await.unwrap(), "it is on its way");
    record(store, &leased, later("the last of them"), None).await;
    assert!(store.retry(leased.id, at(70)).await.unwrap());
    assert!(!store.retry(leased.id, at(70)).await.unwrap(), "it is queued already");
    assert!(!store.retry(DeliveryId(9_999), at(70)).await.unwrap());
    let found = row(store, leased.id).await;
    assert_eq!((found.status, found.due_at, found.attempts), (Queued, at(70), 1));
    let again = lease(store, 1, 70).await.remove(0);
    assert_eq!((again.attempt, again.failures), (2, 0), "with all its attempts before it");
    record(store, &again, sent("m-2"), None).await;
    let failed = said("m-2", ProviderStatus::Failed, None);
    assert!(store.reported(Channel::Email, failed, at(80)).await.unwrap());
    assert!(store.retry(leased.id, at(90)).await.unwrap());
    let found = row(store, leased.id).await;
    assert_eq!((found.status, found.provider_id, found.provider_status), (Queued, None, None));
    assert_eq!(found.sent_at, None);
}
