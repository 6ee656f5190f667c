//! OpenAPI schemas: sends.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use jiff::Timestamp;
use serde_json::{Map, Value};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::{Response, Responses};
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::choices::{channels, kind, one_of, priority};

/// `[ids]`, `{"role"}`, `{"project"}` or `"all"`.
fn recipients() -> Schema {
    let ids = ArrayBuilder::new().items(i64::schema()).min_items(Some(1)).max_items(Some(10_000));
    let one_key = |key: &str, of| {
        let closed = AdditionalProperties::FreeForm(false);
        ObjectBuilder::new().property(key, of).required(key).additional_properties(Some(closed))
    };
    OneOfBuilder::new()
        .item(ids)
        .item(one_key("role", String::schema()))
        .item(one_key("project", i64::schema()))
        .item(one_of(["all"]))
        .into()
}

/// A message and its recipients.
#[derive(ToSchema)]
pub(crate) struct NewSend {
    /// Accounts by id, all of a role, all members of a project, or `all`.
    #[schema(schema_with = recipients)]
    recipients: Value,
    /// One line.
    #[schema(min_length = 1, max_length = 255)]
    title: String,
    #[schema(min_length = 1, max_length = 10_000)]
    message: String,
    /// The sender's own name for the event; `general` by default.
    #[schema(min_length = 1, max_length = 64)]
    event: Option<String>,
    #[schema(schema_with = kind)]
    r#type: Option<String>,
    /// Relative, or a URL with `http://` or `https://`.
    #[schema(max_length = 2_000)]
    action_url: Option<String>,
    /// At most 16 KiB.
    metadata: Option<Map<String, Value>>,
    /// Its channels besides the inbox.
    #[schema(schema_with = channels)]
    channels: Option<Vec<String>>,
    #[schema(schema_with = priority)]
    priority: Option<String>,
    /// When it is sent: at most a year ahead; immediately if that has passed.
    send_at: Option<Timestamp>,
    /// Overrides its recipients' preferences and quiet hours.
    critical: Option<bool>,
}

/// Makes a retry the same request: it gets the answer to the first one.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IdempotencyHeader {
    /// Visible ASCII; remembered for at least a day. Requests that may be repeated should have one:
    /// a 503 or a lost answer does not tell whether the first was carried out.
    #[param(rename = "Idempotency-Key", pattern = "^[!-~]{1,255}$", max_length = 255)]
    idempotency_key: Option<String>,
}

/// Adds what an operation with an idempotency key may answer.
pub(super) fn replay(responses: &mut Responses) {
    let known =
        "`true` if this key was known: this is what the first request has made, as it is now.";
    let known = RefOr::T(HeaderBuilder::new().description(Some(known)).build());
    for status in ["201", "202"] {
        if let Some(RefOr::T(response)) = responses.responses.get_mut(status) {
            response.headers.insert("Idempotency-Replayed".to_owned(), known.clone());
        }
    }
    let reused = "The Idempotency-Key was used with another body.";
    let conflict = responses.responses.entry("409".to_owned());
    let conflict = conflict.or_insert_with(|| Response::new("").into());
    if let RefOr::T(response) = conflict {
        let text = format!("{} {reused}", response.description);
        text.trim().clone_into(&mut response.description);
    }
}
