//! Due sends: their order, and which of two nodes on one store steps them.

use std::collections::BTreeMap;

use bellpull_domain::ids::{SendId, UserId};
use bellpull_domain::plan::send::claim::CLAIM_LASTS;
use bellpull_domain::send::{NewSend, Recipients};
use bellpull_port::sends::{BeginSend, Chunk};
use bellpull_port::{InboxStore, LeaseOwner, SendStore};
use futures_util::future::join;
use jiff::{SignedDuration, Timestamp};

use super::people::{at, head, people};
use super::sends::send;
use super::{Fixture, Store};

fn nodes() -> (LeaseOwner, LeaseOwner) {
    (LeaseOwner::new("a", at(0)), LeaseOwner::new("b", at(0)))
}

/// Takes in a send to all, with one recipient in its first chunk. None has claimed it yet.
async fn begin(store: &impl Store) -> SendId {
    let outcome = store.begin_send(send(UserId(1), Recipients::All), 1, at(10)).await.unwrap();
    let BeginSend::Begun { send, has_more: true, .. } = outcome else { panic!("{outcome:?}") };
    send.id
}

/// Whether this owner has stepped the send: one recipient further.
async fn steps(store: &impl Store, owner: &LeaseOwner, id: SendId, now: Timestamp) -> bool {
    let chunk = store.continue_send(owner, id, 1, now).await.unwrap();
    assert!(chunk.announced.is_some() || !chunk.has_more, "it is not this owner's to go on with");
    chunk.announced.is_some()
}

async fn due(store: &impl Store, owner: &LeaseOwner, now: Timestamp) -> Vec<SendId> {
    store.due_sends(owner, now, 10).await.unwrap().0
}

pub(crate) async fn due_sends_come_the_longest_due_first<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let user = people(store, 1, "client").await[0].id;
    let mut by_time = BTreeMap::new();
    for due in [300, 100, 400, 200, 900] {
        let to_self = send(user, Recipients::Users(vec![user]));
        let later = NewSend { due_at: Some(at(due)), ..to_self };
        let outcome = store.begin_send(later, 1, at(10)).await.unwrap();
        let BeginSend::Begun { send, .. } = outcome else { panic!("{outcome:?}") };
        by_time.insert(due, send.id);
    }
    let (owner, _) = nodes();
    let due = |now, limit| store.due_sends(&owner, at(now), limit);
    let three = [100, 200, 300].map(|due| by_time[&due]).to_vec();
    assert_eq!(due(300, 10).await.unwrap(), (three.clone(), Some(at(400))));
    assert_eq!(due(300, 2).await.unwrap(), (three[..2].to_vec(), Some(at(400))));
    store.continue_send(&owner, by_time[&100], 1, at(300)).await.unwrap();
    assert_eq!(due(300, 10).await.unwrap().0, three[1..]);
}

pub(crate) async fn two_owners_never_step_the_same_send<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let users = people(store, 9, "client").await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(begin(store).await);
    }
    let (a, b) = nodes();
    assert_eq!(
        (due(store, &a, at(20)).await, due(store, &b, at(20)).await),
        (ids.clone(), ids.clone())
    );
    let (of_a, of_b) = ids.split_at(2);
    store.continue_sends(&a, of_a, 2, at(20)).await.unwrap();
    store.continue_sends(&b, of_b, 2, at(20)).await.unwrap();
    // Both ask for all, at once, until none has more.
    let mut is_over = false;
    for round in 0..20 {
        let now = at(30 + round);
        let (by_a, by_b) =
            join(store.continue_sends(&a, &ids, 2, now), store.continue_sends(&b, &ids, 2, now))
                .await;
        let (by_a, by_b) = (by_a.unwrap().chunks, by_b.unwrap().chunks);
        let announced =
            |chunk: &Option<Chunk>| chunk.as_ref().is_some_and(|chunk| chunk.announced.is_some());
        assert!(
            !by_a[2..].iter().any(announced) && !by_b[..2].iter().any(announced),
            "round {round}"
        );
        is_over = !by_a.iter().chain(&by_b).any(announced);
        if is_over {
            break;
        }
        let due = (due(store, &a, now).await, due(store, &b, now).await);
        assert!(
            due.0.iter().all(|id| of_a.contains(id)) && due.1.iter().all(|id| of_b.contains(id))
        );
    }
    assert!(is_over, "the sends do not end");
    for user in users {
        assert_eq!(store.head(user.id).await.unwrap(), head(4, 4, 0));
    }
}

pub(crate) async fn each_step_renews_a_claim_and_an_expired_one_is_taken<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    people(store, 9, "client").await;
    let id = begin(store).await;
    let (a, b) = nodes();
    assert!(steps(store, &a, id, at(20)).await);
    let renewed = at(20) + CLAIM_LASTS / 2;
    assert!(steps(store, &a, id, renewed).await);
    let end = renewed + CLAIM_LASTS;
    for now in [at(21), at(20) + CLAIM_LASTS, end - SignedDuration::from_millis(1)] {
        assert_eq!(store.due_sends(&b, now, 10).await.unwrap(), (vec![], Some(end)));
        assert_eq!(store.due_sends(&a, now, 10).await.unwrap(), (vec![id], None));
        assert!(!steps(store, &b, id, now).await);
    }
    assert_eq!(store.due_sends(&b, end, 10).await.unwrap(), (vec![id], None));
    assert!(steps(store, &b, id, end).await);
    // The first wakes up, and has lost it.
    assert_eq!(due(store, &a, end).await, []);
    assert!(!steps(store, &a, id, end).await);
}

pub(crate) async fn a_finished_send_is_claimed_by_none<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    people(store, 2, "client").await;
    let id = begin(store).await;
    let (a, b) = nodes();
    assert!(steps(store, &a, id, at(20)).await);
    for owner in [a, b] {
        assert_eq!(store.due_sends(&owner, at(21), 10).await.unwrap(), (vec![], None));
    }
}

pub(crate) async fn a_release_frees_only_its_owners_claims<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    people(store, 9, "client").await;
    let (one, two) = (begin(store).await, begin(store).await);
    let (a, b) = nodes();
    assert!(steps(store, &a, one, at(20)).await && steps(store, &b, two, at(20)).await);
    let third = LeaseOwner::new("a", at(1));
    store.release_sends(&third).await.unwrap();
    assert_eq!(due(store, &third, at(21)).await, []);
    store.release_sends(&a).await.unwrap();
    store.release_sends(&a).await.unwrap();
    assert_eq!(due(store, &third, at(21)).await, [one]);
    assert!(steps(store, &b, one, at(21)).await && !steps(store, &a, two, at(21)).await);
    // A step that was asked for before is written before: it does not claim what was released.
    let (chunk, released) =
        join(store.continue_send(&b, two, 1, at(22)), store.release_sends(&b)).await;
    assert!(chunk.unwrap().announced.is_some() && released.is_ok());
    assert_eq!(due(store, &third, at(23)).await, [one, two]);
}

pub(crate) async fn a_store_of_one_process_ends_the_claims_of_earlier_ones<F: Fixture>() {
    let fixture = F::make().await;
    people(&**fixture.store(), 9, "client").await;
    let id = begin(&**fixture.store()).await;
    let (a, b) = nodes();
    assert!(steps(&**fixture.store(), &a, id, at(20)).await);
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    assert_eq!(steps(store, &b, id, at(21)).await, F::IS_EXCLUSIVE);
    assert!(steps(store, &b, id, at(22) + CLAIM_LASTS).await);
}
