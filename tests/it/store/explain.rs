//! What was announced, and who has a notification of it.

use bellpull_domain::ids::{NotificationId, TicketId};
use bellpull_domain::inbox::Mark;
use bellpull_domain::ticket::Command;
use bellpull_port::explain::Announced;
use bellpull_port::inbox::Selection;
use bellpull_port::{ExplainStore, PageRequest, TicketStore};

use super::Fixture;
use super::people::{Marks, at, first, person, raise, step, tell};

pub(crate) async fn a_notification_says_what_it_is_of<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let (ann, bob) = (person(store, "ann", "client").await, person(store, "bob", "admin").await);
    let committed = raise(store, "One", &ann).await;
    let id = committed.announced.unwrap().entries[0].id;
    store.mark(bob.id, Selection::ids(vec![id]), Mark::Delete, at(9)).await.unwrap();
    let announced = store.announcement(id).await.unwrap().unwrap();
    let Announced { event, by, ticket, row, .. } = &announced;
    assert_eq!((event.as_str(), *by), ("ticket_created", Some(ann.id)));
    assert_eq!((announced.at, *ticket), (committed.ticket.created_at, Some(committed.ticket.id)));
    let row = row.unwrap();
    assert_eq!((row.id, row.recipient, row.seq.0), (id, bob.id, 1));
    assert_eq!((row.read_at, row.deleted_at), (None, Some(at(9))));
    assert_eq!(store.announcement(NotificationId(9_999)).await.unwrap(), None);
}

pub(crate) async fn a_tickets_events_are_told_or_not<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let admin = person(store, "admin", "admin").await;
    let dev = person(store, "dev", "developer").await;
    let mut ticket = raise(store, "One", &client).await.ticket;
    let other = raise(store, "Another", &client).await.ticket;
    let commands = [
        (Command::Open, &admin),
        (Command::Assign { developers: vec![dev.clone()] }, &admin),
        // No developer is added: none is notified.
        (Command::Assign { developers: vec![dev.clone()] }, &admin),
    ];
    for ((command, by), ms) in commands.into_iter().zip(2_000..) {
        let mut decision = step(&ticket, command, by);
        decision.entry.at = at(ms);
        if let Some(announcement) = &mut decision.announcement {
            announcement.message.created_at = at(ms);
        }
        ticket = store.commit(decision).await.unwrap().ticket;
    }
    let seen = async |user, request| {
        let page = store.announced(ticket.id, user, request).await.unwrap();
        let one = |one: &Announced| {
            (one.event.as_str().to_owned(), one.by.unwrap(), one.row.map(|row| row.seq.0))
        };
        (page.count, page.rows.iter().map(one).collect::<Vec<_>>())
    };
    let line = |event: &str, by, seq| (event.to_owned(), by, seq);
    for (user, seqs) in [
        (client.id, [None, Some(1), None, None]),
        (admin.id, [Some(1), None, None, None]),
        (dev.id, [None, None, Some(1), None]),
    ] {
        let wanted = vec![
            line("ticket_created", client.id, seqs[0]),
            line("ticket_opened", admin.id, seqs[1]),
            line("ticket_assigned", admin.id, seqs[2]),
            line("ticket_assigned", admin.id, seqs[3]),
        ];
        assert_eq!(seen(user, first(10)).await, (4, wanted));
    }
    let (count, second) = seen(client.id, PageRequest { page: 2, page_size: 3 }).await;
    assert_eq!((count, second), (4, vec![line("ticket_assigned", admin.id, None)]));
    // What was said without a step of the workflow is there too, and another ticket's is not.
    let announced = tell(store, "lunch", &client, &[dev.id]).await;
    let lunch = announced.content.message.ticket.as_ref().unwrap().id;
    let page = store.announced(lunch, dev.id, first(10)).await.unwrap();
    assert!(page.rows.iter().any(|one| one.event.as_str() == "lunch" && one.row.is_some()));
    assert_eq!(store.announced(other.id, dev.id, first(10)).await.unwrap().count, 1);
    assert_eq!(store.announced(TicketId(9_999), dev.id, first(10)).await.unwrap().count, 0);
}
