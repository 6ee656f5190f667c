//! Unambiguous JSON: an object with a duplicate key is refused, at any depth, because parsers
//! differ about which value counts.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deeply objects and lists may be nested. No client's body is deeper than 4; the parser's own
/// limit, which protects the stack, is 128.
const DEPTH_MAX: usize = 32;

/// How much of a duplicate key is shown in the error.
const KEY_SHOWN_MAX: usize = 64;

/// Parses a whole body.
///
/// # Errors
/// A text for the client.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    let mut source = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut source).map_err(|e| e.to_string())?;
    source.end().map_err(|e| e.to_string())?;
    match numbers(bytes).find(|number| !is_exact(number)) {
        None => Ok(value),
        Some(number) => {
            let shown: String = number.chars().take(KEY_SHOWN_MAX).collect();
            Err(format!("the number {shown} cannot be kept exactly; send it as a string"))
        }
    }
}

/// The numbers in valid JSON, as they are written.
fn numbers(bytes: &[u8]) -> impl Iterator<Item = &str> {
    let (mut is_text, mut is_escaped) = (false, false);
    let part = move |byte: &u8| {
        let was_text = is_text;
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ => {}
        }
        let is_number = byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
        was_text || !is_number
    };
    let parts = bytes.split(part).map(|part| std::str::from_utf8(part).unwrap_or_default());
    // `true`, `false` and `null` leave an `e`.
    parts.filter(|part| part.starts_with(|first: char| first == '-' || first.is_ascii_digit()))
}

/// Whether a number is kept as it was written: as an integer of 64 bits, or as the closest binary
/// fraction, whose shortest notation has the same value.
fn is_exact(number: &str) -> bool {
    if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return true;
    }
    number.parse::<f64>().is_ok_and(|kept| decimal(&format!("{kept:e}")) == decimal(number))
}

/// The digits of a number without zeros at either end, and the power of ten of the last one.
fn decimal(number: &str) -> (String, i64) {
    let number = number.trim_start_matches('-');
    let (digits, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    let trimmed = all.trim_end_matches('0');
    let zeros = i64::try_from(all.len() - trimmed.len()).unwrap_or(i64::MAX);
    let places = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let digits = trimmed.trim_start_matches('0').to_owned();
    // An exponent beyond 64 bits is of no number that can be kept.
    let exponent = exponent.parse::<i64>().unwrap_or(i64::MAX / 2);
    let last = if digits.is_empty() { 0 } else { exponent.saturating_sub(places) + zeros };
    (digits, last)
}

/// A value inside `depth` objects and lists.
#[derive(Debug, Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            if values.contains_key(&key) {
                let shown: String = key.chars().take(KEY_SHOWN_MAX).collect();
                return Err(A::Error::custom(format_args!("duplicate key \"{shown}\"")));
            }
            values.insert(key, object.next_value_seed(inner)?);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_twice_is_refused_at_any_depth() {
        for doubled in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"b":{"c":[{"d":1,"d":1}]}}"#,
            // The same key in two spellings.
            r#"{"a":1,"\u0061":2}"#,
        ] {
            let error = parse(doubled.as_bytes()).unwrap_err();
            assert!(error.starts_with("duplicate key"), "{error}");
        }
        assert_eq!(parse(br#"{"a":{"b":1},"b":2}"#).unwrap(), json!({"a":{"b":1},"b":2}));
    }

    #[test]
    fn deep_nesting_is_refused_and_the_stack_survives() {
        let deep = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
        assert!(parse(&deep(DEPTH_MAX)).is_ok());
        for depth in [DEPTH_MAX + 1, 200, 500_000] {
            assert!(parse(&deep(depth)).unwrap_err().contains("nested"), "{depth}");
        }
        assert!(parse(r#"{"a":"#.repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn a_number_is_kept_exactly_or_refused() {
        for kept in [
            "0",
            "-0",
            "7",
            "-7",
            "9223372036854775807",
            "-9223372036854775808",
            "18446744073709551615",
            "0.1",
            "1.10",
            "-2.50",
            "1e2",
            "1E+2",
            "1.5e-7",
            "5.0",
            "3.141592653589793",
            "100000000000000000000",
            "1e300",
            "0.0",
            "0e7",
        ] {
            let found = parse(format!("[{kept}, \"99999999999999999999999\"]").as_bytes());
            assert!(found.is_ok(), "{kept}: {found:?}");
        }
        for lost in [
            "18446744073709551617",
            "-9223372036854775809",
            "3.14159265358979323846",
            "0.10000000000000000001",
            "1e-400",
            "123456789012345678901234567890",
        ] {
            let error = parse(format!("{{\"a\": [true, {lost}]}}").as_bytes()).unwrap_err();
            assert!(error.contains(lost) && error.contains("exactly"), "{error}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for bad in [&b""[..], b"{", b"{}x", b"{'a':1}", b"{\"a\":01}", b"nul", b"\xff", b"[1e999]"]
        {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        // A lone surrogate and invalid UTF-8 inside a string.
        assert!(parse(br#"{"a":"\ud800"}"#).is_err());
        assert!(parse(b"{\"a\":\"\xc3\"}").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn what_it_takes_means_what_it_means_to_others(text in r#"[\[\]{}:,"a-c0-9. \\-]{0,40}"#) {
            if let Ok(value) = parse(text.as_bytes()) {
                prop_assert_eq!(value, serde_json::from_str::<Value>(&text).unwrap());
            }
        }
    }
}
