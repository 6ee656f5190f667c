//! Sends to many: whom they reach, in chunks, once; and what a retry is answered.

use std::sync::Arc;

use bellpull_domain::event::Event;
use bellpull_domain::ids::{NotificationId, ProjectId, SendId, Seq, UserId};
use bellpull_domain::inbox::MessageContent;
use bellpull_domain::notification::Message;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::send::{IdempotencyKey, NewSend, Recipients};
use bellpull_domain::ticket::Priority;
use bellpull_domain::user::{Role, User};
use bellpull_port::accounts::{NewUser, UserChanges};
use bellpull_port::inbox::NotificationFilter;
use bellpull_port::sends::{BeginSend, Chunk, Chunks, StoredSend};
use bellpull_port::tickets::AnnouncedMessage;
use bellpull_port::{AccountStore, InboxStore, ProjectStore, SendStore, StoreError};
use futures_util::future::join_all;

use super::people::{at, entries, first, head, new_user, people, person};
use super::{Fixture, Store};
use crate::support::owner;

pub(crate) fn send(by: UserId, recipients: Recipients) -> NewSend {
    let event = Event::from_name("maintenance");
    let message = Message {
        kind: event.kind(),
        title: "Maintenance".to_owned(),
        body: "Tonight".to_owned(),
        action_url: "/status/".to_owned(),
        metadata: serde_json::Map::new(),
        ticket: None,
        sender: Some(by),
        priority: Priority::Medium,
        created_at: at(5),
        event,
    };
    let channels = Channels::of(&[Channel::System, Channel::Email]);
    NewSend { message, recipients, channels, is_critical: false, due_at: None, key: None }
}

fn keyed(send: NewSend, key: &str, body: u8) -> NewSend {
    let owner = send.message.sender.unwrap();
    let key = IdempotencyKey { owner, key: key.to_owned(), body_hash: [body; 32] };
    NewSend { key: Some(key), ..send }
}

/// Begins it, and says whom its first chunk reached, and whether there are others.
async fn begin(
    store: &impl Store,
    send: NewSend,
    chunk: u32,
) -> (StoredSend, Option<AnnouncedMessage>, bool) {
    let outcome = store.begin_send(send, chunk, at(10)).await.unwrap();
    let BeginSend::Begun { send, announced, has_more } = outcome else { panic!("{outcome:?}") };
    (send, announced, has_more)
}

fn recipients(announced: Option<&AnnouncedMessage>) -> Vec<UserId> {
    announced
        .map(|announced| announced.entries.iter().map(|entry| entry.recipient).collect())
        .unwrap_or_default()
}

/// Begins a send and carries it to its end; whom it reached, chunk by chunk.
async fn carry_out(store: &impl Store, send: NewSend, chunk: u32) -> (i64, Vec<Vec<UserId>>) {
    let (stored, announced, mut has_more) = begin(store, send, chunk).await;
    let mut chunks = vec![recipients(announced.as_ref())];
    while has_more {
        let next = store.continue_send(&owner(), stored.id, chunk, at(20)).await.unwrap();
        has_more = next.has_more;
        chunks.push(recipients(next.announced.as_ref()));
    }
    (stored.recipients, chunks)
}

async fn deactivate(store: &impl Store, user: &User) {
    let off = UserChanges { is_active: Some(false), ..UserChanges::default() };
    store.update_user(user.id, off).await.unwrap();
}

fn ids(users: &[User]) -> Vec<UserId> {
    users.iter().map(|user| user.id).collect()
}

pub(crate) async fn a_send_reaches_each_audience<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let admin = person(store, "admin", "admin").await;
    let clients = ids(&people(store, 3, "client").await);
    let chief = person(store, "chief", "super_admin").await;
    let gone = person(store, "gone", "client").await;
    let student = person(store, "ann", "student").await;
    deactivate(store, &gone).await;
    let web = store.create_project("WEB".into(), "Web".into(), admin.id, at(1)).await.unwrap().id;
    for user in [clients[1], gone.id] {
        store.add_member(web, user).await.unwrap();
    }
    let role = |slug: &str| Recipients::Role(slug.parse().unwrap());
    let all = vec![admin.id, clients[0], clients[1], clients[2], chief.id, student.id];
    for (to, reached) in [
        (Recipients::Users(vec![clients[2], admin.id, clients[2]]), vec![admin.id, clients[2]]),
        (Recipients::Users(vec![gone.id, clients[0]]), vec![clients[0]]),
        (role("client"), clients.clone()),
        (role("admin"), vec![admin.id, chief.id]),
        (role("super_admin"), vec![chief.id]),
        (role("student"), vec![student.id]),
        (role("unknown"), vec![]),
        (Recipients::Project(web), vec![admin.id, clients[1]]),
        (Recipients::Project(ProjectId::DEFAULT), all.clone()),
        (Recipients::All, all),
    ] {
        for chunk in [2, 100] {
            let (count, chunks) = carry_out(store, send(admin.id, to.clone()), chunk).await;
            assert_eq!(chunks.concat(), reached, "{to:?} by {chunk}");
            assert_eq!(count, i64::try_from(reached.len()).unwrap(), "{to:?} by {chunk}");
        }
    }
    assert_eq!(store.head(gone.id).await.unwrap(), head(0, 0, 0));
    let unknown = store.begin_send(send(admin.id, Recipients::Project(ProjectId(99))), 10, at(10));
    assert!(matches!(unknown.await.unwrap(), BeginSend::UnknownProject));
}

pub(crate) async fn chunks_reach_every_recipient_once<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let users = ids(&people(store, 23, "client").await);
    for (round, to) in (1..).zip([
        Recipients::All,
        Recipients::Role(Role::Client),
        Recipients::Users(users.clone()),
        Recipients::Project(ProjectId::DEFAULT),
    ]) {
        let (_, chunks) = carry_out(store, send(users[0], to), 5).await;
        let sizes: Vec<usize> = chunks.iter().map(Vec::len).collect();
        assert_eq!(sizes, [5, 5, 5, 5, 3]);
        assert_eq!(chunks.concat(), users);
        for user in &users {
            assert_eq!(store.head(*user).await.unwrap(), head(round, round, 0));
        }
    }
    // A chunk that ends exactly with the last one says so.
    let (_, announced, has_more) = begin(store, send(users[0], Recipients::All), 23).await;
    assert_eq!((recipients(announced.as_ref()).len(), has_more), (23, false));
}

pub(crate) async fn two_chunks_in_one_group_follow_each_other<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let users = ids(&people(store, 10, "client").await);
    let (stored, announced, _) = begin(store, send(users[0], Recipients::All), 3).await;
    // The last two have no recipients.
    let owner = owner();
    let rivals = join_all((0..5).map(|_| store.continue_send(&owner, stored.id, 3, at(20)))).await;
    let mut reached = recipients(announced.as_ref());
    let mut others = Vec::new();
    for chunk in rivals {
        let chunk = chunk.unwrap();
        reached.extend(recipients(chunk.announced.as_ref()));
        others.push(chunk.has_more);
    }
    assert_eq!(reached, users);
    assert_eq!(others, [true, true, false, false, false]);
    let unknown = store.continue_send(&owner, SendId(99), 3, at(20)).await.unwrap_err();
    assert_eq!(unknown, StoreError::NotFound);
}

pub(crate) async fn sends_that_meet_go_on_in_step<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let users = ids(&people(store, 40, "client").await);
    let every_other: Vec<UserId> = users.iter().copied().step_by(2).collect();
    let (mut ids, mut reached) = (Vec::new(), Vec::new());
    for (to, chunk) in [
        (Recipients::All, 12),
        (Recipients::Users(every_other.clone()), 2),
        (Recipients::Role(Role::Client), 3),
        (Recipients::All, 1),
    ] {
        let (stored, announced, _) = begin(store, send(users[0], to), chunk).await;
        ids.push(stored.id);
        reached.push(recipients(announced.as_ref()));
    }
    let (mut has_more, mut together) = (true, 0);
    while has_more {
        let Chunks { chunks, took } =
            store.continue_sends(&owner(), &ids, 9, at(20)).await.unwrap();
        assert!(!took.is_zero());
        let chunks: Vec<_> = chunks.into_iter().map(Option::unwrap).collect();
        let announced: Vec<_> =
            chunks.iter().map(|one| recipients(one.announced.as_ref())).collect();
        assert!((1..=9).contains(&announced.concat().len()), "{announced:?}");
        let [first, _, third, last] = &announced[..] else { panic!("{announced:?}") };
        together += i32::from(first.len() > 1 && first == third && third == last);
        has_more = chunks.iter().any(|one| one.has_more);
        for (reached, announced) in reached.iter_mut().zip(announced) {
            reached.extend(announced);
        }
    }
    assert_eq!(reached, [users.clone(), every_other, users.clone(), users.clone()]);
    assert!(together >= 10, "{together} chunks of all");
    let unknown =
        store.continue_sends(&owner(), &[SendId(99), ids[0]], 9, at(20)).await.unwrap().chunks;
    let is_over = |one: &Chunk| one.announced.is_none() && !one.has_more;
    assert!(unknown[0].is_none() && unknown[1].as_ref().is_some_and(is_over), "{unknown:?}");
    assert_eq!(store.head(users[1]).await.unwrap(), head(3, 3, 0));
}

pub(crate) async fn newcomers_are_left_out_and_so_is_who_was_deactivated<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let users = people(store, 6, "client").await;
    let all = ids(&users);
    let audiences =
        [Recipients::All, Recipients::Role(Role::Client), Recipients::Users(all.clone())];
    let mut begun = Vec::new();
    for to in audiences {
        begun.push(begin(store, send(all[0], to), 2).await);
    }
    person(store, "newcomer", "client").await;
    deactivate(store, &users[3]).await;
    for (stored, announced, has_more) in begun {
        assert_eq!((stored.recipients, has_more), (6, true));
        let mut reached = recipients(announced.as_ref());
        let mut has_more = true;
        while has_more {
            let next = store.continue_send(&owner(), stored.id, 2, at(20)).await.unwrap();
            reached.extend(recipients(next.announced.as_ref()));
            has_more = next.has_more;
        }
        assert_eq!(reached, [all[0], all[1], all[2], all[4], all[5]]);
    }
}

/// The order of ids does not tell who registered first: an account may bring its own.
pub(crate) async fn a_newcomer_with_a_low_id_is_left_out_too<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let first = person(store, "client1", "client").await;
    let register = |id: i64, ms: i64| {
        let name = format!("client-{id}");
        NewUser { id: Some(UserId(id)), now: at(ms), ..new_user(&name, "client") }
    };
    for id in [1_000, 2_000] {
        store.create_user(register(id, 9), None).await.unwrap();
    }
    let web = store.create_project("WEB".into(), "Web".into(), first.id, at(9)).await.unwrap().id;
    let members = [first.id, UserId(1_000), UserId(2_000)];
    for user in &members[1..] {
        store.add_member(web, *user).await.unwrap();
    }
    let audiences = [Recipients::All, Recipients::Role(Role::Client), Recipients::Project(web)];
    let mut begun = Vec::new();
    for to in audiences {
        begun.push(begin(store, send(first.id, to), 1).await);
    }
    // Between the cursor and the last account that there was.
    store.create_user(register(1_500, 15), None).await.unwrap();
    store.add_member(web, UserId(1_500)).await.unwrap();
    for (stored, announced, mut has_more) in begun {
        let mut reached = recipients(announced.as_ref());
        while has_more {
            let next = store.continue_send(&owner(), stored.id, 1, at(20)).await.unwrap();
            reached.extend(recipients(next.announced.as_ref()));
            has_more = next.has_more;
        }
        assert_eq!((reached, stored.recipients), (members.to_vec(), 3));
    }
}

pub(crate) async fn a_crash_between_chunks_changes_nothing<F: Fixture>() {
    let mut fixture = F::make().await;
    let users = ids(&people(&**fixture.store(), 9, "client").await);
    let (stored, announced, _) =
        begin(&**fixture.store(), send(users[0], Recipients::All), 2).await;
    let mut reached = recipients(announced.as_ref());
    let mut has_more = true;
    while has_more {
        fixture = fixture.reopen().await;
        let store = &**fixture.store();
        let (due, _) = store.due_sends(&owner(), at(20), 10).await.unwrap();
        assert_eq!(due, [stored.id], "it is found again");
        let next = store.continue_send(&owner(), stored.id, 2, at(20)).await.unwrap();
        assert_eq!(next.announced.as_ref().unwrap().content.message.title, "Maintenance");
        reached.extend(recipients(next.announced.as_ref()));
        has_more = next.has_more;
    }
    assert_eq!(reached, users);
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    assert!(store.due_sends(&owner(), at(20), 10).await.unwrap().0.is_empty());
    let next = store.continue_send(&owner(), stored.id, 2, at(20)).await.unwrap();
    assert!(next.announced.is_none() && !next.has_more);
    for user in users {
        assert_eq!(store.head(user).await.unwrap(), head(1, 1, 0));
    }
}

pub(crate) async fn a_repeated_key_gives_the_first_answer<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let users = ids(&people(store, 5, "client").await);
    let to_all = || keyed(send(users[0], Recipients::All), "key-1", 7);
    let (stored, _, _) = begin(store, to_all(), 2).await;
    // Whatever has become of it and of its audience meanwhile.
    person(store, "newcomer", "client").await;
    let again = store.begin_send(to_all(), 2, at(30)).await.unwrap();
    assert!(matches!(again, BeginSend::Repeated(first) if first == stored), "{again:?}");
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    let again = store.begin_send(to_all(), 2, at(40)).await.unwrap();
    assert!(matches!(again, BeginSend::Repeated(first) if first == stored), "{again:?}");
    let other = keyed(send(users[0], Recipients::All), "key-1", 8);
    let reused = store.begin_send(other, 2, at(40)).await.unwrap();
    assert!(matches!(reused, BeginSend::KeyReused), "{reused:?}");
    assert_eq!(store.head(users[0]).await.unwrap(), head(1, 1, 0));
    assert_eq!(
        store.due_sends(&owner(), at(50), 10).await.unwrap().0,
        [stored.id],
        "one send in all"
    );
}

pub(crate) async fn a_send_to_one_names_its_notification<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let users = ids(&people(store, 2, "client").await);
    let to_one = || keyed(send(users[0], Recipients::Users(vec![users[1]])), "k", 1);
    let request = || store.begin_send(to_one(), 9, at(10));
    let (one, again) = futures_util::future::join(request(), request()).await;
    let BeginSend::Begun { send: stored, announced, .. } = one.unwrap() else {
        panic!("not begun")
    };
    let born = announced.unwrap().entries[0];
    assert_eq!((born.recipient, Some(born.id)), (users[1], stored.notification));
    assert!(matches!(again.unwrap(), BeginSend::Repeated(first) if first == stored));
    let later = request().await.unwrap();
    assert!(matches!(later, BeginSend::Repeated(first) if first == stored), "{later:?}");
    let (_, entries) = entries(store, users[1], Seq::ZERO).await;
    assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [born.id]);
    let many = begin(store, send(users[0], Recipients::Users(users.clone())), 9).await.0;
    let to_one = send(users[0], Recipients::Users(vec![users[1]]));
    let scheduled = NewSend { due_at: Some(at(500)), ..to_one };
    let scheduled = begin(store, scheduled, 9).await.0;
    assert_eq!((many.notification, scheduled.notification), (None, None));
}

pub(crate) async fn a_key_is_its_owners<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let users = ids(&people(store, 2, "client").await);
    for user in &users {
        let to_one = Recipients::Users(vec![users[0]]);
        begin(store, keyed(send(*user, to_one), "the same", 1), 2).await;
    }
    assert_eq!(store.head(users[0]).await.unwrap(), head(2, 2, 0));
}

pub(crate) async fn rivals_with_one_key_send_once<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let users = ids(&people(store, 3, "client").await);
    // Asked at once, they share a group; then one by one.
    let request =
        |body| store.begin_send(keyed(send(users[0], Recipients::All), "k", body), 9, at(10));
    let outcomes = join_all([request(1), request(1), request(2), request(1)]).await;
    let mut seen = Vec::new();
    for outcome in outcomes {
        seen.push(match outcome.unwrap() {
            BeginSend::Begun { send, .. } => ("begun", Some(send)),
            BeginSend::Repeated(send) => ("repeated", Some(send)),
            BeginSend::KeyReused => ("reused", None),
            BeginSend::UnknownUsers(_) | BeginSend::UnknownProject => panic!("they are known"),
        });
    }
    let stored = seen[0].1;
    let wanted = [("begun", stored), ("repeated", stored), ("reused", None), ("repeated", stored)];
    assert_eq!(seen, wanted);
    assert_eq!(store.head(users[1]).await.unwrap(), head(1, 1, 0));
}

pub(crate) async fn unknown_recipients_stop_a_send<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let user = person(store, "client", "client").await.id;
    let mut to: Vec<UserId> = (80..100).map(UserId).collect();
    to.push(user);
    let bad = keyed(send(user, Recipients::Users(to)), "k", 1);
    let good = send(user, Recipients::Users(vec![user]));
    let (refused, sent) = futures_util::future::join(
        store.begin_send(bad, 10, at(10)),
        store.begin_send(good.clone(), 10, at(10)),
    )
    .await;
    let BeginSend::UnknownUsers(unknown) = refused.unwrap() else { panic!("it was begun") };
    assert_eq!(unknown, (80..90).map(UserId).collect::<Vec<_>>(), "the first ten of them");
    assert!(matches!(sent.unwrap(), BeginSend::Begun { .. }));
    assert_eq!(store.head(user).await.unwrap(), head(1, 1, 0));
    // The key of a refused send was not used.
    begin(store, keyed(good, "k", 2), 10).await;
}

pub(crate) async fn a_send_without_recipients_is_done<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let user = person(store, "client", "client").await.id;
    for due_at in [None, Some(at(500))] {
        let unknown = NewSend { due_at, ..send(user, Recipients::Role(Role::Developer)) };
        let (stored, announced, has_more) = begin(store, unknown, 10).await;
        assert_eq!((stored.recipients, announced.is_some(), has_more), (0, false, false));
    }
    assert_eq!(store.due_sends(&owner(), at(1000), 10).await.unwrap(), (vec![], None));
}

pub(crate) async fn a_send_for_later_waits<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let users = ids(&people(store, 3, "client").await);
    let later = NewSend { due_at: Some(at(500)), ..send(users[0], Recipients::All) };
    let (stored, announced, has_more) = begin(store, later, 2).await;
    assert!(stored.is_scheduled && has_more && announced.is_none());
    assert_eq!(stored.recipients, 3);
    assert_eq!(store.due_sends(&owner(), at(499), 10).await.unwrap(), (vec![], Some(at(500))));
    let early = store.continue_send(&owner(), stored.id, 2, at(499)).await.unwrap();
    assert!(early.announced.is_none() && !early.has_more);
    person(store, "newcomer", "client").await;
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    assert_eq!(store.due_sends(&owner(), at(500), 10).await.unwrap(), (vec![stored.id], None));
    let one = store.continue_send(&owner(), stored.id, 2, at(500)).await.unwrap();
    assert_eq!((recipients(one.announced.as_ref()), one.has_more), (users[..2].to_vec(), true));
    let dated = one.announced.unwrap().content.message.created_at;
    assert_eq!(dated, at(500), "it is dated when it comes, not when it was asked for");
    let two = store.continue_send(&owner(), stored.id, 2, at(510)).await.unwrap();
    assert_eq!((recipients(two.announced.as_ref()), two.has_more), (users[2..].to_vec(), false));
    // A time that has come already is no later time.
    let past = NewSend { due_at: Some(at(10)), ..send(users[0], Recipients::All) };
    let (stored, announced, _) = begin(store, past, 10).await;
    assert!(!stored.is_scheduled && announced.is_some());
}

pub(crate) async fn old_keys_are_forgotten<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let user = person(store, "client", "client").await.id;
    let request = |n: i64| {
        let to_self = send(user, Recipients::Users(vec![user]));
        keyed(to_self, &format!("key{n}"), 1)
    };
    // More than are forgotten in one transaction.
    let begun = join_all((0..700).map(|n| store.begin_send(request(n), 1, at(n)))).await;
    assert!(begun.iter().all(|one| matches!(one, Ok(BeginSend::Begun { .. }))));
    assert_eq!(store.forget_keys(at(600)).await.unwrap(), 600);
    assert_eq!(store.forget_keys(at(600)).await.unwrap(), 0);
    let kept = store.begin_send(request(600), 1, at(800)).await.unwrap();
    assert!(matches!(kept, BeginSend::Repeated(_)), "{kept:?}");
    begin(store, request(599), 1).await;
}

pub(crate) async fn a_letter_is_shared_by_all_chunks<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let users = ids(&people(store, 3, "client").await);
    let (stored, announced, _) = begin(store, send(users[0], Recipients::All), 1).await;
    let mut contents: Vec<Arc<MessageContent>> = vec![announced.unwrap().content];
    for _ in 0..2 {
        let next = store.continue_send(&owner(), stored.id, 1, at(20)).await.unwrap();
        contents.push(next.announced.unwrap().content);
    }
    for user in &users {
        let (_, entries) = entries(store, *user, Seq::ZERO).await;
        contents.push(Arc::clone(&entries[0].message));
    }
    assert!(contents.iter().all(|content| Arc::ptr_eq(content, &contents[0])));
    assert_eq!(contents[0].message, send(users[0], Recipients::All).message);
}

pub(crate) async fn deliveries_go_out_on_the_sends_channels<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let users = ids(&people(store, 3, "client").await);
    // E-mail and SMS are on; the send asks for e-mail.
    let (_, chunks) = carry_out(store, send(users[0], Recipients::All), 2).await;
    assert_eq!(chunks.len(), 2);
    let mut seen: Vec<NotificationId> = Vec::new();
    for user in users {
        let filter = NotificationFilter::default();
        let page = store.notifications(user, &filter, first(10).into()).await.unwrap();
        let [row] = &page.rows[..] else { panic!("{page:?}") };
        let channels: Vec<Channel> = row.deliveries.iter().map(|one| one.channel).collect();
        assert_eq!(channels, [Channel::Email]);
        seen.push(row.id);
    }
    seen.dedup();
    assert_eq!(seen.len(), 3);
}
