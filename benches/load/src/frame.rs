//! WebSocket frames, as far as a listener needs them.
//!
//! Nothing is copied: a frame is a range of the bytes that were read. A fragmented message is
//! classified by its first fragment.

/// The key of every handshake: so the expected answer is constant and needs no hash.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The server's answer to [`KEY`] (the example of RFC 6455).
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// No server sends a frame of this size; a broken one may claim it.
pub const PAYLOAD_MAX: u64 = 1024 * 1024;
/// A control frame's payload.
const CONTROL_MAX: usize = 125;

/// The kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A message, or its first fragment.
    Message,
    /// Another fragment of a message.
    Continuation,
    /// The server closes the connection.
    Close,
    /// A ping.
    Ping,
    /// A pong.
    Pong,
}

/// A complete frame at the start of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Its kind.
    pub kind: Kind,
    /// Where its payload begins.
    pub begin: usize,
    /// Where the frame ends.
    pub end: usize,
}

/// The bytes are no frame that a server may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidFrame;

/// The frame at the start of `bytes`, if it is complete.
///
/// # Errors
/// [`InvalidFrame`]: masked, of an unknown kind, or too large.
pub fn parse(bytes: &[u8]) -> Result<Option<Frame>, InvalidFrame> {
    let (Some(&first), Some(&second)) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
    let kind = match first & 0x0f {
        0 => Kind::Continuation,
        1 | 2 => Kind::Message,
        8 => Kind::Close,
        9 => Kind::Ping,
        10 => Kind::Pong,
        _ => return Err(InvalidFrame),
    };
    if second & 0x80 != 0 {
        return Err(InvalidFrame);
    }
    let extended = match second {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let begin = 2 + extended;
    let Some(length) = bytes.get(2..begin) else { return Ok(None) };
    let length = match extended {
        0 => u64::from(second),
        _ => length.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)),
    };
    if length > PAYLOAD_MAX {
        return Err(InvalidFrame);
    }
    let end = begin + usize::try_from(length).map_err(|_| InvalidFrame)?;
    Ok((bytes.len() >= end).then_some(Frame { kind, begin, end }))
}

/// A text frame as a client sends it. The mask is 0: it must only be present.
#[must_use]
pub fn text(payload: &str) -> Vec<u8> {
    client_frame(1, payload.as_bytes())
}

/// The answer to a ping.
#[must_use]
pub fn pong(payload: &[u8]) -> Vec<u8> {
    client_frame(10, &payload[..payload.len().min(CONTROL_MAX)])
}

/// The same as a server sends it.
#[must_use]
pub fn server_text(payload: &[u8]) -> Vec<u8> {
    let mut frame = head(1, payload.len(), 0);
    frame.extend_from_slice(payload);
    frame
}

fn client_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(opcode, payload.len(), 0x80);
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

fn head(opcode: u8, length: usize, mask: u8) -> Vec<u8> {
    let mut head = vec![0x80 | opcode];
    if let Ok(short @ 0..126) = u8::try_from(length) {
        head.push(mask | short);
    } else if let Ok(medium) = u16::try_from(length) {
        head.push(mask | 126);
        head.extend_from_slice(&medium.to_be_bytes());
    } else {
        head.push(mask | 127);
        head.extend_from_slice(&u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_are_found_whole() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
            let mut bytes = server_text(&vec![b'x'; length]);
            let whole = bytes.len();
            bytes.extend_from_slice(b"more");
            let frame = parse(&bytes).unwrap().unwrap();
            assert_eq!((frame.kind, frame.end), (Kind::Message, whole), "{length}");
            assert_eq!(frame.end - frame.begin, length);
            for cut in [0, 1, 2, 3, 9, whole - 1] {
                if cut < whole {
                    assert_eq!(parse(&bytes[..cut]), Ok(None), "{length} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn frames_that_no_server_may_send_are_invalid() {
        assert_eq!(parse(&text("masked")), Err(InvalidFrame));
        assert_eq!(parse(&[0x83, 0]), Err(InvalidFrame));
        assert_eq!(parse(&[0x81, 127, 0xff, 0, 0, 0, 0, 0, 0, 0]), Err(InvalidFrame));
    }

    #[test]
    fn a_client_masks_what_it_sends() {
        assert_eq!(text("hi"), [0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
        assert_eq!(pong(b"p"), [0x8a, 0x81, 0, 0, 0, 0, b'p']);
        assert_eq!(pong(&[0; 200]).len(), 2 + 4 + 125);
    }
}
