//! A socket's read side: a small task that turns bytes into messages for the user's actor.
//!
//! The task waits for the connection to have bytes, reads them into a buffer on the stack of a
//! plain function, and tells the user's actor what they mean. Between two reads it holds only what
//! is in [`Reader`] and in [`super::read_state`], and an incomplete frame. It reports once that the
//! session is over and why, and then waits for the outlet to close the connection; what the client
//! still sends is discarded, so that no reset overtakes the last frame.

use std::future::Future;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bellpull_port::outlet::{Broken, Ending};
use bellpull_port::session::{Ask, Asked, Heard};
use tokio::time::timeout;

use super::frame::{Decoder, Violation};
use super::pace::Pace;
use super::renewal::Renewer;
use super::shared::{LINGER, Shared, now_ns, write_all};
use bellpull_auth::Auth;
pub(crate) use bellpull_edge::stream::Stream;

/// How much is read at once; on the stack.
const READ_MAX: usize = 16 * 1024;

/// What all readers share.
#[derive(Debug)]
pub(super) struct ReadRules {
    /// The longest message, in bytes.
    pub(super) message_max: usize,
    /// The rate of messages and control frames.
    pub(super) pace: Pace,
    /// Checks tokens for renewal.
    pub(super) auth: Auth,
}

/// The read side of one socket; a future that ends with the session. Three pointers: with one more
/// its task would take twice as much.
#[derive(Debug)]
pub(super) struct Reader {
    shared: Arc<Shared>,
    rules: Arc<ReadRules>,
    decoder: Decoder,
}

enum Read {
    /// There may be more.
    Some,
    /// No more at the moment.
    Blocked,
    /// End of the stream.
    End,
    /// The connection has failed, as by a reset.
    Failed,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, rules: Arc<ReadRules>) -> Self {
        Self { shared, rules, decoder: Decoder::default() }
    }

    /// Whether input is discarded from now on.
    pub(super) fn is_closing(&self) -> bool {
        self.shared.is_closing()
    }

    /// Decodes bytes from the client and reports what they mean.
    pub(super) fn take(&mut self, bytes: &mut [u8]) {
        let Self { shared, rules, decoder } = self;
        shared.mark_heard();
        let now_ns = now_ns();
        let fed = decoder.feed(rules.message_max, bytes, |event| {
            match shared.read_state.hear(&event, rules.pace, now_ns) {
                Ok(Some(heard)) => tell(shared, rules, heard),
                Ok(None) => {}
                Err(why) => {
                    shared.read_state.end();
                    shared.tell(Heard::Ended(why));
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        });
        if let Err(violation) = fed {
            self.end(violation.into());
        }
    }

    fn end(&self, why: Ending) {
        self.shared.read_state.end();
        self.shared.tell(Heard::Ended(why));
    }

    /// Reads once. Not `async`: its buffer must not become part of the task.
    fn read(&mut self) -> Read {
        let mut buffer = [0; READ_MAX];
        let read = try_read(&self.shared.stream, &mut buffer);
        if let Ok(bytes @ [_, ..]) = read {
            self.take(bytes);
            return Read::Some;
        }
        read.err().unwrap_or(Read::End)
    }
}

impl Future for Reader {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Register the waker first, then check: a close in between is not missed.
        self.shared.wake_when_closing(cx.waker());
        while !self.shared.is_closing() {
            if self.shared.read_state.is_over() {
                return Poll::Pending;
            }
            let has_more = match ready!(self.shared.stream.poll_read_ready(cx)) {
                Ok(()) => self.read(),
                Err(_) => Read::Failed,
            };
            match has_more {
                Read::Some | Read::Blocked => {}
                // Without a close frame, but the stream has ended.
                Read::End => self.end(Ending::Closed { code: 1000 }),
                Read::Failed => self.end(Ending::from(Broken::Gone)),
            }
        }
        // In a task of its own, so that the reader's task needs no room for a timer.
        tokio::spawn(linger(Arc::clone(&self.shared)));
        Poll::Ready(())
    }
}

impl From<Violation> for Ending {
    fn from(violation: Violation) -> Self {
        match violation {
            Violation::Protocol(reason) => Self::Protocol { code: 1002, reason },
            Violation::NotUtf8 => Self::Protocol { code: 1007, reason: "a text is not UTF-8" },
            Violation::TooBig => Self::TooBig,
            Violation::TooManyFragments => Self::Abuse,
        }
    }
}

/// Tells the user's actor; a token goes to the edge, which checks it.
fn tell(shared: &Arc<Shared>, rules: &ReadRules, heard: Heard) {
    if let Heard::Asked(asked) = heard {
        match *asked {
            Asked { tag, ask: Ask::Refresh(token) } => {
                let renewer = Renewer::new(rules.auth.clone(), shared.read_state.user);
                renewer.begin(shared, tag, token);
            }
            other => shared.tell(Heard::Asked(Box::new(other))),
        }
    } else {
        shared.tell(heard);
    }
}

/// Reads what is available; no bytes at the end.
fn try_read<'b>(stream: &Stream, buffer: &'b mut [u8]) -> Result<&'b mut [u8], Read> {
    match stream.try_read(buffer) {
        Ok(count) => buffer.get_mut(..count).ok_or(Read::End),
        Err(err) if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Err(Read::Blocked)
        }
        Err(_) => Err(Read::Failed),
    }
}

/// Keeps the shared state until the client has closed.
async fn linger(shared: Arc<Shared>) {
    drain(&shared.stream).await;
}

/// Discards what a client still sends, until its end or for [`LINGER`]: closing a connection with
/// unread bytes resets it, and a reset can discard the close frame.
pub(super) async fn drain(stream: &Stream) {
    let until_end = async {
        while stream.readable().await.is_ok() {
            if discard(stream).is_break() {
                break;
            }
        }
    };
    // After that the client has had its time.
    let _ = timeout(LINGER, until_end).await;
}

fn discard(stream: &Stream) -> ControlFlow<()> {
    match try_read(stream, &mut [0; READ_MAX]) {
        Ok([_, ..]) | Err(Read::Blocked) => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    }
}

/// Writes the last bytes, and closes once the client has.
pub(super) async fn write_and_leave(stream: &Stream, bytes: &[u8]) {
    if let Ok(Ok(())) = timeout(LINGER, write_all(stream, bytes)).await {
        stream.shutdown_write();
        drain(stream).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_small() {
        // One per open socket, in a task of its own: see `Reader`.
        assert!(size_of::<Reader>() <= 24, "{}", size_of::<Reader>());
        // With the second variant for tests; 120 without it.
        assert!(size_of::<Shared>() <= 128, "{}", size_of::<Shared>());
    }
}
