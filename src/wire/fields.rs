//! The fields of a client's message: what each may hold, and what is said when it does not.

use bellpull_actors::domain::ids::TicketId;
use serde_json::value::RawValue;

use super::envelope::BadFrame;

/// What was written behind a key; a `null` counts as nothing.
fn present(value: Option<&RawValue>) -> Option<&str> {
    value.map(RawValue::get).filter(|written| *written != "null")
}

/// An id of anything's; it must be there.
pub(super) fn id(key: &str, value: Option<&RawValue>) -> Result<i64, BadFrame> {
    let Some(written) = present(value) else { return Err(BadFrame::missing(key)) };
    let id = serde_json::from_str(written).ok().filter(|id| *id > 0);
    id.ok_or_else(|| BadFrame::invalid(key, "an id: a whole number, 1 or more"))
}

/// The ticket that somebody looks at, or none: `null`, but never nothing at all.
pub(super) fn ticket_or_null(
    key: &str,
    value: Option<&RawValue>,
) -> Result<Option<TicketId>, BadFrame> {
    match value.map(RawValue::get) {
        None => Err(BadFrame::missing(key)),
        Some("null") => Ok(None),
        Some(_) => Ok(Some(TicketId(id(key, value)?))),
    }
}

/// `true` or `false`; it must be there.
pub(super) fn switch(key: &str, value: Option<&RawValue>) -> Result<bool, BadFrame> {
    match value.map(RawValue::get) {
        None => Err(BadFrame::missing(key)),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(BadFrame::invalid(key, "true or false")),
    }
}
