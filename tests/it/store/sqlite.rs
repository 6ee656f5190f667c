//! The suite on SQLite, and what is SQLite's own: files, locks, full disks, other processes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bellpull::storage::sqlite::{OpenError, SqliteStore, StoreOptions};
use bellpull_domain::ids::{Seq, UserId};
use bellpull_domain::inbox::Mark;
use bellpull_domain::notification::Announcement;
use bellpull_domain::routing::Channels;
use bellpull_domain::send::Recipients;
use bellpull_domain::user::User;
use bellpull_port::inbox::Selection;
use bellpull_port::sends::BeginSend;
use bellpull_port::{AccountStore, InboxStore, SendStore, StoreError, TicketStore};
use futures_util::future::join_all;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use tempfile::TempDir;

use super::accounts::registration;
use super::people::{
    Marks, at, creation, default_project, entries, fill, head, new_user, news, people, person,
    raise, tell,
};
use super::sends::send;
use super::{Fixture, suite};
use crate::support::owner;

/// Rows of what goes to `DEFER_FROM` people and more are written later.
pub(crate) struct Sqlite<const DEFER_FROM: usize> {
    store: Arc<SqliteStore>,
    channels: Channels,
    directory: TempDir,
    url: String,
}

impl<const DEFER_FROM: usize> Sqlite<DEFER_FROM> {
    async fn on(directory: TempDir, url: String, channels: Channels) -> Self {
        let options = StoreOptions { channels, defer_from: DEFER_FROM, ..hub() };
        let store = Arc::new(open(&url, options).await);
        Self { store, channels, directory, url }
    }
}

#[async_trait]
impl<const DEFER_FROM: usize> Fixture for Sqlite<DEFER_FROM> {
    type Store = SqliteStore;
    const IS_EXCLUSIVE: bool = true;

    async fn with_channels(channels: Channels) -> Self {
        let (directory, url) = file();
        Self::on(directory, url, channels).await
    }

    fn store(&self) -> &Arc<SqliteStore> {
        &self.store
    }

    async fn reopen(self) -> Self {
        let Self { store, channels, directory, url } = self;
        drop(store);
        Self::on(directory, url, channels).await
    }

    async fn execute(&self, sql: &str) {
        let mut connection = beside(&self.store).await;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

suite!(crate::store::sqlite::Sqlite<32>);

/// Another process' connection to the same file.
pub(crate) async fn beside(store: &SqliteStore) -> SqliteConnection {
    SqliteConnectOptions::new().filename(store.path()).connect().await.unwrap()
}

/// A directory, and the address of a database in it.
pub(crate) fn file() -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/hub.db", directory.path().display());
    (directory, url)
}

pub(crate) fn hub() -> StoreOptions {
    StoreOptions { exclusive: true, ..StoreOptions::default() }
}

pub(crate) async fn open(url: &str, options: StoreOptions) -> SqliteStore {
    SqliteStore::open(url, options).await.unwrap()
}

#[tokio::test]
async fn a_graceful_stop_leaves_one_file_and_all_of_it() {
    let (directory, url) = file();
    let store = open(&url, hub()).await;
    let client = person(&store, "client", "client").await;
    let ids = fill(&store, &client, 3).await;
    store.mark(client.id, Selection::ids(vec![ids[0]]), Mark::Read, at(9)).await.unwrap();
    let epoch = store.setting_or_insert("epoch", "first").await.unwrap();
    store.close().await;
    store.close().await;
    let mut files: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["hub.db", "hub.db.positions"]);
    let refused = store.answers().await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    assert!(store.head(client.id).await.is_err());
    assert!(store.mark(client.id, Selection::up_to(Seq(1)), Mark::Read, at(9)).await.is_err());

    let store = open(&url, hub()).await;
    assert_eq!(store.setting_or_insert("epoch", "second").await.unwrap(), epoch);
    assert_eq!(store.head(client.id).await.unwrap(), head(4, 2, 0));
    let announced = tell(&store, "after", &client, &[client.id]).await;
    assert!(announced.entries[0].id > ids[2], "ids go on");
    assert_eq!(announced.entries[0].seq, Seq(5));
    assert_eq!(raise(&store, "Next", &client).await.ticket.key, "TKT-5");
    store.close().await;
}

#[tokio::test]
async fn what_waits_is_written_before_it_closes() {
    let (_directory, url) = file();
    let store = Arc::new(open(&url, hub()).await);
    let client = person(&*store, "client", "client").await;
    let mut waiting = Vec::new();
    for n in 0..20 {
        let decision = news(&*store, &format!("n{n}"), &client, &[client.id]).await;
        let store = Arc::clone(&store);
        waiting.push(tokio::spawn(async move { store.commit(decision).await }));
    }
    // On this one thread all of them ask before the close does.
    tokio::task::yield_now().await;
    store.close().await;
    for outcome in join_all(waiting).await {
        outcome.unwrap().unwrap();
    }
    let store = open(&url, hub()).await;
    assert_eq!(store.head(client.id).await.unwrap(), head(20, 20, 0));
}

#[tokio::test]
async fn a_second_hub_on_one_file_is_refused() {
    let (_directory, url) = file();
    let first = open(&url, hub()).await;
    let refused = SqliteStore::open(&url, hub()).await.unwrap_err();
    assert!(matches!(refused, OpenError::InUse(_)));
    assert!(refused.to_string().contains("is in use by another hub"), "{refused}");
    let command = open(&url, StoreOptions::default()).await;
    command.answers().await.unwrap();
    first.close().await;
    open(&url, hub()).await.answers().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_opened_is_said_clearly() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = format!("sqlite://{}/no/such/place.db", directory.path().display());
    let folder = directory.path().join("no/such").display().to_string();
    for options in [StoreOptions::default(), hub()] {
        let text = SqliteStore::open(&nowhere, options).await.unwrap_err().to_string();
        assert_eq!(text, format!("the folder {folder} does not exist"));
    }
    let absent = directory.path().join("absent.db");
    let options = StoreOptions { create: false, ..hub() };
    let refused = SqliteStore::open(&format!("sqlite://{}", absent.display()), options).await;
    assert!(matches!(refused, Err(OpenError::Missing(path)) if path == absent));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left behind");
    let junk = directory.path().join("junk.db");
    std::fs::write(&junk, vec![b'x'; 8192]).unwrap();
    let junk = format!("sqlite://{}", junk.display());
    let text = SqliteStore::open(&junk, hub()).await.unwrap_err().to_string();
    assert!(text.contains("junk.db") && text.contains("not a SQLite database"), "{text}");
    let text = SqliteStore::open("mysql://x", hub()).await.unwrap_err().to_string();
    assert!(text.contains("\"mysql://x\" is no address"), "{text}");
}

#[tokio::test]
async fn two_processes_give_no_id_twice() {
    let (_directory, url) = file();
    let hub = open(&url, hub()).await;
    let chief = person(&hub, "chief", "super_admin").await;
    let command = open(&url, StoreOptions::default()).await;
    let mut ids = Vec::new();
    for n in 0..10 {
        let new = new_user(&format!("beside{n}"), "client");
        let (user, announced) = command.create_user(new, Some(registration)).await.unwrap();
        ids.push(announced.unwrap().entries[0].id);
        ids.push(tell(&hub, "meanwhile", &user, &[chief.id]).await.entries[0].id);
    }
    let both = join_all((0..20).map(|n| {
        let (hub, command) = (&hub, &command);
        let store = if n % 2 == 0 { hub } else { command };
        store.create_user(new_user(&format!("both{n}"), "client"), Some(registration))
    }));
    ids.extend(both.await.into_iter().map(|made| made.unwrap().1.unwrap().entries[0].id));
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    assert_eq!(hub.head(chief.id).await.unwrap(), head(40, 40, 0));
    // Even an id that the other one has used meanwhile is refused, and then not given again.
    let client = hub.user(UserId(2)).await.unwrap().unwrap();
    raise(&hub, "Hub's", &client).await;
    let used = command.reserve_ticket_id().await.unwrap();
    let rival = creation(used, &default_project(), "Command's", &client);
    assert_eq!(command.commit(rival).await.unwrap_err(), StoreError::Conflict);
    raise(&command, "Command's", &client).await;
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let (_directory, url) = file();
    let options = StoreOptions { max_page_count: Some(112), ..hub() };
    let store = open(&url, options).await;
    let client = person(&store, "client", "client").await;
    let mut acknowledged = 0;
    let mut refused = 0;
    for n in 0..40 {
        // Groups, so that some of one may fit while others do not.
        let mut decisions = Vec::new();
        for _ in 0..4 {
            let mut decision = news(&store, &format!("n{n}"), &client, &[client.id]).await;
            decision.announcement.as_mut().unwrap().message.body = "x".repeat(3000);
            decisions.push(decision);
        }
        for outcome in join_all(decisions.into_iter().map(|one| store.commit(one))).await {
            match outcome {
                Ok(_) => acknowledged += 1,
                Err(StoreError::Unavailable(text)) => {
                    assert!(text.contains("full"), "{text}");
                    refused += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(acknowledged > 5 && refused > 5, "{acknowledged} {refused}");
    // Reading goes on, with exactly what was acknowledged.
    assert_eq!(store.head(client.id).await.unwrap(), head(acknowledged, acknowledged, 0));
    let (_, entries) = entries(&store, client.id, Seq::ZERO).await;
    assert_eq!(i64::try_from(entries.len()).unwrap(), acknowledged);
    store.limit_pages(10_000).await.unwrap();
    let announced = tell(&store, "room again", &client, &[client.id]).await;
    assert_eq!(announced.entries[0].seq, Seq(acknowledged + 1));
    let mut other = beside(&store).await;
    let sound: String =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut other).await.unwrap();
    assert_eq!(sound, "ok");
    let halves: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM messages) - (SELECT count(*) FROM notifications) \
         + (SELECT count(*) FROM tickets) - (SELECT count(*) FROM ticket_history)",
    )
    .fetch_one(&mut other)
    .await
    .unwrap();
    assert_eq!(halves, 0, "nothing was half-written");
}

#[tokio::test]
async fn a_panic_in_the_writer_fails_its_group_and_nothing_else() {
    fn mistaken(user: &User) -> Announcement {
        panic!("a mistake about {}", user.username)
    }
    let (_directory, url) = file();
    let store = open(&url, hub()).await;
    let client = person(&store, "client", "client").await;
    let failed = store.create_user(new_user("ann", "client"), Some(mistaken)).await.unwrap_err();
    assert!(matches!(failed, StoreError::Unavailable(_)), "{failed}");
    store.answers().await.unwrap();
    assert_eq!(fill(&store, &client, 2).await.len(), 2);
    person(&store, "ann", "client").await;
}

#[tokio::test]
async fn a_writer_elsewhere_is_waited_for() {
    let (_directory, url) = file();
    let store = Arc::new(open(&url, hub()).await);
    let client = person(&*store, "client", "client").await;
    let mut other = beside(&store).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let decision = news(&*store, "waits", &client, &[client.id]).await;
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.commit(decision).await }
    });
    tokio::task::yield_now().await;
    // Readers do not wait for it.
    assert_eq!(store.head(client.id).await.unwrap(), head(0, 0, 0));
    sqlx::query("COMMIT").execute(&mut other).await.unwrap();
    waiting.await.unwrap().unwrap();
}

/// The walks that a long inbox must not make. SQLite's own words for what it would do.
#[tokio::test]
async fn frequent_statements_find_their_rows_by_index() {
    let (_directory, url) = file();
    let store = open(&url, hub()).await;
    let plans = [
        (
            "UPDATE notifications SET changed_seq = v.column3 FROM (VALUES (1,2,3),(4,5,6)) AS v \
             WHERE recipient_id = v.column1 AND seq = v.column2",
            "SEARCH notifications USING PRIMARY KEY (recipient_id=? AND seq=?)",
        ),
        (
            "UPDATE tickets SET title = v.column2 FROM (VALUES (1,'x'),(2,'y')) AS v \
             WHERE id = v.column1",
            "SEARCH tickets USING INTEGER PRIMARY KEY (rowid=?)",
        ),
        (
            "UPDATE inboxes SET delivered_seq = min(v.column2, last_seq) \
             FROM (VALUES (1,2),(2,3)) AS v WHERE user_id = v.column1 \
             AND (delivered_seq < min(v.column2, last_seq) OR delivered_seq > last_seq)",
            "SEARCH inboxes USING INTEGER PRIMARY KEY (rowid=?)",
        ),
        (
            "SELECT seq FROM notifications WHERE deleted_at IS NULL AND recipient_id = 1 \
             AND read_at IS NULL ORDER BY seq DESC LIMIT 5",
            "SEARCH notifications USING PRIMARY KEY (recipient_id=?)",
        ),
        (
            "SELECT n.seq FROM json_each('[]') w CROSS JOIN notifications n \
             ON n.id = w.value ->> 2 AND n.recipient_id = w.value ->> 1",
            "INDEX notifications_id (id=?",
        ),
        (
            "SELECT * FROM (SELECT seq AS changed_seq, id FROM notifications \
             WHERE recipient_id = 1 AND seq > 2 AND changed_seq = seq UNION ALL \
             SELECT changed_seq, id FROM notifications \
             WHERE recipient_id = 1 AND changed_seq > 2 AND changed_seq <> seq) \
             ORDER BY changed_seq DESC LIMIT 5",
            "MERGE (UNION ALL)",
        ),
        (
            "SELECT id, created_at FROM users NOT INDEXED \
             WHERE is_active = 1 AND id > 1 AND id <= 9 ORDER BY id LIMIT 5",
            "SEARCH users USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        ),
        (
            "SELECT id, created_at FROM users \
             WHERE role = 'admin' AND is_active = 1 AND id > 1 AND id <= 9 \
             UNION ALL SELECT id, created_at FROM users \
             WHERE role = 'super_admin' AND is_active = 1 AND id > 1 AND id <= 9 \
             ORDER BY id LIMIT 5",
            "COVERING INDEX users_active_role (role=? AND id>? AND id<?)",
        ),
        (
            "SELECT u.id, u.created_at FROM project_members m CROSS JOIN users u ON u.id = m.user_id \
             WHERE m.project_id = 1 AND m.user_id > 1 AND m.user_id <= 9 AND u.is_active = 1 \
             ORDER BY m.user_id LIMIT 5",
            "SEARCH m USING PRIMARY KEY (project_id=? AND user_id>? AND user_id<?)",
        ),
        (
            "SELECT id FROM sends WHERE status = 'ACTIVE' AND due_at <= 9 \
             AND (claim_until IS NULL OR claim_until <= 9 OR claim_owner = 'a/1') \
             ORDER BY due_at, id LIMIT 5",
            "INDEX sends_due (due_at<?)",
        ),
        (
            "SELECT id FROM comments WHERE ticket_id = 1 ORDER BY id LIMIT 5",
            "comments_ticket (ticket_id=?)",
        ),
    ];
    expect_plans(&store, &plans).await;
}

/// Asks SQLite what it would do for each statement: what is wanted, and no sorting.
pub(crate) async fn expect_plans(store: &SqliteStore, plans: &[(&str, &str)]) {
    let mut connection = beside(store).await;
    for (sql, wanted) in plans {
        let explain = format!("EXPLAIN QUERY PLAN {sql}");
        let rows: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(AssertSqlSafe(explain)).fetch_all(&mut connection).await.unwrap();
        let plan: Vec<String> = rows.into_iter().map(|row| row.3).collect();
        assert!(plan.iter().any(|line| line.contains(wanted)), "{sql}: {plan:?}");
        assert!(plan.iter().all(|line| !line.contains("TEMP B-TREE")), "{sql}: {plan:?}");
    }
}

/// How many tickets a second can be raised with 30 admins to tell, by so many at once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn commits_per_second() {
    for at_once in [1_usize, 8, 32, 128] {
        let (_directory, url) = file();
        let store = Arc::new(open(&url, hub()).await);
        let client = person(&*store, "client", "client").await;
        people(&*store, 30, "admin").await;
        let each = 2000 / at_once + 20;
        let begun = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..at_once {
            let (store, client) = (Arc::clone(&store), client.clone());
            tasks.spawn(async move {
                for _ in 0..each {
                    raise(&*store, "One", &client).await;
                }
            });
        }
        tasks.join_all().await;
        let total = u32::try_from(each * at_once).unwrap();
        let per_second = f64::from(total) / begun.elapsed().as_secs_f64();
        println!(
            "{at_once:4} at once: {per_second:8.0} commits/s, {:8.0} rows/s",
            per_second * 30.0
        );
        assert_eq!(store.head(UserId(2)).await.unwrap(), head(total.into(), total.into(), 0));
    }
}

/// How many recipients a second a send to 100,000 people reaches, in chunks of 512, and how long
/// the longest chunk takes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn recipients_per_second() {
    let (_directory, url) = file();
    let store = Arc::new(open(&url, hub()).await);
    let sql = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100000) \
               INSERT INTO users (username, full_name, role, created_at) \
               SELECT 'user' || n, '', 'client', 0 FROM n";
    let mut other = beside(&store).await;
    sqlx::query(sql).execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    for round in 1..=3 {
        let (mut longest, mut reached, begun) = (Duration::ZERO, 0, Instant::now());
        let outcome = store.begin_send(send(UserId(1), Recipients::All), 512, at(1)).await.unwrap();
        let BeginSend::Begun { send: stored, announced, mut has_more } = outcome else {
            panic!("{outcome:?}")
        };
        reached += announced.unwrap().entries.len();
        while has_more {
            let chunk_begun = Instant::now();
            let chunk = store.continue_send(&owner(), stored.id, 512, at(2)).await.unwrap();
            longest = longest.max(chunk_begun.elapsed());
            reached += chunk.announced.unwrap().entries.len();
            has_more = chunk.has_more;
        }
        let took = begun.elapsed();
        let per_second = f64::from(u32::try_from(reached).unwrap()) / took.as_secs_f64();
        println!("round {round}: {reached} in {took:?}: {per_second:.0}/s, longest {longest:?}");
        assert_eq!(store.head(UserId(99_999)).await.unwrap(), head(round, round, 0));
    }
}
