//! Mounts whose processes were killed.
//!
//! The kernel keeps such a mount, and every request to it fails. The next process that mounts a
//! disk removes it. A mount's source names its process: to ask the mount itself could take for ever
//! if its process was only stopped.

use std::path::Path;

use rustix::mount::{UnmountFlags, unmount};

/// What the source of each mount begins with.
const SOURCE: &str = "bellpull-disk-of-";

/// The source of this process' mounts.
pub(super) fn source() -> String {
    format!("{SOURCE}{}", std::process::id())
}

/// Unmounts all disks whose process is gone.
pub(super) fn unmount_all() {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else { return };
    for (folder, process) in disks(&mounts) {
        if !Path::new("/proc").join(process).exists() {
            // Another process may be doing the same.
            let _ = unmount(folder, UnmountFlags::DETACH);
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// Where disks are mounted, and by which processes. Temporary folders have no blanks in their
/// names.
fn disks(mounts: &str) -> impl Iterator<Item = (&str, &str)> {
    mounts.lines().filter_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let process = source.split(' ').nth(1)?.strip_prefix(SOURCE)?;
        Some((mount.split(' ').nth(4)?, process))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_found_among_the_mounts() {
        let mounts = "36 35 98:0 / /mnt rw,noatime master:1 - ext4 /dev/root rw\n\
                      40 36 0:31 / /tmp/x rw - fuse bellpull-disk-of-17 rw,user_id=0\n";
        assert_eq!(disks(mounts).collect::<Vec<_>>(), [("/tmp/x", "17")]);
    }
}
