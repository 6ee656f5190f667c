//! Comments, and whom they name.

use bellpull_domain::comment::{Comment, NewComment};
use bellpull_domain::event::Event;
use bellpull_domain::ids::{CommentId, ProjectId, Seq, TicketId, UserId};
use bellpull_domain::notification::{Announcement, Message};
use bellpull_domain::routing::Audience;
use bellpull_domain::ticket::{Command, Priority, Ticket};
use bellpull_domain::user::User;
use bellpull_port::accounts::UserChanges;
use bellpull_port::comments::Circle;
use bellpull_port::{
    AccountStore, CommentStore, InboxStore, PageRequest, ProjectStore, StoreError, TicketStore,
};
use futures_util::future::join_all;

use super::Fixture;
use super::people::{at, first, head, person, raise, step};

fn comment(ticket: TicketId, author: &User, body: &str) -> Comment {
    Comment {
        id: CommentId(0),
        ticket,
        author: author.id,
        author_name: author.display_name().to_owned(),
        body: body.to_owned(),
        created_at: at(5),
    }
}

fn mention(ticket: &Ticket, author: &User, users: &[UserId]) -> Announcement {
    let event = Event::Mentioned;
    Announcement {
        channels: event.channels(),
        audience: Audience { group: None, users: users.to_vec(), except: Some(author.id) },
        message: Message {
            kind: event.kind(),
            title: event.title().to_owned(),
            body: "You were mentioned".to_owned(),
            action_url: String::new(),
            metadata: serde_json::Map::new(),
            ticket: Some(ticket.into()),
            sender: Some(author.id),
            priority: Priority::Medium,
            created_at: at(5),
            event,
        },
    }
}

fn on(ticket: &Ticket, comment: Comment, announcement: Option<Announcement>) -> NewComment {
    NewComment { comment, ticket_version: ticket.version, announcement, key: None }
}

pub(crate) async fn a_comment_is_kept_and_tells_whom_it_names<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let dev = person(store, "dev", "developer").await;
    let ticket = raise(store, "One", &client).await.ticket;
    let new = comment(ticket.id, &client, "Hello @dev — 'quoted'");
    let announced = mention(&ticket, &client, &[dev.id, client.id]);
    let (written, announced) =
        store.commit_comment(on(&ticket, new.clone(), Some(announced))).await.unwrap();
    assert_ne!(written.id, CommentId(0));
    assert_eq!(written, Comment { id: written.id, ..new });
    let announced = announced.unwrap();
    assert_eq!(announced.entries.len(), 1, "its author is not notified");
    assert_eq!((announced.entries[0].recipient, announced.entries[0].seq), (dev.id, Seq(1)));
    assert_eq!(store.head(dev.id).await.unwrap(), head(1, 1, 0));
    let page = store.comments(ticket.id, first(10)).await.unwrap();
    assert_eq!((page.count, page.rows), (1, vec![written]));

    let (_, announced) = store
        .commit_comment(on(&ticket, comment(ticket.id, &dev, "Unnoticed"), None))
        .await
        .unwrap();
    assert!(announced.is_none());
    let only_self = mention(&ticket, &dev, &[dev.id]);
    let new = on(&ticket, comment(ticket.id, &dev, "@dev"), Some(only_self));
    let (_, announced) = store.commit_comment(new).await.unwrap();
    assert!(announced.is_none(), "there was no recipient left");
}

pub(crate) async fn comments_are_paged_oldest_first<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let tickets =
        [raise(store, "One", &client).await.ticket, raise(store, "Two", &client).await.ticket];
    let all = (0..10).map(|n| {
        let ticket = &tickets[n % 2];
        store.commit_comment(on(ticket, comment(ticket.id, &client, &format!("c{n}")), None))
    });
    let written: Vec<Comment> = join_all(all).await.into_iter().map(|c| c.unwrap().0).collect();
    assert!(written.windows(2).all(|pair| pair[0].id < pair[1].id), "each has an id of its own");
    let page = store.comments(tickets[1].id, PageRequest { page: 2, page_size: 2 }).await.unwrap();
    let bodies: Vec<&str> = page.rows.iter().map(|row| row.body.as_str()).collect();
    assert_eq!((page.count, bodies), (5, vec!["c5", "c7"]));
    assert_eq!(store.comments(TicketId(99), first(10)).await.unwrap().count, 0);
    // Ids go on after a crash.
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    let new = on(&tickets[0], comment(tickets[0].id, &client, "c"), None);
    let (next, _) = store.commit_comment(new).await.unwrap();
    assert!(next.id > written[9].id);
}

pub(crate) async fn a_comment_on_a_ticket_that_is_gone_is_refused<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let admin = person(store, "admin", "admin").await;
    let ticket = raise(store, "One", &client).await.ticket;
    store.commit(step(&ticket, Command::Delete, &admin)).await.unwrap();
    for id in [ticket.id, TicketId(99)] {
        let announced = mention(&ticket, &client, &[admin.id]);
        let late = on(&ticket, comment(id, &client, "Late"), Some(announced));
        let refused = store.commit_comment(late).await;
        assert_eq!(refused.unwrap_err(), StoreError::NotFound);
    }
    assert_eq!(store.head(admin.id).await.unwrap().last_seq, Seq(1), "there was no entry");
    assert_eq!(store.comments(ticket.id, first(10)).await.unwrap().count, 0);
}

pub(crate) async fn a_comment_on_another_version_of_the_ticket_is_a_conflict<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let admin = person(store, "admin", "admin").await;
    let ticket = raise(store, "One", &client).await.ticket;
    let opened = store.commit(step(&ticket, Command::Open, &admin)).await.unwrap().ticket;
    let stale = store.commit_comment(on(&ticket, comment(ticket.id, &client, "Stale"), None));
    assert_eq!(stale.await.unwrap_err(), StoreError::Conflict);
    let fresh = store.commit_comment(on(&opened, comment(ticket.id, &client, "Fresh"), None));
    fresh.await.unwrap();
    assert_eq!(store.comments(ticket.id, first(10)).await.unwrap().count, 1);
}

pub(crate) async fn a_comment_that_cannot_be_told_is_not_written<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let ticket = raise(store, "One", &client).await.ticket;
    let bad = store.commit_comment(on(
        &ticket,
        comment(ticket.id, &client, "Without recipients"),
        Some(mention(&ticket, &client, &[UserId(99)])),
    ));
    let good = store.commit_comment(on(&ticket, comment(ticket.id, &client, "Fine"), None));
    let (bad, good) = futures_util::future::join(bad, good).await;
    assert_eq!(bad.unwrap_err(), StoreError::NotFound);
    good.unwrap();
    let page = store.comments(ticket.id, first(10)).await.unwrap();
    assert_eq!((page.count, page.rows[0].body.as_str()), (1, "Fine"));
}

pub(crate) async fn people_are_found_by_their_names<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let admin = person(store, "admin", "admin").await;
    let ann = person(store, "ann", "developer").await;
    let bob = person(store, "bob", "client").await;
    let gone = person(store, "gone", "client").await;
    let off = UserChanges { is_active: Some(false), ..UserChanges::default() };
    store.update_user(gone.id, off).await.unwrap();
    let web = store.create_project("WEB".into(), "Web".into(), admin.id, at(1)).await.unwrap().id;
    store.add_member(web, ann.id).await.unwrap();
    let names = ["bob", "ann", "unknown", "gone", "ANN", "it's"].map(str::to_owned);
    let found = store.people_named(&names, web).await.unwrap();
    assert_eq!(found, [(ann.clone(), true), (bob.clone(), false)]);
    let found = store.people_named(&names, ProjectId::DEFAULT).await.unwrap();
    assert_eq!(found, [(ann, false), (bob, false)]);
    assert!(store.people_named(&[], web).await.unwrap().is_empty());
}

pub(crate) async fn users_who_may_be_mentioned_are_found_page_by_page<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let admin = person(store, "admin", "admin").await;
    let ann = person(store, "ann", "developer").await;
    let bob = person(store, "bob", "client").await;
    let cleo = person(store, "cleo", "client").await;
    let web = store.create_project("WEB".into(), "Web".into(), admin.id, at(1)).await.unwrap().id;
    store.add_member(web, ann.id).await.unwrap();
    let mut ticket = raise(store, "One", &bob).await.ticket;
    ticket.project = web;
    let said = comment(ticket.id, &cleo, "Mine, too");
    store.commit_comment(on(&ticket, said, None)).await.unwrap();
    let around = |circle, after, limit| store.people_around(&ticket, circle, after, limit);
    let all = |people: &[(&User, bool)]| {
        people.iter().map(|(user, is)| ((*user).clone(), *is)).collect::<Vec<_>>()
    };
    let found = around(Circle::Ticket, UserId(0), 10).await.unwrap();
    assert_eq!(found, all(&[(&bob, false), (&cleo, false)]));
    let found = around(Circle::Members, UserId(0), 10).await.unwrap();
    assert_eq!(found, all(&[(&admin, true), (&ann, true), (&bob, false), (&cleo, false)]));
    let found = around(Circle::Staff, UserId(0), 2).await.unwrap();
    assert_eq!(found, all(&[(&admin, true), (&ann, true)]));
    let found = around(Circle::Staff, ann.id, 2).await.unwrap();
    assert_eq!(found, all(&[(&bob, false), (&cleo, false)]));
}
