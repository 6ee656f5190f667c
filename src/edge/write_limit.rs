//! A limit on how long a connection may accept no bytes.
//!
//! Only a waiting write is timed, so an idle connection may stay silent; and each accepted byte
//! restarts the time, so a client may be slow. While the budget of unsent answers is short, the
//! limit is lower: others wait for that memory.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::unsent::Unsent;

/// How often a stalled connection checks whether others wait.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a connection may accept no bytes.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    /// Normally.
    pub(crate) long: Duration,
    /// While the budget is short.
    pub(crate) short: Duration,
    /// The budget.
    pub(crate) unsent: Unsent,
}

/// The connection, and since when it has been stalled.
#[derive(Debug)]
pub struct WriteLimit<S> {
    stream: S,
    patience: Patience,
    /// Since when the current write has waited, and until when it sleeps. Boxed, and only allocated
    /// for writes that wait: most never do.
    stalled: Option<Box<Stalled>>,
}

#[derive(Debug)]
struct Stalled {
    since: Instant,
    next_look: Pin<Box<Sleep>>,
}

impl<S> WriteLimit<S> {
    /// `stream`, on which a write fails after waiting for too long.
    pub(crate) fn new(stream: S, patience: Patience) -> Self {
        Self { stream, patience, stalled: None }
    }

    /// The connection without the limit.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// The result of a write, unless it has waited for too long.
    fn limited(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let Patience { long, short, unsent } = &self.patience;
        let stalled = self.stalled.get_or_insert_with(|| {
            let next_look = Box::pin(sleep(*short.min(long)));
            Box::new(Stalled { since: Instant::now(), next_look })
        });
        loop {
            ready!(stalled.next_look.as_mut().poll(cx));
            let waited = stalled.since.elapsed();
            if waited >= *long || (waited >= *short && unsent.is_short()) {
                break;
            }
            let next = LOOK_EVERY.min(long.saturating_sub(waited));
            stalled.next_look.as_mut().reset(Instant::now() + next);
        }
        metrics::counter!("bellpull_connections_stalled_total").increment(1);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteLimit<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteLimit<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.limited(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.limited(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    const WAIT_MAX: Duration = Duration::from_millis(50);

    fn patience() -> Patience {
        Patience { long: WAIT_MAX, short: WAIT_MAX, unsent: Unsent::new(1 << 20) }
    }

    #[tokio::test]
    async fn a_write_of_which_nothing_is_accepted_fails() {
        let (ours, _theirs) = duplex(10);
        let mut ours = WriteLimit::new(ours, patience());
        ours.write_all(&[b'x'; 10]).await.unwrap();
        let began = Instant::now();
        let error = ours.write_all(b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= WAIT_MAX);
    }

    #[tokio::test]
    async fn a_connection_with_nothing_to_say_may_be_silent() {
        let (ours, mut theirs) = duplex(10);
        let mut ours = WriteLimit::new(ours, patience());
        let mut read = [0; 20];
        for _ in 0..2 {
            // Twice what fits: the second half waits until the first is read.
            let (written, _) = tokio::join!(ours.write_all(&[b'x'; 20]), async {
                theirs.read_exact(&mut read).await.unwrap();
            });
            written.unwrap();
            sleep(WAIT_MAX * 2).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn while_others_wait_for_memory_the_limit_is_the_lower_one() {
        let (long, short) = (Duration::from_secs(60), Duration::from_secs(5));
        let patience = Patience { long, short, ..patience() };
        let unsent = patience.unsent.clone();
        for (is_short, wanted) in [(false, long), (true, short)] {
            let held = is_short.then(|| unsent.try_reserve(1 << 20).unwrap());
            let (ours, _theirs) = duplex(10);
            let mut ours = WriteLimit::new(ours, patience.clone());
            let began = Instant::now();
            ours.write_all(&[b'x'; 11]).await.unwrap_err();
            let waited = began.elapsed();
            assert!(waited >= wanted && waited < wanted + LOOK_EVERY, "{is_short}: {waited:?}");
            drop(held);
        }
    }
}
