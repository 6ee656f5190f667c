//! A copy of a database that a hub is writing to.
//!
//! The copy holds every transaction that was committed before the copy ended. SQLite's own backup
//! starts again with each commit, or holds only what was committed when it began. So the file is
//! copied first and the log last: a transaction that is open from beginning to end keeps the log
//! from being started anew, and the log has every page that a checkpoint writes meanwhile. SQLite
//! then reads the copy as it reads a database after a power loss.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::super::file::{beside, check_head};
use super::super::found;
use super::super::given;
use super::super::identity::resolve;
use super::super::lock::Traces;
use super::super::log_damage;
use super::super::options::{OpenError, Place, place};
use super::{
    BackupError, Contents, Progress, copy_file, database, io_error, open, place_at, read, settle,
    work_folder,
};

/// The log's header: another generation of it has another one.
const LOG_HEAD: usize = 32;
/// How often the log is copied again, if it was started anew meanwhile. With the transaction open
/// that happens once at most.
const LOG_TRIES: usize = 4;

/// Copies the database at `url` into a new file, beside a hub that may be writing to it. The file
/// has all that was committed before the last report of its progress; it is on the disk.
///
/// # Errors
/// See [`BackupError`].
pub fn backup(url: &str, into: &Path, told: Progress<'_>) -> Result<Contents, BackupError> {
    let Place::File(path) = place(url)? else { return Err(OpenError::Address(url.into()).into()) };
    let path = resolve(&path, false)?;
    let traces = found::look(&path, true)?;
    check_head(&path)?;
    if traces != Traces::Running {
        given::check_log(&path)?;
        log_damage::check(&path)?;
    }
    must_be_new(into)?;
    let work = work_folder(into)?;
    let copy = work.path().join("copy.db");
    let failed = database(&path);
    let connection = open(&path).map_err(&failed)?;
    connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_master").map_err(&failed)?;
    let log_path = beside(&path, "-wal");
    let (mut file, mut log) =
        (read(&path)?, log_path.exists().then(|| read(&log_path)).transpose()?);
    copy_file(&mut file, &path, &copy, told)?;
    // There is none if no hub has started on the file yet.
    if let Some(log) = &mut log {
        copy_log(log, &log_path, &beside(&copy, "-wal"))?;
    }
    // First the connection: a process loses its locks on a file when it closes any descriptor of
    // it.
    drop(connection);
    drop((file, log));
    let contents = settle(&copy, into)?;
    place_at(copy, into)?;
    Ok(contents)
}

fn must_be_new(into: &Path) -> Result<(), BackupError> {
    if into.exists() { Err(BackupError::Exists(into.to_owned())) } else { Ok(()) }
}

/// Copies the log as it now is. If it was started anew while it was copied, the copy may lack what
/// was committed since: then it is copied again.
fn copy_log(log: &mut File, path: &Path, copy: &Path) -> Result<(), BackupError> {
    for _ in 0..LOG_TRIES {
        let before = head(log, path)?;
        log.seek(SeekFrom::Start(0)).map_err(io_error(path))?;
        let mut into = File::create(copy).map_err(io_error(copy))?;
        io::copy(log, &mut into).map_err(io_error(copy))?;
        into.sync_all().map_err(io_error(copy))?;
        if head(log, path)? == before {
            return Ok(());
        }
    }
    Err(io_error(path)(io::Error::other("the log was started anew again and again")))
}

fn head(log: &mut File, path: &Path) -> Result<Vec<u8>, BackupError> {
    let mut head = Vec::new();
    log.seek(SeekFrom::Start(0)).map_err(io_error(path))?;
    log.take(LOG_HEAD as u64).read_to_end(&mut head).map_err(io_error(path))?;
    Ok(head)
}
