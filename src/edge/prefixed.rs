//! A connection of which some bytes were already read: the next reader gets those first.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Stream;

/// The connection, with the bytes that were read from it.
#[derive(Debug)]
pub struct Prefixed {
    begun: Vec<u8>,
    read: usize,
    stream: Stream,
}

impl Prefixed {
    /// `stream`, of which `begun` was read.
    pub(crate) fn new(stream: impl Into<Stream>, begun: Vec<u8>) -> Self {
        Self { begun, read: 0, stream: stream.into() }
    }

    /// The connection, and those bytes that were not read again.
    pub fn into_parts(mut self) -> (Stream, Vec<u8>) {
        self.begun.drain(..self.read);
        (self.stream, self.begun)
    }
}

impl AsyncRead for Prefixed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = self.begun.get(self.read..).unwrap_or_default();
        if rest.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(rest.get(..count).unwrap_or_default());
        self.read += count;
        if self.read == self.begun.len() {
            (self.begun, self.read) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn read_bytes_come_first_and_unread_ones_are_returned() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        client.write_all(b"fghi").await.unwrap();
        let mut connection = Prefixed::new(stream, b"abcde".to_vec());
        let mut read = [0; 3];
        connection.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"abc");
        let (stream, rest) = connection.into_parts();
        assert_eq!(rest, b"de");
        let mut connection = Prefixed::new(stream, rest);
        let mut read = [0; 6];
        connection.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"defghi");
        assert_eq!(connection.into_parts().1, b"");
    }
}
