//! The kernel's requests.

use std::ffi::OsStr;
use std::sync::MutexGuard;
use std::time::{Duration, SystemTime};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::volume::{FOLDER, File, Owner, wide};
use super::{Faults, Shared, State, lock};

/// How long the kernel may use what it knows of names and files: only it changes them.
const KNOWN: Duration = Duration::from_secs(3_600);
/// The size of a block, for `stat` and `statfs`.
const BLOCK: u32 = 4_096;
/// The size of a disk that has no limit: 64 GiB.
const SIZE: u64 = 64 << 30;
/// Permissions.
const MODES: u32 = 0o7777;

/// The file system that is mounted.
#[derive(Debug)]
pub(super) struct Served {
    shared: Shared,
    made_at: SystemTime,
}

impl Served {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared, made_at: SystemTime::now() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared)
    }

    /// Does something with the files and today's faults.
    fn with<T>(
        &self,
        work: impl FnOnce(&mut State, Faults) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let mut state = self.state();
        let faults = state.faults;
        work(&mut state, faults)
    }

    /// Takes as long as the device does.
    fn take_time(&self) {
        let delay = self.state().faults.delay;
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
    }

    fn attributes(&self, number: u64, state: &State) -> Result<FileAttr, Errno> {
        if number == FOLDER {
            return Ok(self.folder());
        }
        state.volume.file(number).map(|file| attributes(number, file))
    }

    fn folder(&self) -> FileAttr {
        let user = rustix::process::geteuid().as_raw();
        let group = rustix::process::getegid().as_raw();
        let owner = Owner { user, group, mode: 0o700 };
        let file = (0, FileType::Directory, self.made_at);
        described(FOLDER, file, owner)
    }

    fn entry(&self, number: u64, reply: ReplyEntry) {
        match self.attributes(number, &self.state()) {
            Ok(attributes) => reply.entry(&KNOWN, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        }
    }
}

fn attributes(number: u64, file: &File) -> FileAttr {
    let length = wide(file.bytes.len());
    described(number, (length, FileType::RegularFile, file.changed_at), file.owner)
}

fn described(
    number: u64,
    (size, kind, changed_at): (u64, FileType, SystemTime),
    owner: Owner,
) -> FileAttr {
    FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: changed_at,
        mtime: changed_at,
        ctime: changed_at,
        crtime: changed_at,
        kind,
        perm: owner.mode,
        nlink: 1,
        uid: owner.user,
        gid: owner.group,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    }
}

fn empty(result: Result<(), Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

/// An offset or a length of the kernel.
fn narrow(number: u64) -> Result<usize, Errno> {
    usize::try_from(number).map_err(|_| Errno::EFBIG)
}

fn permissions(mode: u32) -> u16 {
    u16::try_from(mode & MODES).unwrap_or(0o600)
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.state().volume.find(name);
        match found {
            Ok(number) => self.entry(number, reply),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(ino.0, &self.state()) {
            Ok(attributes) => reply.attr(&KNOWN, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changed = self.with(|state, faults| {
            if let Some(size) = size {
                state.volume.resize(ino.0, narrow(size)?, &faults)?;
            }
            if ino.0 != FOLDER {
                let owner = &mut state.volume.file_mut(ino.0)?.owner;
                owner.mode = mode.map_or(owner.mode, permissions);
                owner.user = uid.unwrap_or(owner.user);
                owner.group = gid.unwrap_or(owner.group);
            }
            self.attributes(ino.0, state)
        });
        match changed {
            Ok(attributes) => reply.attr(&KNOWN, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        request: &Request,
        _: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let mode = permissions(mode & !umask);
        let owner = Owner { user: request.uid(), group: request.gid(), mode };
        let created = self.with(|state, faults| {
            let number = state.volume.create(name, owner, &faults)?;
            self.attributes(number, state)
        });
        match created {
            Ok(attributes) => {
                let keep = FopenFlags::FOPEN_KEEP_CACHE;
                reply.created(&KNOWN, &attributes, Generation(0), FileHandle(0), keep);
            }
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let opened = self.state().volume.open(ino.0);
        match opened {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(error),
        }
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.state().volume.close(ino.0);
        reply.ok();
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let state = self.state();
        let bytes = state.volume.file(ino.0).and_then(|file| {
            let count = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
            Ok(file.read(narrow(offset)?, count))
        });
        match bytes {
            Ok(bytes) => reply.data(bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        flags: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.take_time();
        let is_cached = flags.contains(WriteFlags::FUSE_WRITE_CACHE);
        let written = self.with(|state, faults| {
            state.volume.write(ino.0, narrow(offset)?, data, is_cached, &faults)?;
            u32::try_from(data.len()).map_err(|_| Errno::EFBIG)
        });
        match written {
            Ok(count) => reply.written(count),
            Err(error) => reply.error(error),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let done = self.with(|state, faults| {
            if mode != 0 {
                return Err(Errno::EOPNOTSUPP);
            }
            let end = narrow(offset.checked_add(length).ok_or(Errno::EFBIG)?)?;
            let length = state.volume.file(ino.0)?.bytes.len();
            state.volume.resize(ino.0, end.max(length), &faults)
        });
        empty(done, reply);
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        _: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let replaces = !flags.contains(RenameFlags::RENAME_NOREPLACE);
        let done = self.with(|state, faults| match flags.contains(RenameFlags::RENAME_EXCHANGE) {
            true => Err(Errno::EINVAL),
            false => state.volume.rename(name, newname, replaces, &faults),
        });
        empty(done, reply);
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.with(|state, faults| state.volume.unlink(name, &faults)), reply);
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.take_time();
        empty(self.with(|state, faults| state.volume.sync(Some(ino.0), &faults)), reply);
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.take_time();
        empty(self.with(|state, faults| state.volume.sync(None, &faults)), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let state = self.state();
        let own = [".", ".."].map(|name| (OsStr::new(name), FOLDER, FileType::Directory));
        let files = state.volume.names();
        let files = files.map(|(name, file)| (name.as_os_str(), file, FileType::RegularFile));
        let all = own.into_iter().chain(files).zip(1..);
        let rest = all.skip_while(|(_, next)| *next <= offset);
        for ((name, number, kind), next) in rest {
            if reply.add(INodeNo(number), next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let state = self.state();
        let size = state.faults.bytes_max.unwrap_or(SIZE);
        let free = size.saturating_sub(state.volume.used()) / u64::from(BLOCK);
        reply.statfs(size / u64::from(BLOCK), free, free, 0, 0, BLOCK, 255, BLOCK);
    }
}
