//! OpenAPI schemas: webhooks.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use utoipa::{IntoParams, ToSchema};

/// A new webhook.
#[derive(ToSchema)]
pub(crate) struct NewWebhook {
    /// `https` to a public address.
    #[schema(min_length = 1, max_length = 2048, examples("https://hooks.example.com/bellpull"))]
    url: String,
    /// Only admins may name a project.
    project: Option<i64>,
    /// Event names; none means all.
    #[schema(max_items = 50)]
    events: Option<Vec<String>>,
    #[schema(max_length = 255)]
    description: Option<String>,
    is_active: Option<bool>,
}

/// The changes.
#[derive(ToSchema)]
pub(crate) struct WebhookChanges {
    #[schema(min_length = 1, max_length = 2048)]
    url: Option<String>,
    #[schema(max_items = 50)]
    events: Option<Vec<String>>,
    #[schema(max_length = 255)]
    description: Option<String>,
    is_active: Option<bool>,
    /// The version that the caller has seen: if it has changed, the answer is 409.
    version: Option<i64>,
}

/// Filters of the list of webhooks.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WebhookFilters {
    /// Only this project's; for admins.
    project: Option<i64>,
}
