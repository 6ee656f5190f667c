//! OpenAPI schemas: tickets.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use bellpull_actors::domain::ticket::{Category, Priority, Status};
use jiff::Timestamp;
use utoipa::openapi::Schema;
use utoipa::{IntoParams, IntoResponses, ToSchema};

use super::one_of;

fn status() -> Schema {
    one_of(Status::ALL.iter().map(|status| status.as_str()))
}

fn from_status() -> Schema {
    one_of(Status::ALL.iter().map(|status| status.as_str()))
}

pub(super) fn priority() -> Schema {
    one_of(Priority::ALL.iter().map(|priority| priority.as_str()))
}

fn category() -> Schema {
    one_of(Category::ALL.iter().map(|category| category.as_str()))
}

/// A ticket.
#[derive(ToSchema)]
pub(in crate::http) struct Ticket {
    id: i64,
    /// The project's key and a number that counts up within the project.
    #[schema(examples("WEB-5"))]
    key: String,
    project: i64,
    project_name: String,
    title: String,
    description: String,
    #[schema(schema_with = priority)]
    priority: String,
    priority_display: String,
    #[schema(schema_with = category)]
    category: String,
    category_display: String,
    #[schema(schema_with = status)]
    status: String,
    status_display: String,
    created_by: i64,
    created_by_name: String,
    /// The developers' ids.
    assigned_to: Vec<i64>,
    /// Increases with each change.
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// An entry of a ticket's history.
#[derive(ToSchema)]
pub(in crate::http) struct HistoryEntry {
    /// The ticket's version after it.
    version: i64,
    /// `create`, `edit`, `delete`, or a workflow action.
    action: String,
    /// Null for the first entry.
    #[schema(required)]
    from_status: Option<String>,
    #[schema(required)]
    from_status_display: Option<String>,
    #[schema(schema_with = status)]
    to_status: String,
    to_status_display: String,
    by: i64,
    by_name: String,
    note: String,
    created_at: Timestamp,
}

/// A new ticket; only its title is required.
#[derive(ToSchema)]
pub(in crate::http) struct NewTicket {
    #[schema(min_length = 1, max_length = 255)]
    title: String,
    #[schema(max_length = 20_000)]
    description: Option<String>,
    /// `MEDIUM` by default.
    #[schema(schema_with = priority)]
    priority: Option<String>,
    /// `OTHER` by default.
    #[schema(schema_with = category)]
    category: Option<String>,
    /// By default the project that is open to all users.
    project: Option<i64>,
}

/// The changes.
#[derive(ToSchema)]
pub(in crate::http) struct TicketEdit {
    #[schema(min_length = 1, max_length = 255)]
    title: Option<String>,
    #[schema(max_length = 20_000)]
    description: Option<String>,
    #[schema(schema_with = priority)]
    priority: Option<String>,
    #[schema(schema_with = category)]
    category: Option<String>,
    /// The version that the caller has seen: if it has changed, the answer is 409.
    version: Option<i64>,
}

/// The errors of every workflow action.
#[derive(IntoResponses)]
#[response(
    status = 409,
    description = "The ticket's status does not allow it, or another request changed it at the same \
         time."
)]
pub(in crate::http) struct TooLate;

/// The developers to assign.
#[derive(ToSchema)]
pub(in crate::http) struct Assignment {
    /// The developers' ids.
    #[schema(min_items = 1, max_items = 100)]
    developers: Vec<i64>,
}

/// Why the ticket is rejected.
#[derive(ToSchema)]
pub(in crate::http) struct Rejection {
    #[schema(max_length = 2_000)]
    reason: Option<String>,
}

/// Filters of the list of tickets.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct TicketFilters {
    #[param(schema_with = status)]
    status: Option<String>,
    project: Option<i64>,
    #[param(schema_with = priority)]
    priority: Option<String>,
    assigned_to: Option<i64>,
    created_by: Option<i64>,
    /// Words in the title, the description and the key; all must occur, in any order, each at least
    /// as a prefix (`doo` finds `door`). A number matches only itself, so `5` and `TKT-5` find the
    /// ticket with that number. Words joined by other characters (`e-mail`) must follow each other.
    /// Case and the accents of Latin letters are ignored. Only letters and digits are searched for:
    /// a search without any finds nothing. At most 16 words.
    #[param(max_length = 200)]
    search: Option<String>,
    /// The order of the list: `-created_at` or `-id`. Any other is refused, here and for all lists.
    #[param(pattern = "^-(created_at|id)$")]
    ordering: Option<String>,
}
