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
    Ok(value)
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
