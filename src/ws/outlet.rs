//! A socket's write side, owned by its user's actor.
//!
//! Frames are appended to one buffer and leave in one write. While the connection accepts them at
//! once, which is nearly always, no buffer outlives a [`Outlet::flush`]. Otherwise the rest is
//! queued, a task waits for the connection, and the actor is told
//! [`bellpull_port::session::Heard::Writable`].
//!
//! Limits: a reader is too slow if 256 frames or 1 MiB are queued *beyond* those of the first
//! flush. A long backlog written at once does not make a slow reader, so it does not count.

use std::io::ErrorKind;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bellpull_port::Outlet;
use bellpull_port::budget::{Budget, Room};
use bellpull_port::outlet::{Broken, Connection, Ending, Outgoing};
use jiff::Timestamp;
use metrics::Counter;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::encode;
use super::shared::{LINGER, Shared, write_all};
use bellpull_wire::{self, Dialect, Texts};

/// The most frames queued for a slow reader.
const WAITING_FRAMES_MAX: u32 = 256;

/// Looked up once: a message to many is many frames.
static SENT: LazyLock<Counter> =
    LazyLock::new(|| metrics::counter!("bellpull_frames_sent_total", "by" => "socket"));

/// The initial capacity of a buffer: that of most frames.
const FRAME_USUAL: usize = 512;

/// The most bytes queued for a slow reader.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// The longest wait for clients of a failed actor: spread, so that the clients of many actors do
/// not reconnect at the same time.
const RETRY_MS_MAX: u32 = 2_000;

/// The write side of one socket.
#[derive(Debug)]
pub(super) struct WsOutlet {
    shared: Arc<Shared>,
    /// Queued bytes: whole frames (possibly after the answer to the handshake); `written` bytes of
    /// the first are already sent.
    out: Vec<u8>,
    written: usize,
    /// How many frames are queued.
    frames: u32,
    dialect: Dialect,
    is_closed: bool,
    /// Set only while the connection accepts no more.
    stuck: Option<Box<Stuck>>,
}

/// A connection that accepts no more at the moment.
#[derive(Debug)]
struct Stuck {
    /// The task that waits for the connection.
    waiter: AbortHandle,
    /// What the first flush left over.
    frames: u32,
    bytes: usize,
    /// When the connection last accepted bytes.
    since: Instant,
    /// The queued bytes, in the budget of all sessions.
    room: Option<Room>,
}

enum Written {
    All,
    Some,
    Gone,
}

impl WsOutlet {
    /// `answer`: the answer to the handshake, if it should leave with the first frame.
    pub(super) fn new(shared: Arc<Shared>, dialect: Dialect, answer: Vec<u8>) -> Self {
        Self { shared, out: answer, written: 0, frames: 0, dialect, is_closed: false, stuck: None }
    }

    /// How much memory is held for queued frames.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.out.capacity()
    }

    /// Writes as much as the connection accepts.
    fn write_out(&mut self) -> Written {
        while self.written < self.out.len() {
            match self.shared.stream.try_write(&self.out[self.written..]) {
                Ok(0) => return Written::Gone,
                Ok(count) => self.written += count,
                Err(err) if err.kind() == ErrorKind::WouldBlock => {
                    self.forget_written();
                    return Written::Some;
                }
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Written::Gone,
            }
        }
        // Frees the memory: an idle session holds none.
        self.out = Vec::new();
        self.written = 0;
        self.frames = 0;
        Written::All
    }

    /// Drops completely sent frames, so that the buffer begins with a frame.
    fn forget_written(&mut self) {
        let mut begin = 0;
        while let Some(length) = encode::piece_length(&self.out[begin..])
            && begin + length <= self.written
        {
            begin += length;
            self.frames = self.frames.saturating_sub(1);
        }
        self.out.drain(..begin);
        self.written -= begin;
    }

    /// Waits for a connection that accepts no more in a task, and checks the limits.
    fn wait(&mut self, before: usize) -> Result<(), Broken> {
        let (frames, bytes) = (self.frames, self.waiting_bytes());
        if self.shared.begin_waiting() {
            let shared = Arc::clone(&self.shared);
            let waiter = tokio::spawn(async move {
                // An error makes the next write fail, so it is reported the same way.
                let _ = shared.stream.writable().await;
                shared.end_waiting();
            })
            .abort_handle();
            match &mut self.stuck {
                Some(stuck) => std::mem::replace(&mut stuck.waiter, waiter).abort(),
                None => {
                    let (since, room) = (Instant::now(), None);
                    self.stuck = Some(Box::new(Stuck { waiter, frames, bytes, since, room }));
                }
            }
        }
        let Some(stuck) = &mut self.stuck else { return Ok(()) };
        if bytes < before {
            stuck.since = Instant::now();
        }
        if frames > stuck.frames + WAITING_FRAMES_MAX || bytes > stuck.bytes + WAITING_BYTES_MAX {
            return Err(Broken::TooSlow);
        }
        // What has left the first burst does not come back.
        stuck.frames = stuck.frames.min(frames);
        stuck.bytes = stuck.bytes.min(bytes);
        Ok(())
    }

    fn wait_no_more(&mut self) {
        if let Some(stuck) = self.stuck.take() {
            stuck.waiter.abort();
            self.shared.cancel_waiting();
        }
    }

    /// Ends the connection without waiting: what is possible now is done now, the rest by a task
    /// within [`LINGER`].
    fn finish(&mut self, why: Ending) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        self.wait_no_more();
        count_ending(why);
        let written = self.write_out();
        if matches!(written, Written::Some) {
            // Never in the middle of a frame: a partly sent one is finished first.
            let begun = encode::piece_length(&self.out).filter(|_| self.written > 0);
            self.out.truncate(begun.unwrap_or(0));
        }
        encode::close(&mut self.out, why);
        match written {
            Written::Gone => self.shared.finish_writing(),
            Written::Some | Written::All => match self.write_out() {
                Written::All | Written::Gone => self.shared.finish_writing(),
                Written::Some => {
                    let rest = std::mem::take(&mut self.out).split_off(self.written);
                    self.write_later(rest);
                }
            },
        }
        self.shared.begin_closing();
    }

    fn write_later(&self, rest: Vec<u8>) {
        let shared = Arc::clone(&self.shared);
        // Without a runtime the process is ending, and the connection with it.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            let _ = timeout(LINGER, write_all(&shared.stream, &rest)).await;
            shared.finish_writing();
        });
    }
}

fn count_ending(why: Ending) {
    // A client may choose among thousands of codes; a metric's labels must be few.
    let code = if matches!(why, Ending::Closed { .. }) {
        "client".to_owned()
    } else {
        bellpull_wire::code_and_reason(why).0.to_string()
    };
    metrics::counter!("bellpull_socket_closes_total", "code" => code).increment(1);
}

impl Texts for WsOutlet {
    fn text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.out.capacity() == 0 {
            self.out.reserve(FRAME_USUAL);
        }
        let is_written = encode::text(&mut self.out, write);
        self.frames += u32::from(is_written);
        if is_written {
            SENT.increment(1);
        }
    }
}

impl Outlet for WsOutlet {
    fn push(&mut self, frame: Outgoing<'_>) {
        match frame {
            Outgoing::Ping => {
                encode::ping(&mut self.out);
                self.frames += 1;
            }
            Outgoing::ProtocolPong(payload) => {
                encode::pong(&mut self.out, payload);
                self.frames += 1;
            }
            Outgoing::Established { .. }
            | Outgoing::Truncated { .. }
            | Outgoing::Notification { .. }
            | Outgoing::Marked(_)
            | Outgoing::Welcome(_)
            | Outgoing::Reset
            | Outgoing::Row { .. }
            | Outgoing::Answer { .. }
            | Outgoing::Stream(_)
            | Outgoing::Present { .. }
            | Outgoing::StreamEnded { .. }
            | Outgoing::TokenExpiring { .. }
            | Outgoing::Pong(_)
            | Outgoing::Error { .. } => {
                bellpull_wire::encode(self.dialect, frame, Timestamp::now, self)
            }
        }
    }

    fn flush(&mut self) -> Result<(), Broken> {
        let before = self.waiting_bytes();
        match self.write_out() {
            Written::All => {
                self.wait_no_more();
                Ok(())
            }
            Written::Some => self.wait(before),
            Written::Gone => Err(Broken::Gone),
        }
    }

    fn close(mut self: Box<Self>, why: Ending) {
        self.finish(why);
    }

    fn silent(&self) -> Duration {
        self.shared.silent()
    }

    fn is_acknowledged(&self) -> bool {
        self.shared.stream.is_acknowledged()
    }

    fn connection(&self) -> Connection {
        Connection { dialect: self.dialect.as_str(), peer: self.shared.stream.peer() }
    }

    fn waiting_bytes(&self) -> usize {
        self.out.len() - self.written
    }

    fn count(&mut self, unsent: &Budget) -> Result<(), Broken> {
        let bytes = self.waiting_bytes();
        let Some(stuck) = &mut self.stuck else { return Ok(()) };
        if unsent.resize(&mut stuck.room, bytes) { Ok(()) } else { Err(Broken::TooSlow) }
    }

    fn stalled_s(&self) -> u32 {
        let since = self.stuck.as_ref().map(|stuck| stuck.since.elapsed().as_secs());
        since.map_or(0, |seconds| u32::try_from(seconds).unwrap_or(u32::MAX))
    }
}

impl Drop for WsOutlet {
    fn drop(&mut self) {
        if self.is_closed {
            return;
        }
        let random = getrandom::u32().unwrap_or(0);
        self.finish(Ending::Restarting { retry_after_ms: random % RETRY_MS_MAX });
    }
}
