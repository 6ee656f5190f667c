//! A connection over TLS that two halves share, with the interface of a `TcpStream`.
//!
//! A write takes one record and sends what the connection accepts. The rest, at most one record,
//! is sent by a task that ends with it; until then further writes would block. So the owner of a
//! stream sees what it would see on TCP, where the kernel holds the rest.

use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::session::{Session, Unread};

/// How much ciphertext is read at once; on the stack.
const READ_MAX: usize = 16 * 1024;

/// How long a client that its owner has left may accept nothing of the last record.
const LINGER: Duration = Duration::from_secs(5);

/// The connection. The task that sends the rest holds it too.
#[derive(Debug)]
pub struct TlsStream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tcp: TcpStream,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    session: Session,
    /// A task sends the rest.
    has_sender: bool,
    /// The connection is half-closed after the rest.
    is_closing: bool,
}

enum Sent {
    All,
    Some,
}

impl State {
    /// Sends as much as the connection accepts.
    fn send(&mut self, tcp: &TcpStream) -> io::Result<Sent> {
        while !self.session.unsent().is_empty() {
            match tcp.try_write(self.session.unsent()) {
                Ok(count) => self.session.sent(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Sent::Some),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.session.discard_unsent();
                    return Err(error);
                }
            }
        }
        if self.is_closing {
            // It fails if the connection is already closed.
            let _ = socket2::SockRef::from(tcp).shutdown(Shutdown::Write);
        }
        Ok(Sent::All)
    }
}

impl TlsStream {
    /// After the handshake.
    pub(super) fn new(tcp: TcpStream, session: Session) -> Self {
        let state = Mutex::new(State { session, has_sender: false, is_closing: false });
        Self(Arc::new(Inner { tcp, state }))
    }

    /// The connection's other side.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.0.tcp.peer_addr().ok()
    }

    /// Its connection.
    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.0.tcp
    }

    /// Whether the other side's kernel has acknowledged all that was written.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.0.state().session.unsent().is_empty()
            && super::super::stream::is_acknowledged(&self.0.tcp)
    }

    /// Returns once a read may have a result.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        if self.0.state().session.is_readable() { Ok(()) } else { self.0.tcp.readable().await }
    }

    /// The same for a task's waker.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0.state().session.is_readable() {
            true => Poll::Ready(Ok(())),
            false => self.0.tcp.poll_read_ready(cx),
        }
    }

    /// Reads plaintext; 0 bytes mean the end.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut state = self.0.state();
        let mut unread = Unread::new(buffer);
        state.session.take_plain(&mut unread);
        while unread.filled() == 0 && !state.session.is_ended() {
            let mut cipher = [0; READ_MAX];
            let count = self.0.tcp.try_read(&mut cipher)?;
            let received = cipher.get_mut(..count).unwrap_or_default();
            let processed = match received {
                [] => {
                    state.session.end();
                    Ok(())
                }
                received => state.session.receive(received, &mut unread),
            };
            self.send(&mut state)?;
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
        Ok(unread.filled())
    }

    /// Returns once a write may have a result.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        loop {
            self.0.tcp.writable().await?;
            if let Sent::All = self.0.state().send(&self.0.tcp)? {
                return Ok(());
            }
        }
    }

    /// Registers a task's waker for [`Self::try_write`].
    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.tcp.poll_write_ready(cx)
    }

    /// Writes as much as fits one record, once the record before it is sent.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        if state.is_closing {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        if let Sent::Some = state.send(&self.0.tcp)? {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = state.session.encrypt(bytes).map_err(|_| ErrorKind::BrokenPipe)?;
        self.send(&mut state)?;
        Ok(count)
    }

    /// Tells the client that nothing more will be sent, after the rest.
    pub(crate) fn shutdown_write(&self) {
        let mut state = self.0.state();
        if !std::mem::replace(&mut state.is_closing, true) {
            state.session.close();
            // It fails if the connection is already closed.
            let _ = self.send(&mut state);
        }
    }

    /// Sends what is possible now, and the rest by a task.
    fn send(&self, state: &mut State) -> io::Result<()> {
        if let Sent::Some = state.send(&self.0.tcp)?
            && !state.has_sender
            // Without a runtime the process is ending, and the connection with it.
            && let Ok(runtime) = Handle::try_current()
        {
            state.has_sender = true;
            runtime.spawn(Arc::clone(&self.0).send_rest());
        }
        Ok(())
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the rest. A client that accepts nothing is left once the stream's owner has left.
    async fn send_rest(self: Arc<Self>) {
        loop {
            match timeout(LINGER, self.tcp.writable()).await {
                Err(_) if Arc::strong_count(&self) == 1 => return,
                Err(_) => continue,
                // An error is reported to the owner by its next call.
                Ok(_) => {}
            }
            let mut state = self.state();
            if !matches!(state.send(&self.tcp), Ok(Sent::Some)) {
                state.has_sender = false;
                return;
            }
        }
    }
}
