//! The processes that a run has started: none outlives it, even if the run is interrupted.
//!
//! The thread that starts a process waits for it and receives no signals. An interrupted run
//! terminates its children: their pipes and sockets close, the waiting threads fail, and their
//! temporary files are removed as usual.

use std::ops::{Deref, DerefMut};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

/// The running processes.
static CHILDREN: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// A process that is terminated when its owner is dropped.
#[derive(Debug)]
pub(super) struct Owned(Child);

impl Owned {
    /// Starts it.
    pub(super) fn start(command: &mut Command) -> std::io::Result<Self> {
        let mut children = children();
        let child = command.spawn()?;
        children.push(child.id());
        Ok(Self(child))
    }
}

impl Deref for Owned {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Owned {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Before it is waited for: until then the process id cannot be reused.
        children().retain(|child| *child != self.0.id());
        let _ = self.0.kill(); // it has ended by itself
        let _ = self.0.wait();
    }
}

/// Terminates all of them.
pub fn end_all() {
    for child in children().iter() {
        if let Some(pid) = i32::try_from(*child).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL); // it has ended by itself
        }
    }
}

fn children() -> MutexGuard<'static, Vec<u32>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}
