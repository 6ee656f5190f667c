//! A disk with faults: a file system in memory, mounted by FUSE, of one folder.
//!
//! A process that keeps its files in [`Disk::path`] meets whatever [`Faults`] are set at the time:
//! no space, a slow device, a file system that was remounted read-only, an error of `fsync`, an
//! `fsync` that does nothing. A [`recorded`](Disk::recorded) disk also keeps every operation that
//! changes it, in order. From such a [`Recording`] a [`Replay`] makes the folder as it may be found
//! after a power loss at any operation.
//!
//! In reading order: `operation` (what changes a disk), `volume` (files and names), `serve` (the
//! kernel's requests), `replay` (what is left after a power loss), `stale` (mounts of processes
//! that were killed).
//!
//! The process that serves a disk must not map files of it into its memory, nor may a thread that
//! serves it use it: a request would wait for itself.

mod operation;
mod replay;
mod serve;
mod stale;
#[cfg(test)]
mod tests;
mod volume;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fuser::{BackgroundSession, Config, MountOption, Session};
use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;

pub use operation::{Operation, Recording};
pub use replay::{Loss, Replay};

use crate::LoadError;
use serve::Served;
use volume::Volume;

/// Threads that serve: a slow write must not delay every read.
const THREADS: usize = 4;

/// What is wrong with a disk. The default is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Files take this many bytes in all, and cannot grow beyond it (`ENOSPC`).
    pub bytes_max: Option<u64>,
    /// Each write and each `fsync` takes this much longer.
    pub delay: Duration,
    /// Nothing can be changed (`EROFS`).
    pub is_read_only: bool,
    /// `fsync` fails (`EIO`).
    pub has_sync_errors: bool,
    /// `fsync` succeeds and does nothing.
    pub has_false_syncs: bool,
}

/// What the threads that serve and the owner of a disk share.
#[derive(Debug)]
struct State {
    volume: Volume,
    faults: Faults,
}

type Shared = Arc<Mutex<State>>;

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    // Each operation is complete before the next step that could fail.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A mounted disk. It is unmounted when this is dropped, and its files are gone.
#[derive(Debug)]
pub struct Disk {
    shared: Shared,
    /// `None` while it is dropped.
    session: Option<BackgroundSession>,
    folder: TempDir,
}

impl Disk {
    /// Mounts an empty disk in a temporary folder.
    ///
    /// # Errors
    /// It could not be mounted; the text says what is needed for that.
    pub fn mount() -> Result<Self, LoadError> {
        Self::with(Volume::new(None))
    }

    /// The same for a disk that records what changes it.
    ///
    /// # Errors
    /// See [`Self::mount`].
    pub fn recorded() -> Result<Self, LoadError> {
        Self::with(Volume::new(Some(Recording::default())))
    }

    fn with(volume: Volume) -> Result<Self, LoadError> {
        stale::unmount_all();
        let failed = |error: std::io::Error| {
            LoadError::failed(format!(
                "cannot mount a file system for faults of the disk: {error}; it takes /dev/fuse \
                 and the rights of root, or fusermount3 (apt-get install fuse3)"
            ))
        };
        let folder = tempfile::Builder::new().prefix("bellpull-disk-").tempdir().map_err(failed)?;
        let shared: Shared = Arc::new(Mutex::new(State { volume, faults: Faults::default() }));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName(stale::source())];
        config.n_threads = Some(THREADS);
        let session = Session::new(Served::new(Arc::clone(&shared)), folder.path(), &config);
        let session = session.and_then(Session::spawn).map_err(failed)?;
        Ok(Self { shared, session: Some(session), folder })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// From now on this is wrong with it, and nothing else.
    pub fn set(&self, faults: Faults) {
        lock(&self.shared).faults = faults;
    }

    /// How many bytes its files take.
    #[must_use]
    pub fn used(&self) -> u64 {
        lock(&self.shared).volume.used()
    }

    /// How many operations have changed it; 0 if they are not recorded.
    #[must_use]
    pub fn operations(&self) -> usize {
        lock(&self.shared).volume.operations()
    }

    /// Returns what was recorded so far, and records no more.
    #[must_use]
    pub fn take_recording(&self) -> Recording {
        lock(&self.shared).volume.take_recording()
    }

    /// A counter of [`Self::operations`] for others.
    #[must_use]
    pub fn counter(&self) -> Counter {
        Counter(Arc::clone(&self.shared))
    }
}

/// Counts the operations of a recorded disk.
#[derive(Debug, Clone)]
pub struct Counter(Shared);

impl Counter {
    /// How many there were.
    #[must_use]
    pub fn now(&self) -> usize {
        lock(&self.0).volume.operations()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also while files of it are open. Only root may do this; otherwise the session's end does.
        let _ = unmount(self.folder.path(), UnmountFlags::DETACH);
        drop(self.session.take());
    }
}
