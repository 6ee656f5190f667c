//! OpenAPI schemas: notifications.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use utoipa::openapi::Schema;
use utoipa::{IntoParams, ToSchema};

use crate::choices::{channel, kind, one_of};
use bellpull_wire::Dialect;

/// Filters of the list of notifications.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct NotificationFilters {
    /// Those with a delivery on that channel; the row then shows that channel's state.
    #[param(schema_with = channel)]
    notification_type: Option<String>,
    #[param(schema_with = kind)]
    r#type: Option<String>,
    #[param(max_length = 64)]
    event: Option<String>,
    ticket: Option<i64>,
    /// Those about tickets that are in this project now.
    project: Option<i64>,
    /// Those created after that number, in ascending order, for catching up.
    #[param(minimum = 0)]
    since_seq: Option<i64>,
}

/// Read or unread.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReadFilter {
    is_read: Option<bool>,
}

/// The bounds of a call of many.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, style = Form)]
pub(crate) struct Bounds {
    /// Only these.
    #[param(explode = false, min_items = 1, max_items = 1_000)]
    ids: Option<Vec<i64>>,
    /// Only those created up to and including this number.
    #[param(minimum = 0)]
    up_to: Option<i64>,
}

/// The same in the body. The query has precedence.
#[derive(ToSchema)]
pub(crate) struct MarkSelection {
    is_read: Option<bool>,
    #[schema(schema_with = channel)]
    notification_type: Option<String>,
    #[schema(schema_with = kind)]
    r#type: Option<String>,
    #[schema(max_length = 64)]
    event: Option<String>,
    ticket: Option<i64>,
    project: Option<i64>,
    #[schema(minimum = 0)]
    since_seq: Option<i64>,
    #[schema(min_items = 1, max_items = 1_000)]
    ids: Option<Vec<i64>>,
    #[schema(minimum = 0)]
    up_to: Option<i64>,
}

/// Where the stream begins, and its format.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamStart {
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
    /// The last `id:` (`EPOCH:SEQ`), for clients that cannot send the header `Last-Event-ID`; the
    /// parameter may also have the header's name.
    #[param(rename = "lastEventId")]
    last_event_id: Option<String>,
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
