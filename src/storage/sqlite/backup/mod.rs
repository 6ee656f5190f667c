//! Backups: a file with all that a database holds, and a database from such a file.

mod look;
mod restore;
mod schema;
mod take;
#[cfg(test)]
mod tests;

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde::Serialize;
use tempfile::{TempDir, TempPath};

use super::deferred::count_deferred;
use super::file::{OWN, folder_of};
use super::options::{BoxError, OpenError};

pub use look::{look_at, own_accounts};
pub use restore::restore;
pub use take::backup;

/// How much is copied between two reports.
const CHUNK: usize = 1 << 20;
const BUSY_MAX: Duration = Duration::from_secs(30);

/// Why there is no backup, or no database from one.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database cannot be opened, or a file is not one.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file exists that would be overwritten.
    #[error("{} exists already: nothing is overwritten", .0.display())]
    Exists(PathBuf),
    /// The file is a hub's database, with a log beside it.
    #[error(
        "{} is a database in use: it has a log beside it. Make a backup of it with `bellpull \
         backup`", .0.display()
    )]
    InUse(PathBuf),
    /// The database has rows in it.
    #[error(
        "the database {} is not empty ({held}): move it away, or restore to another one with \
         --database", .path.display()
    )]
    NotEmpty {
        /// Which database.
        path: PathBuf,
        /// What is in it.
        held: Contents,
    },
    /// Its schema, or a number in it, is not what a hub has written.
    #[error("{} is not as Bellpull has written it: {what}", .path.display())]
    Altered {
        /// Which file.
        path: PathBuf,
        /// What is different.
        what: String,
    },
    /// The backup is damaged.
    #[error("{} is damaged: {damage}", .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// The first damage that was found.
        damage: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// SQLite returned an error.
    #[error("{}: {source}", .path.display())]
    Database {
        /// Which file.
        path: PathBuf,
        /// The error.
        source: BoxError,
    },
}

/// What a database has in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// Accounts.
    pub users: i64,
    /// Tickets.
    pub tickets: i64,
    /// In all inboxes.
    pub notifications: i64,
}

impl Contents {
    /// As users see them: what they have deleted is not counted, and what is to be written to its
    /// tables later is.
    fn of(connection: &Connection) -> Result<Self, BoxError> {
        let transaction = connection.unchecked_transaction()?;
        let count = |rows: &str| {
            transaction.query_row(&format!("SELECT count(*) FROM {rows}"), (), |row| row.get(0))
        };
        let written: i64 = count("notifications WHERE deleted_at IS NULL")?;
        // Not before version 18.
        let has_deferred = count("sqlite_schema WHERE name = 'deferred_births'")? == 1;
        let deferred = if has_deferred { count_deferred(&transaction)? } else { 0 };
        Ok(Self {
            users: count("users")?,
            tickets: count("tickets WHERE deleted_at IS NULL")?,
            notifications: written + deferred,
        })
    }
}

impl std::fmt::Display for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { users, tickets, notifications } = self;
        write!(f, "{users} users, {tickets} tickets, {notifications} notifications")
    }
}

/// Reports bytes done, and of how many.
pub type Progress<'p> = &'p mut dyn FnMut(u64, u64);

/// A folder beside the file, so that the file can be renamed into place. Others cannot look into
/// it.
fn work_folder(beside: &Path) -> Result<TempDir, BackupError> {
    let folder = folder_of(beside);
    if !folder.exists() {
        return Err(OpenError::NoFolder(folder).into());
    }
    let made = tempfile::Builder::new().prefix(".bellpull-").tempdir_in(&folder);
    made.map_err(io_error(&folder))
}

/// A connection to a file that exists.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    // The log's index is written by readers, too.
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(BUSY_MAX)?;
    Ok(connection)
}

fn read(path: &Path) -> Result<File, BackupError> {
    File::open(path).map_err(io_error(path))
}

fn copy_file(
    from: &mut File,
    path: &Path,
    copy: &Path,
    told: Progress<'_>,
) -> Result<(), BackupError> {
    let total = from.metadata().map_err(io_error(path))?.len();
    let mut into = File::create_new(copy).map_err(io_error(copy))?;
    let (mut chunk, mut done) = (vec![0; CHUNK], 0);
    loop {
        let read = from.read(&mut chunk).map_err(io_error(path))?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        into.write_all(bytes).map_err(io_error(copy))?;
        done += read as u64;
        told(done, total.max(done));
    }
    into.sync_all().map_err(io_error(copy))
}

/// Reads the log into the copy, looks for damage, and leaves one file that needs no other.
fn settle(copy: &Path, named: &Path) -> Result<Contents, BackupError> {
    let failed = database(named);
    let connection = open(copy).map_err(&failed)?;
    let sql = "PRAGMA quick_check(1)";
    let damage: String = connection.query_row(sql, (), |row| row.get(0)).map_err(&failed)?;
    if damage != "ok" {
        return Err(BackupError::Damaged { path: named.to_owned(), damage });
    }
    let sql = "PRAGMA journal_mode = delete";
    connection.query_row(sql, (), |_| Ok(())).map_err(&failed)?;
    let contents = Contents::of(&connection).map_err(database(named))?;
    connection.close().map_err(|(_, source)| failed(source))?;
    Ok(contents)
}

/// Renames the copy into place, where no file may be; it is on the disk then.
fn place_at(copy: PathBuf, into: &Path) -> Result<(), BackupError> {
    let failed = io_error(into);
    let file = File::open(&copy).map_err(&failed)?;
    file.set_permissions(Permissions::from_mode(OWN)).map_err(&failed)?;
    file.sync_all().map_err(&failed)?;
    let copy = TempPath::try_from_path(copy).map_err(&failed)?;
    copy.persist_noclobber(into).map_err(|error| {
        let is_there = error.error.kind() == io::ErrorKind::AlreadyExists;
        if is_there { BackupError::Exists(into.to_owned()) } else { failed(error.error) }
    })?;
    File::open(folder_of(into)).and_then(|folder| folder.sync_all()).map_err(&failed)
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> BackupError {
    |source| BackupError::Io { path: path.to_owned(), source }
}

fn database<E: Into<BoxError>>(path: &Path) -> impl Fn(E) -> BackupError {
    |source| BackupError::Database { path: path.to_owned(), source: source.into() }
}
