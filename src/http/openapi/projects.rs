//! OpenAPI schemas: projects, members, comments.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use jiff::Timestamp;
use utoipa::{IntoParams, ToSchema};

/// A project.
#[derive(ToSchema)]
pub(in crate::http) struct Project {
    id: i64,
    /// The prefix of its tickets' keys.
    #[schema(examples("WEB"))]
    key: String,
    name: String,
    /// Whether every user may raise tickets in it; it then has no list of members.
    is_open: bool,
}

/// A new project.
#[derive(ToSchema)]
pub(in crate::http) struct NewProject {
    #[schema(pattern = "^[A-Z][A-Z0-9]{1,9}$")]
    key: String,
    #[schema(min_length = 1, max_length = 255)]
    name: String,
}

/// A member, as other members see it.
#[derive(ToSchema)]
pub(in crate::http) struct Member {
    id: i64,
    username: String,
    full_name: String,
    role: String,
    is_active: bool,
}

/// The new member.
#[derive(ToSchema)]
pub(in crate::http) struct NewMember {
    /// An account's id.
    user: i64,
}

/// The project and the member.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::http) struct ProjectMember {
    #[param(minimum = 1)]
    id: i64,
    #[param(minimum = 1)]
    user: i64,
}

/// A comment on a ticket.
#[derive(ToSchema)]
pub(in crate::http) struct Comment {
    id: i64,
    ticket: i64,
    /// The author's name.
    author: String,
    author_id: i64,
    body: String,
    created_at: Timestamp,
}

/// A new comment.
#[derive(ToSchema)]
pub(in crate::http) struct NewComment {
    /// `@username` mentions a user: at most 50 are notified.
    #[schema(min_length = 1, max_length = 10_000)]
    body: String,
}
