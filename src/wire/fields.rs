//! The fields of a client's message: which values each may have, and the error for others.

use std::ops::RangeInclusive;

use bellpull_domain::ids::TicketId;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::envelope::BadFrame;

/// The longest name of an event, in characters: existing back ends store 64 at most.
const EVENT_NAME_MAX: usize = 64;

/// The value of a key; `null` counts as missing.
fn present(value: Option<&RawValue>) -> Option<&str> {
    value.map(RawValue::get).filter(|written| *written != "null")
}

/// A value that its client is sent back as it was written: any, but a string with half of a
/// surrogate pair, which is valid by JSON's grammar alone and which strict parsers refuse.
pub(super) fn echo(key: &str, value: Option<&RawValue>) -> Result<Option<Box<RawValue>>, BadFrame> {
    let Some(value) = value else { return Ok(None) };
    if value.get().contains("\\u") && serde_json::from_str::<Value>(value.get()).is_err() {
        return Err(BadFrame::invalid(key, "valid Unicode"));
    }
    Ok(Some(value.to_owned()))
}

/// What is within the quotes of a decimal number: attributes of pages and parameters of routes are
/// text, and REST takes them as they are, too.
fn unquoted(written: &str) -> &str {
    let inner = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let is_decimal = |inner: &&str| inner.bytes().all(|byte| byte.is_ascii_digit());
    inner.filter(is_decimal).unwrap_or(written)
}

/// An integer within bounds; `None` if missing.
pub(super) fn number<T>(
    key: &str,
    value: Option<&RawValue>,
    bounds: &RangeInclusive<T>,
) -> Result<Option<T>, BadFrame>
where
    T: PartialOrd + std::fmt::Display + serde::de::DeserializeOwned,
{
    let Some(written) = present(value) else { return Ok(None) };
    let number =
        serde_json::from_str(unquoted(written)).ok().filter(|number| bounds.contains(number));
    let wanted = || format!("a whole number from {} to {}", bounds.start(), bounds.end());
    number.map(Some).ok_or_else(|| BadFrame::invalid(key, wanted()))
}

/// A required id.
pub(super) fn id(key: &str, value: Option<&RawValue>) -> Result<i64, BadFrame> {
    let Some(written) = present(value) else { return Err(BadFrame::missing(key)) };
    let id = serde_json::from_str(unquoted(written)).ok().filter(|id| *id > 0);
    id.ok_or_else(|| BadFrame::invalid(key, "an id: a whole number, 1 or more"))
}

/// The ticket that a user views: required, but may be `null`.
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

/// A required boolean.
pub(super) fn switch(key: &str, value: Option<&RawValue>) -> Result<bool, BadFrame> {
    match value.map(RawValue::get) {
        None => Err(BadFrame::missing(key)),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(BadFrame::invalid(key, "true or false")),
    }
}

/// A text of at most this many characters; `None` if missing.
pub(super) fn text(
    key: &str,
    value: Option<&RawValue>,
    characters_max: usize,
) -> Result<Option<String>, BadFrame> {
    let Some(written) = present(value) else { return Ok(None) };
    let wanted = || format!("a text of {characters_max} characters at most");
    let text: String =
        serde_json::from_str(written).map_err(|_| BadFrame::invalid(key, wanted()))?;
    if text.chars().count() > characters_max {
        return Err(BadFrame::invalid(key, wanted()));
    }
    // PostgreSQL cannot store it, and REST refuses it too.
    if text.contains('\0') {
        return Err(BadFrame::invalid(key, "a text without null characters"));
    }
    Ok(Some(text))
}

/// A required text that is not blank.
pub(super) fn words(
    key: &str,
    value: Option<&RawValue>,
    characters_max: usize,
) -> Result<String, BadFrame> {
    let text = text(key, value, characters_max)?.ok_or_else(|| BadFrame::missing(key))?;
    if text.trim().is_empty() {
        return Err(BadFrame::invalid(key, "a text that is not blank"));
    }
    Ok(text)
}

/// The sender's own data; `None` if missing.
pub(super) fn object(
    key: &str,
    value: Option<&RawValue>,
) -> Result<Option<Map<String, Value>>, BadFrame> {
    let Some(written) = present(value) else { return Ok(None) };
    serde_json::from_str(written).map(Some).map_err(|_| BadFrame::invalid(key, "an object"))
}

/// The event's name, chosen by the sender.
pub(super) fn event_name(key: &str, name: &str) -> Result<String, BadFrame> {
    let is_visible = |content: char| !content.is_whitespace() && !content.is_control();
    let length = name.chars().take(EVENT_NAME_MAX + 1).count();
    if (1..=EVENT_NAME_MAX).contains(&length) && name.chars().all(is_visible) {
        return Ok(name.to_owned());
    }
    Err(BadFrame::invalid(key, format_args!("1 to {EVENT_NAME_MAX} visible characters")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(written: &str) -> Box<RawValue> {
        RawValue::from_string(written.to_owned()).unwrap()
    }

    #[test]
    fn ids_and_numbers_may_be_decimal_strings() {
        for (written, wanted) in [
            ("2", Some(2)),
            (r#""2""#, Some(2)),
            (r#""9223372036854775807""#, Some(i64::MAX)),
            (r#""9223372036854775808""#, None),
            (r#""0""#, None),
            (r#""""#, None),
            (r#""-2""#, None),
            (r#""2.0""#, None),
            (r#"" 2""#, None),
            (r#""٢""#, None),
            (r#"["2"]"#, None),
        ] {
            assert_eq!(id("id", Some(&raw(written))).ok(), wanted, "{written}");
            let number = number("limit", Some(&raw(written)), &(1..=i64::MAX)).ok().flatten();
            assert_eq!(number, wanted, "{written}");
        }
    }
}
