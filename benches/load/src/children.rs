//! The processes that a run has started: none outlives it, also when the run is told to end.
//!
//! Whoever started one waits for it in a thread that no signal reaches. So a run that is to end
//! ends its children: their pipes and sockets close, whoever waited fails, and what they leave
//! behind (a database of the run's own) is cleared away as it always is.

use std::ops::{Deref, DerefMut};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

/// Those that run.
static CHILDREN: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// A process that ends with its owner.
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
        // Before it is waited for: its number is its own until then.
        children().retain(|child| *child != self.0.id());
        let _ = self.0.kill(); // it has ended by itself
        let _ = self.0.wait();
    }
}

/// Ends all of them.
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
