//! The worker process: all of its sockets in one thread on one epoll loop.
//!
//! It shares the cores with the measured server, so it does as little as possible: one `recv` per
//! readiness event into one shared buffer; frames are classified in place; only the mark and the
//! position are parsed. It reads commands from standard input and writes messages to standard
//! output (see [`super::pipe`]), and ends with its input.

mod input;
mod socket;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};

use super::clock::{now_ns, ns};
use super::frame::PAYLOAD_MAX;
use super::pipe::{Command, Event, Pace, ReportedFrame, Setup, Share, Tally};
use socket::Socket;

/// The token of commands; a socket's token is its index.
const COMMANDS: Token = Token(usize::MAX);
/// The most events of one iteration.
const EVENTS_MAX: usize = 1024;
/// If this many sockets are ready at once, more will be in a moment: with `--read-wait` the worker
/// waits for them. On one machine every wake-up of this process delays the sender; remote clients
/// do not. The arrival of a frame of a fan-out is noted this much later at most.
const CROWD: usize = 16;
/// The interval of progress messages.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// How long a reported frame may wait for others.
const TELL_EVERY: Duration = Duration::from_millis(5);

/// A worker with its sockets.
struct Worker<W: Write> {
    poll: Poll,
    output: W,
    setup: Setup,
    sockets: Vec<Socket>,
    /// The read buffer: one frame of the largest size, and as much again.
    buffer: Vec<u8>,
    tally: Tally,
    reported: Vec<ReportedFrame>,
    opening: Opening,
    /// The number of expected marked frames.
    expected: Option<u64>,
    /// When the last one arrived.
    last_ns: u64,
    progress_due_ns: u64,
    /// Where the next reconnect begins.
    returned: usize,
}

/// The handshakes to begin.
#[derive(Debug, Default)]
struct Opening {
    /// `None`: all have ended, and that was reported.
    pace: Option<Pace>,
    begun_ns: u64,
    /// The next socket to check.
    next: usize,
    /// How many have begun.
    begun: u64,
    under_way: usize,
    backlog: u64,
}

/// Runs until the input ends.
///
/// # Errors
/// Why it could not listen or report.
pub fn run(input: impl BufRead + Send + 'static, output: impl Write) -> io::Result<()> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), COMMANDS)?;
    let (sender, commands) = channel();
    std::thread::spawn(move || {
        // Held here: the loop must be woken when the input ends.
        let waker = Arc::new(waker);
        for line in input.lines().map_while(Result::ok) {
            let Ok(command) = serde_json::from_str::<Command>(&line) else { break };
            if sender.send(command).is_err() || waker.wake().is_err() {
                break;
            }
        }
        drop(sender);
        let _ = waker.wake(); // a loop that has ended needs no waking
    });
    let setup = match commands.recv() {
        Ok(Command::Setup(setup)) => *setup,
        Ok(_) | Err(_) => return Err(io::Error::other("the setup comes first")),
    };
    let sockets = setup.participants.iter().map(|_| Socket::default()).collect();
    let payload_max = usize::try_from(PAYLOAD_MAX).map_err(io::Error::other)?;
    let mut worker = Worker {
        poll,
        output,
        setup,
        sockets,
        buffer: vec![0; 2 * payload_max],
        tally: Tally::default(),
        reported: Vec::new(),
        opening: Opening::default(),
        expected: None,
        last_ns: 0,
        progress_due_ns: 0,
        returned: 0,
    };
    worker.tally = worker.fresh();
    worker.work(&commands)
}

impl<W: Write> Worker<W> {
    fn work(&mut self, commands: &Receiver<Command>) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            let wait = self.next_due();
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let heard = events.iter().count();
            for event in &events {
                if event.token() != COMMANDS {
                    self.heard(event.token().0, event);
                }
            }
            loop {
                match commands.try_recv() {
                    Ok(command) => self.obey(command)?,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
            self.begin_due();
            self.report()?;
            if self.setup.read_wait_ns > 0 && heard >= CROWD && self.opening.under_way == 0 {
                std::thread::sleep(Duration::from_nanos(self.setup.read_wait_ns));
            }
        }
    }

    /// The time until the next action.
    fn next_due(&self) -> Duration {
        let mut wait = if self.reported.is_empty() { PROGRESS_EVERY } else { TELL_EVERY };
        if let Some(Pace::Open { every_ns }) = self.opening.pace
            && self.opening.next < self.sockets.len()
        {
            let due = self.opening.begun_ns + self.opening.begun * every_ns;
            wait = wait.min(Duration::from_nanos(due.saturating_sub(now_ns())));
        }
        wait
    }

    fn obey(&mut self, command: Command) -> io::Result<()> {
        match command {
            Command::Setup(_) => return Err(io::Error::other("the setup comes once")),
            Command::Connect { pace, backlog } => {
                let begun_ns = now_ns();
                if self.tally.begun_ns == 0 {
                    self.tally.begun_ns = begun_ns;
                }
                self.opening =
                    Opening { pace: Some(pace), begun_ns, backlog, ..Opening::default() };
            }
            Command::Disconnect => {
                for socket in &mut self.sockets {
                    socket.close();
                }
                self.tally.open = 0;
            }
            Command::Return(count) => self.come_again(count),
            Command::Expect(count) => self.expected = Some(count),
            Command::Reset => {
                self.tell()?;
                let next = Tally { open: self.tally.open, ..self.fresh() };
                let mut tally = std::mem::replace(&mut self.tally, next);
                for socket in self.sockets.iter().filter(|socket| socket.is_open()) {
                    tally.nodes[socket.node].open += 1;
                }
                self.say(&Event::Tally(Box::new(tally)))?;
            }
        }
        Ok(())
    }

    /// A tally without counts.
    fn fresh(&self) -> Tally {
        Tally { nodes: vec![Share::default(); self.setup.nodes.len()], ..Tally::default() }
    }

    /// Begins the handshakes that are due.
    fn begin_due(&mut self) {
        let Some(pace) = self.opening.pace else { return };
        while self.opening.next < self.sockets.len() {
            let begun_ns = match pace {
                Pace::Closed(at_once) if self.opening.under_way >= at_once => return,
                Pace::Closed(_) => now_ns(),
                Pace::Open { every_ns } => {
                    let due = self.opening.begun_ns + self.opening.begun * every_ns;
                    if due > now_ns() {
                        return;
                    }
                    // A delay of this tool counts as latency, too.
                    due
                }
            };
            let socket = self.opening.next;
            self.opening.next += 1;
            if self.sockets[socket].is_closed() {
                self.opening.begun += 1;
                self.begin(socket, begun_ns, None);
            }
        }
    }

    /// Closes some sockets without a close frame, and opens them again from their last position.
    fn come_again(&mut self, count: usize) {
        let mut left = count.min(self.sockets.len());
        for _ in 0..self.sockets.len() {
            if left == 0 {
                return;
            }
            let socket = self.returned % self.sockets.len();
            self.returned += 1;
            let since = self.sockets[socket].position();
            if self.sockets[socket].is_open() && since.is_some() {
                left -= 1;
                self.sockets[socket].close();
                self.tally.open -= 1;
                self.begin(socket, now_ns(), since);
            }
        }
    }

    /// Sends the messages that are due.
    fn report(&mut self) -> io::Result<()> {
        if self.expected.is_some_and(|count| self.tally.received >= count) {
            self.expected = None;
            self.tell()?;
            self.say(&Event::Reached { at_ns: self.last_ns })?;
        }
        let is_all_begun = self.opening.next >= self.sockets.len();
        if self.opening.pace.is_some() && is_all_begun && self.opening.under_way == 0 {
            self.opening.pace = None;
            self.say(&Event::Connected)?;
        }
        if !self.reported.is_empty() {
            self.tell()?;
        }
        let now = now_ns();
        if now >= self.progress_due_ns {
            self.progress_due_ns = now + ns(PROGRESS_EVERY);
            let Tally { open, received, .. } = self.tally;
            self.say(&Event::Progress { open, received })?;
        }
        Ok(())
    }

    fn tell(&mut self) -> io::Result<()> {
        if self.reported.is_empty() {
            return Ok(());
        }
        let reported = std::mem::take(&mut self.reported);
        self.say(&Event::Frames(reported))
    }

    fn say(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.output.write_all(&line)?;
        self.output.flush()
    }
}
