//! A process with a log of its own, and signals to it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::LoadError;
use crate::children::Owned;

/// How often a condition is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(10);
/// How much of a log's end is read, and how many lines of it are shown.
const TAIL_BYTES: u64 = 4_096;
const TAIL_LINES: usize = 12;

/// A running process.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: Owned,
    log: PathBuf,
}

impl Process {
    /// Starts it, without any input. Its output is appended to the log. It is not in the terminal's
    /// process group: Ctrl-C is for its owner, who ends all processes in order.
    pub(super) fn start(name: &str, mut command: Command, log: &Path) -> Result<Self, LoadError> {
        use std::os::unix::process::CommandExt;
        let failed = |error: std::io::Error| LoadError::failed(format!("{name}: {error}"));
        let file = File::options().create(true).append(true).open(log).map_err(failed)?;
        command.stdin(Stdio::null()).stdout(file.try_clone().map_err(failed)?).stderr(file);
        command.process_group(0);
        let child = Owned::start(command).map_err(failed)?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), LoadError> {
        let failed = |error| LoadError::failed(format!("{}: no signal: {error}", self.name));
        self.child.signal(signal).map_err(failed)
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, LoadError> {
        let failed = |error| LoadError::failed(format!("{}: {error}", self.name));
        self.child.try_wait().map_err(failed)
    }

    /// Waits for its end.
    pub(super) async fn exited(&mut self, patience: Duration) -> Result<ExitStatus, LoadError> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                let seconds = patience.as_secs();
                let state = self.state();
                return Err(self.failed(format!("it does not end within {seconds} s{state}")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Its state, and in which function of the kernel it waits, if the system tells.
    fn state(&self) -> String {
        let of = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", self.pid()));
        let status = of("status").unwrap_or_default();
        let state = status.lines().find(|line| line.starts_with("State:")).unwrap_or_default();
        let place = of("wchan").unwrap_or_default();
        format!(" ({state} {place})")
    }

    /// SIGKILL; returns once it is gone.
    pub(super) async fn kill(mut self, patience: Duration) -> Result<(), LoadError> {
        self.signal(Signal::KILL)?;
        self.exited(patience).await.map(drop)
    }

    /// Ends it from a destructor, which cannot await: with this signal, and if that takes too long
    /// with SIGKILL. A stopped process is woken for it.
    pub(super) fn end(mut self, signal: Signal, patience: Duration) {
        let _ = self.signal(signal); // it has ended by itself
        let _ = self.signal(Signal::CONT);
        let deadline = Instant::now() + patience;
        while matches!(self.ended(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
    }

    /// An error of it, with the last lines of its log.
    pub(super) fn failed(&self, why: impl std::fmt::Display) -> LoadError {
        failed(&self.name, &self.log, why)
    }
}

/// An error of a process, with the last lines of its log.
pub(super) fn failed(name: &str, log: &Path, why: impl std::fmt::Display) -> LoadError {
    let tail = tail(log);
    let lines = if tail.is_empty() { String::new() } else { format!("\n{tail}") };
    LoadError::failed(format!("{name}: {why}{lines}"))
}

/// The last lines of a log.
pub(super) fn tail(log: &Path) -> String {
    let mut bytes = Vec::new();
    let read = File::open(log).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        file.take(TAIL_BYTES).read_to_end(&mut bytes)
    });
    if read.is_err() {
        return String::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<&str> = text.lines().rev().take(TAIL_LINES).collect();
    lines.reverse();
    lines.join("\n")
}
