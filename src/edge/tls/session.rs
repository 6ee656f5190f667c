//! One connection's TLS state, without I/O: bytes in, bytes out.
//!
//! rustls's unbuffered interface is used because its buffered one keeps 4 KiB for every connection;
//! here an idle connection holds no buffer at all.

use std::fmt;
use std::sync::Arc;

use rustls::server::{ServerConfig, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};

/// How much plaintext is encrypted at once: what a TLS record holds at most.
const PIECE_MAX: usize = 16 * 1024;

/// The initial room for what a record adds to its plaintext, and for a handshake's message.
const OVERHEAD: usize = 64;

/// The most ciphertext of an incomplete record or handshake message. A record has 18 KiB at most,
/// and a handshake message of a client less.
const INCOMPLETE_MAX: usize = 32 * 1024;

/// The TLS state of one connection.
pub(super) struct Session {
    connection: UnbufferedServerConnection,
    /// Ciphertext whose record is incomplete.
    incoming: Vec<u8>,
    /// Plaintext that was not taken yet.
    plain: Queue,
    /// Ciphertext that was not sent yet.
    outgoing: Queue,
    /// The client has ended its side, or the connection has failed.
    is_ended: bool,
    /// It has failed: nothing more is processed.
    is_failed: bool,
}

/// Bytes that leave from the front; it holds no memory when empty.
#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    taken: usize,
}

impl Queue {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.bytes.len() {
            *self = Self::default();
        }
    }
}

/// A reader's buffer: what it has no room for is queued.
#[derive(Debug)]
pub(super) struct Unread<'b> {
    buffer: &'b mut [u8],
    filled: usize,
}

impl<'b> Unread<'b> {
    pub(super) fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, filled: 0 }
    }

    /// How many bytes of it are filled.
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    /// Fills it, and returns the rest.
    fn put<'p>(&mut self, payload: &'p [u8]) -> &'p [u8] {
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let (fits, rest) = payload.split_at(payload.len().min(room.len()));
        if let Some(room) = room.get_mut(..fits.len()) {
            room.copy_from_slice(fits);
        }
        self.filled += fits.len();
        rest
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("is_ended", &self.is_ended).finish_non_exhaustive()
    }
}

/// What to do once everything received is processed.
#[derive(Debug, Clone, Copy)]
enum Then<'p> {
    Nothing,
    Encrypt(&'p [u8]),
    Close,
}

impl Session {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self {
            connection: UnbufferedServerConnection::new(config)?,
            incoming: Vec::new(),
            plain: Queue::default(),
            outgoing: Queue::default(),
            is_ended: false,
            is_failed: false,
        })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the handshake resumed an earlier session.
    pub(super) fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// Whether a read has a result now, without new bytes from the client.
    pub(super) fn is_readable(&self) -> bool {
        self.is_ended || !self.plain.rest().is_empty()
    }

    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// The connection's stream has ended.
    pub(super) fn end(&mut self) {
        self.is_ended = true;
    }

    /// Takes queued plaintext.
    pub(super) fn take_plain(&mut self, to: &mut Unread<'_>) {
        let before = to.filled;
        to.put(self.plain.rest());
        self.plain.take(to.filled - before);
    }

    /// Ciphertext to send.
    pub(super) fn unsent(&self) -> &[u8] {
        self.outgoing.rest()
    }

    /// That much of it was sent.
    pub(super) fn sent(&mut self, count: usize) {
        self.outgoing.take(count);
    }

    /// Discards what was not sent: the connection is gone.
    pub(super) fn discard_unsent(&mut self) {
        self.outgoing = Queue::default();
    }

    /// Processes bytes from the client; its plaintext goes to `to`, then to the queue.
    pub(super) fn receive(
        &mut self,
        received: &mut [u8],
        to: &mut Unread<'_>,
    ) -> Result<(), rustls::Error> {
        if self.incoming.is_empty() {
            let (used, processed) = self.process(received, to, Then::Nothing);
            self.incoming.extend_from_slice(received.get(used..).unwrap_or_default());
            processed?;
        } else {
            self.incoming.extend_from_slice(received);
            self.process_incoming(to, Then::Nothing)?;
        }
        if self.incoming.len() > INCOMPLETE_MAX {
            (self.is_ended, self.is_failed) = (true, true);
            return Err(rustls::Error::General("a message is too long".to_owned()));
        }
        Ok(())
    }

    /// Encrypts as much of `bytes` as fits one record; returns how much.
    pub(super) fn encrypt(&mut self, bytes: &[u8]) -> Result<usize, rustls::Error> {
        let piece = bytes.get(..bytes.len().min(PIECE_MAX)).unwrap_or_default();
        self.process_incoming(&mut Unread::new(&mut []), Then::Encrypt(piece))?;
        Ok(piece.len())
    }

    /// Tells the client that nothing more will be sent.
    pub(super) fn close(&mut self) {
        // It fails if the handshake never completed: there is nothing to close then.
        let _ = self.process_incoming(&mut Unread::new(&mut []), Then::Close);
    }

    /// Processes what is incomplete: rustls may hold positions in it, so it is always passed.
    fn process_incoming(
        &mut self,
        to: &mut Unread<'_>,
        then: Then<'_>,
    ) -> Result<(), rustls::Error> {
        let mut incoming = std::mem::take(&mut self.incoming);
        let (used, processed) = self.process(&mut incoming, to, then);
        if used < incoming.len() {
            incoming.drain(..used);
            self.incoming = incoming;
        }
        processed
    }

    /// Processes records until there is none left, then does `then`; returns how many bytes are
    /// used up. After an error its alert is queued.
    fn process(
        &mut self,
        cipher: &mut [u8],
        to: &mut Unread<'_>,
        then: Then<'_>,
    ) -> (usize, Result<(), rustls::Error>) {
        if self.is_failed {
            return (0, Err(rustls::Error::HandshakeNotComplete));
        }
        let Self { connection, plain, outgoing, is_ended, is_failed, .. } = self;
        let mut used = 0;
        let mut failed = None;
        loop {
            let rest = cipher.get_mut(used..).unwrap_or_default();
            let UnbufferedStatus { mut discard, state } = connection.process_tls_records(rest);
            let mut is_done = false;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => {
                                discard += record.discard;
                                plain.bytes.extend_from_slice(to.put(record.payload));
                            }
                            Err(error) => failed = Some(error),
                        }
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    if let Err(error) = append(outgoing, OVERHEAD, |room| data.encode(room)) {
                        (failed, is_done) = (Some(error), true);
                    }
                }
                // Queued counts as sent: it leaves before anything that is encrypted later.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => *is_ended = true,
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    is_done = true;
                    let written = match then {
                        Then::Nothing => Ok(()),
                        Then::Encrypt(bytes) => append(outgoing, bytes.len() + OVERHEAD, |room| {
                            traffic.encrypt(bytes, room)
                        }),
                        Then::Close => {
                            append(outgoing, OVERHEAD, |room| traffic.queue_close_notify(room))
                        }
                    };
                    failed = failed.or(written.err());
                }
                // The handshake is incomplete, or both sides have closed.
                Ok(_) => {
                    is_done = true;
                    if !matches!(then, Then::Nothing) {
                        failed = failed.or(Some(rustls::Error::HandshakeNotComplete));
                    }
                }
                Err(error) => failed = failed.or(Some(error)),
            }
            used += discard;
            // After an error what is received is not looked at again; only its alert is encoded.
            if is_done || (failed.is_some() && !connection.wants_write()) {
                break;
            }
        }
        *is_failed = failed.is_some();
        *is_ended |= *is_failed;
        (used, failed.map_or(Ok(()), Err))
    }
}

/// The room that an encoder asks for.
trait Insufficient {
    fn required(&self) -> Option<usize>;
}

impl Insufficient for EncodeError {
    fn required(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            Self::AlreadyEncoded => None,
        }
    }
}

impl Insufficient for EncryptError {
    fn required(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            Self::EncryptExhausted => None,
        }
    }
}

/// Appends what `encode` writes, with as much room as it asks for.
fn append<E: Insufficient + std::fmt::Display>(
    queue: &mut Queue,
    room: usize,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<(), rustls::Error> {
    let begin = queue.bytes.len();
    let mut room = room;
    for _ in 0..2 {
        queue.bytes.resize(begin + room, 0);
        match encode(queue.bytes.get_mut(begin..).unwrap_or_default()) {
            Ok(count) => {
                queue.bytes.truncate(begin + count);
                return Ok(());
            }
            Err(error) => {
                queue.bytes.truncate(begin);
                match error.required() {
                    Some(required) => room = required,
                    None => return Err(rustls::Error::General(error.to_string())),
                }
            }
        }
    }
    Err(rustls::Error::General("the room for a record was not enough twice".to_owned()))
}
