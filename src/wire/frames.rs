//! Frames that most dialects have in common.

use std::io::Write;

use bellpull_domain::ticket::Caller;
use bellpull_port::session::Answer;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Texts;

/// The session is established.
pub(super) fn established(user: &Caller, out: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct Frame<'a> {
        r#type: &'static str,
        message: &'a str,
        user_id: i64,
    }
    let message = &format!("Connected successfully as {}", user.username);
    put(&Frame { r#type: "connection_established", message, user_id: user.id.0 }, out);
}

/// How many of the oldest notifications of the backlog were left out.
pub(super) fn truncated(skipped: i64, out: &mut Vec<u8>) {
    print(out, format_args!(r#"{{"type":"backlog_truncated","skipped":{skipped}}}"#));
}

/// The answer to a ping: the client's own timestamp as it was written, or the current time.
pub(super) fn pong(
    timestamp: Option<&RawValue>,
    now: impl FnOnce() -> Timestamp,
    out: &mut Vec<u8>,
) {
    match timestamp.map(RawValue::get) {
        Some(sent) => print(out, format_args!(r#"{{"type":"pong","timestamp":{sent}}}"#)),
        None => {
            let now_ms = now().as_millisecond();
            print(out, format_args!(r#"{{"type":"pong","timestamp":{now_ms}}}"#));
        }
    }
}

/// The client sent an invalid message.
pub(super) fn error(code: &str, message: &str, out: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct Frame<'a> {
        r#type: &'static str,
        code: &'a str,
        message: &'a str,
    }
    put(&Frame { r#type: "error", code, message }, out);
}

/// A request failed, in a dialect without an answer of its own for that.
pub(super) fn refused(answer: &Answer, out: &mut impl Texts) {
    if let Answer::Refused { code, message, .. } = answer {
        out.text(|out| error(code, message, out));
    }
}

/// Appends a value's JSON to `out`.
pub(super) fn put(value: &impl Serialize, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail, and frames have no keys but strings.
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "{written:?}");
}

/// Appends a JSON string to `out`.
pub(super) fn print(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // As above.
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok(), "{written:?}");
}

#[cfg(test)]
mod tests {
    use bellpull_domain::ids::UserId;
    use bellpull_domain::user::Role;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_frame_to_the_byte() {
        let mut user = Caller {
            id: UserId(1),
            username: "john_admin".into(),
            name: "John Admin".into(),
            role: Role::Admin,
        };
        assert_eq!(
            written(|out| established(&user, out)),
            r#"{"type":"connection_established","message":"Connected successfully as john_admin","user_id":1}"#
        );
        user.username = "a\"b".into();
        assert_eq!(
            written(|out| established(&user, out)),
            r#"{"type":"connection_established","message":"Connected successfully as a\"b","user_id":1}"#
        );
        assert_eq!(
            written(|out| truncated(12, out)),
            r#"{"type":"backlog_truncated","skipped":12}"#
        );
        assert_eq!(
            written(|out| error("invalid_json", "This is \"not\" JSON.", out)),
            r#"{"type":"error","code":"invalid_json","message":"This is \"not\" JSON."}"#
        );
    }

    #[test]
    fn a_pong_has_the_timestamp_as_it_was_written_or_ours() {
        let seven = || Timestamp::from_millisecond(7).unwrap();
        for sent in ["1735036200000", "1.50", "\"a\\u0041\"", "null", "{\"a\": [1 ]}"] {
            let raw = RawValue::from_string(sent.to_owned()).unwrap();
            assert_eq!(
                written(|out| pong(Some(&raw), seven, out)),
                format!(r#"{{"type":"pong","timestamp":{sent}}}"#)
            );
        }
        assert_eq!(written(|out| pong(None, seven, out)), r#"{"type":"pong","timestamp":7}"#);
    }
}
