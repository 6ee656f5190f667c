//! Properties of every dialect.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::Value;

use super::testing::{any_message, frames_about, golden};
use super::*;

#[test]
fn every_dialect_is_found_by_its_name() {
    for (dialect, name) in Dialect::ALL.into_iter().zip(Dialect::NAMES) {
        assert_eq!(dialect.as_str(), name);
        assert_eq!(Dialect::from_name(name), Some(dialect));
    }
    assert_eq!(Dialect::from_name("Incident"), None);
    assert_eq!(Dialect::from_name(""), None);
}

/// The words of the clients' golden texts, of all dialects.
#[derive(Debug)]
struct Vocabulary {
    /// The keys, and one that no dialect knows.
    keys: Vec<String>,
    /// The values of `type`.
    types: Vec<String>,
}

static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
    let (mut keys, mut types) = (BTreeSet::from(["other".to_owned()]), BTreeSet::new());
    for (_, file, text) in golden() {
        // What some of them send twice is read once, which does for this.
        let Ok(Value::Object(text)) = serde_json::from_str(&text) else { continue };
        if file.starts_with("client_") {
            types.extend(text["type"].as_str().map(str::to_owned));
            keys.extend(text.into_iter().map(|(key, _)| key));
        }
    }
    assert!(keys.len() >= 20 && types.len() >= 16, "{keys:?} {types:?}");
    Vocabulary { keys: keys.into_iter().collect(), types: types.into_iter().collect() }
});

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        Just("1e999".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just(r#""project:7:presence""#.to_owned()),
        Just("[1,2]".to_owned()),
        Just(r#"{"a":{"a":[]},"a":1}"#.to_owned()),
        Just(r#""\ud800""#.to_owned()),
        any::<String>().prop_map(|text| Value::from(text).to_string()),
    ]
}

/// An object with keys that mean something, some of them twice, and values that may not.
fn any_command() -> impl Strategy<Value = String> {
    let kind =
        prop::sample::select(&VOCABULARY.types[..]).prop_map(|name| format!(r#""type":"{name}""#));
    let pair = (prop::sample::select(&VOCABULARY.keys[..]), any_value())
        .prop_map(|(key, value)| format!(r#""{key}":{value}"#));
    (kind, prop::collection::vec(pair, 0..6)).prop_map(|(kind, mut pairs)| {
        pairs.push(kind);
        format!("{{{}}}", pairs.join(","))
    })
}

#[test]
fn a_timestamp_that_could_not_be_sent_back_as_json_is_refused() {
    for dialect in Dialect::ALL {
        for endpoint in Endpoint::ALL {
            let ping = |sent: &str| {
                decode(dialect, endpoint, &format!(r#"{{"type":"ping","timestamp":{sent}}}"#))
            };
            for half in [r#""\ud800""#, r#"["\udc00\ud800"]"#, r#"{"\ud800":1}"#] {
                let bad = ping(half).unwrap_err();
                assert!(bad.message.contains("timestamp"), "{}", bad.message);
            }
            for whole in [r#""\ud83d\ude00""#, "1e999", "null", r#"{"a":[]}"#] {
                assert!(ping(whole).is_ok(), "{whole}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_decoder_panic(text in "\\PC*") {
        for dialect in Dialect::ALL {
            for endpoint in Endpoint::ALL {
                let _ = decode(dialect, endpoint, &text);
            }
        }
    }

    #[test]
    fn no_text_like_json_makes_a_decoder_panic(text in r#"[\[\]{}":,\\u0-9a-f \ntypeping]{0,80}"#) {
        for dialect in Dialect::ALL {
            for endpoint in Endpoint::ALL {
                let _ = decode(dialect, endpoint, &text);
            }
        }
    }

    #[test]
    fn no_command_makes_a_decoder_panic(text in any_command()) {
        for dialect in Dialect::ALL {
            for endpoint in Endpoint::ALL {
                if let Err(bad) = decode(dialect, endpoint, &text) {
                    prop_assert!(bad.message.chars().count() < 200, "{}", bad.message);
                }
            }
        }
    }

    #[test]
    fn whatever_is_said_arrives_as_json_with_a_type(message in any_message()) {
        let frames = frames_about(message.clone());
        prop_assert!(frames.len() >= 12, "{frames:?}");
        for (dialect, text) in frames {
            let frame: Value = serde_json::from_str(&text).unwrap();
            let key = if dialect == Dialect::Incident { "notification_type" } else { "type" };
            prop_assert!(frame[key].is_string(), "{dialect}: {text}");
            for holder in [&frame, &frame["notification"], &frame["data"]] {
                for key in ["body", "message"] {
                    if let Some(told) = holder.get(key) {
                        prop_assert_eq!(told, message.body.as_str());
                    }
                }
            }
        }
    }
}
