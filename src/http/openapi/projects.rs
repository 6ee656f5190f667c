//! OpenAPI schemas: projects, members, comments.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use utoipa::{IntoParams, ToSchema};

/// A new project.
#[derive(ToSchema)]
pub(crate) struct NewProject {
    #[schema(pattern = "^[A-Z][A-Z0-9]{1,9}$")]
    key: String,
    #[schema(min_length = 1, max_length = 255)]
    name: String,
}

/// The new member.
#[derive(ToSchema)]
pub(crate) struct NewMember {
    /// An account's id.
    user: i64,
}

/// The project and the member.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct ProjectMember {
    #[param(minimum = 1)]
    id: i64,
    #[param(minimum = 1)]
    user: i64,
}

/// A comment as far as it is written.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CommentStart {
    /// The text before the cursor, or its end from before the last `@` on.
    #[param(max_length = 200)]
    text: Option<String>,
}

/// A new comment.
#[derive(ToSchema)]
pub(crate) struct NewComment {
    /// `@username` mentions a user: at most 50 are notified.
    #[schema(min_length = 1, max_length = 10_000)]
    body: String,
}
