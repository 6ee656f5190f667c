//! The binary in little memory: in a control group of its own, or with a limit on its data.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::command;
use super::skip::skipped;

/// Where a memory controller may be: version 1, then version 2, each with its file of the limit.
const CONTROLLERS: [(&str, &str); 2] =
    [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];

/// A limit on a process' memory; the control group is removed with it.
pub struct MemoryLimit {
    bytes: u64,
    kind: Kind,
}

enum Kind {
    /// A control group: the kernel ends the process when it needs more.
    Group(PathBuf),
    /// `RLIMIT_DATA`, set by prlimit: allocations fail, which ends the process.
    Data,
}

impl MemoryLimit {
    /// A limit of so many bytes, by what this machine allows; says so where it allows nothing.
    pub fn of(bytes: u64) -> Option<Self> {
        let group = CONTROLLERS.iter().find_map(|(root, file)| group(Path::new(root), file, bytes));
        if let Some(group) = group {
            return Some(Self { bytes, kind: Kind::Group(group) });
        }
        if Command::new("prlimit").arg("--version").output().is_ok() {
            return Some(Self { bytes, kind: Kind::Data });
        }
        skipped("neither a memory control group nor prlimit is available here");
        None
    }

    /// The command, which then runs within the limit.
    pub fn command(&self, database: &Path) -> Command {
        let plain = command(database);
        let mut limited = match &self.kind {
            Kind::Group(group) => {
                let mut limited = Command::new("sh");
                limited.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]);
                limited.arg(group.join("cgroup.procs"));
                limited
            }
            Kind::Data => {
                let mut limited = Command::new("prlimit");
                limited.arg(format!("--data={}", self.bytes));
                limited
            }
        };
        limited.arg(plain.get_program());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        if let Some(folder) = plain.get_current_dir() {
            limited.current_dir(folder);
        }
        limited
    }
}

/// A new group with the limit, where one can be made.
fn group(root: &Path, file: &str, bytes: u64) -> Option<PathBuf> {
    let group = root.join(format!("bellpull-test-{}", std::process::id()));
    if !root.join(file).exists() && !root.join("cgroup.subtree_control").exists() {
        return None;
    }
    std::fs::create_dir(&group).ok()?;
    if std::fs::write(group.join(file), bytes.to_string()).is_ok() {
        return Some(group);
    }
    let _ = std::fs::remove_dir(&group);
    None
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        let Kind::Group(group) = &self.kind else { return };
        // The kernel keeps it busy for a moment after the process has gone.
        for _ in 0..100 {
            if std::fs::remove_dir(group).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
