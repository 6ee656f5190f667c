//! What a session's two halves share: its reader (a task of ours) and its outlet (owned by the
//! user's actor) see the same connection and tell each other how it stands.

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::task::Waker;
use std::time::{Duration, Instant};

use bellpull_actors::directory::Line;
use bellpull_actors::session::Heard;
use futures_util::task::AtomicWaker;
use tokio::net::TcpStream;

use super::hearing::Hearing;
use crate::http::listen::Held;

/// How long a connection that ends may take for its last bytes, and for its client's.
pub(super) const LINGER: Duration = Duration::from_secs(5);

/// One of these per open socket: every byte counts 100,000 times.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) stream: TcpStream,
    /// The reader's own.
    pub(super) hearing: Hearing,
    ear: OnceLock<Ear>,
    /// Woken when the connection begins to close; the reader waits here and at the stream.
    reader: AtomicWaker,
    /// When the client was last heard, in milliseconds since [`now`] began (49 days go round).
    heard_at_ms: AtomicU32,
    is_closing: AtomicBool,
    /// A task waits for the connection to take bytes.
    has_waiter: AtomicBool,
    /// The connection took bytes again before there was anybody to tell.
    missed_writable: AtomicBool,
    /// A token is being looked at.
    is_renewing: AtomicBool,
    /// The connection counts among those that the listener takes.
    _held: Option<Held>,
}

/// Who is told what was heard.
#[derive(Debug)]
pub(super) enum Ear {
    Actor(Line),
    #[cfg(test)]
    Probe(tokio::sync::mpsc::UnboundedSender<Heard>),
}

impl Shared {
    pub(super) fn new(stream: TcpStream, held: Option<Held>, hearing: Hearing) -> Arc<Self> {
        Arc::new(Self {
            stream,
            hearing,
            ear: OnceLock::new(),
            reader: AtomicWaker::new(),
            heard_at_ms: AtomicU32::new(now_ms()),
            is_closing: AtomicBool::new(false),
            has_waiter: AtomicBool::new(false),
            missed_writable: AtomicBool::new(false),
            is_renewing: AtomicBool::new(false),
            _held: held,
        })
    }

    /// From now on there is somebody to tell: the user's actor has taken the session in, under that
    /// number.
    pub(super) fn introduce(&self, ear: Ear, session: u32) {
        self.hearing.number(session);
        let _ = self.ear.set(ear);
        if self.missed_writable.swap(false, Ordering::SeqCst) {
            self.tell(Heard::Writable);
        }
    }

    pub(super) fn tell(&self, heard: Heard) {
        match self.ear.get() {
            Some(Ear::Actor(line)) => line.heard(self.hearing.session(), heard),
            #[cfg(test)]
            Some(Ear::Probe(probe)) => drop(probe.send(heard)),
            None => {}
        }
    }

    /// Whether somebody must be set to wait for the connection to take bytes, or one does.
    pub(super) fn begin_waiting(&self) -> bool {
        !self.has_waiter.swap(true, Ordering::SeqCst)
    }

    /// Nobody needs to wait any more.
    pub(super) fn cancel_waiting(&self) {
        self.has_waiter.store(false, Ordering::SeqCst);
    }

    /// Tells that the connection takes bytes again, now or as soon as there is anybody to tell.
    pub(super) fn end_waiting(&self) {
        // Before it is told: who writes then, in vain, must be able to wait again.
        self.has_waiter.store(false, Ordering::SeqCst);
        self.missed_writable.store(true, Ordering::SeqCst);
        // `introduce` looks at the flag after it has set the ear, so one of both sees it.
        if self.ear.get().is_some() && self.missed_writable.swap(false, Ordering::SeqCst) {
            self.tell(Heard::Writable);
        }
    }

    /// Whether a token may be looked at: none is at the moment.
    pub(super) fn begin_renewing(&self) -> bool {
        !self.is_renewing.swap(true, Ordering::SeqCst)
    }

    /// The next one may be looked at.
    pub(super) fn end_renewing(&self) {
        self.is_renewing.store(false, Ordering::SeqCst);
    }

    /// The client gave a sign of life.
    pub(super) fn mark_heard(&self) {
        self.heard_at_ms.store(now_ms(), Ordering::Relaxed);
    }

    /// Whole seconds since the last sign of life.
    pub(super) fn silent_s(&self) -> u32 {
        now_ms().wrapping_sub(self.heard_at_ms.load(Ordering::Relaxed)) / 1_000
    }

    /// Nothing more is heard; what still comes from the client is thrown away.
    pub(super) fn begin_closing(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
        self.reader.wake();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::SeqCst)
    }

    /// Whoever waits with this waker is woken when the connection begins to close.
    pub(super) fn wake_when_closing(&self, waker: &Waker) {
        self.reader.register(waker);
    }

    /// Nothing more is written: the client sees the end after the last byte.
    pub(super) fn finish_writing(&self) {
        // It fails where the connection is gone already, and then there is nothing to end.
        let _ = socket2::SockRef::from(&self.stream).shutdown(Shutdown::Write);
    }
}

/// Writes all of it, however long the connection takes.
pub(super) async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
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

/// Nanoseconds since the program first asked.
pub(super) fn now_ns() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn now_ms() -> u32 {
    // The remainder fits.
    u32::try_from((now_ns() / 1_000_000) % (u64::from(u32::MAX) + 1)).unwrap_or(0)
}
