//! Faults inside the machine of a node: its disk, its clock, its open files.
//!
//! One node has a disk in memory and a clock that is shifted, if its schedule may have such faults.
//! Nodes are not started meanwhile: a hub does not start on a full disk.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::super::fault::{DISKS, FaultKind, SHIFTS};
use crate::LoadError;
use crate::cluster::{Shift, WallClock};
use crate::disk::{Disk, Faults};

/// What a slow disk adds to each write and to each `fsync`.
const SLOW: Duration = Duration::from_millis(25);
/// The disk and the clock of one node.
#[derive(Debug, Default)]
pub(super) struct Inner {
    disk: Option<Disk>,
    clock: Option<WallClock>,
    /// The process whose open files are limited, and its limit before.
    files: Option<(Pid, Rlimit)>,
}

impl Inner {
    /// What these faults need. Files go into `folder`.
    ///
    /// # Errors
    /// A disk cannot be mounted, or libfaketime is not installed.
    pub(super) fn new(kinds: &[FaultKind], folder: &Path) -> Result<Self, LoadError> {
        let has = |kind| kinds.contains(&kind);
        Ok(Self {
            disk: has(FaultKind::Disk).then(Disk::mount).transpose()?,
            clock: has(FaultKind::Clock).then(|| WallClock::new(folder)).transpose()?,
            files: None,
        })
    }

    /// Where the database lies: on the disk, if there is one.
    pub(super) fn folder<'a>(&'a self, folder: &'a Path) -> &'a Path {
        self.disk.as_ref().map_or(folder, Disk::path)
    }

    /// The variables of the node's process.
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        self.clock.iter().flat_map(WallClock::settings).collect()
    }

    /// Begins a fault.
    ///
    /// # Errors
    /// The fault is not one of these, or the process is gone.
    pub(super) fn begin(
        &mut self,
        kind: FaultKind,
        target: usize,
        process: Option<u32>,
    ) -> Result<(), LoadError> {
        match (kind, &self.disk, &self.clock) {
            (FaultKind::Disk, Some(disk), _) => {
                disk.set(faults(target, disk.used()));
                Ok(())
            }
            (FaultKind::Clock, _, Some(clock)) => clock.set(SHIFTS[target % SHIFTS.len()]),
            (FaultKind::Files, _, _) => {
                let process = process.ok_or_else(|| LoadError::failed("no process"))?;
                self.files = Some(exhaust(process)?);
                Ok(())
            }
            (_, _, _) => Err(LoadError::failed(format!("{}: not prepared", kind.name()))),
        }
    }

    /// Ends every fault.
    ///
    /// # Errors
    /// The clock's file could not be written.
    pub(super) fn end(&mut self) -> Result<(), LoadError> {
        if let Some(disk) = &self.disk {
            disk.set(Faults::default());
        }
        if let Some((process, limit)) = self.files.take() {
            // The process may have ended.
            let _ = prlimit(Some(process), Resource::Nofile, limit);
        }
        self.clock.as_ref().map_or(Ok(()), |clock| clock.set(Shift::None))
    }
}

/// What is wrong with a disk that has so many bytes.
fn faults(target: usize, used: u64) -> Faults {
    match target % DISKS.len() {
        0 => Faults { bytes_max: Some(used), ..Faults::default() },
        1 => Faults { delay: SLOW, ..Faults::default() },
        2 => Faults { is_read_only: true, ..Faults::default() },
        _ => Faults { has_sync_errors: true, ..Faults::default() },
    }
}

/// Lets a process open no more files than it has open; its limit before.
fn exhaust(process: u32) -> Result<(Pid, Rlimit), LoadError> {
    let failed = |error: std::io::Error| LoadError::failed(format!("process {process}: {error}"));
    let unknown = || LoadError::failed(format!("process {process}: its limits are unknown"));
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).map_err(failed)?.count();
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).map_err(failed)?;
    let before = open_files(&limits).ok_or_else(unknown)?;
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).ok_or_else(unknown)?;
    let limit = Rlimit { current: u64::try_from(open).ok(), ..before };
    prlimit(Some(pid), Resource::Nofile, limit).map_err(|error| failed(error.into()))?;
    Ok((pid, before))
}

/// The limit of open files, as `/proc/…/limits` has it.
fn open_files(limits: &str) -> Option<Rlimit> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
    Some(Rlimit { current: numbers.next()?, maximum: numbers.next()? })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_runs_out_of_files_and_is_given_them_back() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let limit = || {
            let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
            open_files(&limits).unwrap()
        };
        let before = limit();
        let mut inner = Inner::default();
        inner.begin(FaultKind::Files, 0, Some(child.id())).unwrap();
        assert!(limit().current < Some(20), "{:?}", limit());
        inner.end().unwrap();
        assert_eq!(limit(), before);
        inner.begin(FaultKind::Disk, 0, Some(child.id())).unwrap_err();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
