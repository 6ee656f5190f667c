//! A database is one file whatever its names, and stays it while a hub has it open.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::Caller;
use super::cli::refused;
use crate::support::process::{Process, command, folder, person, run, run_ok};
use crate::support::skip::skipped;

const ENDS: [&str; 3] = ["", "-wal", "-shm"];
/// The hub compares paths and open files every 2 s.
const NOTICED_MAX: Duration = Duration::from_secs(20);

fn beside(database: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", database.display()))
}

fn stderr(database: &Path, arguments: &[&str]) -> String {
    let output = run(database, arguments);
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn tickets(database: &Path) -> i64 {
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.query_row("SELECT count(*) FROM tickets", (), |row| row.get(0)).unwrap()
}

/// A way to lose a file, and what the log says of it.
type Loss = (&'static str, fn(&Path), &'static str);

const LOSSES: [Loss; 6] = [
    (
        "all removed",
        |at| ENDS.iter().for_each(|end| fs::remove_file(beside(at, end)).unwrap()),
        "hub.db was removed",
    ),
    ("moved", |at| fs::rename(at, at.with_file_name("other.db")).unwrap(), "hub.db was removed"),
    (
        "replaced",
        |at| {
            let other = at.with_file_name("other.db");
            run_ok(&other, &["migrate"]);
            fs::rename(other, at).unwrap();
        },
        "hub.db was replaced",
    ),
    ("log removed", |at| fs::remove_file(beside(at, "-wal")).unwrap(), "hub.db-wal was removed"),
    ("index removed", |at| fs::remove_file(beside(at, "-shm")).unwrap(), "hub.db-shm was removed"),
    (
        "folder moved",
        |at| {
            let folder = at.parent().unwrap();
            fs::rename(folder, folder.with_extension("moved")).unwrap();
        },
        "hub.db was removed",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_whose_file_is_lost_acknowledges_nothing_and_says_why() {
    for (what, lose, says) in LOSSES {
        for waits in [false, true] {
            let (folder, _) = folder();
            let inner = folder.path().join("inner");
            fs::create_dir(&inner).unwrap();
            let (database, log) = (inner.join("hub.db"), folder.path().join("log"));
            let hub = Process::serve_logged(&database, &[], &log);
            let carl = Caller::join(&database, hub.address, "carl", "client");
            carl.raise("One").await;
            lose(&database);
            let body = json!({"title": "Two", "description": "d", "priority": "LOW",
                "category": "OTHER"});
            if waits {
                // Without any request.
                let begun = Instant::now();
                while !fs::read_to_string(&log).unwrap().contains(says) {
                    assert!(begun.elapsed() < NOTICED_MAX, "{what}: nothing in the log");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            for _ in 0..3 {
                let (status, told) = carl.post("/api/tickets/", body.clone()).await;
                assert_eq!(status, 503, "{what}: {told}");
            }
            assert_eq!(carl.get("/readyz/").await.0, 503, "{what}");
            assert!(hub.terminate().success());
            let told = fs::read_to_string(&log).unwrap();
            assert!(told.contains("ERROR") && told.contains(says), "{what}: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_come_back_are_used_again_and_moved_ones_have_all_that_was_acknowledged() {
    let (folder, database) = folder();
    let away = folder.path().join("away");
    fs::create_dir(&away).unwrap();
    let to_and_fro = |from: &Path, to: &Path| {
        for end in ENDS {
            fs::rename(beside(from, end), beside(to, end)).unwrap();
        }
    };
    let hub = Process::serve(&database, &[]);
    let carl = Caller::join(&database, hub.address, "carl", "client");
    carl.raise("One").await;
    let moved = away.join("hub.db");
    to_and_fro(&database, &moved);
    let body = json!({"title": "Two", "description": "d", "priority": "LOW", "category": "OTHER"});
    assert_eq!(carl.post("/api/tickets/", body).await.0, 503);
    // The hub still has the file: no other hub may, by any name.
    let told = refused(&moved, 2, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(told.contains("in use by another hub"), "{told}");
    to_and_fro(&moved, &database);
    carl.raise("Three").await;
    assert_eq!(carl.get("/readyz/").await.0, 200);
    to_and_fro(&database, &moved);
    assert!(hub.terminate().success());
    assert!(tickets(&moved) >= 2);
    let hub = Process::serve(&moved, &[]);
    let (_, listed) = carl.moved(hub.address).get("/api/tickets/").await;
    let titles: Vec<_> = listed["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["title"].as_str().unwrap().to_owned())
        .collect();
    assert!(titles.contains(&"One".to_owned()) && titles.contains(&"Three".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_file_has_one_hub_and_one_log_by_all_its_names() {
    let (folder, link) = folder();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let file = inner.join("hub.db");
    // Also before there is a file.
    symlink("inner/hub.db", &link).unwrap();
    let hub = Process::serve(&link, &[]);
    assert!(file.exists());
    let carl = Caller::join(&link, hub.address, "carl", "client");
    for n in 0..30 {
        carl.raise(&format!("Number {n}")).await;
    }
    let chain = folder.path().join("chain.db");
    symlink(&link, &chain).unwrap();
    let sideways = folder.path().join("sideways");
    symlink(&inner, &sideways).unwrap();
    let names = [link.clone(), chain, file.clone(), sideways.join("hub.db")];
    for (n, name) in names.iter().enumerate() {
        let told = refused(name, 2, &["serve", "--listen", "127.0.0.1:0"]);
        assert!(told.contains("in use by another hub"), "{}: {told}", name.display());
        let backup = folder.path().join(format!("{n}.bak"));
        let told = run_ok(name, &["backup", backup.to_str().unwrap()]);
        assert!(told.contains("1 users, 30 tickets"), "{}: {told}", name.display());
        let output = run(&folder.path().join("new.db"), &["restore", name.to_str().unwrap()]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("is a database in use"), "{}: {told}", name.display());
    }
    hub.kill();
    assert!(!beside(&link, "-wal").exists() && !beside(&link, ".lock").exists());
    let hub = Process::serve(&names[3], &[]);
    assert_eq!(carl.moved(hub.address).get("/api/tickets/").await.1["count"], 30);
}

#[test]
fn a_file_with_several_names_is_refused_with_the_reason() {
    let (folder, database) = folder();
    person(&database, "ada", "admin");
    let second = folder.path().join("second.db");
    fs::hard_link(&database, &second).unwrap();
    let backup = folder.path().join("x.bak");
    for name in [&database, &second] {
        for arguments in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["user", "list"],
            &["migrate"],
            &["backup", backup.to_str().unwrap()],
            &["check"],
        ] {
            let output = run(name, arguments);
            let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(!output.status.success(), "{arguments:?}");
            assert!(told.contains("2 names (hard links)"), "{arguments:?}: {told}");
        }
    }
    fs::remove_file(second).unwrap();
    run_ok(&database, &["user", "list"]);
}

#[test]
fn a_file_that_is_mounted_by_itself_is_refused_with_the_reason() {
    let (folder, database) = folder();
    person(&database, "ada", "admin");
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("hub.db"), "").unwrap();
    let run = |script: &str| {
        Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
            .args([&database, &inner.join("hub.db")])
            .arg(env!("CARGO_BIN_EXE_bellpull"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
    };
    const MOUNT: &str = "mount --bind \"$1\" \"$2\"";
    match run(MOUNT) {
        Ok(output) if output.status.success() => {}
        _ => return skipped("no file system of one's own can be mounted here"),
    }
    for what in ["user list", "backup x.bak", "serve --listen 127.0.0.1:0", "check"] {
        let script = format!("{MOUNT} && exec timeout 10 \"$3\" {what} --database sqlite://\"$2\"");
        let output = run(&script).unwrap();
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!output.status.success(), "{what}");
        assert!(told.contains("mounted by itself"), "{what}: {told}");
    }
    // A folder is mounted with all that is in it.
    let script = "mount --bind \"$(dirname \"$1\")\" \"$(dirname \"$2\")\" && \
                  exec \"$3\" user list --database sqlite://\"$2\"";
    assert!(run(script).unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_tell_of_a_running_hub_and_of_a_database_that_they_make() {
    let (folder, database) = folder();
    let create = |name| {
        ["user", "create", "--username", name, "--password", "long enough", "--role", "client"]
    };
    for reads in [
        &["user", "list"][..],
        &["user", "set", "--username", "x", "--role", "client"],
        &["user", "password", "--username", "x", "--password", "long enough"],
        &["token", "--user", "x"],
    ] {
        let told = refused(&database, 2, reads);
        assert!(told.contains("no database at"), "{reads:?}: {told}");
        assert!(!database.exists(), "{reads:?}");
    }
    let path = database.display().to_string();
    let told = stderr(&database, &create("one"));
    assert!(told.contains("no database") && told.contains(&path), "{told}");
    assert_eq!(stderr(&database, &create("two")), "");
    let hub = Process::serve(&database, &[]);
    let backup = folder.path().join("x.bak");
    let backup = ["backup", backup.to_str().unwrap()];
    for arguments in [
        &create("three")[..],
        &["user", "list"],
        &["token", "--user", "one"],
        &["migrate"],
        &backup,
    ] {
        let told = stderr(&database, arguments);
        assert!(told.contains(&format!("a hub is running on {path}")), "{arguments:?}: {told}");
    }
    let output = command(&database).arg("check").output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("a hub is running on it"), "{told}");

    // Its file is gone: no other is made in its place, and none that was put there is written to.
    let away = folder.path().join("away.db");
    fs::rename(&database, &away).unwrap();
    let other = folder.path().join("other.db");
    person(&other, "eve", "admin");
    for is_replaced in [false, true] {
        if is_replaced {
            fs::rename(&other, &database).unwrap();
        }
        let before = fs::read(&database).unwrap_or_default();
        for arguments in [&create("four")[..], &["user", "list"], &["migrate"], &backup, &["check"]]
        {
            let output = run(&database, arguments);
            let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(!output.status.success(), "{arguments:?}");
            assert!(told.contains("not there any more"), "{arguments:?}: {told}");
        }
        assert_eq!(fs::read(&database).unwrap_or_default(), before);
    }
    hub.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_missing_is_told_of_where_a_hub_had_one() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    Caller::join(&database, hub.address, "carl", "client").raise("One").await;
    hub.kill();
    let away = database.with_extension("away");
    fs::rename(&database, &away).unwrap();
    let log = fs::read(beside(&database, "-wal")).unwrap();
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"]] {
        let told = refused(&database, 2, arguments);
        assert!(told.contains("hub.db-wal"), "{arguments:?}: {told}");
        assert!(!database.exists());
        assert_eq!(fs::read(beside(&database, "-wal")).unwrap(), log);
    }
    let output = run(&database, &["check"]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("hub.db-wal"));
    fs::rename(&away, &database).unwrap();
    assert_eq!(stderr(&database, &["migrate"]), "");
    assert_eq!(tickets(&database), 1);

    for end in ENDS {
        let _ = fs::remove_file(beside(&database, end));
    }
    let told = database.with_file_name("log");
    Process::serve_logged(&database, &[], &told).kill();
    let told = fs::read_to_string(told).unwrap();
    assert!(told.contains("a new, empty one is made"), "{told}");
}
