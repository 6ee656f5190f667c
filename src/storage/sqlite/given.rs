//! The positions that a hub is known to have given out, in a file beside its database.
//!
//! A database cannot tell by itself that it is yesterday's copy. The file can: a hub writes into
//! it, every few seconds and when it stops, how many positions all its inboxes have given out.
//! Where a database with the same epoch has given out fewer, it is an older one; where it has
//! another epoch, it is another one. What was given out in the seconds before a crash is not seen,
//! nor is a copy that brings its own file along: a snapshot of the whole folder, or of the machine.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bellpull_domain::ids::Seq;
use rusqlite::{Connection, OpenFlags};

use super::deferred::{Deferred, count_deferred};
use super::epoch::{DUE, EPOCH};
use super::file::{beside, folder_of};
use super::options::{BoxError, OpenError};
use super::statement::{one, optional};

/// How often the file is written, at most.
const RECORD_EVERY: Duration = Duration::from_secs(5);
/// The pause is this many times as long as the positions take to be read, some 60 ms for 100,000
/// inboxes: one percent of a core.
const REST: u32 = 100;
/// The first line: the version of the format.
const FORM: &str = "bellpull positions 1";

/// What was given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    /// `None` in a database that no hub has opened yet.
    epoch: Option<String>,
    /// The one in the file itself, if another has begun in the log.
    before: Option<String>,
    /// The highest position of any inbox.
    highest: i64,
    /// The positions of all inboxes together: it grows with each, since no inbox is ever deleted.
    count: i64,
}

/// Where it is kept.
pub(super) fn path_of(database: &Path) -> PathBuf {
    beside(database, ".positions")
}

impl Given {
    /// What a database has given out; `deferred` counts entries that are not in its tables yet.
    fn of(
        connection: &Connection,
        deferred: impl FnOnce(&Connection) -> Result<i64, BoxError>,
    ) -> Result<Self, BoxError> {
        let snapshot = connection.unchecked_transaction()?;
        let sql = "SELECT value FROM settings WHERE name = ?1";
        let epoch = optional(&snapshot, sql, [EPOCH], |row| row.get(0))?;
        let sql = "SELECT ifnull(max(last_seq), 0), ifnull(sum(last_seq), 0) FROM inboxes";
        let (highest, count): (i64, i64) = one(&snapshot, sql, (), |row| row.try_into())?;
        // After the tables: what is written to them meanwhile is missing, and not counted twice.
        let deferred = deferred(&snapshot)?;
        let (highest, count) = (highest.saturating_add(deferred), count.saturating_add(deferred));
        Ok(Self { epoch, before: None, highest, count })
    }

    /// What the file says; `None` if there is none, or a power loss has left it incomplete.
    fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let mut lines = text.lines();
        lines.next().filter(|line| *line == FORM)?;
        let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let epoch = Some(value("epoch")?.to_owned());
        let before = Some(value("before")?.to_owned()).filter(|before| !before.is_empty());
        let highest = value("highest")?.parse().ok()?;
        let count = value("count")?.parse().ok()?;
        Some(Self { epoch, before, highest, count })
    }

    /// Replaces the file.
    fn write(&self, path: &Path) -> io::Result<()> {
        let Self { epoch: Some(epoch), before, highest, count } = self else { return Ok(()) };
        let before = before.as_deref().unwrap_or_default();
        let folder = folder_of(path);
        let mut new = tempfile::Builder::new().prefix(".bellpull-").tempfile_in(folder)?;
        writeln!(new, "{FORM}\nepoch {epoch}\nbefore {before}\nhighest {highest}\ncount {count}")?;
        new.as_file().sync_data()?;
        new.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Whether the database has less than was given out, or was restored: the highest number that is
/// known to have been given out.
pub(super) fn lost(database: &Path) -> Result<Option<Seq>, BoxError> {
    let connection = read_only(database)?;
    let sql = "SELECT value FROM settings WHERE name = ?1";
    let due: Option<String> = optional(&connection, sql, [DUE], |row| row.get(0))?;
    let Some(known) = Given::read(&path_of(database)) else {
        return Ok(due.map(|_| Seq::ZERO));
    };
    let found = Given::of(&connection, count_deferred)?;
    let is_lost = found.epoch != known.epoch || found.count < known.count;
    Ok((is_lost || due.is_some()).then_some(Seq(known.highest)))
}

/// Returns an error if the log that was left beside a database was written by a hub on another one:
/// SQLite would read it into this one.
pub(super) fn check_log(database: &Path) -> Result<(), OpenError> {
    if !beside(database, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
        return Ok(());
    }
    let Some(Given { epoch, before, .. }) = Given::read(&path_of(database)) else { return Ok(()) };
    let found = epoch_in_file(database);
    match found.is_none() || found == epoch || found == before {
        true => Ok(()),
        false => Err(OpenError::ForeignLog(database.to_owned())),
    }
}

/// The epoch in the file itself; `None` if it may still be in the log, or if the file is damaged,
/// which is looked for later. Only before this process has any other connection to it: this one has
/// no locks, and closing it frees those of the others.
pub(super) fn epoch_in_file(database: &Path) -> Option<String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let name = percent_encoding::percent_encode(
        database.as_os_str().as_encoded_bytes(),
        percent_encoding::NON_ALPHANUMERIC,
    );
    let connection = Connection::open_with_flags(format!("file:{name}?immutable=1"), flags).ok()?;
    let sql = "SELECT value FROM settings WHERE name = ?1";
    optional(&connection, sql, [EPOCH], |row| row.get(0)).ok()?
}

fn read_only(database: &Path) -> rusqlite::Result<Connection> {
    // The log's index is written by readers, too.
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "query_only", "on")?;
    Ok(connection)
}

/// Writes the file while a hub runs.
#[derive(Debug)]
pub(super) struct Recorder {
    connection: Connection,
    deferred: Arc<Deferred>,
    path: PathBuf,
    in_file: Option<String>,
    written: Option<Given>,
    due: Instant,
    has_failed: bool,
}

impl Recorder {
    /// Of a database that this process has open; `in_file` is [`epoch_in_file`].
    pub(super) fn open(
        database: &Path,
        in_file: Option<String>,
        deferred: &Arc<Deferred>,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            connection: read_only(database)?,
            deferred: Arc::clone(deferred),
            path: path_of(database),
            in_file,
            written: None,
            due: Instant::now(),
            has_failed: false,
        })
    }

    /// Writes the file if that is due.
    pub(super) fn tick(&mut self) {
        let begun = Instant::now();
        if begun >= self.due {
            self.record();
            self.due = Instant::now() + RECORD_EVERY.max(begun.elapsed() * REST);
        }
    }

    /// Writes the file, if anything was given out since the last time. An error fails no request: a
    /// copy that is put back is not noticed then.
    pub(super) fn record(&mut self) {
        let waiting = |_: &Connection| Ok(i64::try_from(self.deferred.count()).unwrap_or(i64::MAX));
        let recorded = Given::of(&self.connection, waiting).and_then(|mut given| {
            given.before = self.in_file.clone().filter(|_| self.in_file != given.epoch);
            if self.written.as_ref() != Some(&given) {
                given.write(&self.path)?;
                self.written = Some(given);
            }
            Ok(())
        });
        if let Err(error) = &recorded
            && !self.has_failed
        {
            let file = self.path.display();
            tracing::warn!(%error, %file, "the positions that were given out are not recorded");
        }
        self.has_failed = recorded.is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives_its_file_and_what_is_no_such_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.positions");
        assert_eq!(Given::read(&path), None);
        for before in [None, Some("89ab".to_owned())] {
            let epoch = Some("0123".to_owned());
            let given = Given { epoch, before, highest: 17, count: 40 };
            given.write(&path).unwrap();
            assert_eq!(Given::read(&path), Some(given));
        }
        let text = fs::read_to_string(&path).unwrap();
        for bad in
            ["", "bellpull", &text[..text.len() / 2], "bellpull positions 2\nepoch x\nbefore \n"]
        {
            fs::write(&path, bad).unwrap();
            assert_eq!(Given::read(&path), None, "{bad:?}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
