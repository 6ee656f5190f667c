//! Epochs: another history begins above all numbers of before.

use bellpull_domain::ids::Seq;
use bellpull_domain::routing::Channels;
use bellpull_port::epoch::LEAP;
use bellpull_port::{AccountStore, EpochStore, InboxStore};

use super::Fixture;
use super::people::{entries, people, tell};

/// So many recipients that a store may write their rows later.
const MANY: usize = 40;

pub(crate) async fn a_new_epoch_begins_above_all_numbers<F: Fixture>() {
    let fixture = F::with_channels(Channels::default()).await;
    let store = &**fixture.store();
    store.read_epoch().await.unwrap();
    let before = store.epoch().name();
    let users = people(store, MANY, "developer").await;
    let (told, silent) = users.split_at(MANY - 1);
    let ids: Vec<_> = told.iter().map(|user| user.id).collect();
    for event in ["one", "two", "three"] {
        tell(store, event, &users[0], &ids).await;
    }
    // A client of the other history had been sent more than there is here.
    store.save_reached(&[(ids[1], Seq(3).into()), (ids[2], Seq(9).into())]).await.unwrap();
    store.renew_epoch().await.unwrap();
    assert_ne!(store.epoch().name(), before);
    assert_eq!(store.setting("epoch").await.unwrap().as_deref(), Some(&*store.epoch().name()));
    let event = "four";
    tell(store, event, &users[0], &users.iter().map(|user| user.id).collect::<Vec<_>>()).await;
    for user in told {
        let (head, all) = entries(store, user.id, Seq::ZERO).await;
        assert_eq!((head.last_seq, head.unread_count), (Seq(LEAP + 4), 4));
        let seqs: Vec<i64> = all.iter().map(|entry| entry.seq.0).collect();
        assert_eq!(seqs, [1, 2, 3, LEAP + 4], "nothing is lost, and what comes is above");
        let (_, new) = entries(store, user.id, Seq(9)).await;
        assert_eq!(new.len(), 1, "a position of the other history is behind it");
    }
    let (head, _) = entries(store, silent[0].id, Seq::ZERO).await;
    assert_eq!(head.last_seq, Seq(LEAP + 1), "it may have had entries in the other history");
    for id in &ids {
        let head = store.head(*id).await.unwrap();
        assert!(head.delivered_seq <= Seq(3), "{head:?}");
    }
    // It is the same for a process that opens the store now.
    let epoch = store.epoch().name();
    let fixture = fixture.reopen().await;
    fixture.store().read_epoch().await.unwrap();
    assert_eq!(fixture.store().epoch().name(), epoch);
    let (head, all) = entries(&**fixture.store(), ids[0], Seq::ZERO).await;
    assert_eq!((head.last_seq, all.len()), (Seq(LEAP + 4), 4));
}
