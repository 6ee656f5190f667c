//! The common form of client messages: one JSON object with a `type`.
//!
//! A known key may occur only once: two parsers may disagree about which of two values counts.
//! Unknown keys are ignored.

use std::borrow::Cow;
use std::fmt;

use bellpull_port::session::{Heard, Tag};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How deep a message may nest. No dialect needs more than three levels; senders' own data may.
const DEPTH_MAX: usize = 32;

/// How much of a client's own text an answer repeats, in characters with their escapes.
const QUOTE_MAX: usize = 64;

/// A message that its dialect rejects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadFrame {
    /// The request's name, if the dialect has such names and this one could be read: so a client
    /// that waits for the answer learns that none will come.
    pub tag: Tag,
    /// An error code.
    pub code: &'static str,
    /// A message for a reader: what was wrong.
    pub message: String,
}

impl BadFrame {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { tag: None, code, message: message.into() }
    }

    /// A required key is missing.
    pub(super) fn missing(key: &str) -> Self {
        Self::new("missing_field", format!("The key {key:?} is missing."))
    }

    /// A key has an invalid value; which are valid.
    pub(super) fn invalid(key: &str, wanted: impl fmt::Display) -> Self {
        Self::new("invalid_field", format!("The key {key:?} takes {wanted}."))
    }

    /// The same error with its request's name.
    pub(super) fn tagged(self, tag: Tag) -> Self {
        Self { tag, ..self }
    }

    /// A key occurs twice.
    pub(super) fn twice(key: &str) -> Self {
        Self::new("duplicate_key", format!("The key {key:?} stands there twice."))
    }

    /// The dialect does not know this `type`.
    pub(super) fn unknown_type(name: &str) -> Self {
        let message = format!("No message has the type {} here.", quoted(name));
        Self::new("unknown_type", message)
    }
}

/// A client's own text in quotes. Its bound counts escapes: one character may have ten of them.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    let mut room = QUOTE_MAX;
    for char in text.chars() {
        let escaped = char.escape_debug();
        let Some(left) = room.checked_sub(escaped.len()) else {
            quoted.push('…');
            break;
        };
        room = left;
        quoted.extend(escaped);
    }
    quoted.push('"');
    quoted
}

impl From<BadFrame> for Heard {
    fn from(bad: BadFrame) -> Self {
        Self::Bad { tag: bad.tag, code: bad.code, message: bad.message }
    }
}

/// The unparsed values of the object's `keys`.
pub(super) fn read<'t, const N: usize>(
    text: &'t str,
    keys: [&'static str; N],
) -> Result<[Option<&'t RawValue>; N], BadFrame> {
    let Object { values, again, .. } = scan(text, keys)?;
    match again {
        None => Ok(values),
        Some((key, _)) => Err(BadFrame::twice(key)),
    }
}

/// The same with a second value of one key, for a dialect whose clients write one twice.
pub(super) fn scan<'t, const N: usize>(
    text: &'t str,
    keys: [&'static str; N],
) -> Result<Object<'t, N>, BadFrame> {
    if is_too_deep(text) {
        let message = format!("A message may nest {DEPTH_MAX} deep at most.");
        return Err(BadFrame::new("too_deep", message));
    }
    // The whole object first, so that invalid JSON is always reported as such.
    let whole: &RawValue = serde_json::from_str(text).map_err(|err| not_json(&err))?;
    if !whole.get().starts_with('{') {
        return Err(BadFrame::new("not_an_object", "A message is a JSON object."));
    }
    serde_json::Deserializer::from_str(whole.get())
        .deserialize_map(Scan(keys))
        .map_err(|err| not_json(&err))
}

/// The value of `type`.
pub(super) fn name(value: Option<&RawValue>) -> Result<Cow<'_, str>, BadFrame> {
    let Some(value) = value else {
        return Err(BadFrame::new("missing_type", "A message needs a \"type\"."));
    };
    let written = value.get();
    // The usual value has no escapes and needs no allocation.
    let inner = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    if let Some(inner) = inner
        && !inner.contains('\\')
    {
        return Ok(Cow::Borrowed(inner));
    }
    serde_json::from_str(written)
        .map(Cow::Owned)
        .map_err(|_| BadFrame::new("unknown_type", "A message's \"type\" is a string."))
}

fn not_json(err: &serde_json::Error) -> BadFrame {
    BadFrame::new("invalid_json", format!("This is not JSON: {err}."))
}

/// Counts brackets outside of strings; invalid JSON may be miscounted, and is rejected later.
fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// The known keys of an object.
#[derive(Debug)]
pub(super) struct Object<'t, const N: usize> {
    /// The first value of each key.
    pub(super) values: [Option<&'t RawValue>; N],
    /// The first repeated key, and its second value.
    pub(super) again: Option<(&'static str, &'t RawValue)>,
    /// Whether another key or value is repeated, too.
    pub(super) has_more: bool,
}

/// Visits an object once.
struct Scan<const N: usize>([&'static str; N]);

impl<'t, const N: usize> Visitor<'t> for Scan<N> {
    type Value = Object<'t, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut object = Object { values: [None; N], again: None, has_more: false };
        while let Some(known) = map.next_key_seed(Key(&self.0))? {
            let value: &'t RawValue = map.next_value()?;
            let Some(index) = known else { continue };
            match (&mut object.values[index], object.again) {
                (first @ None, _) => *first = Some(value),
                (Some(_), None) => object.again = Some((self.0[index], value)),
                (Some(_), Some(_)) => object.has_more = true,
            }
        }
        Ok(object)
    }
}

/// Maps a key to its index among the known ones, without a copy.
struct Key<'k, const N: usize>(&'k [&'static str; N]);

impl<'t, const N: usize> DeserializeSeed<'t> for Key<'_, N> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<const N: usize> Visitor<'_> for Key<'_, N> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|known| *known == key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> &'static str {
        let read = read(text, ["type", "timestamp"]).and_then(|[kind, _]| name(kind).map(drop));
        read.map_or_else(|bad| bad.code, |()| "")
    }

    #[test]
    fn what_is_wrong_with_a_message_is_named() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(33), "}".repeat(33));
        let table = [
            (r#"{"type":"ping"}"#, ""),
            (r#" { "type" : "ping" } "#, ""),
            (r#"{"\u0074ype":"p\u0069ng"}"#, ""),
            (r#"{"type":"ping","other":1,"other":2}"#, ""),
            ("", "invalid_json"),
            ("ping", "invalid_json"),
            (r#"{"type":"ping"}x"#, "invalid_json"),
            (r#"{"type":"ping",}"#, "invalid_json"),
            (r#"{"type":"ping"}{"type":"ping"}"#, "invalid_json"),
            (r#"{type:"ping"}"#, "invalid_json"),
            ("[]", "not_an_object"),
            (r#""ping""#, "not_an_object"),
            ("null", "not_an_object"),
            ("{}", "missing_type"),
            (r#"{"Type":"ping"}"#, "missing_type"),
            (r#"{"type":1}"#, "unknown_type"),
            (r#"{"type":null}"#, "unknown_type"),
            (r#"{"type":"ping","type":"ping"}"#, "duplicate_key"),
            (r#"{"type":"ping","\u0074ype":"ping"}"#, "duplicate_key"),
            (r#"{"timestamp":1,"type":"ping","timestamp":1}"#, "duplicate_key"),
            (deep.as_str(), "too_deep"),
            (&"[".repeat(60_000), "too_deep"),
        ];
        for (text, wanted) in table {
            assert_eq!(code(text), wanted, "{text}");
        }
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        let text = format!(r#"{{"type":"x","a":"{}\"[["}}"#, "[{".repeat(40));
        assert_eq!(code(&text), "");
    }

    #[test]
    fn an_answer_repeats_little_of_what_was_sent() {
        for char in ["é", "\u{7f}", "\u{e0001}", "\"", "\\"] {
            let bad = BadFrame::unknown_type(&char.repeat(1_000));
            assert!(bad.message.chars().count() < 120, "{}", bad.message);
            assert!(bad.message.ends_with("…\" here."), "{}", bad.message);
        }
        let bad = BadFrame::unknown_type("it's \"x\"\n");
        assert_eq!(bad.message, r#"No message has the type "it\'s \"x\"\n" here."#);
    }
}
