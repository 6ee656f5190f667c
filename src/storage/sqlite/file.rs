//! The database's file: made for its owner alone, and looked at before anything is done to it.
//!
//! It holds what signs tokens and links, so nobody else may read it: SQLite gives its log and its
//! index the rights of the file. A path on which there is nothing becomes a database; a file that
//! is there already must be one of a hub's. An empty one is none: it is what a copy that failed
//! leaves behind, and a hub that began anew in it would hide that.

use std::fs::{self, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::options::OpenError;

/// What SQLite's `application_id` is in a hub's file: `BPul`.
pub(super) const APPLICATION_ID: i32 = 0x4250_756c;
/// Where it stands in the file.
const ID_AT: std::ops::Range<usize> = 68..72;
/// How SQLite's files begin.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// SQLite's head.
const HEAD_LEN: usize = 100;
/// Readable and writable for its owner.
const OWN: u32 = 0o600;
/// A database's own files: itself, its log, the log's index, and the hub's lock.
const ENDS: [&str; 4] = ["", "-wal", "-shm", ".lock"];

/// Makes the file where there is none; looks at one that is there, and takes from others the right
/// to read it.
pub(super) fn prepare(path: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::io(path, source);
    match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
        Err(error) => return Err(io(error)),
        Ok(mut file) => {
            let mut head = Vec::new();
            let read = file.by_ref().take(HEAD_LEN as u64).read_to_end(&mut head);
            read.map_err(io)?;
            check(path, &head)?;
        }
    }
    ENDS.into_iter().try_for_each(|end| tighten(&beside(path, end))).map_err(io)
}

/// The path of one of the database's files.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Makes a database that says whose it is, and only then gives it its name: whoever finds a file
/// there finds a whole one.
fn create(path: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::io(path, source);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    // It is made with the rights of its owner alone.
    let new = tempfile::Builder::new().prefix(".bellpull-").tempfile_in(folder).map_err(io)?;
    let failed = |error: rusqlite::Error| OpenError::database(path, error);
    let connection = Connection::open(new.path()).map_err(failed)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
    connection.close().map_err(|(_, error)| failed(error))?;
    match new.persist_noclobber(path) {
        Ok(_) => Ok(()),
        // Another process was first: then it is that one's.
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
    // Files of earlier versions do not say whose they are.
    let is_ours = match id {
        APPLICATION_ID => true,
        0 => has_our_tables(path).map_err(|error| OpenError::database(path, error))?,
        _ => false,
    };
    if is_ours { Ok(()) } else { Err(OpenError::Foreign(path.to_owned())) }
}

fn has_our_tables(path: &Path) -> rusqlite::Result<bool> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // The id may be in the log still.
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' \
               AND name IN ('_sqlx_migrations', 'settings', 'inboxes')";
    let tables: u32 = connection.query_row(sql, (), |row| row.get(0))?;
    Ok(id == APPLICATION_ID || tables == 3)
}

/// Takes from others what rights they have to a file that is there.
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
        // Another user's file: it can be used, and the operator is told.
        Err(error) => tracing::warn!(%file, was, %error, "others can read the database"),
    }
    Ok(())
}

/// Looks through the file for damage, if it has at most so many bytes.
///
/// A page that was written over is found by the first who reads it, which may be months later; by
/// then the backups have it too.
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
