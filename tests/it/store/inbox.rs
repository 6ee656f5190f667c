//! Inboxes as user actors read them.

use std::sync::Arc;

use bellpull_domain::address::AddressChanges;
use bellpull_domain::ids::{Seq, UserId};
use bellpull_domain::inbox::{Change, Head, Mark, Reached};
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_port::accounts::UserChanges;
use bellpull_port::inbox::{NotificationFilter, Selection, Taken};
use bellpull_port::{AccountStore, InboxStore};
use futures_util::future::join_all;

use super::Fixture;
use super::people::{Marks, at, entries, fill, first, head, people, person, raise, tell};

pub(crate) async fn unknown_and_new_users_have_an_empty_inbox<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    for user in [client.id, UserId(99)] {
        assert_eq!(store.head(user).await.unwrap(), Head::default());
        let backlog = store.newest_entries(user, Seq::ZERO, 10).await.unwrap();
        assert_eq!((backlog.head, backlog.entries.len()), (Head::default(), 0));
        assert_eq!(backlog.skipped, 0);
        assert_eq!(store.unread_counts(user).await.unwrap(), (0, vec![]));
    }
}

pub(crate) async fn heads_are_answered_in_a_crowd<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let users = people(store, 20, "client").await;
    for (n, user) in users.iter().enumerate().skip(1) {
        tell(
            store,
            &format!("to the last {n}"),
            user,
            &users[n..].iter().map(|u| u.id).collect::<Vec<_>>(),
        )
        .await;
    }
    let heads = join_all(users.iter().map(|user| store.head(user.id))).await;
    for (n, found) in (0..).zip(heads) {
        assert_eq!(found.unwrap(), head(n, n, 0));
    }
}

pub(crate) async fn births_come_in_order_with_the_head<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let ids = fill(store, &client, 5).await;
    let (found, entries) = entries(store, client.id, Seq(3)).await;
    assert_eq!(found, head(5, 5, 0));
    let seen: Vec<_> = entries.iter().map(|entry| (entry.seq.0, entry.id)).collect();
    assert_eq!(seen, [(4, ids[3]), (5, ids[4])]);
    assert_eq!(entries[0].message.message.event.as_str(), "news3");
    assert!(self::entries(store, client.id, Seq(5)).await.1.is_empty());
    assert!(self::entries(store, client.id, Seq(99)).await.1.is_empty());
}

pub(crate) async fn letters_are_shared_and_survive_their_rows<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let users = people(store, 2, "client").await;
    let announced = tell(store, "once", &users[0], &[users[0].id, users[1].id]).await;
    let mut contents = Vec::new();
    for user in &users {
        let (_, entries) = entries(store, user.id, Seq::ZERO).await;
        assert_eq!(entries[0].message.message, announced.content.message);
        contents.push(Arc::clone(&entries[0].message));
    }
    let placed = announced.entries[1];
    let Change::Added { entry, unread_count } = announced.change(placed) else {
        panic!("no birth")
    };
    assert_eq!((entry.id, entry.seq, unread_count), (placed.id, placed.seq, placed.unread_count));
}

pub(crate) async fn newest_births_say_how_many_they_leave_out<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let ids = fill(store, &client, 7).await;
    store.mark(client.id, Selection::ids(vec![ids[0], ids[5]]), Mark::Delete, at(9)).await.unwrap();
    let backlog = store.newest_entries(client.id, Seq::ZERO, 3).await.unwrap();
    let seqs: Vec<i64> = backlog.entries.iter().map(|entry| entry.seq.0).collect();
    assert_eq!(seqs, [4, 5, 7], "oldest of them first");
    assert_eq!(backlog.skipped, 2, "what is deleted is not left out, it is gone");
    assert_eq!(backlog.head, head(9, 5, 0));
    let backlog = store.newest_entries(client.id, Seq(4), 3).await.unwrap();
    assert_eq!((backlog.entries.len(), backlog.skipped), (2, 0));
}

pub(crate) async fn deleted_rows_are_no_births<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let ids = fill(store, &client, 3).await;
    store.mark(client.id, Selection::ids(vec![ids[1]]), Mark::Delete, at(9)).await.unwrap();
    store.mark(client.id, Selection::ids(vec![ids[2]]), Mark::Read, at(9)).await.unwrap();
    let (found, entries) = entries(store, client.id, Seq::ZERO).await;
    let seen: Vec<i64> = entries.iter().map(|entry| entry.seq.0).collect();
    assert_eq!(seen, [1, 3], "a read one stays, at its birth");
    assert_eq!(found, head(5, 1, 0));
}

pub(crate) async fn delivered_is_raised_and_never_lowered<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let users = people(store, 3, "client").await;
    let all: Vec<UserId> = users.iter().map(|user| user.id).collect();
    for n in 0..4 {
        tell(store, &format!("news{n}"), &users[0], &all).await;
    }
    store
        .save_reached(&[
            (all[0], Seq(3).into()),
            (all[1], Seq(2).into()),
            (UserId(99), Seq(1).into()),
        ])
        .await
        .unwrap();
    let more = [(all[0], Seq(1)), (all[1], Seq(4)), (all[1], Seq(3))];
    store.save_reached(&more.map(|(user, seq)| (user, seq.into()))).await.unwrap();
    store.save_reached(&[]).await.unwrap();
    let delivered: Vec<i64> = join_all(all.iter().map(|user| store.head(*user)))
        .await
        .into_iter()
        .map(|head| head.unwrap().delivered_seq.0)
        .collect();
    assert_eq!(delivered, [3, 4, 0]);
    tell(store, "more", &users[0], &all).await;
    assert_eq!(store.head(all[1]).await.unwrap(), head(5, 5, 4), "a birth leaves it");
}

pub(crate) async fn delivered_never_passes_the_inbox<F: Fixture>() {
    // Without channels, a store may write the rows of a crowd later.
    let fixture = F::with_channels(Channels::NONE).await;
    let store = &**fixture.store();
    let few: Vec<UserId> = people(store, 2, "client").await.iter().map(|user| user.id).collect();
    let from = person(store, "admin", "admin").await;
    tell(store, "one", &from, &few).await;
    store
        .save_reached(&[(few[0], Seq(1_001).into()), (few[1], Seq(i64::MAX).into())])
        .await
        .unwrap();
    for user in &few {
        assert_eq!(store.head(*user).await.unwrap(), head(1, 1, 1));
    }
    let crowd: Vec<UserId> =
        people(store, 40, "developer").await.iter().map(|user| user.id).collect();
    tell(store, "two", &from, &crowd).await;
    store
        .save_reached(&[(crowd[0], Seq(1_001).into()), (crowd[1], Seq(i64::MAX).into())])
        .await
        .unwrap();
    tell(store, "three", &from, &crowd).await;
    for user in &crowd[..2] {
        assert_eq!(store.head(*user).await.unwrap(), head(2, 2, 1));
    }
    let fixture = fixture.reopen().await;
    for user in &crowd[..2] {
        let delivered = fixture.store().head(*user).await.unwrap().delivered_seq;
        assert!(delivered <= Seq(1), "{delivered:?}");
    }
}

pub(crate) async fn the_rows_that_took_numbers_are_found<F: Fixture>() {
    let fixture = F::with_channels(Channels::NONE).await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let other = person(store, "other", "client").await;
    let ids = fill(store, &client, 3).await;
    fill(store, &other, 5).await;
    store.mark(client.id, Selection::ids(vec![ids[0]]), Mark::Read, at(9)).await.unwrap();
    store.mark(client.id, Selection::ids(vec![ids[0]]), Mark::Unread, at(9)).await.unwrap();
    store.mark(client.id, Selection::ids(vec![ids[1]]), Mark::Delete, at(9)).await.unwrap();
    let crowd: Vec<UserId> =
        people(store, 40, "developer").await.iter().map(|user| user.id).collect();
    let to: Vec<UserId> = crowd.into_iter().chain([client.id]).collect();
    let told = tell(store, "crowd", &other, &to).await;
    let last = told.entries.iter().find(|entry| entry.recipient == client.id).unwrap();
    let numbers: Vec<Seq> = (0..=8).map(Seq).chain([Seq(i64::MAX)]).collect();
    let mut found = store.holders(client.id, &numbers).await.unwrap();
    found.sort_unstable();
    let wanted = [
        (1, ids[0], true),
        (2, ids[1], true),
        (3, ids[2], true),
        (5, ids[0], false),
        (6, ids[1], false),
        (7, last.id, true),
    ];
    let taken = |(number, id, is_entry)| Taken { number: Seq(number), id, is_entry };
    assert_eq!(found, wanted.map(taken), "4 was followed by 5");
    assert_eq!(store.holders(client.id, &[]).await.unwrap(), []);
}

pub(crate) async fn a_stored_position_that_cannot_be_counts_as_none<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    fill(store, &client, 3).await;
    fixture.execute("UPDATE inboxes SET delivered_seq = 1001").await;
    assert_eq!(store.head(client.id).await.unwrap(), head(3, 3, 0));
    let found = store.newest_entries(client.id, Seq::ZERO, 9).await.unwrap();
    assert_eq!(found.head, head(3, 3, 0));
    assert_eq!(store.changes(client.id, Seq::ZERO, 9).await.unwrap().head, head(3, 3, 0));
    store.save_reached(&[(client.id, Seq(2).into())]).await.unwrap();
    assert_eq!(store.head(client.id).await.unwrap(), head(3, 3, 2), "and it is mended");
}

pub(crate) async fn what_is_acknowledged_is_a_position_of_its_own<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let users = people(store, 2, "client").await;
    let (one, other) = (users[0].id, users[1].id);
    assert_eq!(store.acknowledged(one).await.unwrap(), None, "no session ever could");
    let reached = |delivered, acknowledged| Reached {
        delivered: Seq(delivered),
        acknowledged: Some(Seq(acknowledged)),
    };
    store.save_reached(&[(one, reached(0, 0)), (other, Seq(2).into())]).await.unwrap();
    assert_eq!(store.acknowledged(one).await.unwrap(), Some(Seq(0)));
    assert_eq!(store.acknowledged(other).await.unwrap(), None, "delivered is not acknowledged");
    tell(store, "news", &users[0], &[one, other]).await;
    store.save_reached(&[(one, reached(1, 1)), (one, Seq(1).into())]).await.unwrap();
    store.save_reached(&[(one, reached(0, 0)), (other, Seq(1).into())]).await.unwrap();
    assert_eq!(store.acknowledged(one).await.unwrap(), Some(Seq(1)), "it is never lowered");
    assert_eq!(store.acknowledged(other).await.unwrap(), None);
    assert_eq!(store.head(one).await.unwrap(), head(1, 1, 1));
}

pub(crate) async fn deliveries_are_made_for_channels_that_are_on<F: Fixture>() {
    let fixture = F::with_channels(Channels::of(&[Channel::WhatsApp, Channel::Push])).await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let admin = person(store, "admin", "admin").await;
    let mut addresses = AddressChanges::default();
    addresses.set(Channel::WhatsApp, "+4915100000001");
    let reachable = UserChanges { addresses, ..UserChanges::default() };
    store.update_user(admin.id, reachable).await.unwrap();
    // A new ticket goes out by e-mail (off here) and WhatsApp (on).
    raise(store, "One", &client).await;
    let filter = NotificationFilter::default();
    let page = store.notifications(admin.id, &filter, first(10).into()).await.unwrap();
    let deliveries = &page.rows[0].deliveries;
    assert_eq!(deliveries.len(), 1);
    let only = &deliveries[0];
    assert_eq!((only.channel, only.status), (Channel::WhatsApp, DeliveryStatus::Queued));
    assert_eq!((only.attempts, only.sent_at, only.error.clone()), (0, None, None));

    let off = F::with_channels(Channels::NONE).await;
    let store = &**off.store();
    let client = person(store, "client", "client").await;
    fill(store, &client, 1).await;
    let page = store.notifications(client.id, &filter, first(10).into()).await.unwrap();
    assert!(page.rows[0].deliveries.is_empty());
}

pub(crate) async fn unread_counts_are_per_channel<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let admin = person(store, "admin", "admin").await;
    for n in 0..3 {
        // E-mail and WhatsApp, of which only e-mail is on.
        raise(store, &format!("Ticket {n}"), &client).await;
    }
    let last = tell(store, "on all channels", &client, &[admin.id]).await.entries[0].id;
    let counts = store.unread_counts(admin.id).await.unwrap();
    assert_eq!(counts, (4, vec![(Channel::Email, 4), (Channel::Sms, 1)]));
    store.mark(admin.id, Selection::ids(vec![last]), Mark::Read, at(9)).await.unwrap();
    assert_eq!(store.unread_counts(admin.id).await.unwrap(), (3, vec![(Channel::Email, 3)]));
    store.mark(admin.id, Selection::up_to(Seq(1)), Mark::Delete, at(9)).await.unwrap();
    assert_eq!(store.unread_counts(admin.id).await.unwrap(), (2, vec![(Channel::Email, 2)]));
}
