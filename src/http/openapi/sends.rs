//! One message to many, as the document has it.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use jiff::Timestamp;
use serde_json::{Map, Value};
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::inboxes::{Notification, channel, kind};
use super::one_of;
use super::tickets::priority;

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

/// A message, and who is to have it.
#[derive(ToSchema)]
pub(in crate::http) struct NewSend {
    /// Accounts by their ids, all of a role, all on a project's list, or `all`.
    #[schema(schema_with = recipients)]
    recipients: Value,
    /// One line.
    #[schema(min_length = 1, max_length = 255)]
    title: String,
    #[schema(min_length = 1, max_length = 10_000)]
    message: String,
    /// The sender's own name for what happened; `general` where nobody says.
    #[schema(min_length = 1, max_length = 64)]
    event: Option<String>,
    #[schema(schema_with = kind)]
    r#type: Option<String>,
    /// Relative, or one that begins with `http://` or `https://`.
    #[schema(max_length = 2_000)]
    action_url: Option<String>,
    /// At most 16 KiB.
    metadata: Option<Map<String, Value>>,
    /// Where it goes besides the inbox.
    #[schema(schema_with = channels)]
    channels: Option<Vec<String>>,
    #[schema(schema_with = priority)]
    priority: Option<String>,
    /// When it is told: at most a year ahead; at once where that has passed.
    send_at: Option<Timestamp>,
    /// Passes its recipients' preferences and quiet hours.
    critical: Option<bool>,
}

fn channels() -> Schema {
    ArrayBuilder::new().items(RefOr::T(channel())).into()
}

/// A send that was taken in.
#[derive(ToSchema)]
pub(in crate::http) struct Sent {
    id: i64,
    /// How many accounts it is for.
    recipients: i64,
    /// Whether it waits for its time.
    scheduled: bool,
    /// Of a send to one account, what it has of it.
    notification: Option<Notification>,
}

/// What makes a retry the same request.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::http) struct IdempotencyHeader {
    /// Visible ASCII; remembered for at least a day.
    #[param(rename = "Idempotency-Key", pattern = "^[!-~]{1,255}$", max_length = 255)]
    idempotency_key: Option<String>,
}
