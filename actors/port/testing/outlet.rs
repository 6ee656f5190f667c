//! An outlet that records its frames, and a connection that a test can block or break.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::outlet::{Broken, Connection, Ending, Outgoing, Outlet, Welcome};
use crate::session::{Answer, Tag};
use bellpull_domain::ids::{NotificationId, Seq, UserId};
use bellpull_domain::inbox::Marked;
use bellpull_domain::stream::{Present, Stream, StreamEvent};

/// How many frames may wait for the connection, as in a real outlet.
const FRAMES_MAX: usize = 256;

/// How long a probe waits for an expected state before the test fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// A frame as it was pushed.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// See [`Outgoing::Established`].
    Established(UserId),
    /// See [`Outgoing::Welcome`].
    Welcome {
        /// The inbox' last number.
        last_seq: Seq,
        /// Its unread count.
        unread_count: i64,
        /// Whether it continues the client's state.
        is_resumed: bool,
    },
    /// See [`Outgoing::Reset`].
    Reset,
    /// See [`Outgoing::Truncated`].
    Truncated(i64),
    /// See [`Outgoing::Notification`].
    Notification {
        /// The number of its entry.
        seq: Seq,
        /// The row.
        id: NotificationId,
        /// Its text.
        body: String,
        /// Whether it was read.
        is_read: bool,
        /// The count in the frame.
        unread_count: i64,
    },
    /// See [`Outgoing::Row`].
    Row {
        /// Its last change.
        changed_seq: Seq,
        /// The row.
        id: NotificationId,
        /// Whether it was read.
        is_read: bool,
        /// Whether it is deleted.
        is_deleted: bool,
        /// Whether the client was not shown its entry.
        is_news: bool,
        /// The count in the frame.
        unread_count: i64,
    },
    /// See [`Outgoing::Marked`].
    Marked(Marked),
    /// See [`Outgoing::Answer`].
    Answer(Tag, Answer),
    /// See [`Outgoing::Stream`].
    Stream(Stream, StreamEvent),
    /// See [`Outgoing::Present`].
    Present(Stream, Vec<Present>),
    /// See [`Outgoing::StreamEnded`]: the stream and the code.
    StreamEnded(Stream, &'static str),
    /// See [`Outgoing::TokenExpiring`].
    TokenExpiring(Timestamp),
    /// See [`Outgoing::Pong`].
    Pong(Option<String>),
    /// See [`Outgoing::Error`]: its code.
    Error(&'static str),
    /// See [`Outgoing::Ping`].
    Ping,
    /// See [`Outgoing::ProtocolPong`].
    ProtocolPong(Vec<u8>),
}

impl From<Outgoing<'_>> for Frame {
    fn from(frame: Outgoing<'_>) -> Self {
        match frame {
            Outgoing::Established { user } => Self::Established(user.id),
            Outgoing::Welcome(Welcome { last_seq, unread_count, is_resumed, .. }) => {
                Self::Welcome { last_seq, unread_count, is_resumed }
            }
            Outgoing::Reset => Self::Reset,
            Outgoing::Truncated { skipped } => Self::Truncated(skipped),
            Outgoing::Notification { entry, unread_count } => Self::Notification {
                seq: entry.seq,
                id: entry.id,
                body: entry.message.message.body.clone(),
                is_read: entry.is_read,
                unread_count,
            },
            Outgoing::Row { row, is_news, unread_count, .. } => Self::Row {
                changed_seq: row.changed_seq,
                id: row.entry.id,
                is_read: row.entry.is_read,
                is_deleted: row.is_deleted,
                is_news,
                unread_count,
            },
            Outgoing::Marked(marked) => Self::Marked(marked.clone()),
            Outgoing::Answer { asked, answer } => Self::Answer(asked.tag.clone(), answer.clone()),
            Outgoing::Stream(content) => Self::Stream(content.stream, content.event.clone()),
            Outgoing::Present { stream, people } => Self::Present(stream, people.to_vec()),
            Outgoing::StreamEnded { stream, code, .. } => Self::StreamEnded(stream, code),
            Outgoing::TokenExpiring { expires_at } => Self::TokenExpiring(expires_at),
            Outgoing::Pong(timestamp) => Self::Pong(timestamp.map(|raw| raw.get().to_owned())),
            Outgoing::Error { code, .. } => Self::Error(code),
            Outgoing::Ping => Self::Ping,
            Outgoing::ProtocolPong(payload) => Self::ProtocolPong(payload.to_vec()),
        }
    }
}

/// The frames that the connection accepted.
#[derive(Debug, Default)]
pub struct Seen {
    /// The frames that it took, in order.
    pub frames: Vec<Frame>,
    /// How often the actor flushed.
    pub flushes: usize,
    /// Flushed frames that wait for the connection.
    pub waiting: VecDeque<Frame>,
    /// How many bytes more than one each of them counts.
    pub frame_weight: usize,
    /// How many frames it accepts before it blocks; `None` for any number.
    pub room: Option<usize>,
    /// The result of the next flush.
    pub broken: Option<Broken>,
    /// Seconds since the client's last message.
    pub silent_s: u32,
    /// Whether what was written is never acknowledged: the line is dead.
    pub is_lost: bool,
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
    fn connection(&self) -> Connection {
        Connection { dialect: "fake", peer: None }
    }

    fn push(&mut self, frame: Outgoing<'_>) {
        self.pushed.push_back(Frame::from(frame));
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

    fn silent(&self) -> Duration {
        Duration::from_secs(self.seen.borrow().silent_s.into())
    }

    fn is_acknowledged(&self) -> bool {
        !self.seen.borrow().is_lost
    }

    fn waiting_bytes(&self) -> usize {
        let seen = self.seen.borrow();
        (seen.waiting.len() + self.pushed.len()) * (1 + seen.frame_weight)
    }
}

impl Drop for FakeOutlet {
    fn drop(&mut self) {
        self.end(Ending::Restarting { retry_after_ms: 0 });
    }
}

impl Probe {
    /// The frames so far.
    pub fn seen(&self) -> watch::Ref<'_, Seen> {
        // A sender reads its own value.
        self.seen.borrow()
    }

    /// Changes how the connection behaves.
    pub fn set(&self, change: impl FnOnce(&mut Seen)) {
        self.seen.send_modify(change);
    }

    /// Waits until a condition on the frames is true.
    ///
    /// # Panics
    /// If it does not become true in time.
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
        if let Frame::Notification { seq, .. } = frame { Some(seq.0) } else { None }
    };
    seen.frames.iter().filter_map(number).collect()
}
