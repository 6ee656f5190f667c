//! The socket interface as an AsyncAPI 3.0 document.
//!
//! Each dialect documents its own messages, in its folder's `asyncapi.json`; here are those of all
//! ([`COMMON`], [`STREAMS`]) and the rest of the document. A part has messages, each with the
//! channels on which it may come, and schemas. Messages are named by their part; those whose name
//! begins with `client.` are the clients'. Lists of names come from the code.
//!
//! The parts are written by hand. Tests check every golden frame against the document, and every
//! schema against the golden frames.

use std::collections::BTreeMap;

use bellpull_domain::notification::Kind;
use bellpull_domain::ticket::{Category, Priority, Status};
use serde::Deserialize;
use serde::de::Error;
use serde_json::{Map, Value, json};

use super::Dialect;

/// The parts that belong to no dialect: channels, bindings, security, close codes.
const BASE: &str = include_str!("base.json");
/// The messages of all dialects.
const COMMON: &str = include_str!("common.json");
/// The messages about projects.
const STREAMS: &str = include_str!("streams.json");

/// A part of the document: `asyncapi.json` of a dialect.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    messages: BTreeMap<String, Message>,
    #[serde(default)]
    schemas: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    channels: Vec<String>,
    summary: String,
    payload: Value,
}

/// The messages of a channel, as references.
#[derive(Default)]
struct Channel {
    from_clients: Vec<Value>,
    to_clients: Vec<Value>,
}

/// The document, with this build's version.
///
/// # Errors
/// If an embedded part is not JSON, or two define the same schema.
pub fn document() -> Result<Value, serde_json::Error> {
    let mut document: Value = serde_json::from_str(BASE)?;
    document["info"]["version"] = Value::from(env!("CARGO_PKG_VERSION"));
    let mut channels = BTreeMap::new();
    define(&mut document["components"]["schemas"], lists_of_names())?;
    let dialects = Dialect::ALL.into_iter().map(|dialect| (dialect.as_str(), dialect.document()));
    for (name, text) in [("common", COMMON), ("streams", STREAMS)].into_iter().chain(dialects) {
        let part: Part = serde_json::from_str(text)?;
        define(&mut document["components"]["schemas"], part.schemas)?;
        for (kind, message) in part.messages {
            add(&mut document, &mut channels, name, &kind, message);
        }
    }
    for (name, channel) in channels {
        let operation = |action: &str, summary: &str, messages: Vec<Value>| {
            let channel = json!({"$ref": format!("#/channels/{name}")});
            json!({"action": action, "summary": summary, "channel": channel, "messages": messages})
        };
        let operations = &mut document["operations"];
        operations[format!("hear_{name}")] =
            operation("receive", "What clients say.", channel.from_clients);
        operations[format!("tell_{name}")] =
            operation("send", "What clients are told.", channel.to_clients);
    }
    Ok(document)
}

/// Schemas of the names that the code has a list of.
fn lists_of_names() -> Map<String, Value> {
    fn one_of<T: Into<Value>>(names: impl IntoIterator<Item = T>) -> Value {
        json!({"enum": names.into_iter().map(Into::into).collect::<Vec<Value>>()})
    }
    let kinds = Kind::ALL.iter().map(|kind| kind.as_str());
    let lists = [
        ("dialect", one_of(Dialect::NAMES)),
        ("kind", one_of(kinds.clone())),
        ("kind_in_lower_case", one_of(kinds.map(str::to_ascii_lowercase))),
        ("priority", one_of(Priority::ALL.iter().map(|priority| priority.as_str()))),
        ("category", one_of(Category::ALL.iter().map(|category| category.as_str()))),
        ("status", one_of(Status::ALL.iter().map(|status| status.as_str()))),
        ("status_id", one_of(Status::ALL.iter().map(|status| status.id()))),
    ];
    lists.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// Adds schemas to those of the document.
fn define(known: &mut Value, schemas: Map<String, Value>) -> Result<(), serde_json::Error> {
    for (name, schema) in schemas {
        if !known[name.as_str()].is_null() {
            return Err(Error::custom(format_args!("two schemas have the name {name}")));
        }
        known[name] = schema;
    }
    Ok(())
}

/// Adds a message to the document and to its channels.
fn add(
    document: &mut Value,
    channels: &mut BTreeMap<String, Channel>,
    part: &str,
    kind: &str,
    message: Message,
) {
    let title = format!("{part}.{kind}");
    let name = kind.strip_prefix("client.");
    for channel in message.channels {
        document["channels"][channel.as_str()]["messages"][title.as_str()] =
            json!({"$ref": format!("#/components/messages/{title}")});
        let reference = json!({"$ref": format!("#/channels/{channel}/messages/{title}")});
        let listed = channels.entry(channel).or_default();
        match name {
            Some(_) => listed.from_clients.push(reference),
            None => listed.to_clients.push(reference),
        }
    }
    document["components"]["messages"][title.as_str()] = json!({
        "name": name.unwrap_or(kind),
        "title": title,
        "summary": message.summary,
        "contentType": "application/json",
        "payload": message.payload,
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bellpull_port::outlet::{Ending, TokenEnd};
    use proptest::prelude::*;

    use super::*;
    use crate::Dialect;
    use crate::testing::{any_message, frames_about, golden};

    /// The document's message for a frame: its dialect's, or a shared one.
    fn message_of(document: &Value, folder: &str, is_from_client: bool, frame: &Value) -> String {
        let of_client = if is_from_client { "client." } else { "" };
        let name = frame["type"].as_str().unwrap_or("alert");
        let known = &document["components"]["messages"];
        let named = [folder, "common"].map(|place| format!("{place}.{of_client}{name}"));
        match named.iter().find(|name| known.get(name.as_str()).is_some()) {
            Some(name) => name.clone(),
            None if folder == "inbox" && is_from_client => {
                "inbox.client.typed_notification".to_owned()
            }
            None => panic!("{folder}: no message is documented for {frame}"),
        }
    }

    /// A message's schema with its references resolved.
    fn schema(document: &Value, message: &str) -> jsonschema::Validator {
        let mut schema = document["components"]["messages"][message]["payload"].clone();
        schema["components"] = document["components"].clone();
        jsonschema::validator_for(&schema).unwrap()
    }

    #[test]
    fn every_known_frame_is_as_documented_and_every_message_has_one() {
        let document = document().unwrap();
        let mut seen = BTreeSet::new();
        for (folder, file, text) in golden() {
            // Unknown to every dialect, so in no document.
            if file == "client_unknown.json" {
                continue;
            }
            let frame: Value = serde_json::from_str(&text).unwrap();
            let message = message_of(&document, &folder, file.starts_with("client_"), &frame);
            let problems: Vec<String> = schema(&document, &message)
                .iter_errors(&frame)
                .map(|problem| format!("{}: {problem}", problem.instance_path()))
                .collect();
            assert_eq!(problems, Vec::<String>::new(), "{folder}/{file} as {message}");
            seen.insert(message);
        }
        let documented = document["components"]["messages"].as_object().unwrap();
        let documented: BTreeSet<String> = documented.keys().cloned().collect();
        assert_eq!(seen, documented);
    }

    #[test]
    fn a_frame_that_lacks_a_key_is_not_as_documented() {
        let document = document().unwrap();
        for (folder, file, text) in golden() {
            let mut frame: Value = serde_json::from_str(&text).unwrap();
            if file.starts_with("client_") || frame["type"] == "reset" {
                continue;
            }
            let message = message_of(&document, &folder, false, &frame);
            let schema = schema(&document, &message);
            let payload = &document["components"]["messages"][message.as_str()]["payload"];
            for key in payload["required"].as_array().unwrap() {
                let key = key.as_str().unwrap();
                let value = frame.as_object_mut().unwrap().remove(key).unwrap();
                assert!(!schema.is_valid(&frame), "{folder}/{file} without {key}");
                frame[key] = value;
            }
        }
    }

    /// Every `$ref` in a value.
    fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_message_has_a_place() {
        let document = document().unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 100, "{}", found.len());
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let channels = document["channels"].as_object().unwrap();
        for message in document["components"]["messages"].as_object().unwrap().keys() {
            let has = |channel: &Value| channel["messages"].get(message.as_str()).is_some();
            assert!(channels.values().any(has), "{message} is on no channel");
        }
        for (name, channel) in channels {
            assert!(channel["address"].is_string(), "{name} is no channel of the base");
        }
    }

    #[test]
    fn every_close_code_and_every_dialect_is_documented() {
        let document = document().unwrap();
        let endings = [
            Ending::Closed { code: 1000 },
            Ending::Protocol { code: 1002, reason: "" },
            Ending::Protocol { code: 1007, reason: "" },
            Ending::TooBig,
            Ending::Restarting { retry_after_ms: 1 },
            Ending::Abuse,
            Ending::TokenEnded(TokenEnd::Expired),
            Ending::RightWithdrawn,
            Ending::Silent,
            Ending::TooSlow,
            Ending::TooMany { reason: "" },
        ];
        for ending in endings {
            let (code, _) = crate::code_and_reason(ending);
            assert!(document["x-close-codes"][code.to_string()].is_string(), "{code}");
        }
        let names: Vec<&str> = Dialect::ALL.into_iter().map(Dialect::as_str).collect();
        assert_eq!(document["components"]["schemas"]["dialect"]["enum"], Value::from(names));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn whatever_is_said_is_as_documented(message in any_message()) {
            let document = document().unwrap();
            for (dialect, text) in frames_about(message) {
                let frame: Value = serde_json::from_str(&text).unwrap();
                let message = message_of(&document, dialect.as_str(), false, &frame);
                if let Err(problem) = schema(&document, &message).validate(&frame) {
                    panic!("{message}: {}: {problem}\n{text}", problem.instance_path());
                }
            }
        }
    }
}
