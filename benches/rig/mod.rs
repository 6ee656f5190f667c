//! What the benches share: a hub in a process of its own, lean clients, and figures.
//!
//! The clients are plain sockets with hand-made requests, so that the hub is measured and not the
//! tool beside it on the same cores.

#![allow(dead_code, reason = "each bench uses its own part")]

pub mod adapter;
pub mod crowd;
pub mod http;
pub mod postgres;
pub mod sink;
pub mod socket;
pub mod sqlite;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bellpull::storage::{self, StoreOptions};
use bellpull_domain::address::Addresses;
use bellpull_domain::user::Origin;
use bellpull_port::accounts::NewUser;
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde_json::json;

/// Signs the benches' tokens.
pub const SECRET: &str = "a secret of the benches alone, for signing";

/// A hub in a process of its own.
pub struct Hub {
    process: Child,
    pub address: std::net::SocketAddr,
}

impl Hub {
    /// Starts the binary on a database file.
    pub fn start(database: &Path) -> Self {
        Self::start_with(database, &[])
    }

    /// The same with other settings.
    pub fn start_with(database: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_at(&format!("sqlite://{}", database.display()), settings)
    }

    /// The same on a database of any kind.
    pub fn start_at(url: &str, settings: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_bellpull"));
        let process = process
            .args(["serve", "--listen", "127.0.0.1:0", "--jwt-secret", SECRET])
            .args(["--database", url])
            .env("BELLPULL_LOG_FILTER", "warn")
            // All of ten thousand users connect from eight addresses.
            .env("BELLPULL_WS_HANDSHAKES_PER_S", "0")
            // And one account writes as fast as the hub accepts.
            .env("BELLPULL_HTTP_WRITES_PER_S", "0")
            .envs(settings.iter().copied());
        Self::of(process)
    }

    /// Starts the two threads that only write, in place of the hub.
    pub fn bare_loop() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_bellpull"));
        // It ends with its input, which is ours.
        Self::of(process.args(["load", "bare-loop"]).stdin(Stdio::piped()))
    }

    fn of(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the hub starts");
        let stdout = process.stdout.take().expect("stdout is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("the hub says where it is");
        let address = line.trim().rsplit('/').next().and_then(|at| at.parse().ok());
        Self { process, address: address.unwrap_or_else(|| panic!("no address in {line:?}")) }
    }

    /// CPU time so far, user and system: of the whole process, and of the thread that writes the
    /// store. With a resolution of 10 ms.
    pub fn cpu(&self) -> (Duration, Duration) {
        let folder = format!("/proc/{}", self.process.id());
        let writer = std::fs::read_dir(format!("{folder}/task"))
            .expect("the hub lives")
            .filter_map(Result::ok)
            .map(|task| task.path())
            .find(|task| {
                let name = std::fs::read_to_string(task.join("comm"));
                name.is_ok_and(|name| name.trim() == "sqlite-writer")
            });
        let writer = writer.expect("the store's thread");
        (ticks(Path::new(&folder)), ticks(&writer))
    }

    /// The resident memory of the process, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).expect("the hub lives");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }
}

/// The CPU time in a `stat` file.
fn ticks(folder: &Path) -> Duration {
    let stat = std::fs::read_to_string(folder.join("stat")).expect("the hub lives");
    let fields = stat.rsplit(") ").next().expect("fields");
    let times = fields.split(' ').skip(11).take(2);
    let ticks: u64 = times.map(|field| field.parse::<u64>().expect("ticks")).sum();
    // A tick is a hundredth of a second on every Linux in use.
    Duration::from_millis(ticks * 10)
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A user.
#[derive(Debug, Clone)]
pub struct Account {
    pub id: i64,
    pub token: String,
}

/// Creates accounts directly in the store (hashing passwords is not what is measured).
pub async fn accounts(database: &Path, roles: &[(&str, usize)]) -> Vec<Vec<Account>> {
    accounts_at(&format!("sqlite://{}", database.display()), roles).await
}

/// The same in a database of any kind.
pub async fn accounts_at(url: &str, roles: &[(&str, usize)]) -> Vec<Vec<Account>> {
    let store = storage::open(url, StoreOptions::default()).await.expect("a store");
    let mut all = Vec::new();
    for (role, count) in roles {
        let create = |n: usize| {
            let new = NewUser {
                id: None,
                origin: Origin::Hub,
                username: format!("{role}{n}"),
                addresses: Addresses::default(),
                full_name: String::new(),
                role: role.parse().expect("a role"),
                is_email_verified: true,
                password_hash: None,
                now: Timestamp::now(),
            };
            let store = &store;
            async move { store.create_user(new, None).await.map(|(user, _)| user.id.0) }
        };
        let ids: Vec<i64> = futures_util::stream::iter((0..*count).map(create))
            .buffered(256)
            .try_collect()
            .await
            .expect("accounts");
        all.push(ids.into_iter().map(|id| Account { id, token: token(id) }).collect());
    }
    store.close().await;
    all
}

#[expect(clippy::disallowed_methods, reason = "a server reads its tokens by this clock")]
fn token(user: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let claims = json!({"user_id": user, "token_type": "access", "exp": now + 86_400});
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("a token")
}

/// The middle of three.
pub fn median(mut three: Vec<f64>) -> f64 {
    three.sort_by(f64::total_cmp);
    three[three.len() / 2]
}

/// A time in milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
