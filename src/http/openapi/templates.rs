//! OpenAPI schemas: templates.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use utoipa::{IntoParams, ToSchema};

use crate::responses::template_channel;

/// A new template: texts with placeholders (`{{ title }}`).
#[derive(ToSchema)]
pub(crate) struct NewTemplate {
    /// One line; required for e-mail and push, not available for SMS.
    #[schema(max_length = 20000, examples("{{ title }}"))]
    subject: Option<String>,
    #[schema(max_length = 20000, examples("{{ body }}"))]
    text: String,
    /// For e-mail only. Values are escaped.
    #[schema(max_length = 20000)]
    html: Option<String>,
    /// The version that the caller has seen, 0 for none: if it has changed, the answer is 409.
    version: Option<i64>,
}

/// Changed parts for a preview.
#[derive(ToSchema)]
pub(crate) struct TemplateChanges {
    #[schema(max_length = 20000, examples("{{ title }}"))]
    subject: Option<String>,
    #[schema(max_length = 20000, examples("{{ body }}"))]
    text: Option<String>,
    #[schema(max_length = 20000)]
    html: Option<String>,
}

/// The template.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct TemplatePlace {
    /// An event's name, or `digest`.
    #[param(min_length = 1, max_length = 64, example = "mentioned")]
    event: String,
    #[param(schema_with = template_channel, example = "EMAIL")]
    channel: String,
    /// A language tag.
    #[param(pattern = "^[a-z]{2,3}(-[A-Z]{2})?$", example = "pt-BR")]
    locale: String,
}

/// Filters of the list of templates.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TemplateFilters {
    #[param(max_length = 64)]
    event: Option<String>,
    #[param(schema_with = template_channel)]
    channel: Option<String>,
}
