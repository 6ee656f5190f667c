//! The database's files: who may read them, which are refused, and what is said of those that
//! cannot be used.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Caller;
use super::cli::{files_beside, refused};
use crate::support::postgres::{Database, server};
use crate::support::process::{Process, command, folder, run, run_ok};
use crate::support::skip::skipped;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn beside(database: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", database.display()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_databases_files_are_for_their_owner_alone() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    Caller::join(&database, hub.address, "carl", "client").raise("One").await;
    for end in ["", "-wal", "-shm", ".lock"] {
        assert_eq!(mode(&beside(&database, end)), 0o600, "hub.db{end}");
    }
    assert!(hub.terminate().success());
    assert_eq!(files_beside(&database), ["hub.db", "hub.db.positions"]);
    assert_eq!(mode(&beside(&database, ".positions")), 0o600);

    // What was made by an earlier version is tightened, and the log says so.
    fs::set_permissions(&database, fs::Permissions::from_mode(0o644)).unwrap();
    let log = database.with_file_name("log");
    let hub = Process::serve_logged(&database, &[], &log);
    for end in ["", "-wal", "-shm", ".lock"] {
        assert_eq!(mode(&beside(&database, end)), 0o600, "hub.db{end}");
    }
    assert!(hub.terminate().success());
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("644") && log.contains("600"), "{log}");
}

#[test]
fn a_file_that_is_no_database_of_a_hub_is_refused_and_left_as_it_is() {
    let (_folder, database) = folder();
    let other = |sql: &str| {
        let _ = fs::remove_file(&database);
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection.execute_batch(sql).unwrap();
        drop(connection);
        fs::read(&database).unwrap()
    };
    let empty = Vec::new();
    let text = b"this is no database, and never was one".to_vec();
    let foreign = other("CREATE TABLE songs (name TEXT); INSERT INTO songs VALUES ('x');");
    let marked = other("PRAGMA application_id = 1196444487; CREATE TABLE users (id INTEGER);");
    for (what, bytes) in [
        ("is empty", empty),
        ("is not a SQLite", text),
        ("another program", foreign),
        ("another program", marked),
    ] {
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"]] {
            fs::write(&database, &bytes).unwrap();
            let told = refused(&database, 2, command);
            assert!(told.starts_with("database_url: ") && told.contains(what), "{what}: {told}");
            assert_eq!(fs::read(&database).unwrap(), bytes, "{what}: it was changed");
            assert_eq!(files_beside(&database), ["hub.db"], "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_is_named_at_the_start_unless_it_is_not_looked_at() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let carl = Caller::join(&database, hub.address, "carl", "client");
    for n in 0..40 {
        carl.raise(&format!("Number {n}")).await;
    }
    assert!(hub.terminate().success());
    // A row of the tickets' table is written over, as a bad disk would.
    let mut bytes = fs::read(&database).unwrap();
    let connection = rusqlite::Connection::open(&database).unwrap();
    let root: i64 = connection
        .query_row("SELECT rootpage FROM sqlite_master WHERE name = 'tickets'", [], |row| {
            row.get(0)
        })
        .unwrap();
    drop(connection);
    let page = usize::try_from(root - 1).unwrap() * 4096;
    bytes[page + 8..page + 64].fill(0xA5);
    fs::write(&database, &bytes).unwrap();

    let told = refused(&database, 2, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(told.starts_with("database_url: ") && told.contains("damaged"), "{told}");
    assert_eq!(files_beside(&database), ["hub.db", "hub.db.positions"]);
    let hub = Process::serve(&database, &[("BELLPULL_DATABASE_CHECK_MAX_MIB", "0")]);
    hub.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_is_named_by_each_command_until_it_is_accepted() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let carl = Caller::join(&database, hub.address, "carl", "client");
    for n in 0..30 {
        carl.raise(&format!("Number {n}")).await;
    }
    hub.kill();
    let log = beside(&database, "-wal");
    let mut bytes = fs::read(&log).unwrap();
    let third = bytes.len() / 3;
    bytes[third] ^= 0x10;
    fs::write(&log, &bytes).unwrap();

    let backup = database.with_file_name("x.bak");
    for arguments in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["user", "list"],
        &["migrate"],
        &["backup", backup.to_str().unwrap()],
        &["check"],
    ] {
        let output = run(&database, arguments);
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!output.status.success(), "{arguments:?}: {told}");
        assert!(told.contains("hub.db-wal is damaged: page "), "{arguments:?}: {told}");
        assert_eq!(fs::read(&log).unwrap(), bytes, "{arguments:?}: the log was changed");
    }
    let told = database.with_file_name("log");
    let hub = Process::serve_logged(&database, &[("BELLPULL_DATABASE_CHECK_MAX_MIB", "0")], &told);
    let told = fs::read_to_string(told).unwrap();
    assert!(told.contains("what follows is lost") && told.contains("hub.db-wal.damaged"), "{told}");
    assert_eq!(fs::read(beside(&database, "-wal.damaged")).unwrap(), bytes);
    // And the next start is as any.
    hub.kill();
    Process::serve(&database, &[]).kill();
}

/// The same words on both stores, whichever command opens the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_newer_version_is_said_to_be_one() {
    let (folder, file) = folder();
    run_ok(&file, &["migrate"]);
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                 execution_time) VALUES (9998, 'x', TRUE, '', 0), (9999, 'x', TRUE, '', 0)";
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.execute_batch(&later.replace("''", "x''")).unwrap();
    drop(connection);
    let mut urls = vec![format!("sqlite://{}", file.display())];
    let database = if server().is_some() { Some(Database::create().await) } else { None };
    if let Some(database) = &database {
        database.execute(later).await;
        database.execute("INSERT INTO settings VALUES ('readable_from', '9998')").await;
        urls.push(database.url());
    }
    let restored = folder.path().join("restored.db");
    for url in &urls {
        for arguments in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["migrate"],
            &["user", "list"],
            &["token", "--user", "x"],
            &["nodes"],
            &["check"],
        ] {
            let mut command = command(&file);
            let output = command.env("BELLPULL_DATABASE_URL", url).args(arguments).output();
            let output = output.unwrap();
            let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(!output.status.success(), "{url} {arguments:?}: {told}");
            let says = "was migrated by a newer version of bellpull (migration 9999 is unknown \
                        here): run that version or a later one";
            assert!(told.contains(says), "{url} {arguments:?}: {told}");
        }
    }
    let output = run(&restored, &["restore", file.to_str().unwrap()]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("migration 9999 is unknown here"));
}

#[test]
fn a_full_disk_is_named_at_the_start() {
    let (folder, _) = folder();
    let mount = folder.path().join("small");
    fs::create_dir(&mount).unwrap();
    // A file system of 64 KiB, in a name space of its own that ends with the command.
    let script = "mount -t tmpfs -o size=64k none \"$1\" && cd \"$1\" && exec \"$2\" serve \
                  --listen 127.0.0.1:0 --database sqlite://hub.db";
    let run = |script: &str| {
        Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
            .arg(&mount)
            .arg(env!("CARGO_BIN_EXE_bellpull"))
            .stdin(Stdio::null())
            .output()
    };
    match run("mount -t tmpfs -o size=64k none \"$1\"") {
        Ok(output) if output.status.success() => {}
        _ => return skipped("no file system of one's own can be mounted here"),
    }
    let output = run(script).unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("bellpull: database_url: ") && told.contains(": the disk is full"),
        "{told}"
    );
}

#[test]
fn too_few_files_are_named_with_both_numbers() {
    let (_folder, database) = folder();
    let serve = |soft: &str, hard: &str, most: &str| {
        let script = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$@\"");
        let log = database.with_file_name("log");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_bellpull")]);
        let hub =
            Process::serve_as(command, &database, &[("BELLPULL_WS_MAX_CONNECTIONS", most)], &log);
        let limits = fs::read_to_string(format!("/proc/{}/limits", hub.pid())).unwrap();
        assert!(hub.terminate().success());
        let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let soft = files.split_whitespace().nth(3).unwrap().to_owned();
        (soft, fs::read_to_string(log).unwrap())
    };
    let (soft, log) = serve("256", "2048", "100000");
    assert_eq!(soft, "2048", "the soft limit is raised to the hard one");
    assert!(log.contains("100000") && log.contains("2048"), "{log}");
    let (soft, log) = serve("256", "2048", "1000");
    assert_eq!((soft.as_str(), log.as_str()), ("2048", ""), "there are enough");
    run_ok(&database, &["migrate"]);
}
