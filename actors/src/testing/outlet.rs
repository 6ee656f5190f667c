//! An outlet that remembers what it was given, and a connection that a test can hold up or break.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::ids::{Seq, UserId};
use crate::domain::inbox::Mark;
use crate::port::outlet::{Broken, Ending, Outgoing, Outlet};

/// So many frames may wait for the connection, as in a real outlet.
const FRAMES_MAX: usize = 256;

/// How long a probe waits for what a test wants to see, before the test fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// A frame as it was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// See [`Outgoing::Established`].
    Established(UserId),
    /// See [`Outgoing::Truncated`].
    Truncated(i64),
    /// See [`Outgoing::Notification`]: its number and text.
    Notification(Seq, String),
    /// See [`Outgoing::Marked`]: the first and the last number.
    Marked(Mark, Seq, Seq),
    /// See [`Outgoing::Pong`].
    Pong(Option<String>),
    /// See [`Outgoing::Error`]: its code.
    Error(&'static str),
    /// See [`Outgoing::Ping`].
    Ping,
    /// See [`Outgoing::ProtocolPong`].
    ProtocolPong(Vec<u8>),
}

/// What the connection has seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// The frames that it took, in order.
    pub frames: Vec<Frame>,
    /// How often the actor flushed.
    pub flushes: usize,
    /// Frames that were flushed and wait for it.
    pub waiting: VecDeque<Frame>,
    /// How many frames it takes before it blocks; `None` for any number.
    pub room: Option<usize>,
    /// What the next flush comes to.
    pub broken: Option<Broken>,
    /// Seconds since the client was last heard.
    pub silent_s: u32,
    /// How it ended.
    pub closed: Option<Ending>,
}

/// The write side of a session that leads to a [`Probe`].
#[derive(Debug)]
pub struct FakeOutlet {
    seen: watch::Sender<Seen>,
    pushed: VecDeque<Frame>,
}

/// A test's end of a connection.
#[derive(Debug, Clone)]
pub struct Probe {
    seen: watch::Sender<Seen>,
}

impl FakeOutlet {
    /// An outlet, and the other end of its connection.
    #[must_use]
    pub fn new() -> (Self, Probe) {
        let (seen, _) = watch::channel(Seen::default());
        (Self { seen: seen.clone(), pushed: VecDeque::new() }, Probe { seen })
    }

    fn end(&self, why: Ending) {
        self.seen.send_modify(|seen| {
            seen.closed.get_or_insert(why);
        });
    }
}

impl Outlet for FakeOutlet {
    fn push(&mut self, frame: Outgoing<'_>) {
        self.pushed.push_back(match frame {
            Outgoing::Established { user } => Frame::Established(user.id),
            Outgoing::Truncated { skipped } => Frame::Truncated(skipped),
            Outgoing::Notification { birth, .. } => {
                Frame::Notification(birth.seq, birth.message.message.body.clone())
            }
            Outgoing::Welcome(_)
            | Outgoing::Reset
            | Outgoing::Row { .. }
            | Outgoing::Answer { .. }
            | Outgoing::Stream(_)
            | Outgoing::Present { .. }
            | Outgoing::StreamEnded { .. }
            | Outgoing::TokenExpiring { .. } => return,
            Outgoing::Marked(marked) => Frame::Marked(marked.mark, marked.first, marked.last),
            Outgoing::Pong(timestamp) => Frame::Pong(timestamp.map(|raw| raw.get().to_owned())),
            Outgoing::Error { code, .. } => Frame::Error(code),
            Outgoing::Ping => Frame::Ping,
            Outgoing::ProtocolPong(payload) => Frame::ProtocolPong(payload.to_vec()),
        });
    }

    fn flush(&mut self) -> Result<(), Broken> {
        let mut outcome = Ok(());
        self.seen.send_modify(|seen| {
            seen.flushes += 1;
            if let Some(broken) = seen.broken {
                outcome = Err(broken);
                return;
            }
            seen.waiting.append(&mut self.pushed);
            let taken = seen.room.unwrap_or(usize::MAX).min(seen.waiting.len());
            seen.room = seen.room.map(|room| room - taken);
            seen.frames.extend(seen.waiting.drain(..taken));
            if seen.waiting.len() > FRAMES_MAX {
                outcome = Err(Broken::TooSlow);
            }
        });
        outcome
    }

    fn close(self: Box<Self>, why: Ending) {
        self.end(why);
    }

    fn silent_s(&self) -> u32 {
        self.seen.borrow().silent_s
    }

    fn waiting_bytes(&self) -> usize {
        self.seen.borrow().waiting.len() + self.pushed.len()
    }
}

impl Drop for FakeOutlet {
    fn drop(&mut self) {
        self.end(Ending::Restarting { retry_after_ms: 0 });
    }
}

impl Probe {
    /// What was seen so far.
    pub fn seen(&self) -> watch::Ref<'_, Seen> {
        // A sender reads its own value.
        self.seen.borrow()
    }

    /// Changes how the connection behaves.
    pub fn set(&self, change: impl FnOnce(&mut Seen)) {
        self.seen.send_modify(change);
    }

    /// Waits until what was seen is so.
    ///
    /// # Panics
    /// When it never comes to that.
    #[expect(clippy::panic, reason = "a fake fails the test that uses it")]
    pub async fn until(&self, is_so: impl FnMut(&Seen) -> bool) {
        let mut seen = self.seen.subscribe();
        if !matches!(tokio::time::timeout(PATIENCE, seen.wait_for(is_so)).await, Ok(Ok(_))) {
            panic!("it never came to that: {:?}", *self.seen.borrow());
        }
    }

    /// Waits for the end of the session.
    pub async fn ended(&self) -> Ending {
        self.until(|seen| seen.closed.is_some()).await;
        self.seen.borrow().closed.unwrap_or(Ending::Silent)
    }

    /// The numbers of the notifications that were taken, in their order.
    #[must_use]
    pub fn numbers(&self) -> Vec<i64> {
        numbers(&self.seen.borrow())
    }

    /// Waits until a notification of that number was taken; all numbers so far.
    pub async fn shown(&self, last: i64) -> Vec<i64> {
        self.until(|seen| numbers(seen).contains(&last)).await;
        self.numbers()
    }
}

fn numbers(seen: &Seen) -> Vec<i64> {
    let number = |frame: &Frame| {
        if let Frame::Notification(seq, _) = frame { Some(seq.0) } else { None }
    };
    seen.frames.iter().filter_map(number).collect()
}
