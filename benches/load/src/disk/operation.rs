//! What changes a disk.

use std::ffi::OsString;

/// One change. Files are known by numbers, which are never used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A name and its new, empty file.
    Create {
        /// The name.
        name: OsString,
        /// The file.
        file: u64,
    },
    /// Bytes are written.
    Write {
        /// The file.
        file: u64,
        /// Where they begin.
        at: usize,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A file becomes shorter, or longer by zeros.
    Resize {
        /// The file.
        file: u64,
        /// Its new length.
        length: usize,
    },
    /// A file has another name, whose earlier file has none any more.
    Rename {
        /// The old name.
        from: OsString,
        /// The new one.
        to: OsString,
    },
    /// A name is removed.
    Unlink {
        /// The name.
        name: OsString,
    },
    /// `fsync` or `fdatasync` of a file.
    Sync {
        /// The file.
        file: u64,
    },
    /// `fsync` of the folder.
    SyncFolder,
}

/// All changes of a disk since it was empty, in order.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// The changes.
    pub operations: Vec<Operation>,
}
