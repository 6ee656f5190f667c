//! Server frames: unmasked, unfragmented, appended to one buffer.

use bellpull_port::outlet::Ending;
use bellpull_wire::code_and_reason;

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// The largest payload of a control frame.
const CONTROL_MAX: usize = 125;

/// Appends a text frame with the payload that `write` appends. Appends nothing if the payload is
/// empty; returns whether there is a frame.
pub(super) fn text(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> bool {
    let begin = out.len();
    // The head of most frames; for others the payload is moved once its length is known.
    out.extend_from_slice(&[TEXT, 126, 0, 0]);
    let body = out.len();
    write(out);
    let length = out.len() - body;
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(0), _) => out.truncate(begin),
        (Ok(short @ 1..126), _) => {
            out.drain(begin + 2..body);
            out[begin + 1] = short;
        }
        (_, Ok(long)) => out[begin + 2..body].copy_from_slice(&long.to_be_bytes()),
        (_, Err(_)) => {
            out[begin + 1] = 127;
            out.splice(begin + 2..body, (length as u64).to_be_bytes());
        }
    }
    length > 0
}

/// Appends a ping.
pub(super) fn ping(out: &mut Vec<u8>) {
    control(out, PING, &[]);
}

/// Appends the answer to a ping.
pub(super) fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    control(out, PONG, payload);
}

/// Appends a close frame.
pub(super) fn close(out: &mut Vec<u8>, why: Ending) {
    let (code, reason) = code_and_reason(why);
    close_with(out, code, &reason);
}

/// The same with a given code and reason; a long reason is cut.
pub(super) fn close_with(out: &mut Vec<u8>, code: u16, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(CONTROL_MAX - 2)];
    control(out, CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat());
}

fn control(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    let payload = &payload[..payload.len().min(CONTROL_MAX)];
    out.extend([first, u8::try_from(payload.len()).unwrap_or(0)]);
    out.extend_from_slice(payload);
}

/// The length of the first piece in `bytes`: a frame, or the answer to the handshake, which cannot
/// be confused with one. `None` if empty.
pub(super) fn piece_length(bytes: &[u8]) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    if !bytes.starts_with(b"HTTP/1.1 ") {
        return frame_length(bytes);
    }
    bytes.windows(END.len()).position(|four| four == END).map(|at| at + END.len())
}

/// The length of the first frame in `bytes`, with its head; `None` if empty.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let rest = bytes.get(2..)?;
    match bytes.get(1)? {
        126 => rest.first_chunk().map(|length| 4 + usize::from(u16::from_be_bytes(*length))),
        127 => rest
            .first_chunk()
            .and_then(|length| usize::try_from(u64::from_be_bytes(*length)).ok())
            .map(|length| 10 + length),
        short => Some(2 + usize::from(*short)),
    }
}

#[cfg(test)]
mod tests {
    use bellpull_port::outlet::TokenEnd;

    use super::*;

    #[test]
    fn text_frames_of_every_length_stand_behind_each_other() {
        for length in [1, 2, 125, 126, 127, 65_535, 65_536, 70_000] {
            let mut out = b"before".to_vec();
            assert!(text(&mut out, |out| out.resize(out.len() + length, b'x')));
            assert!(text(&mut out, |out| out.extend(b"next")));
            let frame = &out[6..];
            let whole = frame_length(frame).unwrap();
            assert_eq!(frame[0], TEXT);
            assert!(frame[whole - length..whole].iter().all(|byte| *byte == b'x'), "{length}");
            let head = whole - length;
            assert_eq!(
                head,
                if length < 126 {
                    2
                } else if length < 65_536 {
                    4
                } else {
                    10
                }
            );
            assert_eq!(frame[whole..], [b"\x81\x04", &b"next"[..]].concat());
        }
    }

    #[test]
    fn nothing_to_say_is_no_frame() {
        let mut out = b"before".to_vec();
        assert!(!text(&mut out, |_| {}));
        assert_eq!(out, b"before");
        assert_eq!(piece_length(b""), None);
    }

    #[test]
    fn the_answer_to_a_handshake_is_a_piece_too() {
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
        let mut out = answer.to_vec();
        text(&mut out, |out| out.extend(b"next"));
        assert_eq!(piece_length(&out), Some(answer.len()));
        assert_eq!(piece_length(&out[answer.len()..]), Some(6));
    }

    #[test]
    fn each_ending_has_its_code() {
        let table = [
            (Ending::Closed { code: 1001 }, 1001, ""),
            (Ending::Protocol { code: 1002, reason: "why" }, 1002, "why"),
            (Ending::TooBig, 1009, "a message is too long"),
            (Ending::Restarting { retry_after_ms: 150 }, 1012, r#"{"retry_after_ms":150}"#),
            (Ending::Abuse, 4400, "too many bad messages"),
            (Ending::TokenEnded(TokenEnd::Expired), 4401, "token expired"),
            (Ending::RightWithdrawn, 4403, "right withdrawn"),
            (Ending::Silent, 4408, "no sign of life"),
            (Ending::TooSlow, 4413, "reader too slow"),
            (Ending::TooMany { reason: "too many messages" }, 4429, "too many messages"),
        ];
        for (why, code, reason) in table {
            let mut out = Vec::new();
            close(&mut out, why);
            assert_eq!(frame_length(&out), Some(out.len()));
            assert_eq!(out[..2], [CLOSE, u8::try_from(reason.len() + 2).unwrap()]);
            assert_eq!(out[2..4], u16::to_be_bytes(code));
            assert_eq!(&out[4..], reason.as_bytes());
        }
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        const LONG: &str = "äääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää";
        let mut out = Vec::new();
        close(&mut out, Ending::Protocol { code: 1002, reason: LONG });
        assert_eq!(out.len(), 2 + 2 + 122);
        assert!(std::str::from_utf8(&out[4..]).is_ok());
    }
}
