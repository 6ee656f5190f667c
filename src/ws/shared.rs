//! What a session's two halves share: its reader (a task) and its outlet (owned by the user's
//! actor) use the same connection and signal each other through this.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::task::Waker;
use std::time::{Duration, Instant};

use bellpull_actors::directory::Line;
use bellpull_port::session::Heard;
use futures_util::task::AtomicWaker;

use super::read_state::ReadState;
use bellpull_edge::listen::Held;
pub(crate) use bellpull_edge::stream::Stream;

/// How long an ending connection may take for its last bytes, in both directions.
pub(super) const LINGER: Duration = Duration::from_secs(5);

/// No token is being checked.
const IDLE: u8 = 0;
/// A token is being checked: further ones are refused.
const CHECKING: u8 = 1;
/// Its outcome is being queued for the user's actor.
const REPORTING: u8 = 2;
/// The same, and another token is being checked: its outcome waits for the first one's.
const NEXT: u8 = 3;

/// How long that outcome waits each time: queueing takes microseconds, unless the thread that does
/// it has to wait for a core.
const TURN: Duration = Duration::from_millis(1);

/// One per open socket: every byte counts 100,000 times.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) stream: Stream,
    /// The reader's own state.
    pub(super) read_state: ReadState,
    sink: OnceLock<MessageSink>,
    /// Woken when the connection begins to close; the reader waits here and on the stream.
    reader: AtomicWaker,
    /// When the client last sent something, in milliseconds since the start of [`now`] (wraps after
    /// 49 days).
    heard_at_ms: AtomicU32,
    is_closing: AtomicBool,
    /// A task waits for the connection to accept bytes.
    has_waiter: AtomicBool,
    /// The connection accepted bytes again before the session was bound.
    missed_writable: AtomicBool,
    /// Whether a token is being checked: [`IDLE`], [`CHECKING`], [`REPORTING`] or [`NEXT`]. One
    /// byte: a lock would take eight.
    renewing: AtomicU8,
    /// The connection's place in the listener's count.
    _held: Option<Held>,
}

/// Where messages go.
#[derive(Debug)]
pub(super) enum MessageSink {
    Actor(Line),
    #[cfg(test)]
    #[expect(clippy::disallowed_types, reason = "a probe keeps all that a test lets happen")]
    Probe(tokio::sync::mpsc::UnboundedSender<Heard>),
}

impl Shared {
    pub(super) fn new(
        stream: impl Into<Stream>,
        held: Option<Held>,
        read_state: ReadState,
    ) -> Arc<Self> {
        Arc::new(Self {
            stream: stream.into(),
            read_state,
            sink: OnceLock::new(),
            reader: AtomicWaker::new(),
            heard_at_ms: AtomicU32::new(now_ms()),
            is_closing: AtomicBool::new(false),
            has_waiter: AtomicBool::new(false),
            missed_writable: AtomicBool::new(false),
            renewing: AtomicU8::new(IDLE),
            _held: held,
        })
    }

    /// Binds the session: the user's actor has accepted it under that number.
    pub(super) fn bind_session(&self, sink: MessageSink, session: u32) {
        self.read_state.number(session);
        let _ = self.sink.set(sink);
        if self.missed_writable.swap(false, Ordering::SeqCst) {
            self.tell(Heard::Writable);
        }
    }

    pub(super) fn tell(&self, heard: Heard) {
        match self.sink.get() {
            Some(MessageSink::Actor(line)) => line.heard(self.read_state.session(), heard),
            #[cfg(test)]
            Some(MessageSink::Probe(probe)) => drop(probe.send(heard)),
            None => {}
        }
    }

    /// Whether a task must be started that waits for the connection; false if there is one.
    pub(super) fn begin_waiting(&self) -> bool {
        !self.has_waiter.swap(true, Ordering::SeqCst)
    }

    /// The task is no longer needed.
    pub(super) fn cancel_waiting(&self) {
        self.has_waiter.store(false, Ordering::SeqCst);
    }

    /// Reports that the connection accepts bytes again, now or once the session is bound.
    pub(super) fn end_waiting(&self) {
        // Before the report: a write that blocks right after it must be able to wait again.
        self.has_waiter.store(false, Ordering::SeqCst);
        self.missed_writable.store(true, Ordering::SeqCst);
        // `bind_session` checks the flag after it has set the sink, so one of the two sees it.
        if self.sink.get().is_some() && self.missed_writable.swap(false, Ordering::SeqCst) {
            self.tell(Heard::Writable);
        }
    }

    /// Whether a token may be checked: none is at the moment. A client that has the outcome of one
    /// is not told that a token is being checked, even if the task that told it is not done yet.
    pub(super) fn begin_renewing(&self) -> bool {
        self.renewing_from(|state| match state {
            IDLE => Some(CHECKING),
            REPORTING => Some(NEXT),
            _ => None,
        })
    }

    /// Reports the outcome, after that of the token before; the next token may be checked.
    pub(super) async fn end_renewing(&self, outcome: Heard) {
        while self.renewing.load(Ordering::SeqCst) == NEXT {
            tokio::time::sleep(TURN).await;
        }
        self.renewing.store(REPORTING, Ordering::SeqCst);
        self.tell(outcome);
        self.end_reporting();
    }

    fn end_reporting(&self) {
        self.renewing_from(|state| Some(if state == NEXT { CHECKING } else { IDLE }));
    }

    fn renewing_from(&self, next: impl FnMut(u8) -> Option<u8>) -> bool {
        self.renewing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).is_ok()
    }

    /// Records a sign of life.
    pub(super) fn mark_heard(&self) {
        self.heard_at_ms.store(now_ms(), Ordering::Relaxed);
    }

    /// How long ago the last sign of life was.
    pub(super) fn silent(&self) -> Duration {
        let ms = now_ms().wrapping_sub(self.heard_at_ms.load(Ordering::Relaxed));
        Duration::from_millis(ms.into())
    }

    /// Discards all further input.
    pub(super) fn begin_closing(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
        self.reader.wake();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::SeqCst)
    }

    /// Registers a waker that is woken when the connection begins to close.
    pub(super) fn wake_when_closing(&self, waker: &Waker) {
        self.reader.register(waker);
    }

    /// Half-closes the connection: the client sees the end after the last byte.
    pub(super) fn finish_writing(&self) {
        self.stream.shutdown_write();
    }
}

/// Writes all bytes, however long the connection takes.
pub(super) async fn write_all(stream: &Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(err) if err.kind() == ErrorKind::WouldBlock => {}
            Err(err) => return Err(err),
        }
    }
    Ok(())
}

/// Nanoseconds since the first call.
pub(super) fn now_ns() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn now_ms() -> u32 {
    // The remainder fits.
    u32::try_from((now_ns() / 1_000_000) % (u64::from(u32::MAX) + 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use bellpull_port::session::NotRenewed;

    use super::super::tests::pair;
    use super::*;

    #[tokio::test]
    async fn a_token_that_comes_while_an_outcome_is_queued_is_checked_and_told_after_it() {
        let mut pair = pair().await;
        let shared = Arc::clone(&pair.shared);
        assert!(shared.begin_renewing() && !shared.begin_renewing());
        // The first outcome's thread has to wait for a core in the middle.
        shared.renewing.store(REPORTING, Ordering::SeqCst);
        assert!(shared.begin_renewing(), "its client may have it already");
        assert!(!shared.begin_renewing(), "one more is too many");
        let outcome = Heard::Renewed { tag: None, renewal: Err(NotRenewed::Unavailable) };
        let second = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move { shared.end_renewing(outcome).await }
        });
        tokio::time::sleep(10 * TURN).await;
        assert!(pair.heard.try_recv().is_err(), "before the first");
        shared.end_reporting();
        second.await.unwrap();
        assert!(matches!(pair.heard.try_recv(), Ok(Heard::Renewed { .. })));
        assert!(shared.begin_renewing());
    }
}
