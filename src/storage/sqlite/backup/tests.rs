//! On files of their own, with commits between any two steps.

use rusqlite::Connection;

use super::*;

fn hub_file(folder: &Path) -> (PathBuf, String, Connection) {
    let path = folder.join("hub.db");
    let url = format!("sqlite://{}", path.display());
    super::super::file::prepare(&path).unwrap();
    let connection = Connection::open(&path).unwrap();
    let sql = "PRAGMA journal_mode = wal; PRAGMA synchronous = full;
        CREATE TABLE users (id INTEGER PRIMARY KEY);
        CREATE TABLE tickets (id INTEGER PRIMARY KEY);
        CREATE TABLE inboxes (id INTEGER PRIMARY KEY, text TEXT);
        CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT);
        CREATE TABLE _sqlx_migrations (version INTEGER);
        INSERT INTO settings VALUES ('epoch', 'old'); INSERT INTO _sqlx_migrations VALUES (1);
        INSERT INTO users VALUES (1);";
    connection.execute_batch(sql).unwrap();
    (path, url, connection)
}

fn write(connection: &Connection, rows: usize) {
    for _ in 0..rows {
        let sql = "INSERT INTO inboxes (text) VALUES (?1)";
        connection.execute(sql, ["x".repeat(2_000)]).unwrap();
    }
}

/// Committed while the file is copied, with checkpoints in between, up to the last report.
#[test]
fn what_is_committed_during_the_backup_is_in_it() {
    for checkpointed_before in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (_, url, connection) = hub_file(folder.path());
        write(&connection, 2_000);
        let checkpoint = |connection: &Connection| {
            let sql = "PRAGMA wal_checkpoint(PASSIVE)";
            connection.query_row(sql, (), |_| Ok(())).unwrap();
        };
        if checkpointed_before {
            checkpoint(&connection);
        }
        let into = folder.path().join("copy.bak");
        let mut reports = 0;
        let mut told = |done: u64, total: u64| {
            reports += 1;
            assert!(done <= total);
            write(&connection, 300);
            checkpoint(&connection);
        };
        let contents = backup(&url, &into, &mut told).unwrap();
        assert!(reports >= 1);
        assert_eq!(contents.notifications, 2_000 + 300 * reports);
        let copy = Connection::open(&into).unwrap();
        let rows: i64 = copy.query_row("SELECT count(*) FROM inboxes", (), |r| r.get(0)).unwrap();
        assert_eq!(rows, contents.notifications);
        assert_eq!(into.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 4, "the database with its log and index, and the backup");
    }
}

#[test]
fn a_backup_becomes_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let (_, url, connection) = hub_file(folder.path());
    write(&connection, 10);
    let into = folder.path().join("copy.bak");
    backup(&url, &into, &mut |_, _| {}).unwrap();
    assert!(matches!(backup(&url, &into, &mut |_, _| {}), Err(BackupError::Exists(_))));
    let restored = folder.path().join("restored.db");
    let to = format!("sqlite://{}", restored.display());
    // A new one, and one without rows whose log still has something in it.
    let (empty, empty_url, open) = {
        std::fs::create_dir(folder.path().join("other")).unwrap();
        hub_file(&folder.path().join("other"))
    };
    open.execute_batch("DELETE FROM users").unwrap();
    drop(open);
    for (file, url) in [(&restored, &to), (&empty, &empty_url)] {
        let contents = restore(url, &into, "new", &mut |_, _| {}).unwrap();
        assert_eq!(contents, Contents { users: 1, tickets: 0, notifications: 10 });
        let connection = Connection::open(file).unwrap();
        let sql = "SELECT value FROM settings WHERE name = 'epoch'";
        let epoch: String = connection.query_row(sql, (), |row| row.get(0)).unwrap();
        assert_eq!(epoch, "new");
    }
    let error = restore(&to, &into, "new", &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("not empty (1 users, 0 tickets, 10 notifications)"), "{error}");
}

#[test]
fn what_is_no_backup_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (_, url, connection) = hub_file(folder.path());
    write(&connection, 200);
    backup(&url, &at("good"), &mut |_, _| {}).unwrap();
    let good = std::fs::read(at("good")).unwrap();
    let mut damaged = good.clone();
    damaged[40_000..44_096].fill(0x5a);
    std::fs::write(at("damaged"), damaged).unwrap();
    std::fs::write(at("short"), &good[..good.len() / 2]).unwrap();
    std::fs::write(at("empty"), "").unwrap();
    std::fs::write(at("text"), "a text that is long enough to be a header ".repeat(9)).unwrap();
    let later = Connection::open(at("good")).unwrap();
    later.execute_batch("INSERT INTO _sqlx_migrations VALUES (1000000)").unwrap();
    drop(later);
    let to = format!("sqlite://{}", at("new.db").display());
    for (name, says) in [
        ("missing", "missing"),
        ("damaged", "damaged"),
        ("short", "short"),
        ("empty", "empty"),
        ("text", "not a SQLite database"),
        ("good", "later version"),
    ] {
        let error = restore(&to, &at(name), "e", &mut |_, _| {}).unwrap_err().to_string();
        assert!(error.contains(says), "{name}: {error}");
        assert!(!at("new.db").exists(), "{name}");
    }
    let error = backup("sqlite::memory:", &at("x"), &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, BackupError::Open(_)), "{error}");
}
