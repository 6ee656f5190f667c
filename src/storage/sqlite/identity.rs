//! Which file a database is. Its path is resolved once, before anything is opened, and compared
//! with the open files from then on.
//!
//! SQLite keeps the log and its index beside the name by which the file was opened. So a file with
//! a second name has a second log, and a process that opens it by the other name misses what was
//! acknowledged. And a file that is removed or replaced stays open: the hub would write on into
//! what no name leads to.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::file::{beside, folder_of};
use super::given::Recorder;
use super::options::OpenError;
use bellpull_system::thread_priority::lower_priority;

/// Symbolic links that are followed to a file that does not exist yet: as many as Linux follows.
const LINKS_MAX: usize = 40;
/// How often paths and open files are compared while nothing is written.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A file, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl FileId {
    pub(super) fn of(found: &Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino() }
    }
}

/// The one path of the database that `path` leads to, by any links. The file need not exist if
/// it may be created, but its folder must. Checked before a lock is taken, so that an error leaves
/// no file behind.
pub(super) fn resolve(path: &Path, create: bool) -> Result<PathBuf, OpenError> {
    let mut path = std::path::absolute(path).map_err(|source| OpenError::io(path, source))?;
    for _ in 0..LINKS_MAX {
        match fs::canonicalize(&path) {
            Ok(found) => return check_names(&found).map(|()| found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(OpenError::io(&path, error)),
        }
        let folder = match fs::canonicalize(folder_of(&path)) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(OpenError::NoFolder(folder_of(&path)));
            }
            Err(error) => return Err(OpenError::io(&path, error)),
        };
        let Some(name) = path.file_name() else { return Err(OpenError::NotAFile(path)) };
        let at = folder.join(name);
        match fs::read_link(&at) {
            // SQLite would create the file that the link names.
            Ok(target) => path = folder.join(target),
            Err(_) if create => return Ok(at),
            Err(_) => return Err(OpenError::Missing(at)),
        }
    }
    Err(OpenError::io(&path, io::Error::other("too many symbolic links")))
}

/// Returns an error unless the file has one name, in one folder.
fn check_names(path: &Path) -> Result<(), OpenError> {
    let found = fs::metadata(path).map_err(|source| OpenError::io(path, source))?;
    let kind = found.file_type();
    // Opening a pipe would wait for its other end.
    if kind.is_dir() || kind.is_fifo() || kind.is_socket() || kind.is_char_device() {
        return Err(OpenError::NotAFile(path.to_owned()));
    }
    if found.nlink() > 1 {
        return Err(OpenError::Links { path: path.to_owned(), names: found.nlink() });
    }
    if is_mounted_alone(path, &found) {
        return Err(OpenError::MountedAlone(path.to_owned()));
    }
    Ok(())
}

/// Whether the file is mounted by itself, as a container's volume may be: then its log would be in
/// another folder than the file is.
fn is_mounted_alone(path: &Path, found: &Metadata) -> bool {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
        // A bind mount has the device of its origin. Where the kernel tells mounts (since 5.8)
        // devices say nothing: overlays give files of their layers devices of their own.
        if let Ok(found) = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS)
            && found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
        {
            return found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
        }
    }
    fs::metadata(folder_of(path)).is_ok_and(|folder| folder.dev() != found.dev())
}

/// What has become of an open file's name. The text is for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Moved {
    /// No file has the name.
    #[error("{} was removed or renamed while the hub has it open", .0.display())]
    Gone(PathBuf),
    /// Another file has it.
    #[error("{} was replaced by another file while the hub has it open", .0.display())]
    Replaced(PathBuf),
    /// The file system does not say.
    #[error("{} cannot be looked at: {why}", .path.display())]
    Unknown {
        /// Which file.
        path: PathBuf,
        /// The error.
        why: String,
    },
}

/// An open file and its name.
#[derive(Debug)]
struct Named {
    path: PathBuf,
    id: FileId,
}

impl Named {
    fn at(path: PathBuf) -> io::Result<Self> {
        let id = FileId::of(&fs::metadata(&path)?);
        Ok(Self { path, id })
    }

    fn look(&self) -> Result<(), Moved> {
        match fs::metadata(&self.path) {
            Ok(found) if FileId::of(&found) == self.id => Ok(()),
            Ok(_) => Err(Moved::Replaced(self.path.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Moved::Gone(self.path.clone()))
            }
            Err(error) => Err(Moved::Unknown { path: self.path.clone(), why: error.to_string() }),
        }
    }
}

/// The files of an open database: the file, its log, and the log's index.
#[derive(Debug)]
pub(super) struct OpenFiles {
    database: Named,
    log: Named,
    index: Named,
    /// Whether the last look found another file, or none, in one's place.
    are_lost: AtomicBool,
}

impl OpenFiles {
    /// Those of a database that was just opened and read.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            database: Named::at(path.to_owned())?,
            log: Named::at(beside(path, "-wal"))?,
            index: Named::at(beside(path, "-shm"))?,
            are_lost: AtomicBool::new(false),
        })
    }

    /// Whether the last look failed.
    pub(super) fn are_lost(&self) -> bool {
        self.are_lost.load(Relaxed)
    }

    /// Compares each name with its open file: three `stat`s, some 2 µs. What changed is logged.
    pub(super) fn look(&self) -> Result<(), Moved> {
        let looked = self.database.look().and_then(|()| self.log.look());
        let looked = looked.and_then(|()| self.index.look());
        let were_lost = self.are_lost.swap(looked.is_err(), Relaxed);
        match &looked {
            Err(moved) if !were_lost => tracing::error!(
                what = %moved,
                "nothing is written any more, since no file would have it after a restart: put \
                 the database's files back, or stop the hub and restore a backup"
            ),
            Ok(()) if were_lost => {
                tracing::warn!("the database's files are in their places again: writes go on");
            }
            Ok(()) | Err(_) => {}
        }
        looked
    }

    /// Whether a hub that stops may copy its log into the file. If the file was moved, or the
    /// log's index was, another process may be using them, which SQLite would not notice.
    pub(super) fn may_copy_log(&self) -> bool {
        let is_log_lost = self.log.look().is_err();
        self.database.look().is_ok() && (self.index.look().is_ok() || is_log_lost)
    }
}

/// Looks while nothing is written, and records what was given out. The thread ends when this is
/// dropped, which waits for it.
#[derive(Debug)]
pub(super) struct FileWatch {
    /// `None` once it is to end.
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FileWatch {
    /// Starts it. It is a thread, since a file system that hangs would hold up a worker.
    pub(super) fn start(files: Arc<OpenFiles>, mut recorder: Recorder) -> io::Result<Self> {
        let (stop, stopped) = sync_channel(0);
        let run = move || {
            lower_priority();
            recorder.tick();
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                // What it found is logged, and the writer refuses.
                if files.look().is_ok() {
                    recorder.tick();
                }
            }
            if files.look().is_ok() {
                recorder.record();
            }
        };
        let thread = std::thread::Builder::new().name("file-watch".to_owned()).spawn(run)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        self.stop = None;
        // A thread that panicked has logged it.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
