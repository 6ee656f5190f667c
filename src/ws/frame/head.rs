//! A frame's head: opcode, length, mask; and the rules for them.

use super::Violation;

/// Two bytes, eight of length, four of mask.
pub(super) const HEAD_MAX: usize = 14;

/// The opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// A frame: its head, and how much of its payload has arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) op: Op,
    pub(super) is_last: bool,
    pub(super) mask: [u8; 4],
    pub(super) length: usize,
    pub(super) taken: usize,
}

/// The head at the beginning of `bytes` and its length, or `None` while it is incomplete. Each byte
/// is checked as soon as it arrives. `open`: the length so far of an incomplete message.
pub(super) fn parse_head(
    bytes: &[u8],
    open: Option<usize>,
    message_max: usize,
) -> Result<Option<(Frame, usize)>, Violation> {
    let [first, rest @ ..] = bytes else { return Ok(None) };
    let op = parse_op(*first, open.is_some())?;
    let [second, rest @ ..] = rest else { return Ok(None) };
    if second & 0x80 == 0 {
        return Err(Violation::Protocol("a client's frame must be masked"));
    }
    let is_data = matches!(op, Op::Continuation | Op::Text | Op::Binary);
    let (length, rest, least) = match second & 0x7f {
        126 | 127 if !is_data => return Err(Violation::Protocol("a control frame is too long")),
        126 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest, 126),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from_be_bytes(*length), rest, 0x1_0000),
            None => return Ok(None),
        },
        short => (u64::from(short), rest, 0),
    };
    if length < least || length >> 63 != 0 {
        return Err(Violation::Protocol("a frame's length is written wrongly"));
    }
    let length = usize::try_from(length).map_err(|_| Violation::TooBig)?;
    if is_data && length > message_max.saturating_sub(open.unwrap_or(0)) {
        return Err(Violation::TooBig);
    }
    let Some((mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
    let frame = Frame { op, is_last: first & 0x80 != 0, mask: *mask, length, taken: 0 };
    Ok(Some((frame, bytes.len() - rest.len())))
}

fn parse_op(first: u8, is_open: bool) -> Result<Op, Violation> {
    if first & 0x70 != 0 {
        return Err(Violation::Protocol("reserved bits are set"));
    }
    let op = match first & 0x0f {
        0 => Op::Continuation,
        1 => Op::Text,
        2 => Op::Binary,
        8 => Op::Close,
        9 => Op::Ping,
        10 => Op::Pong,
        _ => return Err(Violation::Protocol("an unknown kind of frame")),
    };
    let is_last = first & 0x80 != 0;
    match op {
        Op::Close | Op::Ping | Op::Pong if !is_last => {
            Err(Violation::Protocol("a control frame is in pieces"))
        }
        Op::Continuation if !is_open => Err(Violation::Protocol("nothing to be continued")),
        Op::Text | Op::Binary if is_open => {
            Err(Violation::Protocol("a message begins inside another"))
        }
        Op::Continuation | Op::Text | Op::Binary | Op::Close | Op::Ping | Op::Pong => Ok(op),
    }
}

/// Applies the mask to payload bytes, the first of which has index `offset`.
pub(super) fn unmask(bytes: &mut [u8], mask: [u8; 4], offset: usize) {
    let mut mask = mask;
    mask.rotate_left(offset % 4);
    let [a, b, c, d] = mask;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}
