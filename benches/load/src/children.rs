//! The processes that a run has started: none outlives it, even if the run is interrupted.
//!
//! The thread that starts a process waits for it and receives no signals. An interrupted run
//! terminates its children: their pipes and sockets close, the waiting threads fail, and their
//! temporary files are removed as usual. A run that is killed leaves no time for that: a process
//! whose command is made by [`tied`] receives a signal from the kernel then.

use std::ffi::OsStr;
use std::ops::{Deref, DerefMut};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

/// The running processes.
static CHILDREN: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// What the starting thread is asked for: a command, and where its process goes.
type Start = (Command, SyncSender<std::io::Result<Child>>);

/// The kernel's signal to a tied process follows the end of the *thread* that started it. Threads
/// of a runtime may end before the run: this one does not.
static STARTER: OnceLock<SyncSender<Start>> = OnceLock::new();

/// A process that is terminated when its owner is dropped.
#[derive(Debug)]
pub(super) struct Owned(Child);

impl Owned {
    /// Starts it.
    pub(super) fn start(command: Command) -> std::io::Result<Self> {
        let (reply, started) = sync_channel(1);
        let gone = || std::io::Error::other("the thread that starts processes has ended");
        starter()?.send((command, reply)).map_err(|_| gone())?;
        started.recv().map_err(|_| gone())?.map(Self)
    }

    /// Sends it a signal. It has not been waited for, so its id is its own.
    pub(super) fn signal(&self, signal: Signal) -> std::io::Result<()> {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| std::io::Error::other("a process without an id"))?;
        Ok(kill_process(pid, signal)?)
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

/// A command for a process that receives `signal` if this process ends without terminating it.
/// util-linux's `setpriv` asks the kernel for it and becomes the program, with the same process id;
/// where there is none, the program is started plainly.
pub(super) fn tied(program: impl AsRef<OsStr>, signal: &str) -> Command {
    if !*CAN_TIE {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    command
}

/// Whether there is a `setpriv` that knows the option: BusyBox' does not.
static CAN_TIE: LazyLock<bool> = LazyLock::new(|| {
    let mut probe = Command::new("setpriv");
    probe.args(["--pdeathsig", "KILL", "--", "true"]);
    probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
});

/// Terminates all of them.
pub fn end_all() {
    for child in children().iter() {
        if let Some(pid) = i32::try_from(*child).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL); // it has ended by itself
        }
    }
}

fn starter() -> std::io::Result<&'static SyncSender<Start>> {
    if let Some(starter) = STARTER.get() {
        return Ok(starter);
    }
    let (sender, requests) = sync_channel::<Start>(1);
    std::thread::Builder::new().name("starter".to_owned()).spawn(move || {
        for (mut command, reply) in requests {
            let mut children = children();
            let started = command.spawn();
            children.extend(started.as_ref().ok().map(Child::id));
            drop(children);
            let _ = reply.send(started); // the caller waits for it
        }
    })?;
    // Of two at once the second one's thread ends with its queue.
    Ok(STARTER.get_or_init(|| sender))
}

fn children() -> MutexGuard<'static, Vec<u32>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}
