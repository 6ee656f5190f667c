//! Many requests at once: numbers without gaps, and no request fails because of another.

use std::collections::BTreeSet;
use std::sync::Arc;

use bellpull_domain::ids::{NotificationId, Seq, UserId};
use bellpull_domain::inbox::Mark;
use bellpull_domain::ticket::{Command, Decision};
use bellpull_domain::user::User;
use bellpull_port::accounts::UserChanges;
use bellpull_port::inbox::Selection;
use bellpull_port::tickets::{Committed, TicketFilter};
use bellpull_port::{AccountStore, InboxStore, StoreError, TicketStore};
use futures_util::future::{join_all, poll_immediate};

use super::people::{
    Marks, at, creation, default_project, entries, fill, first, head, new_user, news, people,
    person, raise, step, tell,
};
use super::{Fixture, Store};

async fn creations(store: &impl Store, count: usize, by: &User) -> Vec<Decision> {
    let mut all = Vec::new();
    for n in 0..count {
        let id = store.reserve_ticket_id().await.unwrap();
        all.push(creation(id, &default_project(), &format!("Ticket {n}"), by));
    }
    all
}

/// Every admin's inbox is 1 to `count`, every id is there once, every key too.
async fn check(store: &impl Store, admins: &[User], commits: &[Committed], count: i64) {
    let mut ids = BTreeSet::new();
    for committed in commits {
        let announced = committed.announced.as_ref().unwrap();
        assert_eq!(announced.entries.len(), admins.len());
        assert!(announced.entries.iter().all(|placed| ids.insert(placed.id)), "an id came twice");
    }
    let keys: BTreeSet<&str> = commits.iter().map(|one| one.ticket.key.as_str()).collect();
    assert_eq!(keys.len(), commits.len());
    for admin in admins {
        let announced = commits.iter().map(|one| {
            let entries = &one.announced.as_ref().unwrap().entries;
            *entries.iter().find(|placed| placed.recipient == admin.id).unwrap()
        });
        let mut announced: Vec<_> = announced.collect();
        announced.sort_by_key(|placed| placed.seq);
        let seqs: Vec<i64> = announced.iter().map(|placed| placed.seq.0).collect();
        assert_eq!(seqs, (1..=count).collect::<Vec<i64>>());
        assert!(announced.iter().all(|placed| placed.unread_count == placed.seq.0));
        let (found, entries) = entries(store, admin.id, Seq::ZERO).await;
        assert_eq!(found, head(count, count, 0));
        let stored: Vec<NotificationId> = entries.iter().map(|entry| entry.id).collect();
        assert_eq!(stored, announced.iter().map(|placed| placed.id).collect::<Vec<_>>());
    }
}

pub(crate) async fn sequences_have_no_gap_in_one_group<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let admins = people(store, 30, "admin").await;
    let decisions = creations(store, 64, &client).await;
    let outcomes = join_all(decisions.into_iter().map(|one| store.commit(one))).await;
    let commits: Vec<Committed> = outcomes.into_iter().map(Result::unwrap).collect();
    check(store, &admins, &commits, 64).await;
}

pub(crate) async fn sequences_have_no_gap_in_many_groups<F: Fixture>() {
    let fixture = F::make().await;
    let store = fixture.store();
    let client = person(&**store, "client", "client").await;
    let admins = people(&**store, 5, "admin").await;
    let mut tasks = tokio::task::JoinSet::new();
    for decision in creations(&**store, 64, &client).await {
        let store = Arc::clone(store);
        tasks.spawn(async move { store.commit(decision).await.unwrap() });
        // Some of them are on their way before the next comes.
        tokio::task::yield_now().await;
    }
    let commits = tasks.join_all().await;
    check(&**store, &admins, &commits, 64).await;
}

pub(crate) async fn a_failing_request_harms_no_other<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let admin = person(store, "admin", "admin").await;
    let ticket = raise(store, "Mine", &client).await.ticket;
    let mut decisions = creations(store, 9, &client).await;
    // Two name people who do not exist: the one as its creator, the other as a developer.
    decisions[3].ticket.created_by = UserId(999);
    let mut ghost = client.clone();
    ghost.id = UserId(998);
    ghost.role = "developer".parse().unwrap();
    let assign = Command::Assign { developers: vec![ghost] };
    let mut assigned = step(&ticket, assign, &admin);
    assigned.announcement = None;
    decisions[5] = assigned;
    let outcomes = join_all(decisions.into_iter().map(|one| store.commit(one))).await;
    for (n, outcome) in outcomes.iter().enumerate() {
        match n {
            3 | 5 => assert_eq!(outcome.as_ref().unwrap_err(), &StoreError::NotFound),
            _ => assert!(outcome.is_ok(), "{n}: {outcome:?}"),
        }
    }
    assert_eq!(store.head(admin.id).await.unwrap(), head(8, 8, 0), "no number was lost");
    assert_eq!(store.ticket(ticket.id).await.unwrap(), Some(ticket));
    let tickets = store.tickets(&TicketFilter::default(), first(100)).await.unwrap();
    let keys: BTreeSet<String> = tickets.rows.into_iter().map(|ticket| ticket.key).collect();
    assert_eq!(keys, (1..=8).map(|n| format!("TKT-{n}")).collect(), "nor any key");
    assert_eq!(raise(store, "After", &client).await.ticket.key, "TKT-9");
}

pub(crate) async fn a_missing_recipient_fails_only_its_own<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let to: [&[UserId]; 3] = [&[client.id], &[client.id, UserId(999)], &[client.id]];
    let mut decisions = Vec::new();
    for to in to {
        decisions.push(news(store, "news", &client, to).await);
    }
    let lost = decisions[1].ticket.id;
    let outcomes = join_all(decisions.into_iter().map(|one| store.commit(one))).await;
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    assert_eq!(outcomes[1].as_ref().unwrap_err(), &StoreError::NotFound);
    assert_eq!(store.ticket(lost).await.unwrap(), None);
    assert_eq!(store.head(client.id).await.unwrap(), head(2, 2, 0));
}

pub(crate) async fn requests_of_every_kind_share_a_group<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let ids = fill(store, &client, 3).await;
    let decision = news(store, "more", &client, &[client.id]).await;
    let changes = UserChanges { full_name: Some("Carl".to_owned()), ..UserChanges::default() };
    let delivered = [(client.id, Seq(2).into())];
    let (created, updated, login, setting, committed, marked, delivered, taken) = tokio::join!(
        store.create_user(new_user("ann", "client"), None),
        store.update_user(client.id, changes),
        store.begin_login(client.id, None, at(0), at(5), at(9)),
        store.set_setting("a", "b"),
        store.commit(decision),
        store.mark(client.id, Selection::ids(ids), Mark::Read, at(9)),
        store.save_reached(&delivered),
        store.create_user(new_user("ann", "client"), None),
    );
    created.unwrap();
    assert_eq!(updated.unwrap().full_name, "Carl");
    login.unwrap();
    setting.unwrap();
    // The order of the kinds in a group is the store's own; no number is given twice.
    let born = committed.unwrap().announced.unwrap().entries[0].seq;
    let marked = marked.unwrap().unwrap();
    let numbers = (born.0, marked.first.0, marked.last.0);
    assert!(matches!(numbers, (7, 4, 6) | (4, 5, 7)), "{numbers:?}");
    delivered.unwrap();
    assert_eq!(taken.unwrap_err(), StoreError::Taken("username"));
    assert_eq!(store.head(client.id).await.unwrap(), head(7, 1, 2));
}

pub(crate) async fn a_caller_that_gives_up_harms_no_other<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let decision = news(store, "no caller waits", &client, &[client.id]).await;
    // Asked for, and dropped at once: written or not, but whole.
    assert!(poll_immediate(store.commit(decision)).await.is_none());
    let seq = tell(store, "a caller waits", &client, &[client.id]).await.entries[0].seq.0;
    assert_eq!(store.head(client.id).await.unwrap(), head(seq, seq, 0));
}
