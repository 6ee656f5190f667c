//! Groups of several nodes on one PostgreSQL database: shared inboxes, broken connections, commits
//! whose answer is lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use bellpull::storage::StoreOptions;
use bellpull::storage::postgres::PostgresStore;
use bellpull_domain::comment::{Comment, NewComment};
use bellpull_domain::delivery::Rule;
use bellpull_domain::ids::{CommentId, Seq, UserId};
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::preference::{PreferenceChanges, Wish};
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::user::User;
use bellpull_domain::webhook::HookOwner;
use bellpull_port::tickets::TicketFilter;
use bellpull_port::{CommentStore, DeliveryLog, PreferenceStore, PushStore, Store, TicketStore};
use futures_util::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Executor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use super::outbox::reachable;
use super::people::{at, entries, first, head, news, people, person, raise, tell};
use super::push::browser;
use super::webhooks::hook;
use crate::support::postgres::{Database, server};
use crate::support::skip::skipped;

async fn open(url: &str) -> Arc<PostgresStore> {
    let options = StoreOptions { exclusive: true, connections: 4, ..StoreOptions::default() };
    Arc::new(PostgresStore::open(url, options).await.unwrap())
}

/// Whether there is a server; if not, says so.
fn can_run() -> bool {
    if server().is_none() {
        skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    server().is_some()
}

/// An inbox of exactly `count` entries: 1, 2, 3, …, each id once.
async fn check_inbox(store: &PostgresStore, user: UserId, count: i64) {
    let (found, entries) = entries(store, user, Seq::ZERO).await;
    assert_eq!(found, head(count, count, 0));
    let seqs: Vec<i64> = entries.iter().map(|entry| entry.seq.0).collect();
    assert_eq!(seqs, (1..=count).collect::<Vec<i64>>());
    let ids: BTreeSet<_> = entries.iter().map(|entry| entry.id).collect();
    assert_eq!(ids.len(), entries.len());
}

#[tokio::test]
async fn two_nodes_number_the_same_inboxes_without_a_gap() {
    if !can_run() {
        return;
    }
    let database = Database::create().await;
    let nodes = [open(&database.url()).await, open(&database.url()).await];
    let client = person(&*nodes[0], "client", "client").await;
    let admins = people(&*nodes[0], 4, "admin").await;
    // Half of the tickets on each node, in requests that overlap.
    let raised = (0..60).map(|nth: usize| {
        let (store, client) = (Arc::clone(&nodes[nth % 2]), client.clone());
        async move { raise(&*store, &format!("Ticket {nth}"), &client).await.ticket.key }
    });
    let keys: BTreeSet<String> = join_all(raised).await.into_iter().collect();
    assert_eq!(keys.len(), 60, "each has a number of its own");
    for admin in &admins {
        check_inbox(&nodes[0], admin.id, 60).await;
    }
}

#[tokio::test]
async fn recipients_in_opposite_orders_do_not_deadlock() {
    if !can_run() {
        return;
    }
    let database = Database::create().await;
    let nodes = [open(&database.url()).await, open(&database.url()).await];
    let client = person(&*nodes[0], "client", "client").await;
    let readers: Vec<UserId> =
        people(&*nodes[0], 12, "developer").await.iter().map(|user| user.id).collect();
    let backwards: Vec<UserId> = readers.iter().rev().copied().collect();
    let told = (0..80).map(|nth: usize| {
        let (store, client) = (Arc::clone(&nodes[nth % 2]), client.clone());
        let to = if nth.is_multiple_of(2) { readers.clone() } else { backwards.clone() };
        async move {
            let decision = news(&*store, "news", &client, &to).await;
            store.commit(decision).await.unwrap();
        }
    });
    join_all(told).await;
    for reader in &readers {
        check_inbox(&nodes[1], *reader, 80).await;
    }
}

/// A block of ids does not suffice for a group: it is planned again, whole.
#[tokio::test]
async fn a_group_may_need_more_ids_than_are_left() {
    if !can_run() {
        return;
    }
    let database = Database::create().await;
    let store = open(&database.url()).await;
    let client = person(&*store, "client", "client").await;
    let ticket = raise(&*store, "One", &client).await.ticket;
    let comment = |nth: usize| NewComment {
        comment: Comment {
            id: CommentId(0),
            ticket: ticket.id,
            author: client.id,
            author_name: "client".into(),
            body: format!("Comment {nth}"),
            created_at: at(i64::try_from(nth).unwrap()),
        },
        ticket_version: ticket.version,
        announcement: None,
        key: None,
    };
    for nth in 0..14 {
        store.commit_comment(comment(nth)).await.unwrap();
    }
    let many = (14..300).map(|nth| store.commit_comment(comment(nth)));
    assert!(join_all(many).await.iter().all(Result::is_ok));
    let page = store.comments(ticket.id, first(100)).await.unwrap();
    assert_eq!(page.count, 300);
}

#[tokio::test]
async fn a_terminated_connection_fails_no_caller() {
    if !can_run() {
        return;
    }
    let database = Database::create().await;
    let store = open(&database.url()).await;
    let client = person(&*store, "client", "client").await;
    let admin = person(&*store, "admin", "admin").await;
    let mut others = database.connect().await;
    for nth in 0..10 {
        let raised = (0..6).map(|one| {
            let (store, client) = (Arc::clone(&store), client.clone());
            async move { raise(&*store, &format!("Ticket {nth} {one}"), &client).await }
        });
        let terminate = async {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE datname = current_database() AND pid <> pg_backend_pid()";
            sqlx::query(sql).execute(&mut others).await.unwrap();
        };
        tokio::join!(join_all(raised), terminate);
    }
    // Over a connection of its own: a read that meets one that was just ended fails.
    check_inbox(&*open(&database.url()).await, admin.id, 60).await;
}

/// When a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Before the server is sent the commit.
    Before,
    /// Once the server is sent it; the answer is lost.
    After,
}

/// A proxy before the server that cuts the next `left` connections that commit.
struct Proxy {
    url: String,
    left: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start(database: &Database, cut: Cut) -> Self {
        let options: PgConnectOptions = database.url().parse().unwrap();
        let to = (options.get_host().to_owned(), options.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = options.clone().host("127.0.0.1").port(port);
        let left = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&left);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(to.clone()).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let answers = tokio::spawn(forward(from_server, to_client)).abort_handle();
                let left = Arc::clone(&counter);
                tokio::spawn(watch(from_client, to_server, answers, cut, left));
            }
        });
        Self { url: url.to_url_lossy().to_string(), left }
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

/// Forwards what the client sends until it commits. A commit is short and comes alone: its client
/// waits for the answer to what it sent before.
async fn watch(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    answers: AbortHandle,
    cut: Cut,
    left: Arc<AtomicUsize>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let commits = buffer[..read].windows(6).any(|word| word == b"COMMIT");
        let is_cut =
            commits && left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        if is_cut {
            answers.abort();
        }
        if is_cut && cut == Cut::Before {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
        if is_cut {
            // The server commits, and its answer reaches no client.
            return;
        }
    }
}

async fn commits_over(cut: Cut) {
    if !can_run() {
        return;
    }
    let database = Database::create().await;
    let proxy = Proxy::start(&database, cut).await;
    let store = open(&proxy.url).await;
    let client: User = person(&*store, "client", "client").await;
    let admin = person(&*store, "admin", "admin").await;
    for nth in 0..20 {
        proxy.left.store(1, SeqCst);
        let raised = raise(&*store, &format!("Ticket {nth}"), &client).await;
        assert_eq!(raised.ticket.version, 1);
        assert_eq!(proxy.left.load(SeqCst), 0, "the connection was cut");
    }
    check_inbox(&store, admin.id, 20).await;
    let direct = open(&database.url()).await;
    let page = direct.tickets(&TicketFilter::default(), first(50)).await.unwrap();
    assert_eq!(page.count, 20, "each once");
    direct.close().await;
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_written_once() {
    commits_over(Cut::After).await;
}

#[tokio::test]
async fn a_commit_that_is_lost_is_written_once() {
    commits_over(Cut::Before).await;
}

/// How many connections to this database a condition is true of.
async fn connections(database: &mut PgConnection, of: &'static str) -> i64 {
    let sql = "SELECT count(*) FILTER (WHERE wait_event_type = 'Lock'), \
               count(*) FILTER (WHERE state = 'idle in transaction (aborted)') \
               FROM pg_stat_activity WHERE datname = current_database()";
    let (waiting, aborted): (i64, i64) = sqlx::query_as(sql).fetch_one(database).await.unwrap();
    if of == "waiting" { waiting } else { aborted }
}

/// A node that is suspended in its turn keeps the others from theirs.
#[tokio::test]
async fn a_turn_that_does_not_come_leaves_no_connection_in_an_aborted_transaction() {
    if !can_run() {
        return;
    }
    let database = Database::create().await;
    let store = open(&database.url()).await;
    let client = person(&*store, "client", "client").await;
    people(&*store, 2, "admin").await;
    raise(&*store, "First", &client).await;
    let address = database.url().parse::<PgConnectOptions>().unwrap();
    let mut other = address.connect().await.unwrap();
    let mut watcher = address.connect().await.unwrap();
    // It waits for rows that another node has locked: from now on it takes turns.
    other.execute("BEGIN; SELECT 1 FROM inboxes FOR UPDATE").await.unwrap();
    let second = tokio::spawn({
        let (store, client) = (Arc::clone(&store), client.clone());
        async move { raise(&*store, "Second", &client).await }
    });
    while connections(&mut watcher, "waiting").await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await; // the wait must be long
    other.execute("COMMIT").await.unwrap();
    second.await.unwrap();
    other.execute("BEGIN; SELECT pg_advisory_xact_lock(730583, 0)").await.unwrap();
    let begun = Instant::now();
    raise(&*store, "Third", &client).await;
    assert!(begun.elapsed() >= Duration::from_millis(250), "it took no turn");
    // A connection that is being closed is there for a moment.
    for _ in 0..200 {
        if connections(&mut watcher, "aborted").await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("a connection stays in an aborted transaction");
}

/// What is acknowledged while a group waits for an inbox counts for what the group writes.
#[tokio::test]
async fn preferences_replaced_while_a_group_waited_for_an_inbox_count() {
    if !can_run() {
        return;
    }
    let database = Database::create().await;
    let channels = Channels::of(&[Channel::Email, Channel::Push, Channel::Webhook]);
    let options =
        StoreOptions { exclusive: true, connections: 6, channels, ..StoreOptions::default() };
    let store = Arc::new(PostgresStore::open(&database.url(), options).await.unwrap());
    let ann = reachable(&*store, "ann").await;
    let old = store.subscribe(ann.id, browser("old", "a"), at(1)).await.unwrap();
    // From here on there are ids: a group that has none is planned twice.
    tell(&*store, "first", &ann, &[ann.id]).await;
    let address = database.url().parse::<PgConnectOptions>().unwrap();
    let (mut other, mut watcher) =
        (address.connect().await.unwrap(), address.connect().await.unwrap());
    other.execute("BEGIN; SELECT 1 FROM inboxes FOR UPDATE").await.unwrap();
    let decision = news(&*store, "news", &ann, &[ann.id]).await;
    let telling = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.commit(decision).await.unwrap().announced.unwrap().entries[0].id }
    });
    while connections(&mut watcher, "waiting").await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // All of this is acknowledged before the group is written.
    let mut changes = PreferenceChanges::default();
    changes.events.insert("news".to_owned(), [(Channel::Email, Wish::No)].into());
    store.change_preferences(ann.id, changes, at(2)).await.unwrap().unwrap();
    assert!(store.unsubscribe(ann.id, &browser("old", "a").endpoint).await.unwrap());
    let new = store.subscribe(ann.id, browser("new", "b"), at(2)).await.unwrap();
    let hook = hook(&*store, HookOwner::User(ann.id), "hooks.example", &[]).await;
    other.execute("COMMIT").await.unwrap();
    let id = telling.await.unwrap();
    let rows = store.deliveries_of(&[id]).await.unwrap();
    let email = rows.iter().find(|row| row.channel == Channel::Email).unwrap();
    assert_eq!(
        (email.status, email.rule),
        (DeliveryStatus::Suppressed, Some(Rule::Preference)),
        "the e-mail goes by the preferences that were replaced"
    );
    let targets = "SELECT channel, target_id FROM deliveries WHERE target_id > 0 \
                   AND notification_id = $1 ORDER BY channel";
    let found: Vec<(String, i64)> =
        sqlx::query_as(targets).bind(id.0).fetch_all(&mut watcher).await.unwrap();
    assert_ne!(old, new);
    assert_eq!(found, [("PUSH".to_owned(), new), ("WEBHOOK".to_owned(), hook.id.0)]);
}
