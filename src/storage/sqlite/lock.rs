//! One hub on one file: advisory locks on the file itself and on a file beside it.
//!
//! SQLite itself would let two hubs write in turns, but each would cache users in its own memory
//! and notify only its own. The lock on the file holds whatever its name becomes; the one beside it
//! holds the name, also while no file has it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::{OWN, beside};
use super::identity::FileId;
use super::options::OpenError;

/// How often a lock is tried, since a command that asks whether a hub is running has it for a
/// moment.
const TRIES: u32 = 10;
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// Held while the hub runs; the operating system frees it when the process ends in any way.
#[derive(Debug)]
pub(super) struct HubLock {
    file: File,
    path: PathBuf,
    /// Closed after all of SQLite's connections: closing a descriptor of a file frees the locks
    /// that SQLite has on it.
    _database: Option<File>,
}

/// What a path tells of hubs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Traces {
    /// No hub has run on it, or the last one has stopped.
    None,
    /// A hub was killed: its lock file was left behind.
    Left,
    /// A hub is running on it.
    Running,
}

impl HubLock {
    /// Takes the lock of `database`, or returns that another hub has it.
    pub(super) fn take(database: &Path) -> Result<Self, OpenError> {
        let path = beside(database, ".lock");
        let refused = |source| OpenError::Io { path: path.clone(), source };
        loop {
            let mut options = OpenOptions::new();
            options.create(true).truncate(false).write(true).mode(OWN);
            let file = options.open(&path).map_err(refused)?;
            if !try_lock(&file).map_err(refused)? {
                return Err(OpenError::InUse(database.to_owned()));
            }
            // Its last holder may have removed the file between our opening and our locking it:
            // then we hold a lock that no other process can see.
            if is_still_there(&file, &path) {
                let own = Self { file, path, _database: None };
                return own.and_file(database);
            }
        }
    }

    /// Takes the lock on the file as well, if there is one.
    fn and_file(self, database: &Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::io(database, source);
        let file = match File::open(database) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self),
            Err(error) => return Err(io(error)),
        };
        if !has_own_locks(&file) {
            return Ok(self);
        }
        match try_lock(&file) {
            Ok(true) => Ok(Self { _database: Some(file), ..self }),
            // Running under the name that the file had before.
            Ok(false) => {
                self.release();
                Err(OpenError::InUse(database.to_owned()))
            }
            Err(error) => Err(io(error)),
        }
    }

    /// Removes the file and then frees the lock, so that no process can lock a file that is about
    /// to be removed. A file that another hub has put in its place stays.
    pub(super) fn give_back(self) -> io::Result<()> {
        if is_still_there(&self.file, &self.path) {
            fs::remove_file(&self.path)?;
        }
        self.file.unlock()
    }

    /// The same, where an error can only be logged.
    pub(super) fn release(self) {
        if let Err(error) = self.give_back() {
            tracing::warn!(%error, "the lock file stays behind");
        }
    }
}

/// What the path of a database tells of hubs.
pub(super) fn traces(database: &Path) -> io::Result<Traces> {
    let file = match File::open(beside(database, ".lock")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Traces::None),
        Err(error) => return Err(error),
    };
    Ok(if is_locked(&file)? { Traces::Running } else { Traces::Left })
}

/// Whether a hub has this file open, by whatever name; `None` where the file system does not tell.
/// Only for processes that have no connection to it yet.
pub(super) fn is_in_use(database: &Path) -> io::Result<Option<bool>> {
    let file = File::open(database)?;
    if has_own_locks(&file) { is_locked(&file).map(Some) } else { Ok(None) }
}

/// Whether another process holds the lock. For a moment this one does.
fn is_locked(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[expect(clippy::disallowed_methods, reason = "0.1 s at most, and only at the start")]
fn try_lock(file: &File) -> io::Result<bool> {
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

/// Whether locks of whole files (`flock`) are apart from SQLite's locks of ranges. Elsewhere, and
/// on file systems of the network, the one would exclude the other.
fn has_own_locks(file: &File) -> bool {
    #[cfg(target_os = "linux")]
    {
        /// NFS, SMB, CIFS, SMB2, 9P: the types that Linux gives them.
        const SHARED: [u64; 5] = [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997];
        // The type has another size on other machines.
        let of = |found: rustix::fs::StatFs| u64::try_from(found.f_type & 0xffff_ffff);
        rustix::fs::fstatfs(file).is_ok_and(|found| of(found).is_ok_and(|t| !SHARED.contains(&t)))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        false
    }
}

fn is_still_there(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => FileId::of(&ours) == FileId::of(&there),
        _ => false,
    }
}
