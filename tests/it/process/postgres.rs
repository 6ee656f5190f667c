//! The commands on a PostgreSQL database. No output shows its password.

use std::path::PathBuf;
use std::process::Output;

use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::support::postgres::{Database, server};
use crate::support::process::{Process, command, folder};
use crate::support::skip::skipped;

/// A password that the test's server does not ask for.
const PASSWORD: &str = "hunter2";

/// A database without tables, and a folder in which no file must be made.
struct Place {
    _database: Database,
    _folder: TempDir,
    file: PathBuf,
    url: String,
}

impl Place {
    async fn make() -> Self {
        let database = Database::blank().await;
        let mut url = reqwest::Url::parse(&database.url()).unwrap();
        url.set_password(Some(PASSWORD)).unwrap();
        let (folder, file) = folder();
        Self { _database: database, _folder: folder, file, url: url.to_string() }
    }

    /// Runs a command; whether it succeeded, and all that it printed.
    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = command(&self.file);
        let command = command.env("BELLPULL_DATABASE_URL", &self.url).args(arguments);
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = String::from_utf8([stdout, stderr].concat()).unwrap();
        assert!(!text.contains(PASSWORD), "{arguments:?}: {text}");
        assert!(!self.file.exists(), "{arguments:?} made a file");
        (status.success(), text)
    }
}

#[tokio::test]
async fn a_database_is_named_without_its_password() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let place = Place::make().await;
    let (is_done, told) = place.run(&["tree"]);
    assert!(!is_done && told.contains("no hub is running on postgres://"), "{told}");
    let (is_done, told) = place.run(&["token", "--user", "stranger"]);
    assert!(!is_done && told.contains("stranger"), "{told}");
}

#[tokio::test]
async fn accounts_are_made_and_two_hubs_serve_one_database() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let place = Place::make().await;
    for _ in 0..2 {
        let (is_done, told) = place.run(&["migrate"]);
        assert!(is_done && told.starts_with("postgres://"), "{told}");
        assert!(told.contains(" is up to date"), "{told}");
    }
    let create = ["user", "create", "--role", "admin", "--username", "ann"];
    let create = [&create[..], &["--password", "long enough"]].concat();
    assert!(place.run(&create).0);
    assert!(!place.run(&create).0, "the name is taken");
    let (is_done, token) = place.run(&["token", "--user", "ann"]);
    assert!(is_done, "{token}");
    let settings = [("BELLPULL_DATABASE_URL", place.url.as_str())];
    let hubs = [(); 2].map(|()| Process::serve(&place.file, &settings));
    let client = bellpull::tls::client().build().unwrap();
    for hub in &hubs {
        let request = client.get(format!("http://{}/api/auth/me/", hub.address));
        let response = request.bearer_auth(token.trim()).send().await.unwrap();
        assert_eq!(response.status(), 200);
    }
    // A ticket of one is good at the other, once.
    let issue = client.post(format!("http://{}/api/auth/ws-ticket/", hubs[0].address));
    let issued = issue.bearer_auth(token.trim()).send().await.unwrap();
    assert_eq!(issued.status(), 200);
    let issued: serde_json::Value = issued.json().await.unwrap();
    let ticket = issued["ticket"].as_str().unwrap();
    let statuses = [1, 0, 1].map(|hub: usize| {
        let stream = format!("/api/notifications/stream/?ticket={ticket}");
        client.get(format!("http://{}{stream}", hubs[hub].address)).send()
    });
    let mut told = Vec::new();
    for status in statuses {
        told.push(status.await.unwrap().status().as_u16());
    }
    assert_eq!(told, [200, 401, 401]);
    for hub in hubs {
        assert!(hub.terminate().success());
    }
}

#[tokio::test]
async fn a_server_that_does_not_sync_is_warned_of() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let place = Place::make().await;
    let mut connection = PgConnection::connect(&place.url).await.unwrap();
    let fsync: String = sqlx::query_scalar("SHOW fsync").fetch_one(&mut connection).await.unwrap();
    let log = place.file.with_file_name("log");
    let settings = [("BELLPULL_DATABASE_URL", place.url.as_str())];
    let hub = Process::serve_logged(&place.file, &settings, &log);
    let told = std::fs::read_to_string(&log).unwrap();
    assert_eq!(
        told.contains("setting=\"fsync\"") || told.contains("setting=fsync"),
        fsync == "off",
        "{told}"
    );
    assert!(hub.terminate().success());
}
