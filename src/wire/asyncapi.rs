//! The socket interface as an AsyncAPI 3.0 document.
//!
//! It is written by hand beside the dialects. Tests check every golden frame against it, and every
//! schema against the golden frames.

use serde_json::Value;

/// The document, with this build's version.
///
/// # Errors
/// If the embedded document is not JSON.
pub fn document() -> Result<Value, serde_json::Error> {
    let mut document: Value = serde_json::from_str(include_str!("asyncapi.json"))?;
    document["info"]["version"] = Value::from(env!("CARGO_PKG_VERSION"));
    Ok(document)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use bellpull_actors::port::outlet::Ending;
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Dialect;
    use crate::wire::testing::{any_message, frames_about};

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

    /// The golden frames: folder, file, text.
    fn golden() -> Vec<(String, String, String)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let named = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let mut found = Vec::new();
        for folder in fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()) {
            for file in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
                found.push((named(&folder), named(&file), fs::read_to_string(&file).unwrap()));
            }
        }
        assert!(found.len() > 70, "{}", found.len());
        found
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
            Ending::TokenEnded { reason: "" },
            Ending::RightWithdrawn,
            Ending::Silent,
            Ending::TooSlow,
            Ending::TooMany { reason: "" },
        ];
        for ending in endings {
            let (code, _) = crate::ws::code_and_reason(ending);
            assert!(document["x-close-codes"][code.to_string()].is_string(), "{code}");
        }
        let query = &document["channels"]["notifications"]["bindings"]["ws"]["query"];
        let names: Vec<&str> = Dialect::ALL.into_iter().map(Dialect::as_str).collect();
        assert_eq!(query["properties"]["dialect"]["enum"], Value::from(names));
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
