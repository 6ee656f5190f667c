//! The worker processes of a run, and their messages.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{ChildStdin, Command as Process, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::LoadError;
use super::check::Faults;
use super::children::Owned;
use super::pipe::{Command, Event, Pace, ReportedFrame, Setup, Tally};
use super::readings::{allow_files, cpu_us};
use super::spawn::own_binary;

/// How long to wait for unexpected frames after the last expected one.
const AFTERWARDS: Duration = Duration::from_millis(50);

/// The worker processes of a run. They are terminated with it.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    events: Receiver<(usize, Option<Event>)>,
    patience: Duration,
    bar: ProgressBar,
    /// Workers that have finished their handshakes.
    connected: usize,
    /// Workers that have received all expected frames, and when the last of them arrived.
    reached: (usize, u64),
    tallies: Vec<Tally>,
    /// Reported frames that were not yet fetched.
    reported: Vec<ReportedFrame>,
}

#[derive(Debug)]
struct Worker {
    child: Owned,
    input: BufWriter<ChildStdin>,
    sockets: usize,
    open: u64,
    received: u64,
}

impl Workers {
    /// Starts this many processes and distributes the users over them.
    ///
    /// # Errors
    /// They do not start, or a process may not open as many files.
    pub fn start(setup: &Setup, processes: usize, patience: Duration) -> Result<Self, LoadError> {
        let share = setup.participants.len().div_ceil(processes.max(1)).max(1);
        let more = setup.participants.len().div_ceil(15_000).max(processes + 1);
        allow_files(share, "a process of the tool", &format!("try --processes {more}"))?;
        let (sender, events) = channel();
        let mut workers = Vec::new();
        for (index, participants) in setup.participants.chunks(share).enumerate() {
            let mut worker = Worker::start(index, participants.len(), sender.clone())?;
            let participants = participants.to_vec();
            let setup = Setup { participants, earlier: index * share, ..setup.clone() };
            worker.tell(&Command::Setup(Box::new(setup)))?;
            workers.push(worker);
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}");
        bar.set_style(style.map_err(|error| LoadError::Failed(error.to_string()))?);
        Ok(Self {
            workers,
            events,
            patience,
            bar,
            connected: 0,
            reached: (0, 0),
            tallies: Vec::new(),
            reported: Vec::new(),
        })
    }

    /// The number of sockets.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.workers.iter().map(|worker| worker.sockets).sum()
    }

    /// The CPU time of the whole tool so far, in µs.
    ///
    /// # Errors
    /// A worker has ended.
    pub fn cpu_us(&self) -> Result<u64, LoadError> {
        let own = cpu_us(std::process::id())?;
        let workers = self.workers.iter().map(|worker| cpu_us(worker.child.id()));
        workers.sum::<Result<u64, _>>().map(|workers| own + workers)
    }

    /// Opens all sockets that are not open, and waits until all handshakes have ended.
    ///
    /// # Errors
    /// It took too long.
    pub fn connect(&mut self, pace: Pace, backlog: u64) -> Result<(), LoadError> {
        self.watch("connecting", self.sockets());
        let share = |pace| match pace {
            Pace::Closed(at_once) => Pace::Closed(at_once.div_ceil(self.workers.len().max(1))),
            Pace::Open { every_ns } => {
                let workers = u64::try_from(self.workers.len()).unwrap_or(1);
                Pace::Open { every_ns: every_ns * workers }
            }
        };
        let pace = share(pace);
        self.connected = 0;
        self.tell_all(|_| Command::Connect { pace, backlog })?;
        if self.wait(|workers| workers.connected == workers.workers.len())? {
            return Ok(());
        }
        let (seconds, all) = (self.patience.as_secs(), self.sockets());
        let Tally { open, handshake, .. } = self.reset()?;
        let text = format!("--timeout: after {seconds} s {open} of {all} sockets were open");
        let upgraded = handshake.count();
        Err(LoadError::Failed(match upgraded > open {
            true => {
                format!("{text}; {upgraded} were upgraded: the frame that opens them is missing")
            }
            false => text,
        }))
    }

    /// Closes all sockets.
    ///
    /// # Errors
    /// A worker has ended.
    pub fn disconnect(&mut self) -> Result<(), LoadError> {
        self.tell_all(|_| Command::Disconnect)
    }

    /// Closes this many sockets of the next worker (round robin), and opens them again.
    ///
    /// # Errors
    /// The worker has ended.
    pub fn come_again(&mut self, turn: usize, count: usize) -> Result<(), LoadError> {
        let workers = self.workers.len().max(1);
        match self.workers.get_mut(turn % workers) {
            Some(worker) => worker.tell(&Command::Return(count)),
            None => Ok(()),
        }
    }

    /// Asks workers to report when each socket has received this many marked frames since the last
    /// reset.
    ///
    /// # Errors
    /// A worker has ended.
    pub fn expect(&mut self, each: u64) -> Result<(), LoadError> {
        self.reached = (0, 0);
        let expected = |worker: &Worker| each * u64::try_from(worker.sockets).unwrap_or(u64::MAX);
        self.tell_all(|worker| Command::Expect(expected(worker)))
    }

    /// Waits for the expected frames; when the last one arrived, or `None` if some did not.
    ///
    /// # Errors
    /// A worker has ended.
    pub fn reached(&mut self) -> Result<Option<u64>, LoadError> {
        let is_whole = self.wait(|workers| workers.reached.0 == workers.workers.len())?;
        Ok(is_whole.then_some(self.reached.1))
    }

    /// Waits this long for reported frames; returns them.
    ///
    /// # Errors
    /// A worker has ended.
    pub fn reported(&mut self, time: Duration) -> Result<Vec<ReportedFrame>, LoadError> {
        let deadline = Instant::now() + time;
        while self.hear(deadline)? {}
        Ok(std::mem::take(&mut self.reported))
    }

    /// Marked frames since the last reset, as far as reported.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.workers.iter().map(|worker| worker.received).sum()
    }

    /// The tally since the last reset, after waiting for unexpected frames.
    ///
    /// # Errors
    /// See [`Self::reset`].
    pub fn last_of_all(&mut self) -> Result<Tally, LoadError> {
        std::thread::sleep(AFTERWARDS);
        self.reset()
    }

    /// The tally since the last reset; starts a new one.
    ///
    /// # Errors
    /// A worker has ended, or does not answer.
    pub fn reset(&mut self) -> Result<Tally, LoadError> {
        self.tallies.clear();
        self.tell_all(|_| Command::Reset)?;
        if !self.wait(|workers| workers.tallies.len() == workers.workers.len())? {
            return Err(LoadError::failed("a worker process does not answer"));
        }
        let mut all = Tally::default();
        for tally in self.tallies.drain(..) {
            all.add(&tally);
        }
        Ok(all)
    }

    /// Shows the progress.
    pub fn watch(&self, what: &'static str, count: usize) {
        self.bar.reset();
        self.bar.set_message(what);
        self.bar.set_length(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Sends a command to every worker.
    fn tell_all(&mut self, command: impl Fn(&Worker) -> Command) -> Result<(), LoadError> {
        self.workers.iter_mut().try_for_each(|worker| worker.tell(&command(worker)))
    }

    /// Waits until a condition is true; whether it became true within the time limit of a step.
    fn wait(&mut self, is_so: impl Fn(&Self) -> bool) -> Result<bool, LoadError> {
        let deadline = Instant::now() + self.patience;
        while !is_so(self) {
            if !self.hear(deadline)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Handles the next message of a worker; whether one arrived in time.
    fn hear(&mut self, deadline: Instant) -> Result<bool, LoadError> {
        let wait = deadline.saturating_duration_since(Instant::now());
        let (index, event) = match self.events.recv_timeout(wait) {
            Ok(heard) => heard,
            Err(RecvTimeoutError::Timeout) => return Ok(false),
            Err(RecvTimeoutError::Disconnected) => (0, None),
        };
        match event {
            Some(Event::Progress { open, received }) => self.progress(index, open, received),
            Some(Event::Connected) => self.connected += 1,
            Some(Event::Reached { at_ns }) => {
                self.reached = (self.reached.0 + 1, self.reached.1.max(at_ns));
            }
            Some(Event::Frames(frames)) => self.reported.extend(frames),
            Some(Event::Tally(tally)) => self.tallies.push(*tally),
            None => return Err(LoadError::failed("a worker process ended before its time")),
        }
        Ok(true)
    }

    fn progress(&mut self, index: usize, open: u64, received: u64) {
        if let Some(worker) = self.workers.get_mut(index) {
            (worker.open, worker.received) = (open, received);
        }
        let sum = |of: fn(&Worker) -> u64| self.workers.iter().map(of).sum();
        let is_connecting = self.bar.message() == "connecting";
        self.bar.set_position(sum(if is_connecting { |w| w.open } else { |w| w.received }));
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Worker {
    fn start(
        index: usize,
        sockets: usize,
        events: Sender<(usize, Option<Event>)>,
    ) -> Result<Self, LoadError> {
        let failed =
            |error: &dyn std::fmt::Display| LoadError::Failed(format!("a worker process: {error}"));
        let mut process = Process::new(own_binary()?);
        process.args(["load", "worker"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Owned::start(process).map_err(|error| failed(&error))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(&"it has no pipes"));
        };
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).ok();
                let is_invalid = event.is_none();
                if events.send((index, event)).is_err() || is_invalid {
                    return;
                }
            }
            let _ = events.send((index, None)); // unless the receiver is gone
        });
        let input = BufWriter::new(input);
        Ok(Self { child, input, sockets, open: 0, received: 0 })
    }

    fn tell(&mut self, command: &Command) -> Result<(), LoadError> {
        let failed =
            |error: &dyn std::fmt::Display| LoadError::Failed(format!("a worker process: {error}"));
        serde_json::to_writer(&mut self.input, command).map_err(|error| failed(&error))?;
        self.input.write_all(b"\n").map_err(|error| failed(&error))?;
        self.input.flush().map_err(|error| failed(&error))
    }
}

/// Expected frames that did not arrive, and unexpected ones.
pub fn count_missing(faults: &mut Faults, expected: u64, received: u64) {
    faults.missing += expected.saturating_sub(received);
    faults.doubles += received.saturating_sub(expected);
}
