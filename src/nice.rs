//! Threads that others go before.

use rustix::process::setpriority_process;

/// How nice such a thread is, of at most 19: it has what nobody else wants, and a part of a core (a
/// third) where all is wanted.
const NICE: i32 = 5;

/// Makes the thread that calls this nice. Where it may not be, it has the same part as all others.
pub(crate) fn be_nice() {
    if let Err(error) = setpriority_process(None, NICE) {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default();
        tracing::debug!(%error, name, "this thread is as urgent as all others");
    }
}
