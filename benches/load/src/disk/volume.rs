//! The files of a disk, in memory, and their names.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::time::SystemTime;

use fuser::Errno;

use super::{Faults, Operation, Recording};

/// The folder's number; the kernel's for the root of a file system.
pub(super) const FOLDER: u64 = 1;

/// A file.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) bytes: Vec<u8>,
    pub(super) owner: Owner,
    pub(super) changed_at: SystemTime,
    has_name: bool,
    /// How often it is open.
    opened: usize,
}

/// Whose it is, and who may do what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    pub(super) user: u32,
    pub(super) group: u32,
    /// Permissions.
    pub(super) mode: u16,
}

/// All files.
#[derive(Debug)]
pub(super) struct Volume {
    files: HashMap<u64, File>,
    names: BTreeMap<OsString, u64>,
    /// The number of the last file.
    last: u64,
    recording: Option<Recording>,
}

impl Volume {
    /// An empty one.
    pub(super) fn new(recording: Option<Recording>) -> Self {
        let (files, names) = (HashMap::new(), BTreeMap::new());
        Self { files, names, last: FOLDER, recording }
    }

    /// How many bytes all files take.
    pub(super) fn used(&self) -> u64 {
        self.files.values().map(|file| wide(file.bytes.len())).sum()
    }

    pub(super) fn operations(&self) -> usize {
        self.recording.as_ref().map_or(0, |recording| recording.operations.len())
    }

    pub(super) fn take_recording(&mut self) -> Recording {
        self.recording.take().unwrap_or_default()
    }

    fn note(&mut self, operation: impl FnOnce() -> Operation) {
        if let Some(recording) = &mut self.recording {
            recording.operations.push(operation());
        }
    }

    /// The file of a name.
    pub(super) fn find(&self, name: &OsStr) -> Result<u64, Errno> {
        self.names.get(name).copied().ok_or(Errno::ENOENT)
    }

    pub(super) fn file(&self, number: u64) -> Result<&File, Errno> {
        self.files.get(&number).ok_or(Errno::ENOENT)
    }

    pub(super) fn file_mut(&mut self, number: u64) -> Result<&mut File, Errno> {
        self.files.get_mut(&number).ok_or(Errno::ENOENT)
    }

    /// All names with their files.
    pub(super) fn names(&self) -> impl Iterator<Item = (&OsString, u64)> {
        self.names.iter().map(|(name, file)| (name, *file))
    }

    /// A new file, which is open.
    pub(super) fn create(
        &mut self,
        name: &OsStr,
        owner: Owner,
        faults: &Faults,
    ) -> Result<u64, Errno> {
        writable(faults)?;
        if self.names.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        if faults.bytes_max.is_some_and(|most| self.used() >= most) {
            return Err(Errno::ENOSPC);
        }
        self.last += 1;
        let file = self.last;
        let changed_at = SystemTime::now();
        let new = File { bytes: Vec::new(), owner, changed_at, has_name: true, opened: 1 };
        self.files.insert(file, new);
        self.names.insert(name.to_owned(), file);
        self.note(|| Operation::Create { name: name.to_owned(), file });
        Ok(file)
    }

    /// The file is open once more.
    pub(super) fn open(&mut self, file: u64) -> Result<(), Errno> {
        self.file_mut(file)?.opened += 1;
        Ok(())
    }

    /// The file is open once less. Without a name it is gone then.
    pub(super) fn close(&mut self, file: u64) {
        if let Some(found) = self.files.get_mut(&file) {
            found.opened = found.opened.saturating_sub(1);
        }
        self.remove_unused(file);
    }

    fn remove_unused(&mut self, file: u64) {
        if self.files.get(&file).is_some_and(|file| !file.has_name && file.opened == 0) {
            self.files.remove(&file);
        }
    }

    /// Writes. What the kernel wrote into its cache earlier, from a process' memory, cannot be
    /// refused any more.
    pub(super) fn write(
        &mut self,
        file: u64,
        at: usize,
        bytes: &[u8],
        is_cached: bool,
        faults: &Faults,
    ) -> Result<(), Errno> {
        let length = self.file(file)?.bytes.len();
        let end = at.checked_add(bytes.len()).ok_or(Errno::EFBIG)?;
        if !is_cached {
            writable(faults)?;
            self.make_room(end.saturating_sub(length), faults)?;
        }
        let found = self.file_mut(file)?;
        found.write(at, bytes);
        found.changed_at = SystemTime::now();
        self.note(|| Operation::Write { file, at, bytes: bytes.to_owned() });
        Ok(())
    }

    /// Makes a file shorter, or longer by zeros.
    pub(super) fn resize(
        &mut self,
        file: u64,
        length: usize,
        faults: &Faults,
    ) -> Result<(), Errno> {
        writable(faults)?;
        let before = self.file(file)?.bytes.len();
        self.make_room(length.saturating_sub(before), faults)?;
        let found = self.file_mut(file)?;
        found.bytes.resize(length, 0);
        found.changed_at = SystemTime::now();
        self.note(|| Operation::Resize { file, length });
        Ok(())
    }

    fn make_room(&self, more: usize, faults: &Faults) -> Result<(), Errno> {
        match faults.bytes_max {
            Some(most) if more > 0 && self.used() + wide(more) > most => Err(Errno::ENOSPC),
            Some(_) | None => Ok(()),
        }
    }

    /// Gives a file another name. `replaces`: another file may have had it.
    pub(super) fn rename(
        &mut self,
        from: &OsStr,
        to: &OsStr,
        replaces: bool,
        faults: &Faults,
    ) -> Result<(), Errno> {
        writable(faults)?;
        let file = self.find(from)?;
        if !replaces && self.names.contains_key(to) {
            return Err(Errno::EEXIST);
        }
        self.names.remove(from);
        if let Some(replaced) = self.names.insert(to.to_owned(), file)
            && replaced != file
        {
            self.forget_name(replaced);
        }
        self.note(|| Operation::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    /// Removes a name.
    pub(super) fn unlink(&mut self, name: &OsStr, faults: &Faults) -> Result<(), Errno> {
        writable(faults)?;
        let file = self.names.remove(name).ok_or(Errno::ENOENT)?;
        self.forget_name(file);
        self.note(|| Operation::Unlink { name: name.to_owned() });
        Ok(())
    }

    fn forget_name(&mut self, file: u64) {
        if let Some(found) = self.files.get_mut(&file) {
            found.has_name = false;
        }
        self.remove_unused(file);
    }

    /// `fsync` of a file; `None`: of the folder.
    pub(super) fn sync(&mut self, file: Option<u64>, faults: &Faults) -> Result<(), Errno> {
        if faults.has_sync_errors {
            return Err(Errno::EIO);
        }
        if !faults.has_false_syncs {
            self.note(|| file.map_or(Operation::SyncFolder, |file| Operation::Sync { file }));
        }
        Ok(())
    }
}

impl File {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        overwrite(&mut self.bytes, at, bytes);
    }

    /// A part of it; less at its end.
    pub(super) fn read(&self, at: usize, count: usize) -> &[u8] {
        let end = at.saturating_add(count).min(self.bytes.len());
        self.bytes.get(at..end).unwrap_or_default()
    }
}

/// Writes into a file's bytes, which become longer if need be.
pub(super) fn overwrite(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}

fn writable(faults: &Faults) -> Result<(), Errno> {
    if faults.is_read_only { Err(Errno::EROFS) } else { Ok(()) }
}

pub(super) fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
