//! What holds for every dialect.

use bellpull_actors::domain::inbox::MessageContent;
use proptest::prelude::*;
use serde_json::Value;

use super::testing::{any_message, frames_about};

use super::*;

#[test]
fn every_dialect_survives_its_name_and_has_room_in_a_letter() {
    for (slot, dialect) in Dialect::ALL.into_iter().enumerate() {
        assert_eq!(Dialect::from_name(dialect.as_str()), Some(dialect));
        assert_eq!(dialect.slot(), slot);
        assert!(dialect.slot() < MessageContent::DIALECTS);
    }
    assert_eq!(Dialect::from_name("Incident"), None);
    assert_eq!(Dialect::from_name(""), None);
}

/// Every key that some dialect knows, and one that none does.
const KEYS: [&str; 20] = [
    "type",
    "timestamp",
    "id",
    "seq",
    "ids",
    "up_to",
    "all",
    "stream",
    "ticket_id",
    "is_typing",
    "token",
    "notification_id",
    "limit",
    "offset",
    "user_id",
    "title",
    "message",
    "data",
    "link",
    "other",
];

const TYPES: [&str; 16] = [
    "ping",
    "send_notification",
    "get_notifications",
    "mark_read",
    "mark_all_read",
    "delete_notification",
    "ack",
    "read",
    "unread",
    "delete",
    "subscribe",
    "unsubscribe",
    "ticket_viewing",
    "user_typing",
    "refresh",
    "approval",
];

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
    let kind = prop::sample::select(&TYPES[..]).prop_map(|name| format!(r#""type":"{name}""#));
    let pair = (prop::sample::select(&KEYS[..]), any_value())
        .prop_map(|(key, value)| format!(r#""{key}":{value}"#));
    (kind, prop::collection::vec(pair, 0..6)).prop_map(|(kind, mut pairs)| {
        pairs.push(kind);
        format!("{{{}}}", pairs.join(","))
    })
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
