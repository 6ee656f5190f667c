//! `backup` beside a hub under load, and `restore`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::answer;
use crate::support::postgres::{Database, server};
use crate::support::process::{Process, UNLIMITED, command, folder, person, run, run_ok};
use crate::support::skip::skipped;

const WRITERS: usize = 4;
/// The largest page.
const PAGE: usize = 100;

/// Notifies a person again and again; counts what was acknowledged.
struct Load {
    is_over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicI64>,
    writers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn on(hub: &Process, token: &str, user: i64) -> Self {
        let (is_over, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<AtomicI64>::default());
        let url = format!("http://{}/api/notifications/", hub.address);
        let write = |writer: usize| {
            let (is_over, acknowledged) = (Arc::clone(&is_over), Arc::clone(&acknowledged));
            let (url, token) = (url.clone(), token.to_owned());
            tokio::spawn(async move {
                let client = bellpull::tls::client().build().unwrap();
                for n in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let title = format!("{writer}-{n}");
                    let body =
                        json!({"recipients": [user], "title": title, "message": "m".repeat(500)});
                    let (status, answered) =
                        answer(client.post(&url).bearer_auth(&token).json(&body)).await;
                    assert_eq!(status, 202, "{answered}");
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        let writers = (0..WRITERS).map(write).collect();
        Self { is_over, acknowledged, writers }
    }

    fn acknowledged(&self) -> i64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    async fn reach(&self, count: i64) {
        let begun = Instant::now();
        while self.acknowledged() < count {
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", self.acknowledged());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn end(self) -> i64 {
        self.is_over.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.await.unwrap();
        }
        self.acknowledged.load(Ordering::SeqCst)
    }
}

/// The titles of an inbox.
async fn titles(hub: &Process, token: &str) -> Vec<String> {
    let client = bellpull::tls::client().build().unwrap();
    let mut titles = Vec::new();
    for page in 1.. {
        let url = format!("http://{}/api/notifications/", hub.address);
        let query = format!("?page={page}&page_size={PAGE}");
        let (status, found) = answer(client.get(url + &query).bearer_auth(token)).await;
        assert_eq!(status, 200, "{found}");
        let rows = found["results"].as_array().unwrap();
        titles.extend(rows.iter().map(|row| row["title"].as_str().unwrap().to_owned()));
        if found["next"] == Value::Null {
            break;
        }
    }
    titles
}

/// Each writer waits for an answer before it writes again: what is there of it has no gaps.
fn check(titles: &[String], before: i64, after: i64) {
    let mut found: Vec<(usize, usize)> = titles
        .iter()
        .map(|title| title.split_once('-').unwrap())
        .map(|(writer, n)| (writer.parse().unwrap(), n.parse().unwrap()))
        .collect();
    found.sort_unstable();
    for writer in 0..WRITERS {
        let numbers = found.iter().filter(|(of, _)| *of == writer).map(|(_, n)| *n);
        assert!(numbers.enumerate().all(|(at, n)| at == n), "writer {writer}: {titles:?}");
    }
    let count = i64::try_from(found.len()).unwrap();
    // One write of each writer may be committed and not yet answered.
    assert!((before..=after).contains(&count), "{count}, not {before} to {after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_has_all_that_was_acknowledged_before_it() {
    let (folder, database) = folder();
    let hub = Process::serve(&database, &[UNLIMITED]);
    let (id, token) = person(&database, "ada", "super_admin");
    let load = Load::on(&hub, &token, id);
    let backups: Vec<_> = (0..3).map(|n| folder.path().join(format!("{n}.bak"))).collect();
    let mut known = Vec::new();
    for (n, file) in (1..).zip(&backups) {
        load.reach(n * 150).await;
        let before = load.acknowledged();
        let (database, path) = (database.clone(), file.clone());
        let told = tokio::task::spawn_blocking(move || {
            run_ok(&database, &["backup", path.to_str().unwrap()])
        });
        let told = told.await.unwrap();
        let after = load.acknowledged() + WRITERS as i64;
        let counted = told.split("1 users, 0 tickets, ").nth(1);
        let counted = counted.and_then(|text| text.strip_suffix(" notifications")).unwrap();
        assert!((before..=after).contains(&counted.parse().unwrap()), "{before} {told} {after}");
        known.push((before, after));
    }
    let acknowledged = load.end().await;
    assert!(acknowledged > 450);
    hub.kill();
    for (file, (before, after)) in backups.iter().zip(known) {
        let restored = file.with_extension("db");
        run_ok(&restored, &["restore", file.to_str().unwrap()]);
        let hub = Process::serve(&restored, &[]);
        check(&titles(&hub, &token).await, before, after);
        assert!(hub.terminate().success());
    }
}

/// Also those that are acknowledged and not in their tables yet, and none that users have deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_backup_counts_is_what_users_have() {
    let (folder, database) = folder();
    let hub = Process::serve(&database, &[UNLIMITED]);
    let (_, token) = person(&database, "ada", "super_admin");
    let client = bellpull::tls::client().build().unwrap();
    let url = |path: &str| format!("http://{}{path}", hub.address);
    let roles = folder.path().join("roles");
    std::fs::write(&roles, "client\n".repeat(49)).unwrap();
    let roles = std::fs::File::open(roles).unwrap();
    assert!(
        command(&database).arg("load-accounts").stdin(roles).output().unwrap().status.success()
    );
    let to_all = json!({"recipients": "all", "title": "t", "message": "m"});
    for n in 1..=4 {
        let send = client.post(url("/api/notifications/")).bearer_auth(&token).json(&to_all);
        assert_eq!(answer(send).await.0, 202);
        let file = folder.path().join(format!("{n}.bak"));
        let told = run_ok(&database, &["backup", file.to_str().unwrap()]);
        let counted = format!("50 users, 0 tickets, {} notifications", n * 50);
        assert!(told.contains(&counted), "{told}");
        assert!(run_ok(&database, &["check"]).contains(&counted));
    }
    let delete = client.delete(url("/api/notifications/delete-all/")).bearer_auth(&token);
    let (status, told) = answer(delete.json(&json!({}))).await;
    assert_eq!(status, 200, "{told}");
    assert!(run_ok(&database, &["check"]).contains(" 196 notifications"));
    hub.kill();
    let restored = folder.path().join("restored.db");
    let file = folder.path().join("4.bak");
    let told = run_ok(&restored, &["restore", file.to_str().unwrap()]);
    assert!(told.contains("50 users, 0 tickets, 200 notifications"), "{told}");
}

#[test]
fn what_exists_is_not_overwritten() {
    let (folder, database) = folder();
    let file = folder.path().join("hub.bak");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let fails = |database: &Path, arguments: &[&str], says: &str| {
        let output = run(database, arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        assert!(told.contains(says), "{arguments:?}: {told}");
    };
    fails(&database, &["backup", &text(&file)], "no database at");
    person(&database, "ada", "admin");
    run_ok(&database, &["backup", &text(&file)]);
    fails(&database, &["backup", &text(&file)], "exists already");
    fails(&database, &["restore", &text(&file)], "is not empty (1 users");
    let (_other, empty) = self::folder();
    let hub = Process::serve(&empty, &[]);
    fails(&folder.path().join("new.db"), &["restore", &text(&empty)], "is a database in use");
    fails(&empty, &["restore", &text(&file)], "in use by another hub");
    assert!(hub.terminate().success());
    run_ok(&empty, &["restore", &text(&file)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_postgresql_is_dumped_and_restored() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let (folder, file) = folder();
    let (from, into) = (Database::blank().await, Database::blank().await);
    let on = |database: &Database| {
        let mut url = reqwest::Url::parse(&database.url()).unwrap();
        url.set_password(Some("hunter2")).unwrap();
        url.to_string()
    };
    let run = |url: &str, arguments: &[&str]| {
        let output = command(&file).env("BELLPULL_DATABASE_URL", url).args(arguments).output();
        let output = output.unwrap();
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!told.contains("hunter2"), "{told}");
        (output.status.success(), told)
    };
    let create = ["user", "create", "--username", "ada", "--password", "correct horse"];
    assert!(run(&on(&from), &[&create[..], &["--role", "admin"]].concat()).0);
    let dump = folder.path().join("hub.dump");
    let dump = dump.to_str().unwrap();
    let (is_done, told) = run(&on(&from), &["backup", dump]);
    assert!(is_done, "{told}");
    let (is_done, told) = run(&on(&from), &["restore", dump]);
    assert!(!is_done && told.contains("is not empty"), "{told}");
    let (is_done, told) = run(&on(&into), &["restore", dump]);
    assert!(is_done, "{told}");
    let (is_done, told) = run(&on(&into), &["user", "list"]);
    assert!(is_done && told.contains("\"ada\""), "{told}");
}

/// A database's owner, who is no superuser, beside a framework and an administrator.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_holds_the_hubs_own_tables_and_its_owner_restores_it() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let (folder, file) = folder();
    let role = format!("r{:016x}", fastrand::u64(..));
    let (from, into) = (Database::blank().await, Database::blank().await);
    from.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'hunter2'")).await;
    let on = |database: &Database, schema: &str| {
        let mut url = reqwest::Url::parse(&database.url()).unwrap();
        url.set_username(&role).unwrap();
        url.set_password(Some("hunter2")).unwrap();
        if schema != "public" {
            url.query_pairs_mut().append_pair("options", &format!("-csearch_path={schema}"));
        }
        url.to_string()
    };
    let run = |url: &str, arguments: &[&str]| {
        let output = command(&file).env("BELLPULL_DATABASE_URL", url).args(arguments).output();
        let output = output.unwrap();
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{arguments:?}: {told}");
        told
    };
    for schema in ["public", "desk"] {
        for database in [&from, &into] {
            let sql = format!(
                "CREATE SCHEMA IF NOT EXISTS {schema}; \
                 GRANT ALL ON SCHEMA {schema} TO {role}; \
                 CREATE EXTENSION IF NOT EXISTS pg_stat_statements SCHEMA {schema}; \
                 CREATE TABLE {schema}.auth_user (id bigserial PRIMARY KEY, name text); \
                 CREATE TABLE {schema}.\"A DBA's note\" (a int); \
                 CREATE VIEW {schema}.names AS SELECT name FROM {schema}.auth_user; \
                 CREATE SEQUENCE {schema}.loose; \
                 CREATE FUNCTION {schema}.theirs(a int) RETURNS int LANGUAGE sql AS 'SELECT a'; \
                 REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM PUBLIC"
            );
            database.execute(&sql).await;
        }
        let create = ["user", "create", "--username", "ada", "--password", "correct horse"];
        run(&on(&from, schema), &[&create[..], &["--role", "admin"]].concat());
        let dump = folder.path().join(format!("{schema}.dump"));
        let dump = dump.to_str().unwrap();
        run(&on(&from, schema), &["backup", dump]);
        run(&on(&into, schema), &["restore", dump]);
        assert!(run(&on(&into, schema), &["user", "list"]).contains("\"ada\""));
        // Its sequences and triggers go on.
        let create = ["user", "create", "--username", "bob", "--password", "correct horse"];
        let bob = run(&on(&into, schema), &[&create[..], &["--role", "client"]].concat());
        assert!(bob.contains("\"id\":2"), "{bob}");
        for database in [&from, &into] {
            let sql = format!("DROP EXTENSION pg_stat_statements; DROP SCHEMA {schema} CASCADE");
            database.execute(&sql).await;
        }
    }
    // A dump of everything, as other versions of this program made it.
    for database in [&from, &into] {
        let sql = format!(
            "CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO {role}; \
             CREATE EXTENSION pg_stat_statements"
        );
        database.execute(&sql).await;
    }
    let create = ["user", "create", "--username", "ada", "--password", "correct horse"];
    run(&on(&from, "public"), &[&create[..], &["--role", "admin"]].concat());
    let dump = folder.path().join("all.dump");
    let output = std::process::Command::new("pg_dump")
        .args(["--format=custom", "--no-owner", "--no-privileges", "--file"])
        .arg(&dump)
        // sqlx adds parameters that are its own.
        .arg(from.url().split('?').next().unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    run(&on(&into, "public"), &["restore", dump.to_str().unwrap()]);
    assert!(run(&on(&into, "public"), &["user", "list"]).contains("\"ada\""));
    // Into another schema: refused, by both names, before anything is written.
    let sql = format!(
        "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE SCHEMA desk; \
        GRANT ALL ON SCHEMA public, desk TO {role}"
    );
    into.execute(&sql).await;
    let output = command(&file)
        .env("BELLPULL_DATABASE_URL", on(&into, "desk"))
        .args(["restore", dump.to_str().unwrap()])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("in the schema public"), "{told}");
    assert!(told.contains("search_path leads to desk"), "{told}");
    run(&on(&into, "public"), &["restore", dump.to_str().unwrap()]);
    let drop_role = format!("DROP OWNED BY {role}");
    for database in [&from, &into] {
        database.execute(&drop_role).await;
    }
    from.execute(&format!("DROP ROLE {role}")).await;
}
