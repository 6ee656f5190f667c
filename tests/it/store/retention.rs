//! Retention: removes what ended long ago, in small steps, and nothing that is still needed.

use bellpull_domain::address::AddressChanges;
use bellpull_domain::delivery::{Attempt, Leased, Outcome, Rule};
use bellpull_domain::ids::{DeliveryId, NotificationId, Seq};
use bellpull_domain::inbox::Mark;
use bellpull_domain::notification::DeliveryStatus::{Failed, Sent, Suppressed};
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::send::{IdempotencyKey, NewSend, Recipients};
use bellpull_domain::user::User;
use bellpull_port::inbox::ChangedRows;
use bellpull_port::inbox::Selection;
use bellpull_port::retention::{Old, Position};
use bellpull_port::sends::BeginSend;
use bellpull_port::{
    AccountStore, DeliveryLog, DeliveryStore, ExplainStore, InboxStore, SendLog, SendStore,
};

use super::outbox::{due, lease, reachable};
use super::people::{Marks, at, fill, first, head, tell};
use super::sends::send;
use super::{Fixture, Store};
use crate::support::owner;

/// Forgets what is older than that, `limit` at a time; how many went in each step.
async fn forget(store: &impl Store, what: Old, before: i64, limit: u32) -> Vec<u64> {
    let (mut from, mut steps) = (Position::START, Vec::new());
    loop {
        let step = store.forget(what, at(before), from, limit).await.unwrap();
        steps.push(step.removed);
        let Some(next) = step.next else { return steps };
        from = next;
    }
}

async fn record(store: &impl Store, leased: &Leased, outcome: Outcome) {
    let (delivery, number, started_at) = (leased.id, leased.attempt, at(60));
    let attempt = Attempt { delivery, number, started_at, took_ms: 1, outcome, due_at: None };
    store.record(vec![attempt]).await.unwrap();
}

async fn delete(store: &impl Store, user: &User, id: NotificationId, when: i64) {
    let ids = Selection::ids(vec![id]);
    store.mark(user.id, ids, Mark::Delete, at(when)).await.unwrap().unwrap();
}

async fn ids(store: &impl Store) -> Vec<DeliveryId> {
    let page = store.deliveries(Default::default(), first(100)).await.unwrap();
    page.rows.iter().map(|row| row.id).collect()
}

pub(crate) async fn deliveries_that_ended_go_with_their_attempts<F: Fixture>() {
    let fixture = F::with_channels(Channels::of(&[Channel::Email])).await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    for (event, ms) in [("sent", 10), ("failed", 20), ("queued", 30), ("leased", 40)] {
        due(store, event, &ann, ms).await;
    }
    due(store, "young", &ann, 5_000).await;
    let leased = lease(store, 2, 50).await;
    record(store, &leased[0], Outcome::Sent { provider_id: None }).await;
    record(store, &leased[1], Outcome::Refused { error: "no".to_owned() }).await;
    let ended: Vec<DeliveryId> = leased.iter().map(|one| one.id).collect();
    let gone = reachable(store, "gone").await;
    let held_back = due(store, "held back", &gone, 45).await.entries[0].id;
    let off = bellpull_port::accounts::UserChanges {
        addresses: AddressChanges::email(""),
        ..Default::default()
    };
    store.update_user(gone.id, off).await.unwrap();
    let on_its_way = lease(store, 2, 60).await;
    assert_eq!(on_its_way.len(), 2);
    store.give_back(&owner(), vec![(on_its_way[0].id, 1)]).await.unwrap();
    assert!(lease(store, 0, 60).await.is_empty());
    let by_status = async |status| {
        let filter =
            bellpull_port::delivery_log::DeliveryFilter { status: Some(status), channel: None };
        store.deliveries(filter, first(10)).await.unwrap().count
    };
    assert_eq!((by_status(Sent).await, by_status(Failed).await), (1, 1));
    assert_eq!(forget(store, Old::Deliveries, 15, 10).await, [0], "sent at 61: that counts");
    // What is queued, or leased, stays however old; what was held back goes.
    lease(store, 9, 9_000).await;
    assert_eq!(by_status(Suppressed).await, 1);
    let rows = store.deliveries_of(&[held_back]).await.unwrap();
    assert_eq!(rows[0].rule, Some(Rule::NoAddress));
    assert_eq!(forget(store, Old::Deliveries, 1_000, 10).await, [3]);
    let left = ids(store).await;
    assert_eq!(left.len(), 3);
    assert!(ended.iter().all(|id| !left.contains(id)));
    assert!(store.attempts(&ended).await.unwrap().is_empty());
    assert_eq!(forget(store, Old::Deliveries, 1_000_000, 10).await, [0]);
    assert_eq!(ids(store).await, left);
    // Its notification is there still, and says nothing of ways out.
    let page = store.notifications(gone.id, &Default::default(), first(1).into()).await.unwrap();
    assert!(page.rows[0].deliveries.is_empty());
}

pub(crate) async fn deliveries_go_by_their_time_and_not_by_their_ids<F: Fixture>() {
    let fixture = F::with_channels(Channels::of(&[Channel::Email])).await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    for ms in [9_000, 8_000, 10] {
        due(store, "news", &ann, ms).await;
    }
    let leased = lease(store, 1, 50).await;
    record(store, &leased[0], Outcome::Sent { provider_id: None }).await;
    assert!(
        ids(store).await[1..].iter().all(|id| *id < leased[0].id),
        "the oldest has the last id"
    );
    assert_eq!(forget(store, Old::Deliveries, 1_000, 1).await, [1, 0]);
    assert_eq!(ids(store).await.len(), 2);
}

pub(crate) async fn a_walk_goes_in_small_steps_over_what_stays<F: Fixture>() {
    let fixture = F::with_channels(Channels::of(&[Channel::Email])).await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    for n in 0..10 {
        due(store, &format!("n{n}"), &ann, n).await;
    }
    let leased = lease(store, 10, 50).await;
    for one in leased.iter().skip(1).step_by(2) {
        record(store, one, Outcome::Sent { provider_id: None }).await;
    }
    let steps = forget(store, Old::Deliveries, 1_000, 4).await;
    assert_eq!(steps, [2, 2, 1], "four are looked at in each, and half of them go");
    assert_eq!(ids(store).await.len(), 5);
    due(store, "young", &ann, 9_000).await;
    assert_eq!(forget(store, Old::Deliveries, 1_000, 2).await, [0, 0, 0, 0]);
}

pub(crate) async fn tombstones_go_and_their_inbox_knows<F: Fixture>() {
    let fixture = F::with_channels(Channels::NONE).await;
    let (ann, bob, rows, bobs) = {
        let store = &**fixture.store();
        let (ann, bob) = (reachable(store, "ann").await, reachable(store, "bob").await);
        let rows = fill(store, &ann, 5).await;
        let bobs = fill(store, &bob, 1).await;
        // Changes 6, 7 and 8.
        for (row, ms) in [(rows[3], 100), (rows[0], 200), (rows[1], 900)] {
            delete(store, &ann, row, ms).await;
        }
        assert_eq!(forget(store, Old::Tombstones, 100, 10).await, [0]);
        assert_eq!(forget(store, Old::Tombstones, 500, 1).await, [1, 1, 0]);
        assert_eq!(store.head(ann.id).await.unwrap().forgotten_seq, Seq(7));
        (ann, bob, rows, bobs)
    };
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    let known = bellpull_domain::inbox::Head { forgotten_seq: Seq(7), ..head(8, 2, 0) };
    let ChangedRows { head: read, rows: changes, .. } =
        store.changes(ann.id, Seq(0), 10).await.unwrap();
    assert_eq!(read, known);
    let seqs: Vec<(i64, bool)> =
        changes.iter().map(|row| (row.changed_seq.0, row.is_deleted)).collect();
    assert_eq!(seqs, [(3, false), (5, false), (8, true)]);
    assert_eq!(store.newest_changes(ann.id, Seq(0), 10).await.unwrap().head, known);
    assert_eq!(store.newest_entries(ann.id, Seq(0), 10).await.unwrap().head, known);
    assert!(known.can_resume(Seq(7)) && !known.can_resume(Seq(6)) && known.can_resume(Seq(0)));
    // The numbers go on, and no other inbox has lost a row.
    let announced = tell(store, "next", &bob, &[ann.id]).await;
    let next = &announced.entries[0];
    assert_eq!((next.seq, next.unread_count), (Seq(9), 3));
    assert_eq!(store.head(ann.id).await.unwrap().forgotten_seq, Seq(7));
    assert_eq!(store.head(bob.id).await.unwrap(), head(1, 1, 0));
    assert!(store.notification(bob.id, bobs[0]).await.unwrap().is_some());
    // A removed row is in no inbox.
    let again = Selection::ids(vec![rows[0]]);
    assert_eq!(store.mark(ann.id, again, Mark::Read, at(950)).await.unwrap(), None);
    assert_eq!(forget(store, Old::Tombstones, 1_000, 10).await, [1]);
    assert_eq!(store.head(ann.id).await.unwrap().forgotten_seq, Seq(8));
}

pub(crate) async fn a_tombstone_stays_with_its_deliveries<F: Fixture>() {
    let fixture = F::with_channels(Channels::of(&[Channel::Email])).await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    let rows = fill(store, &ann, 3).await;
    let leased = lease(store, 1, 50).await;
    record(store, &leased[0], Outcome::Sent { provider_id: None }).await;
    for row in &rows {
        delete(store, &ann, *row, 100).await;
    }
    assert_eq!(forget(store, Old::Tombstones, 1_000, 2).await, [0, 0]);
    assert_eq!(forget(store, Old::Deliveries, 1_000, 10).await, [1]);
    assert_eq!(forget(store, Old::Tombstones, 1_000, 2).await, [1, 0]);
    // The others' e-mails are queued.
    assert_eq!(store.head(ann.id).await.unwrap().forgotten_seq, Seq(4));
    assert_eq!(lease(store, 9, 60).await.len(), 2);
}

pub(crate) async fn a_message_goes_with_its_last_row<F: Fixture>() {
    let fixture = F::with_channels(Channels::NONE).await;
    let store = &**fixture.store();
    let (ann, bob) = (reachable(store, "ann").await, reachable(store, "bob").await);
    let both = Recipients::Users(vec![ann.id, bob.id]);
    let outcome = store.begin_send(send(ann.id, both.clone()), 1, at(10)).await.unwrap();
    let BeginSend::Begun { send: stored, .. } = outcome else { panic!("{outcome:?}") };
    store.continue_send(&owner(), stored.id, 1, at(20)).await.unwrap();
    let ticket = tell(store, "news", &bob, &[ann.id]).await.entries[0].id;
    let later = NewSend { due_at: Some(at(5_000)), ..send(ann.id, both) };
    let outcome = store.begin_send(later, 1, at(10)).await.unwrap();
    let BeginSend::Begun { send: waiting, .. } = outcome else { panic!("{outcome:?}") };
    let newest = async |user: &User| {
        let page = store.notifications(user.id, &Default::default(), first(9).into()).await;
        page.unwrap().rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let (anns, bobs) = (newest(&ann).await, newest(&bob).await);
    assert_eq!((anns.len(), bobs.len()), (2, 1));
    for id in anns {
        delete(store, &ann, id, 100).await;
    }
    assert_eq!(forget(store, Old::Tombstones, 1_000, 10).await, [2]);
    // The ticket's message is in no inbox any more; bob still has the other one.
    assert_eq!(forget(store, Old::Messages, i64::from(i32::MAX), 10).await, [1]);
    assert!(store.announcement(ticket).await.unwrap().is_none());
    assert_eq!(
        store.notification(bob.id, bobs[0]).await.unwrap().unwrap().message.title,
        "Maintenance"
    );
    delete(store, &bob, bobs[0], 100).await;
    assert_eq!(forget(store, Old::Tombstones, 1_000, 10).await, [1]);
    assert_eq!(forget(store, Old::Messages, 1_000, 1).await, [1, 0]);
    assert_eq!(store.send(stored.id).await.unwrap(), None, "the send goes with it");
    // What waits for its time has no row yet, and is said when that comes, unless it is cancelled.
    assert_eq!(forget(store, Old::Messages, 9_000, 10).await, [0]);
    let announced =
        store.continue_send(&owner(), waiting.id, 1, at(5_000)).await.unwrap().announced.unwrap();
    assert_eq!(announced.entries.len(), 1);
    assert_eq!(forget(store, Old::Messages, 9_000, 10).await, [0]);
    store.cancel_send(waiting.id).await.unwrap();
    assert_eq!(forget(store, Old::Messages, 9_000, 10).await, [0], "an inbox has it");
    delete(store, &ann, announced.entries[0].id, 6_000).await;
    assert_eq!(forget(store, Old::Tombstones, 9_000, 10).await, [1]);
    assert_eq!(forget(store, Old::Messages, 9_000, 10).await, [1]);
}

pub(crate) async fn a_message_stays_while_its_key_is_remembered<F: Fixture>() {
    let fixture = F::with_channels(Channels::NONE).await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    let key = IdempotencyKey { owner: ann.id, key: "k".to_owned(), body_hash: [1; 32] };
    let keyed = NewSend { key: Some(key), ..send(ann.id, Recipients::Users(vec![ann.id])) };
    let outcome = store.begin_send(keyed.clone(), 9, at(10)).await.unwrap();
    let BeginSend::Begun { announced: Some(announced), .. } = outcome else {
        panic!("{outcome:?}")
    };
    delete(store, &ann, announced.entries[0].id, 20).await;
    assert_eq!(forget(store, Old::Tombstones, 1_000, 10).await, [1]);
    assert_eq!(forget(store, Old::Messages, 1_000, 10).await, [0]);
    let again = store.begin_send(keyed, 9, at(30)).await.unwrap();
    assert!(matches!(again, BeginSend::Repeated(_)), "{again:?}");
    assert_eq!(store.forget_keys(at(50)).await.unwrap(), 1);
    assert_eq!(forget(store, Old::Messages, 1_000, 10).await, [1]);
}
