//! Passes a session's events from its user's actor to the body of an answer.
//!
//! The connection takes bytes when it has room, by polling the body; until then they are queued
//! here. The lock is only held for moving bytes in or out.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use axum::body::Bytes;
use bellpull_actors::directory::Session;
use bellpull_port::outlet::Ending;
use bellpull_port::session::Heard;
use futures_util::Stream;

/// How many bytes a connection takes at once: as much as hyper buffers.
const TAKE_MAX: usize = 16 * 1024;

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// The session, once its user's actor has accepted it.
    session: OnceLock<Session>,
    /// When the connection last took bytes, in milliseconds since the start of [`now_ms`].
    taken_at_ms: AtomicU32,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Where each of the queued events ends in `bytes`.
    ends: std::collections::VecDeque<usize>,
    /// The actor wants to know when the connection takes more.
    is_awaited: bool,
    /// The actor writes no more.
    is_closed: bool,
    /// The client has disconnected.
    is_gone: bool,
    /// It did so before everything was taken.
    is_cut: bool,
    body: Option<Waker>,
}

/// The actor's end.
#[derive(Debug)]
pub(super) struct Writer(Arc<Shared>);

/// The client's end: the body of the answer.
#[derive(Debug)]
pub(crate) struct Events(Arc<Shared>);

/// Notifies the session of the client's end.
#[derive(Debug)]
pub(crate) struct Line(Arc<Shared>);

/// The client has disconnected.
#[derive(Debug)]
pub(super) struct Gone;

/// How much is queued.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backlog {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

pub(super) fn pipe() -> (Writer, Events, Line) {
    let shared = Arc::new(Shared {
        waiting: Mutex::default(),
        session: OnceLock::new(),
        taken_at_ms: AtomicU32::new(now_ms()),
    });
    (Writer(Arc::clone(&shared)), Events(Arc::clone(&shared)), Line(shared))
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // The lock is never held across code that can panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, heard: Heard) {
        if let Some(session) = self.session.get() {
            session.heard(heard);
        }
    }
}

impl Writer {
    /// Queues whole events, whose ends within `bytes` are given; returns how much is queued then.
    /// The actor is told when the connection has taken all of it.
    pub(super) fn write(&self, bytes: &[u8], ends: &[usize]) -> Result<Backlog, Gone> {
        let mut waiting = self.0.waiting();
        if waiting.is_gone {
            return Err(Gone);
        }
        let begin = waiting.bytes.len();
        waiting.bytes.extend_from_slice(bytes);
        waiting.ends.extend(ends.iter().map(|end| begin + end));
        let backlog = Backlog { events: waiting.ends.len(), bytes: waiting.bytes.len() };
        waiting.is_awaited = backlog.bytes > 0;
        let body = waiting.body.take();
        drop(waiting);
        if let Some(body) = body {
            body.wake();
        }
        Ok(backlog)
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.0.waiting().bytes.len()
    }

    /// Whether the connection has taken everything that was written. What it had not when it ended
    /// never was.
    pub(super) fn has_handed_over(&self) -> bool {
        let waiting = self.0.waiting();
        waiting.bytes.is_empty() && !waiting.is_cut
    }

    /// Whole seconds since the connection last took bytes.
    pub(super) fn untaken_s(&self) -> u32 {
        now_ms().wrapping_sub(self.0.taken_at_ms.load(Ordering::Relaxed)) / 1_000
    }

    /// Queues the last event. If `drops` is set, the events before it are dropped: the client's
    /// next session replays them.
    pub(super) fn close(&self, last: &[u8], drops: bool) {
        let mut waiting = self.0.waiting();
        if drops {
            waiting.bytes.clear();
            waiting.ends.clear();
        }
        waiting.bytes.extend_from_slice(last);
        (waiting.is_closed, waiting.is_awaited) = (true, false);
        let body = waiting.body.take();
        drop(waiting);
        if let Some(body) = body {
            body.wake();
        }
    }
}

impl Line {
    /// Binds the session, which is told from now on when the connection takes more or is closed.
    pub(crate) fn bind_session(self, session: Session) {
        let _ = self.0.session.set(session);
        let waiting = self.0.waiting();
        let (is_gone, missed) = (waiting.is_gone, !waiting.is_awaited && waiting.bytes.is_empty());
        drop(waiting);
        if is_gone {
            self.0.tell(Heard::Ended(Ending::Closed { code: 1001 }));
        } else if missed {
            self.0.tell(Heard::Writable);
        }
    }
}

impl Stream for Events {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut waiting = self.0.waiting();
        if waiting.bytes.is_empty() {
            if waiting.is_closed {
                return Poll::Ready(None);
            }
            waiting.body = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let taken = waiting.take();
        let is_over = waiting.bytes.is_empty() && std::mem::take(&mut waiting.is_awaited);
        drop(waiting);
        self.0.taken_at_ms.store(now_ms(), Ordering::Relaxed);
        if is_over {
            self.0.tell(Heard::Writable);
        }
        Poll::Ready(Some(Ok(taken)))
    }
}

impl Waiting {
    /// As much as a connection takes at once. The rest may begin in the middle of an event, which
    /// cannot be dropped, so `close` with `drops` is only for connections that end broken anyway.
    fn take(&mut self) -> Bytes {
        let length = self.bytes.len().min(TAKE_MAX);
        let rest = self.bytes.split_off(length);
        let taken = std::mem::replace(&mut self.bytes, rest);
        while self.ends.front().is_some_and(|end| *end <= length) {
            self.ends.pop_front();
        }
        self.ends.iter_mut().for_each(|end| *end -= length);
        Bytes::from(taken)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        waiting.is_gone = true;
        waiting.is_cut = !waiting.bytes.is_empty();
        waiting.bytes = Vec::new();
        waiting.ends.clear();
        let is_news = !waiting.is_closed;
        drop(waiting);
        if is_news {
            // Without a close from either side, but the session is over.
            self.0.tell(Heard::Ended(Ending::Closed { code: 1001 }));
        }
    }
}

fn now_ms() -> u32 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    // The remainder fits; it wraps after 49 days.
    let ms = START.elapsed().as_millis() % (u128::from(u32::MAX) + 1);
    u32::try_from(ms).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    fn next(events: &mut Events) -> Option<Option<Bytes>> {
        events.next().now_or_never().map(|item| item.map(|Ok(bytes)| bytes))
    }

    #[test]
    fn what_is_written_is_taken_in_order_and_in_parts() {
        let (writer, mut events, _line) = pipe();
        assert_eq!(next(&mut events), None, "nothing yet");
        let long = vec![b'x'; TAKE_MAX + 10];
        let backlog = writer.write(&long, &[4, TAKE_MAX + 10]).unwrap();
        assert_eq!((backlog.events, backlog.bytes), (2, TAKE_MAX + 10));
        assert_eq!(next(&mut events).unwrap().unwrap().len(), TAKE_MAX);
        let backlog = writer.write(b"yz", &[2]).unwrap();
        assert_eq!((backlog.events, backlog.bytes), (2, 12), "the begun event still counts");
        assert_eq!(next(&mut events).unwrap().unwrap().as_ref(), b"xxxxxxxxxxyz");
        assert_eq!(writer.waiting_bytes(), 0);
        writer.close(b"end", false);
        assert_eq!(next(&mut events).unwrap().unwrap().as_ref(), b"end");
        assert_eq!(next(&mut events), Some(None));
    }

    #[test]
    fn a_client_that_is_gone_is_written_to_no_more() {
        let (writer, events, _line) = pipe();
        assert!(writer.write(b"x", &[1]).is_ok());
        drop(events);
        assert!(writer.write(b"x", &[1]).is_err());
        assert_eq!(writer.waiting_bytes(), 0);
    }

    #[test]
    fn a_slow_reader_is_told_why_in_place_of_what_it_did_not_take() {
        let (writer, mut events, _line) = pipe();
        assert!(writer.write(b"first", &[5]).is_ok());
        writer.close(b"last", true);
        assert_eq!(next(&mut events).unwrap().unwrap().as_ref(), b"last");
        assert_eq!(next(&mut events), Some(None));
    }
}
