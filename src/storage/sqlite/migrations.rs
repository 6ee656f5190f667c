//! The schema: brought up to date before any other connection is opened.
//!
//! What was run is listed in the table that `sqlx` made, as on PostgreSQL.

use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use sqlx::migrate::{Migration, Migrator};

use super::options::{MigrateError, OpenError, open_first};
use super::{file, lanes, name_keys, nodes, sends};

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// The newest schema that this version knows.
pub(in super::super) fn own_schema() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Opens a database, creates it if it does not exist, and brings it up to date. A process that has
/// it for itself ends what earlier ones have begun.
pub(super) fn prepare(path: &Path, is_exclusive: bool) -> Result<Connection, OpenError> {
    let failed = |error| OpenError::database(path, error);
    let mut connection = open_first(path).map_err(failed)?;
    migrate(&mut connection).map_err(|error| OpenError::migrate(path, error))?;
    name_owner(&connection).map_err(failed)?;
    name_keys::fill(&mut connection).map_err(failed)?;
    if is_exclusive {
        lanes::end_leases(&connection);
        sends::end_claims(&connection);
        nodes::forget(&connection);
    }
    Ok(connection)
}

/// Writes the application id into a file of an earlier version.
fn name_owner(connection: &Connection) -> rusqlite::Result<()> {
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if id != file::APPLICATION_ID {
        connection.pragma_update(None, "application_id", file::APPLICATION_ID)?;
    }
    Ok(())
}

/// Two processes may open a new file at once. SQLite lets one of them migrate; the other fails on
/// tables that it did not expect. By then the first is done.
fn migrate(connection: &mut Connection) -> Result<(), MigrateError> {
    match run(connection) {
        Err(MigrateError::Sql(_)) => run(connection),
        done => done,
    }
}

fn run(connection: &mut Connection) -> Result<(), MigrateError> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);",
    )?;
    let sql = "SELECT version FROM _sqlx_migrations WHERE NOT success ORDER BY version LIMIT 1";
    if let Some(version) = connection.query_row(sql, (), |row| row.get(0)).optional()? {
        return Err(MigrateError::Unfinished(version));
    }
    let newest: Option<i64> =
        connection.query_row("SELECT max(version) FROM _sqlx_migrations", (), |row| row.get(0))?;
    let own = own_schema();
    if let Some(newest) = newest.filter(|newest| *newest > own) {
        return Err(MigrateError::Newer(newest));
    }
    for migration in MIGRATIONS.iter() {
        match checksum(connection, migration)? {
            Some(checksum) if checksum[..] == migration.checksum[..] => {}
            Some(_) => return Err(MigrateError::Modified(migration.version)),
            None => apply(connection, migration)?,
        }
    }
    Ok(())
}

/// As it was run; `None` if it was not.
fn checksum(connection: &Connection, migration: &Migration) -> rusqlite::Result<Option<Vec<u8>>> {
    let sql = "SELECT checksum FROM _sqlx_migrations WHERE version = ?";
    connection.query_row(sql, [migration.version], |row| row.get(0)).optional()
}

/// Runs a migration and lists it, in one transaction unless its own text has some.
fn apply(connection: &mut Connection, migration: &Migration) -> rusqlite::Result<()> {
    let begun = Instant::now();
    if migration.no_tx {
        connection.execute_batch(migration.sql.as_str())?;
        return list(connection, migration, begun);
    }
    let work = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have run it while this one waited for the lock.
    if checksum(&work, migration)?.is_some() {
        return Ok(());
    }
    work.execute_batch(migration.sql.as_str())?;
    list(&work, migration, begun)?;
    work.commit()
}

fn list(connection: &Connection, migration: &Migration, begun: Instant) -> rusqlite::Result<()> {
    let took_ns = i64::try_from(begun.elapsed().as_nanos()).unwrap_or(i64::MAX);
    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
               execution_time) VALUES (?, ?, TRUE, ?, ?)";
    let values = (migration.version, &*migration.description, &*migration.checksum, took_ns);
    connection.execute(sql, values).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_who_open_a_new_file_at_once_all_find_its_schema() {
        for _ in 0..3 {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("hub.db");
            let open = || prepare(&file, false).map(drop);
            let opened = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
            });
            assert!(opened.iter().all(Result::is_ok), "{opened:?}");
        }
    }
}
