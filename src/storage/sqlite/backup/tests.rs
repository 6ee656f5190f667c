//! On files of their own, with commits between any two steps.

use rusqlite::Connection;

use super::super::migrations::MIGRATIONS;
use super::*;

/// A database with an account, as a hub leaves it.
fn hub_file(folder: &Path) -> (PathBuf, String, Connection) {
    let path = folder.join("hub.db");
    let url = format!("sqlite://{}", path.display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = super::super::StoreOptions::default();
        super::super::SqliteStore::open(&url, options).await.unwrap().close().await;
    });
    let connection = Connection::open(&path).unwrap();
    let sql = "PRAGMA journal_mode = wal; PRAGMA synchronous = full;
        INSERT INTO settings VALUES ('epoch', 'old');
        INSERT INTO users (id, username, full_name, role, created_at)
            VALUES (1, 'ada', '', 'admin', 0);
        INSERT INTO inboxes (user_id, last_seq, unread_count) VALUES (1, 0, 0);";
    connection.execute_batch(sql).unwrap();
    (path, url, connection)
}

/// Appends entries, a transaction each.
fn write(connection: &Connection, rows: usize) {
    for _ in 0..rows {
        connection.execute_batch("BEGIN").unwrap();
        let sql = "UPDATE inboxes SET last_seq = last_seq + 1 RETURNING last_seq";
        let seq: i64 = connection.query_row(sql, (), |row| row.get(0)).unwrap();
        let sql = "INSERT INTO messages (id, event, kind, title, body, action_url, metadata, \
                   priority, created_at) VALUES (?1, 'x', 'x', '', ?2, '', '{}', 'LOW', 0)";
        connection.execute(sql, (seq, "x".repeat(2_000))).unwrap();
        let sql = "INSERT INTO notifications (recipient_id, seq, id, changed_seq, message_id) \
                   VALUES (1, ?1, ?1, ?1, ?1)";
        connection.execute(sql, [seq]).unwrap();
        connection.execute_batch("COMMIT").unwrap();
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
        let sql = "SELECT count(*) FROM notifications";
        let rows: i64 = copy.query_row(sql, (), |row| row.get(0)).unwrap();
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
    open.execute_batch("DELETE FROM inboxes; DELETE FROM users").unwrap();
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
    let sql = "INSERT INTO _sqlx_migrations VALUES (1000000, '', 0, TRUE, x'00', 0)";
    later.execute_batch(sql).unwrap();
    drop(later);
    let to = format!("sqlite://{}", at("new.db").display());
    for (name, says) in [
        ("missing", "missing"),
        ("damaged", "damaged"),
        ("short", "short"),
        ("empty", "empty"),
        ("text", "not a SQLite database"),
        ("good", "newer version of bellpull (migration 1000000 is unknown here)"),
    ] {
        let error = restore(&to, &at(name), "e", &mut |_, _| {}).unwrap_err().to_string();
        assert!(error.contains(says), "{name}: {error}");
        assert!(!at("new.db").exists(), "{name}");
    }
    let error = backup("sqlite::memory:", &at("x"), &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, BackupError::Open(_)), "{error}");
}

/// Whatever differs from what the migrations make is refused by its name, before it can run.
#[test]
fn what_bellpull_has_not_put_into_a_backup_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (_, url, connection) = hub_file(folder.path());
    write(&connection, 3);
    backup(&url, &at("good"), &mut |_, _| {}).unwrap();
    const ALTERED: [(&str, &str); 19] = [
        (
            "CREATE TRIGGER evil AFTER UPDATE ON settings BEGIN \
             UPDATE users SET role = 'super_admin'; END",
            "trigger evil",
        ),
        ("CREATE TRIGGER evil BEFORE INSERT ON users BEGIN SELECT 1; END", "trigger evil"),
        ("CREATE VIEW more AS SELECT 1", "view more"),
        ("CREATE TABLE more (a)", "table more"),
        ("CREATE INDEX more ON users (full_name)", "index more"),
        ("DROP TABLE webhooks", "table webhooks is missing"),
        ("DROP INDEX tickets_creator", "index tickets_creator is missing"),
        ("DROP TRIGGER users_withdrawn_rights", "users_withdrawn_rights is missing"),
        (
            "PRAGMA foreign_keys = off; PRAGMA legacy_alter_table = on; \
             ALTER TABLE counters RENAME TO behind; \
             CREATE VIEW counters AS SELECT * FROM behind",
            "behind is not",
        ),
        (
            "DROP TABLE counters; CREATE VIEW counters AS SELECT '' AS name, 1 AS value",
            "counters is a view",
        ),
        ("ALTER TABLE projects ADD COLUMN more TEXT", "table projects is another"),
        ("DROP TABLE _sqlx_migrations", "_sqlx_migrations is missing"),
        ("UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 5", "migration 5 has"),
        ("DELETE FROM _sqlx_migrations WHERE version = 4", "migration 4 is missing"),
        ("UPDATE _sqlx_migrations SET success = FALSE WHERE version = 7", "migration 7 was not"),
        ("UPDATE inboxes SET last_seq = 9223372036854775807", "inboxes.last_seq has"),
        ("UPDATE inboxes SET delivered_seq = -9223372036854775807", "inboxes.delivered_seq has"),
        ("INSERT INTO counters VALUES ('x', 9007199254740993)", "counters.value has"),
        ("UPDATE sqlite_sequence SET seq = 9223372036854775807", "sqlite_sequence.seq has"),
    ];
    let to = format!("sqlite://{}", at("new.db").display());
    for (n, (sql, says)) in ALTERED.iter().enumerate() {
        let file = at(&format!("{n}"));
        std::fs::copy(at("good"), &file).unwrap();
        let open = Connection::open(&file).unwrap();
        open.execute_batch(sql).unwrap();
        open.close().unwrap();
        let error = restore(&to, &file, "e", &mut |_, _| {}).unwrap_err().to_string();
        assert!(error.contains(says), "{sql}: {error}");
        assert!(!at("new.db").exists(), "{sql}");
    }
    restore(&to, &at("good"), "e", &mut |_, _| {}).unwrap();
}

/// A backup of each earlier version is one.
#[test]
fn backups_of_all_versions_are_restored() {
    for version in MIGRATIONS.iter().map(|migration| migration.version) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("old.bak");
        let connection = Connection::open(&file).unwrap();
        connection
            .pragma_update(None, "application_id", super::super::file::APPLICATION_ID)
            .unwrap();
        let sql = "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, \
                   description TEXT NOT NULL, installed_on TIMESTAMP NOT NULL DEFAULT \
                   CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, checksum BLOB NOT NULL, \
                   execution_time BIGINT NOT NULL)";
        connection.execute_batch(sql).unwrap();
        for migration in MIGRATIONS.iter().filter(|migration| migration.version <= version) {
            connection.execute_batch(migration.sql.as_str()).unwrap();
            let sql = "INSERT INTO _sqlx_migrations VALUES (?1, '', 0, TRUE, ?2, 0)";
            connection.execute(sql, (migration.version, &migration.checksum[..])).unwrap();
        }
        connection.execute_batch("ANALYZE").unwrap();
        connection.close().unwrap();
        let to = format!("sqlite://{}", folder.path().join("new.db").display());
        restore(&to, &file, "e", &mut |_, _| {}).unwrap();
    }
}
