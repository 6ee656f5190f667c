//! Where the database is, how its connections are set up, and why it could not be opened.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};

/// Any error.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a database could not be opened; the text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is not one of SQLite's.
    #[error("\"{0}\" is no address of a database: write sqlite://PATH or sqlite::memory:")]
    Address(String),
    /// There is no database, and none is to be created.
    #[error("no database at {}: run `bellpull serve` or `bellpull user create` first", .0.display())]
    Missing(PathBuf),
    /// The directory of the file does not exist.
    #[error("the folder {} does not exist", .0.display())]
    NoFolder(PathBuf),
    /// It is a directory, a pipe or a device.
    #[error("{} is no regular file", .0.display())]
    NotAFile(PathBuf),
    /// The file has several names, and its log would be beside one of them.
    #[error(
        "cannot open database {}: the file has {names} names (hard links), and its log would be \
         beside this one only. Remove the others (find -samefile), or make a copy", .path.display()
    )]
    Links {
        /// Which file.
        path: PathBuf,
        /// How many names.
        names: u64,
    },
    /// The file is mounted without its folder.
    #[error(
        "cannot open database {}: the file is mounted by itself, and its log would stay in \
         another folder. Mount the folder that it is in", .0.display()
    )]
    MountedAlone(PathBuf),
    /// A hub has the file open that had this name.
    #[error(
        "a hub is running on {}, but the file that it has open is not there any more: stop that \
         hub, and put its file back or restore a backup", .0.display()
    )]
    Lost(PathBuf),
    /// There is no database, but the log of one.
    #[error(
        "no database at {path}, but its log {path}-wal: what was acknowledged last is in it. Put \
         the database back beside its log; for a new hub, move the log away",
        path = .0.display()
    )]
    LogAlone(PathBuf),
    /// The log beside it is of another database.
    #[error(
        "cannot open database {path}: the log {path}-wal beside it was written by a hub on another \
         database, and would be read into this one. Put that database back. To go on with this \
         one, move the log away; if they do belong together, remove {path}.positions",
        path = .0.display()
    )]
    ForeignLog(PathBuf),
    /// Another hub has it open.
    #[error("database {} is in use by another hub: stop that one first, or use another file", .0.display())]
    InUse(PathBuf),
    /// The file system returned an error.
    #[error("cannot open database {}: {source}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The error.
        source: std::io::Error,
    },
    /// The file is empty.
    #[error(
        "cannot open database {}: the file is empty. If a hub was in it, restore it from a \
         backup; for a new hub, remove it", .0.display()
    )]
    Empty(PathBuf),
    /// The file is not an SQLite database.
    #[error("cannot open database {}: the file is not a SQLite database", .0.display())]
    NotSqlite(PathBuf),
    /// The file belongs to another application.
    #[error("cannot open database {}: the file is a database of another program", .0.display())]
    Foreign(PathBuf),
    /// The file is damaged.
    #[error(
        "cannot open database {}: the file is damaged: {damage}. Restore it from a backup; to \
         open it all the same, set database.check_max_mib to 0", .path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// The first error that SQLite found.
        damage: String,
    },
    /// The log that a hub has left behind is damaged.
    #[error(
        "cannot open the database: its log {} is damaged: {damage}, which would be lost. Restore \
         the database from a backup; to go on without them, set database.check_max_mib to 0 for \
         one start of `bellpull serve`, which keeps the log under another name", .path.display()
    )]
    DamagedLog {
        /// The log.
        path: PathBuf,
        /// What was found.
        damage: String,
    },
    /// The disk is full.
    #[error("cannot open database {}: the disk is full. Free some space and start again", .0.display())]
    Full(PathBuf),
    /// SQLite returned an error.
    #[error("cannot open database {}: {source}", .path.display())]
    Database {
        /// Which file.
        path: PathBuf,
        /// The error.
        source: BoxError,
    },
    /// The schema is of a later version of the hub.
    #[error(
        "database {} was migrated by a newer version of bellpull (migration {version} is unknown \
         here): run that version or a later one", .path.display()
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// The last migration, which this version does not know.
        version: i64,
    },
    /// The schema could not be brought up to date.
    #[error("cannot migrate database {}: {source}", .path.display())]
    Migrate {
        /// Which file.
        path: PathBuf,
        /// The error.
        source: MigrateError,
    },
}

/// Why the schema was not brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A migration was begun and not finished.
    #[error("migration {0} was not finished")]
    Unfinished(i64),
    /// A migration was run as another text than it has now.
    #[error("migration {0} was previously applied but has been modified")]
    Modified(i64),
    /// The schema is of a later version of the hub: its last migration.
    #[error("migration {0} is not known here")]
    Newer(i64),
    /// SQLite returned an error.
    // Not transparent: a full disk is recognised by what is behind it.
    #[error("{0}")]
    Sql(#[from] rusqlite::Error),
}

impl OpenError {
    /// Whether the database was found but its schema could not be brought up to date.
    pub(crate) fn is_migration(&self) -> bool {
        matches!(self, Self::Newer { .. } | Self::Migrate { .. })
    }

    pub(super) fn io(path: &Path, source: std::io::Error) -> Self {
        if is_full(&source) {
            return Self::Full(path.to_owned());
        }
        Self::Io { path: path.to_owned(), source }
    }

    pub(super) fn database(path: &Path, source: impl Into<BoxError>) -> Self {
        let source = source.into();
        if is_full(&*source) {
            return Self::Full(path.to_owned());
        }
        Self::Database { path: path.to_owned(), source }
    }

    pub(super) fn migrate(path: &Path, source: MigrateError) -> Self {
        if is_full(&source) {
            return Self::Full(path.to_owned());
        }
        if let MigrateError::Newer(version) = source {
            return Self::Newer { path: path.to_owned(), version };
        }
        Self::Migrate { path: path.to_owned(), source }
    }
}

/// Whether an error, or one of its sources, says that the disk is full.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let is_it = if let Some(error) = error.downcast_ref::<std::io::Error>() {
            error.kind() == std::io::ErrorKind::StorageFull
        } else if let Some(error) = error.downcast_ref::<rusqlite::Error>() {
            error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        } else {
            false
        };
        if is_it {
            return true;
        }
        next = error.source();
    }
    false
}

/// What a URL names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A persistent file.
    File(PathBuf),
    /// A temporary database. It is a file all the same: several connections read it.
    Temporary,
}

/// What `url` names.
pub(super) fn place(url: &str) -> Result<Place, OpenError> {
    let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:"));
    match path.map(|path| path.split_once('?').map_or(path, |(before, _)| before)) {
        None | Some("") => Err(OpenError::Address(url.to_owned())),
        Some(":memory:") => Ok(Place::Temporary),
        Some(path) => Ok(Place::File(PathBuf::from(path))),
    }
}

/// Prepared statements per connection: each multi-row statement has a few texts, and none should be
/// parsed twice.
pub(super) const STATEMENTS_KEPT: usize = 256;

/// How long one waits for a lock, as `busy_timeout` says.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// The pause between two tries.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// For every connection. A commit that was answered is on the disk (`FULL`). The commit that
/// exceeds 8000 pages of log checkpoints it, except for the hub's writer, which has a thread for
/// it.
const EACH: [(&str, &str); 6] = [
    ("busy_timeout", "5000"),
    ("foreign_keys", "on"),
    ("journal_mode", "wal"),
    ("synchronous", "full"),
    ("temp_store", "memory"),
    ("wal_autocheckpoint", "8000"),
];
/// For the connection that writes: a page cache of 64 MiB. A log that a reader kept from starting
/// over is cut to 64 MiB when it does, twice the length at which it is copied. What is cut off is
/// behind a new header, so a file system that brings it back after a power loss brings no valid
/// log.
const WRITER: [(&str, &str); 2] = [("cache_size", "-65536"), ("journal_size_limit", "67108864")];
/// For those that read: 16 MiB of page cache each. The file is not memory-mapped: SQLite unmaps it
/// for each transaction that finds the log changed, which with a busy writer is every one.
const READER: [(&str, &str); 2] = [("cache_size", "-16384"), ("query_only", "on")];

/// For slow reads: what they read is not read again soon.
const SLOW_READER: [(&str, &str); 2] = [("cache_size", "-8192"), ("query_only", "on")];

/// The connection that migrates, before any other is opened.
pub(super) fn open_first(file: &Path) -> rusqlite::Result<Connection> {
    open(file, EACH)
}

fn open(
    file: &Path,
    pragmas: impl IntoIterator<Item = (&'static str, &'static str)>,
) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    for (name, value) in pragmas {
        set(&connection, name, value)?;
    }
    Ok(connection)
}

/// Sets a pragma. While another process makes the log of a new file, SQLite answers that it is
/// busy, and does not wait as for other locks.
#[expect(clippy::disallowed_methods, reason = "connections are opened on threads that may block")]
fn set(connection: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    let until = Instant::now() + BUSY_MAX;
    loop {
        match connection.pragma_update(None, name, value) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < until =>
            {
                std::thread::sleep(BUSY_PAUSE);
            }
            set => return set,
        }
    }
}

/// The one connection that writes.
pub(super) fn open_writer(
    file: &Path,
    max_page_count: Option<u32>,
) -> rusqlite::Result<Connection> {
    let connection = open(file, EACH.into_iter().chain(WRITER))?;
    // SQLite would plan a statement anew for each new value of its parameters.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    if let Some(pages) = max_page_count {
        limit_pages(&connection, pages)?;
    }
    Ok(connection)
}

/// A connection that reads.
pub(super) fn open_reader(file: &Path, is_slow: bool) -> rusqlite::Result<Connection> {
    open(file, EACH.into_iter().chain(if is_slow { SLOW_READER } else { READER }))
}

/// The connection that checkpoints the log.
pub(super) fn open_copier(file: &Path) -> rusqlite::Result<Connection> {
    open(file, EACH)
}

/// Limits the file's size. The limit is the connection's and must be set on each.
pub(super) fn limit_pages(connection: &Connection, pages: u32) -> rusqlite::Result<()> {
    connection.pragma_update(None, "max_page_count", pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_file_or_a_temporary_database() {
        let file = |path: &str| Place::File(PathBuf::from(path));
        assert_eq!(place("sqlite://bellpull.db").unwrap(), file("bellpull.db"));
        assert_eq!(place("sqlite:///var/lib/b.db").unwrap(), file("/var/lib/b.db"));
        assert_eq!(place("sqlite:b.db?mode=rwc").unwrap(), file("b.db"));
        assert_eq!(place("sqlite::memory:").unwrap(), Place::Temporary);
        assert_eq!(place("sqlite://:memory:").unwrap(), Place::Temporary);
        for bad in ["", "sqlite:", "sqlite://", "postgres://x/y", "b.db"] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }
}
