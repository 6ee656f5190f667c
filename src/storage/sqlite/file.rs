//! The database file: created for its owner alone, and checked before it is opened.
//!
//! It holds the keys that sign tokens and links, so other users must not read it. SQLite gives its
//! log and its index the permissions of the file. A path without a file becomes a database; an
//! existing file must be a hub's. An empty file is an error: a failed copy leaves one behind, and
//! starting anew in it would hide that.

use std::fs::{self, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::options::OpenError;

/// SQLite's `application_id` in a hub's file: `BPul`.
pub(super) const APPLICATION_ID: i32 = 0x4250_756c;
/// Its offset in the file.
const ID_AT: std::ops::Range<usize> = 68..72;
/// The first bytes of an SQLite file.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// The size of SQLite's header.
const HEAD_LEN: usize = 100;
/// Readable and writable for its owner.
pub(super) const OWN: u32 = 0o600;
/// A database's files: the database, its log, the log's index, and the hub's lock.
const ENDS: [&str; 4] = ["", "-wal", "-shm", ".lock"];

/// Creates the file if it does not exist; checks an existing one, and removes other users'
/// permission to read it.
pub(super) fn prepare(path: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::io(path, source);
    match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
        Err(error) => return Err(io(error)),
        Ok(_) => check_head(path)?,
    }
    ENDS.into_iter().try_for_each(|end| tighten(&beside(path, end))).map_err(io)
}

/// Returns an error unless the file is a hub's database.
pub(super) fn check_head(path: &Path) -> Result<(), OpenError> {
    let mut head = Vec::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(HEAD_LEN as u64).read_to_end(&mut head));
    read.map_err(|source| OpenError::io(path, source))?;
    check(path, &head)
}

/// The folder of a file.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

/// The path of one of the database's files.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Creates a database with its application id and then renames it into place, so that no process
/// finds an unfinished one.
fn create(path: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::io(path, source);
    let folder = folder_of(path);
    // It is created with its owner's permissions only.
    let new = tempfile::Builder::new().prefix(".bellpull-").tempfile_in(folder).map_err(io)?;
    let failed = |error: rusqlite::Error| OpenError::database(path, error);
    let connection = Connection::open(new.path()).map_err(failed)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
    connection.close().map_err(|(_, error)| failed(error))?;
    match new.persist_noclobber(path) {
        Ok(_) => Ok(()),
        // Another process created it first: then that one is used.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(io(error.error)),
    }
}

fn check(path: &Path, head: &[u8]) -> Result<(), OpenError> {
    if head.is_empty() {
        return Err(OpenError::Empty(path.to_owned()));
    }
    if !head.starts_with(MAGIC) {
        return Err(OpenError::NotSqlite(path.to_owned()));
    }
    let id = head.get(ID_AT).and_then(|id| id.try_into().ok()).map_or(0, i32::from_be_bytes);
    // Files of earlier versions have no application id.
    let is_ours = match id {
        APPLICATION_ID => true,
        0 => has_our_tables(path).map_err(|error| OpenError::database(path, error))?,
        _ => false,
    };
    if is_ours { Ok(()) } else { Err(OpenError::Foreign(path.to_owned())) }
}

fn has_our_tables(path: &Path) -> rusqlite::Result<bool> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // The id may still be in the log.
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' \
               AND name IN ('_sqlx_migrations', 'settings', 'inboxes')";
    let tables: u32 = connection.query_row(sql, (), |row| row.get(0))?;
    Ok(id == APPLICATION_ID || tables == 3)
}

/// Removes other users' permissions from an existing file.
fn tighten(path: &Path) -> io::Result<()> {
    let mode = match fs::metadata(path) {
        Ok(found) => found.permissions().mode() & 0o777,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if mode & !OWN == 0 {
        return Ok(());
    }
    let (was, file) = (format!("{mode:o}"), path.display());
    match fs::set_permissions(path, Permissions::from_mode(mode & OWN)) {
        Ok(()) => {
            tracing::warn!(%file, was, now = "600", "others could read the database: no more")
        }
        // Another user owns the file: it can be used, and the operator is warned.
        Err(error) => tracing::warn!(%file, was, %error, "others can read the database"),
    }
    Ok(())
}

/// Checks a file of at most this size for damage.
///
/// Otherwise an overwritten page is found by its first reader, perhaps months later; by then the
/// backups contain it too.
pub(super) fn look_for_damage(path: &Path, bytes_max: u64) -> Result<(), OpenError> {
    let size = fs::metadata(path).map_err(|source| OpenError::io(path, source))?.len();
    if size > bytes_max {
        return Ok(());
    }
    let found = || {
        let connection = Connection::open(path)?;
        connection.query_row("PRAGMA quick_check(1)", (), |row| row.get::<_, String>(0))
    };
    match found() {
        Ok(found) if found == "ok" => Ok(()),
        Ok(damage) => Err(OpenError::Damaged { path: path.to_owned(), damage: one_line(&damage) }),
        Err(error) => match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
                let damage = one_line(&error.to_string());
                Err(OpenError::Damaged { path: path.to_owned(), damage })
            }
            _ => Err(OpenError::database(path, error)),
        },
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
