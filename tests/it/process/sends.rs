//! Sends to many over kills of the process, and `notify`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bellpull::storage::{self, StoreOptions};
use bellpull_domain::address::Addresses;
use bellpull_domain::ids::UserId;
use bellpull_domain::user::Origin;
use bellpull_port::Store;
use bellpull_port::accounts::NewUser;
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;

use super::{Caller, PATIENCE};
use crate::support::process::{Process, folder, run, run_ok};
use crate::support::{SECRET, now_s, sign};

const STUDENTS: usize = 4_000;
const SENDS: i64 = 6;

async fn open(database: &Path) -> Arc<dyn Store> {
    let url = format!("sqlite://{}", database.display());
    storage::open(&url, StoreOptions::default()).await.unwrap()
}

/// Makes accounts straight in the store; their ids.
async fn accounts(database: &Path, role: &str, count: usize) -> Vec<i64> {
    let store = open(database).await;
    let create = |n: usize| {
        let new = NewUser {
            id: None,
            origin: Origin::Hub,
            username: format!("{role}{n}"),
            addresses: Addresses::default(),
            full_name: String::new(),
            role: role.parse().unwrap(),
            is_email_verified: true,
            password_hash: None,
            now: Timestamp::now(),
        };
        let store = &store;
        async move { store.create_user(new, None).await.map(|(user, _)| user.id.0) }
    };
    let ids = futures_util::stream::iter((0..count).map(create)).buffered(256).try_collect().await;
    store.close().await;
    ids.unwrap()
}

fn caller(id: i64, hub: &Process) -> Caller {
    let claims = json!({"user_id": id, "token_type": "access", "exp": now_s() + 3_600});
    Caller { id, token: sign(&claims), at: hub.address }
}

/// How many of them have so many notifications.
async fn with(database: &Path, users: &[i64], last_seq: i64) -> usize {
    let store = open(database).await;
    let reads = users.iter().map(|user| store.head(UserId(*user)));
    let heads = futures_util::future::join_all(reads).await;
    store.close().await;
    heads.into_iter().filter(|head| head.as_ref().unwrap().last_seq.0 == last_seq).count()
}

/// Runs a statement in the database, beside the hub.
async fn execute(database: &Path, sql: &str) {
    let options = SqliteConnectOptions::new().filename(database).busy_timeout(PATIENCE);
    let mut connection = options.connect().await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Lets no send come further than this account: a chunk that would is not written.
async fn hold_sends_at(database: &Path, user: i64) {
    let trigger = format!(
        "CREATE TRIGGER hold BEFORE UPDATE OF cursor ON sends WHEN new.cursor > {user} \
         BEGIN SELECT RAISE(ABORT, 'held'); END"
    );
    execute(database, &trigger).await;
}

/// Watches one inbox for ever, coming back with the last number seen.
async fn watch_inbox(token: String, at: watch::Receiver<SocketAddr>, seen: Arc<Mutex<Vec<i64>>>) {
    loop {
        let since = seen.lock().unwrap().last().copied().unwrap_or(0);
        let at = *at.borrow();
        let url = format!("ws://{at}/ws/notifications/?token={token}&since={since}");
        if let Ok((mut socket, _)) = tokio_tungstenite::connect_async(url).await {
            while let Some(Ok(Message::Text(text))) = socket.next().await {
                let frame: Value = serde_json::from_str(&text).unwrap();
                seen.lock().unwrap().extend(frame["seq"].as_i64());
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_goes_on_after_a_kill_where_it_was_and_each_recipient_has_it_once() {
    let (_folder, database) = folder();
    let admin = accounts(&database, "admin", 1).await[0];
    let students = accounts(&database, "student", STUDENTS).await;
    let settings = [("BELLPULL_JWT_SECRET", SECRET)];
    let mut hub = Process::serve(&database, &settings);
    let (place, at) = watch::channel(hub.address);
    let watched = [students[0], students[STUDENTS / 2], students[STUDENTS - 1]];
    let seen = watched.map(|_| Arc::new(Mutex::new(Vec::new())));
    for (user, seen) in watched.into_iter().zip(&seen) {
        tokio::spawn(watch_inbox(caller(user, &hub).token, at.clone(), Arc::clone(seen)));
    }
    for nth in 1..=SENDS {
        // One chunk further each time, and never to the end: every kill comes in the middle.
        let held_at = students[512 * usize::try_from(nth).unwrap()];
        hold_sends_at(&database, held_at).await;
        let body = json!({"recipients": {"role": "student"}, "title": "x", "message": "y"});
        let (status, told) = caller(admin, &hub).post("/api/notifications/", body).await;
        assert_eq!((status, &told["recipients"]), (202, &json!(STUDENTS)), "{told}");
        // A little later each time: somewhere among its eight chunks.
        tokio::time::sleep(Duration::from_millis(nth.unsigned_abs() * 8)).await;
        hub.kill();
        let reached = with(&database, &students, nth).await;
        assert!(reached >= 512, "the first chunk was acknowledged: {reached}");
        assert!(reached < STUDENTS, "the kill came in the middle of the send: {reached}");
        execute(&database, "DROP TRIGGER hold").await;
        hub = Process::serve(&database, &settings);
        place.send_replace(hub.address);
        let deadline = Instant::now() + PATIENCE;
        while with(&database, &students, nth).await < STUDENTS {
            assert!(Instant::now() < deadline, "send {nth} does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let wanted: Vec<i64> = (1..=SENDS).collect();
    for seen in &seen {
        let deadline = Instant::now() + PATIENCE;
        while seen.lock().unwrap().len() < wanted.len() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(*seen.lock().unwrap(), wanted, "each once, in order, over all reconnects");
    }
    let root = accounts(&database, "super_admin", 1).await[0];
    let (_, tree) = caller(root, &hub).get("/api/operator/tree/").await;
    let children = tree["children"].as_array().unwrap();
    let scheduler = children.iter().find(|child| child["path"] == "scheduler").unwrap();
    assert_eq!(
        (&scheduler["state"], &scheduler["observed"]["due_sends"]),
        (&json!("running"), &json!(0))
    );
    assert!(hub.terminate().success());
    assert_eq!(with(&database, &students, SENDS).await, STUDENTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notify_sends_through_the_running_hub_and_prints_what_was_sent() {
    let (_folder, database) = folder();
    let refused = |more: &[&str], code: i32, wanted: &str| {
        let mut arguments = vec!["notify", "--title", "Deploy", "--message", "Version 2.1"];
        arguments.extend(more);
        let output = run(&database, &arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{more:?}: {stderr}");
        assert!(stderr.lines().count() == 1 && stderr.contains(wanted), "{more:?}: {stderr}");
        assert!(output.stdout.is_empty());
    };
    refused(&["--user-id", "1"], 2, "database_url: no database at ");
    crate::support::process::run_ok(&database, &["migrate"]);
    refused(&["--user-id", "1"], 1, "no hub is running on sqlite://");
    let hub = Process::serve(&database, &[("BELLPULL_OPERATOR_LISTEN", "127.0.0.1:0")]);
    let ada = Caller::join(&database, hub.address, "ada", "developer");
    let admin = Caller::join(&database, hub.address, "admin", "admin");
    let mut socket = ada.socket("").await;
    let id = ada.id.to_string();
    let mut arguments = vec!["notify", "--user-id", &id, "--title", "Deploy"];
    arguments.extend(["--message", "Version 2.1", "--type", "deploy", "--link", "/releases/"]);
    let printed = run_ok(&database, &arguments);
    assert_eq!(printed.lines().count(), 1);
    let row: Value = serde_json::from_str(&printed).unwrap();
    for (key, value) in [
        ("recipient", json!(ada.id)),
        ("title", json!("Deploy")),
        ("body", json!("Version 2.1")),
        ("event", json!("deploy")),
        ("action_url", json!("/releases/")),
        ("is_read", json!(false)),
    ] {
        assert_eq!(row[key], value, "{key}");
    }
    assert_eq!(socket.next().await["seq"], row["seq"]);

    // A kind in capitals is a kind; an address and an admin's token need no database.
    let url = format!("http://{}", hub.address);
    let mut arguments = vec!["notify", "--user-id", &id, "--title", "-", "--message", "--"];
    arguments.extend(["--type", "WARNING", "--url", &url, "--token", &admin.token]);
    let row: Value = serde_json::from_str(&run_ok(&database, &arguments)).unwrap();
    assert_eq!((&row["type"], &row["event"]), (&json!("WARNING"), &json!("general")));
    assert_eq!((&row["title"], &row["sender"]), (&json!("-"), &json!(admin.id)));

    refused(&["--user-id", "4711"], 1, "--user-id: there is no user 4711");
    refused(&["--user-id", "0"], 2, "--user-id");
    refused(&["--user-id", &id, "--link", "javascript:x"], 2, "--link: ");
    refused(&["--user-id", &id, "--type", &"x".repeat(65)], 2, "--type: ");
    refused(&["--user-id", &id, "--token", &ada.token], 1, "does not take the token");
    refused(&["--user-id", &id, "--url", "ftp://x"], 2, "--url: ");
    assert!(hub.terminate().success());
    refused(&["--user-id", &id], 1, "no hub is running on sqlite://");
}
