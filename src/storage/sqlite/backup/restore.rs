//! A database from a backup.

use std::fs;
use std::io;
use std::path::Path;

use super::super::epoch::DUE;
use super::super::file::{beside, check_head};
use super::super::identity::resolve;
use super::super::lock::HubLock;
use super::super::log_damage;
use super::super::options::{OpenError, Place, place};
use super::{
    BackupError, Contents, Progress, copy_file, database, io_error, open, place_at, read, schema,
    settle, work_folder,
};

/// Makes the database at `url` from a backup. A database that is there must have no rows, and no
/// hub may be running on it. Streams of the old database end: clients are told to start again.
///
/// # Errors
/// See [`BackupError`].
pub fn restore(
    url: &str,
    from: &Path,
    epoch: &str,
    told: Progress<'_>,
) -> Result<Contents, BackupError> {
    let Place::File(path) = place(url)? else { return Err(OpenError::Address(url.into()).into()) };
    let path = resolve(&path, true)?;
    // A link's target has the log beside it.
    let from = &fs::canonicalize(from).map_err(io_error(from))?;
    check_head(from)?;
    // What is in the log would be lost.
    if beside(from, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
        return Err(BackupError::InUse(from.to_owned()));
    }
    let lock = HubLock::take(&path)?;
    let restored = restore_locked(&path, from, epoch, told);
    if let Err(error) = lock.give_back() {
        tracing::warn!(%error, "the lock file stays behind");
    }
    restored
}

fn restore_locked(
    path: &Path,
    from: &Path,
    epoch: &str,
    told: Progress<'_>,
) -> Result<Contents, BackupError> {
    if path.exists() {
        log_damage::check(path)?;
        must_be_empty(path)?;
    }
    let work = work_folder(path)?;
    let copy = work.path().join("copy.db");
    copy_file(&mut read(from)?, from, &copy, told)?;
    let failed = database(from);
    let connection = open(&copy).map_err(&failed)?;
    schema::check(&connection, from)?;
    // Numbers go on above the known ones once a hub has written what is deferred.
    let sql = "INSERT INTO settings (name, value) VALUES ('epoch', ?1), ('store_id', ?1), (?2, '0') \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    connection.execute(sql, [epoch, DUE]).map_err(&failed)?;
    drop(connection);
    let contents = settle(&copy, from)?;
    // A log of the empty database would be read into the new one.
    for end in ["-wal", "-shm", ""] {
        match fs::remove_file(beside(path, end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error(path)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    place_at(copy, path)?;
    Ok(contents)
}

fn must_be_empty(path: &Path) -> Result<(), BackupError> {
    check_head(path)?;
    let failed = database(path);
    let connection = open(path).map_err(&failed)?;
    let sql = "SELECT count(*) = 3 FROM sqlite_master WHERE type = 'table' \
               AND name IN ('users', 'tickets', 'inboxes')";
    let is_migrated: bool = connection.query_row(sql, (), |row| row.get(0)).map_err(&failed)?;
    if !is_migrated {
        return Ok(());
    }
    // Every other row has an account.
    let sql = "SELECT EXISTS (SELECT 1 FROM users)";
    if connection.query_row(sql, (), |row| row.get(0)).map_err(&failed)? {
        let held = Contents::of(&connection).map_err(database(path))?;
        return Err(BackupError::NotEmpty { path: path.to_owned(), held });
    }
    Ok(())
}
