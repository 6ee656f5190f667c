//! One hub on one file: an advisory lock on a file beside the database.
//!
//! SQLite itself would let two hubs write in turns, but each would cache users in its own memory
//! and notify only its own.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::options::OpenError;

/// Held while the hub runs; the operating system frees it when the process ends in any way.
#[derive(Debug)]
pub(super) struct HubLock {
    file: File,
    path: PathBuf,
}

impl HubLock {
    /// Takes the lock of `database`, or returns that another hub has it.
    pub(super) fn take(database: &Path) -> Result<Self, OpenError> {
        let mut name = database.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let refused = |source| OpenError::Io { path: path.clone(), source };
        loop {
            let mut options = OpenOptions::new();
            options.create(true).truncate(false).write(true).mode(0o600);
            let file = options.open(&path).map_err(refused)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(OpenError::InUse(database.to_owned()));
                }
                Err(TryLockError::Error(source)) => return Err(refused(source)),
            }
            // Its last holder may have removed the file between our opening and our locking it:
            // then we hold a lock that no other process can see.
            if is_still_there(&file, &path) {
                return Ok(Self { file, path });
            }
        }
    }

    /// Removes the file and then frees the lock, so that no process can lock a file that is about
    /// to be removed.
    pub(super) fn give_back(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)?;
        self.file.unlock()
    }
}

#[cfg(unix)]
fn is_still_there(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(there)) => ours.ino() == there.ino() && ours.dev() == there.dev(),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_still_there(_: &File, path: &Path) -> bool {
    path.exists()
}
