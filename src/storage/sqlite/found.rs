//! What is at a database's path before it is opened: whether a hub is running on it, or was.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::beside;
use super::identity::resolve;
use super::lock::{Traces, is_in_use, traces};
use super::options::{OpenError, Place, place};

/// A hub that starts or stops has one of its two locks for less than this.
const BETWEEN_LOCKS: Duration = Duration::from_millis(100);

/// What is at a database's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The path itself, without links.
    pub path: PathBuf,
    /// Whether there is a database.
    pub is_there: bool,
    /// Whether a hub is running on it.
    pub is_running: bool,
}

/// What is at the path that `url` names; `None` if it names none.
///
/// # Errors
/// [`OpenError`], as if the database were opened.
pub fn found(url: &str) -> Result<Option<Found>, OpenError> {
    let Place::File(path) = place(url)? else { return Ok(None) };
    let path = resolve(&path, true)?;
    let is_running = look(&path, true)? == Traces::Running;
    Ok(Some(Found { is_there: path.exists(), path, is_running }))
}

/// Returns an error where opening, or making, a database would hide what a hub has left behind or
/// has open. The path is resolved.
#[expect(clippy::disallowed_methods, reason = "0.1 s, and only beside a hub that starts or stops")]
pub(super) fn look(path: &Path, beside_hub: bool) -> Result<Traces, OpenError> {
    let ask = || traces(path).map_err(|source| OpenError::io(&beside(path, ".lock"), source));
    // Whether the hub's open file is another one, or has no name.
    let is_lost = || match path.exists() {
        true if beside_hub => is_in_use(path).map(|in_use| in_use == Some(false)),
        is_there => Ok(!is_there),
    };
    let is_lost = || is_lost().map_err(|source| OpenError::io(path, source));
    let mut traces = ask()?;
    if traces == Traces::Running && is_lost()? {
        std::thread::sleep(BETWEEN_LOCKS);
        traces = ask()?;
        if traces == Traces::Running && is_lost()? {
            return Err(OpenError::Lost(path.to_owned()));
        }
    }
    if path.exists() {
        return Ok(traces);
    }
    if beside(path, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
        return Err(OpenError::LogAlone(path.to_owned()));
    }
    Ok(traces)
}
