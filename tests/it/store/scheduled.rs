//! Sends as admins see them, and how they are stopped, whatever else is done at that moment.

use bellpull_domain::ids::{SendId, UserId};
use bellpull_domain::send::{NewSend, Recipients, SendStatus};
use bellpull_domain::user::Role;
use bellpull_port::send_log::{CancelSend, SendRow};
use bellpull_port::sends::BeginSend;
use bellpull_port::{SendLog, SendStore, StoreError};

use super::people::{at, first, people};
use super::sends::send;
use super::{Fixture, Store};
use crate::support::owner;

/// Takes one in; its id.
async fn begin(store: &impl Store, send: NewSend, chunk: u32) -> SendId {
    let outcome = store.begin_send(send, chunk, at(10)).await.unwrap();
    let BeginSend::Begun { send, .. } = outcome else { panic!("{outcome:?}") };
    send.id
}

fn for_later(to: Recipients, due: i64) -> NewSend {
    NewSend { due_at: Some(at(due)), ..send(UserId(1), to) }
}

async fn stands(store: &impl Store, id: SendId) -> (SendStatus, i64, i64) {
    let SendRow { status, announced, total, .. } = store.send(id).await.unwrap().unwrap();
    (status, announced, total)
}

async fn announced(store: &impl Store, users: i64) -> i64 {
    let mut announced = 0;
    for user in 1..=users {
        announced += store.head(UserId(user)).await.unwrap().last_seq.0;
    }
    announced
}

pub(crate) async fn what_waits_and_what_is_under_way_is_listed<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    people(store, 5, "client").await;
    let named = Recipients::Users((1..=5).map(UserId).collect());
    let later = begin(store, for_later(Recipients::Role(Role::Client), 900), 2).await;
    let sooner = begin(store, for_later(named, 500), 2).await;
    let running = begin(store, send(UserId(1), Recipients::All), 2).await;
    let done = begin(store, send(UserId(1), Recipients::All), 9).await;
    let page = store.unfinished(first(10)).await.unwrap();
    assert_eq!(page.count, 3);
    let ids: Vec<SendId> = page.rows.iter().map(|row| row.id).collect();
    assert_eq!(ids, [running, sooner, later]);
    let row = &page.rows[1];
    assert_eq!((row.status, row.announced, row.total), (SendStatus::Scheduled, 0, 5));
    assert_eq!((row.due_at, row.created_at), (at(500), at(10)));
    assert_eq!(row.recipients, Recipients::Users(Vec::new()), "names are not listed");
    assert_eq!(row.message.title, "Maintenance");
    assert_eq!(page.rows[2].recipients, Recipients::Role(Role::Client));
    assert_eq!(page.rows[0].recipients, Recipients::All);
    assert_eq!(stands(store, running).await, (SendStatus::Sending, 2, 5));
    assert_eq!(stands(store, done).await, (SendStatus::Done, 5, 5));
    let second = bellpull_port::PageRequest { page: 2, page_size: 2 };
    assert_eq!(store.unfinished(second).await.unwrap().rows.len(), 1);
    assert_eq!(store.send(SendId(999)).await.unwrap(), None);
}

pub(crate) async fn a_send_is_cancelled_before_it_begins<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    people(store, 3, "client").await;
    let id = begin(store, for_later(Recipients::All, 500), 2).await;
    let cancelled = CancelSend::Cancelled { announced: 0, was_begun: false };
    for _ in 0..2 {
        assert_eq!(store.cancel_send(id).await.unwrap(), cancelled, "twice is as once");
    }
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    assert_eq!(stands(store, id).await, (SendStatus::Cancelled, 0, 3));
    assert_eq!(store.due_sends(&owner(), at(1_000), 10).await.unwrap(), (vec![], None));
    let chunk = store.continue_send(&owner(), id, 2, at(1_000)).await.unwrap();
    assert!(chunk.announced.is_none() && !chunk.has_more);
    assert_eq!(
        (announced(store, 3).await, store.unfinished(first(1)).await.unwrap().count),
        (0, 0)
    );
    assert_eq!(store.cancel_send(SendId(999)).await.unwrap_err(), StoreError::NotFound);
}

pub(crate) async fn a_send_under_way_stops_where_it_is<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    people(store, 9, "client").await;
    let id = begin(store, send(UserId(1), Recipients::All), 2).await;
    store.continue_send(&owner(), id, 2, at(20)).await.unwrap();
    let cancelled = CancelSend::Cancelled { announced: 4, was_begun: true };
    assert_eq!(store.cancel_send(id).await.unwrap(), cancelled);
    assert!(!store.continue_send(&owner(), id, 2, at(30)).await.unwrap().has_more);
    assert_eq!(stands(store, id).await, (SendStatus::Cancelled, 4, 9));
    assert_eq!(announced(store, 9).await, 4);
    let done = begin(store, send(UserId(1), Recipients::All), 9).await;
    assert_eq!(store.cancel_send(done).await.unwrap(), CancelSend::TooLate);
    assert_eq!(stands(store, done).await, (SendStatus::Done, 9, 9));
}

/// A chunk and a cancellation that come at the same moment: the count is that of those who have
/// it, whichever was first.
pub(crate) async fn a_chunk_and_a_cancellation_at_once_agree<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    people(store, 40, "client").await;
    let (owner, mut had) = (owner(), 0);
    for round in 0..10 {
        let id = begin(store, send(UserId(1), Recipients::All), 2).await;
        let (one, two, cancelled) = if round % 2 == 0 {
            tokio::join!(
                store.continue_send(&owner, id, 2, at(20)),
                store.continue_send(&owner, id, 2, at(20)),
                store.cancel_send(id),
            )
        } else {
            let (cancelled, one, two) = tokio::join!(
                store.cancel_send(id),
                store.continue_send(&owner, id, 2, at(20)),
                store.continue_send(&owner, id, 2, at(20)),
            );
            (one, two, cancelled)
        };
        assert!(one.is_ok() && two.is_ok());
        let CancelSend::Cancelled { announced: count, was_begun: true } = cancelled.unwrap() else {
            panic!("it was under way")
        };
        had += count;
        assert_eq!(announced(store, 40).await, had, "round {round}");
        assert_eq!(stands(store, id).await, (SendStatus::Cancelled, count, 40));
    }
}

pub(crate) async fn a_clock_that_is_put_back_begins_nothing_twice<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    people(store, 4, "client").await;
    let id = begin(store, for_later(Recipients::All, 500), 2).await;
    // It is due by the clock that was looked at, and not by the one that comes after.
    assert_eq!(store.due_sends(&owner(), at(600), 10).await.unwrap(), (vec![id], None));
    assert!(!store.continue_send(&owner(), id, 2, at(400)).await.unwrap().has_more);
    assert_eq!(announced(store, 4).await, 0);
    assert_eq!(store.due_sends(&owner(), at(400), 10).await.unwrap(), (vec![], Some(at(500))));
    assert!(store.continue_send(&owner(), id, 2, at(500)).await.unwrap().has_more);
    assert!(
        !store.continue_send(&owner(), id, 2, at(100)).await.unwrap().has_more,
        "not by that clock"
    );
    assert_eq!(
        store.due_sends(&owner(), at(700), 10).await.unwrap(),
        (vec![id], None),
        "it is not lost"
    );
    assert!(!store.continue_send(&owner(), id, 2, at(700)).await.unwrap().has_more);
    assert_eq!((announced(store, 4).await, stands(store, id).await.0), (4, SendStatus::Done));
    assert_eq!(store.due_sends(&owner(), at(9_000), 10).await.unwrap(), (vec![], None));
}
