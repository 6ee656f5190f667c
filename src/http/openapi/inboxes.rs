//! OpenAPI schemas: notifications.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use std::collections::HashMap;

use bellpull_actors::domain::notification::{DeliveryStatus, Kind};
use bellpull_actors::domain::routing::Channel;
use jiff::Timestamp;
use serde_json::{Map, Value};
use utoipa::openapi::Schema;
use utoipa::{IntoParams, ToSchema};

use super::one_of;
use super::tickets::priority;
use crate::wire::Dialect;

pub(super) fn channel() -> Schema {
    one_of(Channel::ALL.iter().map(|channel| channel.as_str()))
}

pub(super) fn kind() -> Schema {
    one_of(Kind::ALL.iter().map(|kind| kind.as_str()))
}

/// A rule that suppresses a delivery only shows in `deliveries`.
fn standing() -> Schema {
    use DeliveryStatus::{Failed, Queued, Sent};
    one_of([Queued, Sent, Failed].map(DeliveryStatus::as_str))
}

pub(super) fn delivery_status() -> Schema {
    one_of(DeliveryStatus::ALL.map(DeliveryStatus::as_str))
}

/// A notification in an inbox.
#[derive(ToSchema)]
pub(in crate::http) struct Notification {
    id: i64,
    /// Its number in the inbox, from 1.
    seq: i64,
    #[schema(required)]
    ticket: Option<i64>,
    #[schema(required)]
    ticket_title: Option<String>,
    recipient: i64,
    recipient_name: String,
    /// The channel whose state is shown.
    #[schema(schema_with = channel)]
    notification_type: String,
    notification_type_display: String,
    subject: String,
    message: String,
    #[schema(schema_with = standing)]
    status: String,
    status_display: String,
    #[schema(required)]
    sent_at: Option<Timestamp>,
    created_at: Timestamp,
    is_read: bool,
    #[schema(required)]
    read_at: Option<Timestamp>,
    /// `ticket_created`, `mentioned`, or a sender's own event.
    event: String,
    #[schema(schema_with = kind)]
    r#type: String,
    title: String,
    body: String,
    action_url: String,
    metadata: Map<String, Value>,
    #[schema(examples("Just now"))]
    time_ago: String,
    /// The account that sent it, if an account did.
    #[schema(required)]
    sender: Option<i64>,
    #[schema(schema_with = priority)]
    priority: String,
    deliveries: Vec<Delivery>,
}

/// The state of its external delivery.
#[derive(ToSchema)]
pub(in crate::http) struct Delivery {
    #[schema(schema_with = channel)]
    channel: String,
    #[schema(schema_with = delivery_status)]
    status: String,
    attempts: i64,
    #[schema(required)]
    sent_at: Option<Timestamp>,
    #[schema(required)]
    error: Option<String>,
}

/// How many notifications are unread.
#[derive(ToSchema)]
pub(in crate::http) struct UnreadCount {
    count: i64,
    /// The same number.
    unread_count: i64,
    /// By channel; `SYSTEM` counts all.
    by_type: HashMap<String, i64>,
}

/// A marked notification.
#[derive(ToSchema)]
pub(in crate::http) struct MarkedOne {
    message: String,
    notification: Notification,
}

/// How many notifications changed.
#[derive(ToSchema)]
pub(in crate::http) struct MarkedMany {
    #[schema(examples("5 notification(s) marked as read"))]
    message: String,
    count: i64,
}

/// Filters of the list of notifications.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct NotificationFilters {
    /// Those with a delivery on that channel; the row then shows that channel's state.
    #[param(schema_with = channel)]
    notification_type: Option<String>,
    #[param(schema_with = kind)]
    r#type: Option<String>,
    #[param(max_length = 64)]
    event: Option<String>,
    ticket: Option<i64>,
    /// Those created after that number, in ascending order, for catching up.
    #[param(minimum = 0)]
    since_seq: Option<i64>,
}

/// Read or unread.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ReadFilter {
    is_read: Option<bool>,
}

/// Which notifications are marked, in the query or in the body.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct MarkFilters {
    #[param(schema_with = channel)]
    notification_type: Option<String>,
    ticket: Option<i64>,
}

/// The same in the body.
#[derive(ToSchema)]
pub(in crate::http) struct MarkSelection {
    #[schema(schema_with = channel)]
    notification_type: Option<String>,
    ticket: Option<i64>,
}

/// Where the stream begins, and its format.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct StreamStart {
    /// `bellpull.v1` by default.
    #[param(schema_with = dialect)]
    dialect: Option<String>,
    /// The last number that the client has seen.
    #[param(minimum = 0)]
    since: Option<i64>,
    /// The epoch of that number.
    epoch: Option<String>,
    /// `none` for future notifications only.
    #[param(schema_with = replay)]
    replay: Option<String>,
    /// The access token, for clients that cannot send headers.
    token: Option<String>,
    /// A ticket of `/api/auth/ws-ticket/` instead.
    ticket: Option<String>,
}

fn dialect() -> Schema {
    one_of(Dialect::ALL.into_iter().map(Dialect::as_str))
}

fn replay() -> Schema {
    one_of(["none"])
}
