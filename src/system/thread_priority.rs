//! Low-priority threads.

use rustix::process::setpriority_process;

/// The nice value, of at most 19: such a thread gets an idle core, and about a third of a busy one.
const NICE: i32 = 5;

/// Lowers the priority of the calling thread. If the system refuses, it stays as it is.
pub fn lower_priority() {
    if let Err(error) = setpriority_process(None, NICE) {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default();
        tracing::debug!(%error, name, "this thread is as urgent as all others");
    }
}
