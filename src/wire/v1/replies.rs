//! Results of commands.
//!
//! A request with a name is answered by that name. One without a name is answered only if it has
//! something to report: the rows that it marked, or an error.

use bellpull_port::session::{Answer, Ask, Asked};
use serde::Serialize;

use crate::{Texts, frames};

/// The result of a request.
pub(super) fn reply(asked: &Asked, answer: &Answer, out: &mut impl Texts) {
    let id = asked.tag.as_deref();
    let frame = match answer {
        Answer::Refused { code, message, retry_after_ms } => {
            if id.is_none() && is_signal(&asked.ask) {
                return out.text(|out| error(None, code, message, *retry_after_ms, out));
            }
            let refusal = Refusal::new(code, message, *retry_after_ms);
            Reply { refusal: Some(refusal), ..Reply::new(id, false) }
        }
        _ if id.is_none() && is_signal(&asked.ask) => return,
        // No command of this dialect lists or sends.
        Answer::Done | Answer::Listed { .. } | Answer::Sent { .. } => Reply::new(id, true),
        Answer::Marked { count, unread_count, seq, .. } => Reply {
            count: Some(*count),
            unread_count: Some(*unread_count),
            seq: Some(seq.0),
            ..Reply::new(id, true)
        },
    };
    out.text(|out| frames::put(&frame, out));
}

/// The client sent an invalid message.
pub(super) fn error(
    tag: Option<&str>,
    code: &str,
    message: &str,
    retry_after_ms: Option<u32>,
    out: &mut Vec<u8>,
) {
    let refusal = Refusal::new(code, message, retry_after_ms);
    frames::put(&Error { r#type: "error", id: tag, refusal }, out);
}

/// Whether clients send it without waiting for an answer.
fn is_signal(ask: &Ask) -> bool {
    matches!(ask, Ask::Ack(_) | Ask::Viewing { .. } | Ask::Typing { .. })
}

#[derive(Serialize)]
struct Reply<'a> {
    r#type: &'static str,
    id: Option<&'a str>,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    unread_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
    /// The last number that a mark took, or the session's position if it changed nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    #[serde(flatten)]
    refusal: Option<Refusal<'a>>,
}

impl<'a> Reply<'a> {
    fn new(id: Option<&'a str>, ok: bool) -> Self {
        Self { r#type: "reply", id, ok, unread_count: None, count: None, seq: None, refusal: None }
    }
}

#[derive(Serialize)]
struct Error<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(flatten)]
    refusal: Refusal<'a>,
}

#[derive(Serialize)]
struct Refusal<'a> {
    code: &'a str,
    message: &'a str,
    /// Whether the same request may succeed later.
    retry: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u32>,
}

impl<'a> Refusal<'a> {
    fn new(code: &'a str, message: &'a str, retry_after_ms: Option<u32>) -> Self {
        Self { code, message, retry: retry_after_ms.is_some(), retry_after_ms }
    }
}
