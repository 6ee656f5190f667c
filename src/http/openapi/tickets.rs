//! OpenAPI schemas: tickets.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use utoipa::{IntoParams, IntoResponses, ToSchema};

use crate::choices::{category, priority, ticket_status};

/// A new ticket; only its title is required.
#[derive(ToSchema)]
pub(crate) struct NewTicket {
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
pub(crate) struct TicketEdit {
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
pub(crate) struct TooLate;

/// What the caller has seen; the body may be missing.
#[derive(ToSchema)]
pub(crate) struct SeenTicket {
    /// The version that the caller has seen: if the ticket has another, the answer is 409.
    version: Option<i64>,
}

/// The developers to assign.
#[derive(ToSchema)]
pub(crate) struct Assignment {
    /// The developers' ids.
    #[schema(min_items = 1, max_items = 100)]
    developers: Vec<i64>,
    /// The version that the caller has seen: if the ticket has another, the answer is 409.
    version: Option<i64>,
}

/// Why the ticket is rejected.
#[derive(ToSchema)]
pub(crate) struct Rejection {
    #[schema(max_length = 2_000)]
    reason: Option<String>,
    /// The version that the caller has seen: if the ticket has another, the answer is 409.
    version: Option<i64>,
}

/// Filters of the list of tickets.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TicketFilters {
    #[param(schema_with = ticket_status)]
    status: Option<String>,
    project: Option<i64>,
    #[param(schema_with = priority)]
    priority: Option<String>,
    assigned_to: Option<i64>,
    created_by: Option<i64>,
    /// Words in the title, the description and the key; all must occur, in any order, the last four
    /// at least as a prefix (`doo` finds `door`). A number or a single letter matches only itself,
    /// so `5` and `TKT-5` find the ticket with that number. Words joined by other characters
    /// (`e-mail`) must follow each other. Text of scripts without spaces (Chinese, Japanese, Thai),
    /// and Korean, is found wherever it stands. Case, accents of Latin and Greek letters, vowel
    /// points, and forms of a letter (`ß` and `ss`, `ł` and `l`, full width) are ignored. Only
    /// letters and digits are searched for: a search without any finds nothing. At most 16 words,
    /// where four characters of a script without spaces count as one.
    #[param(max_length = 200)]
    search: Option<String>,
    /// The order of the list: `-created_at` or `-id`. Any other is refused, here and for all lists.
    #[param(pattern = "^-(created_at|id)$")]
    ordering: Option<String>,
}
