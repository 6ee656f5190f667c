//! An accepted connection: TCP, or TLS over it.
//!
//! Its interface is that of `TcpStream` as far as it is used: two halves share it, so reads and
//! writes do not need it exclusively.

use std::ffi::c_int;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::tls::TlsStream;

/// A connection. Bytes that a write has accepted leave without further calls.
#[derive(Debug)]
pub enum Stream {
    Plain(TcpStream),
    Tls(TlsStream),
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Self {
        Self::Plain(tcp)
    }
}

impl Stream {
    /// Whether it is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Its other side; `None` if it is gone. The system is asked: kept for each connection it would
    /// take more than it is worth.
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Plain(tcp) => tcp.peer_addr().ok(),
            Self::Tls(tls) => tls.peer(),
        }
    }

    /// Returns once a read may have a result.
    pub async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.readable().await,
            Self::Tls(tls) => tls.readable().await,
        }
    }

    /// Returns once a write may have a result.
    pub async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.writable().await,
            Self::Tls(tls) => tls.writable().await,
        }
    }

    /// Registers a task's waker; ready if a read may have a result.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => tcp.poll_read_ready(cx),
            Self::Tls(tls) => tls.poll_read_ready(cx),
        }
    }

    /// Reads what is available; 0 bytes mean the end.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.try_read(buffer),
            Self::Tls(tls) => tls.try_read(buffer),
        }
    }

    /// Writes as much as is accepted now.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.try_write(bytes),
            Self::Tls(tls) => tls.try_write(bytes),
        }
    }

    /// Whether the other side's kernel has acknowledged all that was written.
    pub fn is_acknowledged(&self) -> bool {
        match self {
            Self::Plain(tcp) => is_acknowledged(tcp),
            Self::Tls(tls) => tls.is_acknowledged(),
        }
    }

    /// Its number in the kernel, which is its own for as long as it is open.
    pub(super) fn number(&self) -> RawFd {
        match self {
            Self::Plain(tcp) => tcp.as_raw_fd(),
            Self::Tls(tls) => tls.tcp().as_raw_fd(),
        }
    }

    /// Half-closes it: the client sees the end after the last byte.
    pub fn shutdown_write(&self) {
        match self {
            // It fails if the connection is already closed.
            Self::Plain(tcp) => drop(socket2::SockRef::from(tcp).shutdown(Shutdown::Write)),
            Self::Tls(tls) => tls.shutdown_write(),
        }
    }
}

/// Whether the kernel holds nothing of a connection that its other side has not acknowledged.
pub(super) fn is_acknowledged(tcp: impl AsFd) -> bool {
    /// `SIOCOUTQ`, as in `linux/sockios.h` of all but four old architectures.
    type Unacknowledged = rustix::ioctl::Getter<0x5411, c_int>;
    // SAFETY: the kernel writes one `int`, and nothing else; tcp(7).
    #[expect(unsafe_code, reason = "no crate that is here has a safe call for it")]
    let unacknowledged = unsafe { rustix::ioctl::ioctl(tcp, Unacknowledged::new()) };
    matches!(unacknowledged, Ok(0))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let tls = match self.get_mut() {
            Self::Plain(tcp) => return Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(tls) => tls,
        };
        loop {
            ready!(tls.poll_read_ready(cx))?;
            match tls.try_read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let tls = match self.get_mut() {
            Self::Plain(tcp) => return Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => tls,
        };
        loop {
            ready!(tls.poll_write_ready(cx))?;
            match tls.try_write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Self::Plain(tcp) = &mut *self {
            return Pin::new(tcp).poll_write_vectored(cx, slices);
        }
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.poll_write(cx, first.map_or(&[], |slice| slice))
    }

    fn is_write_vectored(&self) -> bool {
        !self.is_encrypted()
    }

    /// What was accepted leaves by itself.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shutdown_write();
        Poll::Ready(Ok(()))
    }
}
