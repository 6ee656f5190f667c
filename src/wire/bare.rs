//! Sockets whose clients send little: pings and, on presence sockets, activity.

use bellpull_port::session::{Asked, Heard};

use super::envelope::{self, BadFrame};
use super::{Endpoint, fields, streams};

/// Parses a client's message.
pub(super) fn decode(endpoint: Endpoint, text: &str) -> Result<Heard, BadFrame> {
    let keys = ["type", "timestamp", "ticket_id", "is_typing"];
    let [kind, timestamp, ticket_id, is_typing] = envelope::read(text, keys)?;
    let ask = match (envelope::name(kind)?.as_ref(), endpoint) {
        ("ping", _) => return fields::echo("timestamp", timestamp).map(Heard::Ping),
        ("ticket_viewing", Endpoint::Presence) => streams::viewing(None, ticket_id)?,
        ("user_typing", Endpoint::Presence) => streams::typing(None, ticket_id, is_typing)?,
        (other, _) => return Err(BadFrame::unknown_type(other)),
    };
    Ok(Heard::Asked(Box::new(Asked { tag: None, ask })))
}
