//! Idempotency keys: recorded with what a request creates, whatever that is.

use bellpull_domain::comment::{Comment, NewComment};
use bellpull_domain::idempotency::{IdempotencyKey, Used};
use bellpull_domain::ids::{CommentId, UserId};
use bellpull_domain::ticket::{Command, Decision, Ticket};
use bellpull_domain::user::User;
use bellpull_domain::webhook::{HookAddress, HookOwner, HookSecret, NewWebhook};
use bellpull_port::{AccountStore, CommentStore, InboxStore, SendStore, StoreError, TicketStore};
use futures_util::future::join_all;

use super::people::{at, creation, default_project, first, new_user, person, raise, step};
use super::{Fixture, Store};

fn key(owner: UserId, key: &str, body: u8) -> IdempotencyKey {
    IdempotencyKey { owner, key: key.to_owned(), body_hash: [body; 32] }
}

/// Raises a ticket with a key; its id, or why not.
async fn ticket(store: &impl Store, by: &User, key: IdempotencyKey) -> Result<i64, StoreError> {
    let id = store.reserve_ticket_id().await.unwrap();
    let decision = Decision { key: Some(key), ..creation(id, &default_project(), "One", by) };
    store.commit(decision).await.map(|done| done.ticket.id.0)
}

async fn comment(store: &impl Store, on: &Ticket, key: IdempotencyKey) -> Result<i64, StoreError> {
    let comment = Comment {
        id: CommentId(0),
        ticket: on.id,
        author: on.created_by,
        author_name: "client".into(),
        body: "Hello".into(),
        created_at: at(3),
    };
    let (ticket_version, key) = (on.version, Some(key));
    let new = NewComment { comment, ticket_version, announcement: None, key };
    store.commit_comment(new).await.map(|(comment, _)| comment.id.0)
}

/// Everything that a request may create: by what it is, and the key.
async fn make(
    store: &impl Store,
    what: &str,
    on: &Ticket,
    by: &User,
    key: IdempotencyKey,
) -> Result<i64, StoreError> {
    match what {
        "ticket" => ticket(store, by, key).await,
        "comment" => comment(store, on, key).await,
        "user" => {
            let new = new_user(&format!("made-{}", key.key), "client");
            store.create_user_once(new, None, Some(key)).await.map(|(user, _)| user.id.0)
        }
        "project" => {
            let (name, once) = (key.key.to_uppercase(), Some(key));
            let made = store.create_project_once(name.clone(), name, by.id, once, at(4)).await;
            made.map(|project| project.id.0)
        }
        _ => {
            let new = NewWebhook {
                owner: HookOwner::User(by.id),
                address: HookAddress { url: "https://a.example/".into(), lane: "a".into() },
                events: Vec::new(),
                description: String::new(),
                is_active: true,
                secret: HookSecret::new("secret".into()),
            };
            let made = store.create_webhook_once(new, Some(key), at(4)).await;
            made.map(|hook| hook.unwrap().id.0)
        }
    }
}

const KINDS: [&str; 5] = ["ticket", "comment", "user", "project", "webhook"];

pub(crate) async fn a_key_is_kept_with_whatever_it_creates<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let admin = person(store, "admin", "admin").await;
    let on = raise(store, "Mine", &client).await.ticket;
    let mut made = Vec::new();
    for what in KINDS {
        let rivals =
            join_all((0..8).map(|_| make(store, what, &on, &client, key(client.id, what, 1))))
                .await;
        let (one, repeated): (Vec<_>, Vec<_>) = rivals.into_iter().partition(Result::is_ok);
        assert_eq!(one.len(), 1, "{what}: {one:?} {repeated:?}");
        let id = *one[0].as_ref().unwrap();
        let wanted = Err(StoreError::Used(Used::Repeated(id)));
        assert!(repeated.iter().all(|answer| *answer == wanted), "{what}: {repeated:?}");
        made.push(id);
    }
    assert_eq!(store.head(admin.id).await.unwrap().last_seq.0, 2, "told of each ticket once");
    // After a crash: what was committed is known, whatever its caller was told.
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    for (what, id) in KINDS.into_iter().zip(&made) {
        let again = make(store, what, &on, &client, key(client.id, what, 1)).await;
        assert_eq!(again, Err(StoreError::Used(Used::Repeated(*id))), "{what}");
        for other in KINDS {
            let body = if other == what { 2 } else { 1 };
            let reused = make(store, other, &on, &client, key(client.id, what, body)).await;
            assert_eq!(reused, Err(StoreError::Used(Used::Reused)), "{what}, {other}");
        }
        let others = make(store, what, &on, &admin, key(admin.id, &format!("{what}2"), 1)).await;
        assert!(others.is_ok(), "another owner's: {what} {others:?}");
    }
    let second = store.comment(on.id, CommentId(made[1])).await.unwrap().unwrap();
    assert_eq!((second.id.0, &*second.body), (made[1], "Hello"));
    assert_eq!(store.comment(on.id, CommentId(made[1] + 900)).await.unwrap(), None);
    // They are forgotten like those of sends.
    let forgotten = store.forget_keys(at(100_000)).await.unwrap();
    assert_eq!(forgotten, 10);
    assert!(ticket(store, &client, key(client.id, "ticket", 9)).await.is_ok());
}

pub(crate) async fn a_rejected_request_spends_no_key<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let admin = person(store, "admin", "admin").await;
    let on = raise(store, "Mine", &client).await.ticket;
    store.commit(step(&on, Command::Open, &admin)).await.unwrap();
    let stale = comment(store, &on, key(client.id, "k", 1)).await;
    assert_eq!(stale, Err(StoreError::Conflict));
    let now = store.ticket(on.id).await.unwrap().unwrap();
    assert!(comment(store, &now, key(client.id, "k", 1)).await.is_ok());
    assert_eq!(store.comments(on.id, first(9)).await.unwrap().count, 1);
    // A name that is taken; then a free one.
    let taken =
        store.create_user_once(new_user("admin", "client"), None, Some(key(admin.id, "u", 1)));
    assert_eq!(taken.await.map(drop), Err(StoreError::Taken("username")));
    let free = store.create_user_once(new_user("ann", "client"), None, Some(key(admin.id, "u", 1)));
    assert!(free.await.is_ok());
}
