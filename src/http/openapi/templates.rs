//! OpenAPI schemas: templates.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use jiff::Timestamp;
use utoipa::openapi::Schema;
use utoipa::{IntoParams, ToSchema};

use super::one_of;
use crate::delivery::defaults::CHANNELS;

fn channel() -> Schema {
    one_of(CHANNELS.map(bellpull_actors::domain::routing::Channel::as_str))
}

/// The templates of an event on a channel.
#[derive(ToSchema)]
pub(in crate::http) struct TemplateSummary {
    event: String,
    event_display: String,
    #[schema(schema_with = channel)]
    channel: String,
    channel_display: String,
    /// The languages that an admin has written it in.
    locales: Vec<String>,
    /// Whether only the default exists.
    is_default: bool,
}

/// The template of an event on a channel in a language.
#[derive(ToSchema)]
pub(in crate::http) struct Template {
    event: String,
    #[schema(schema_with = channel)]
    channel: String,
    locale: String,
    subject: String,
    text: String,
    html: String,
    /// Whether it is the default.
    is_default: bool,
    /// The language it was written in: this one, or the nearest.
    #[schema(required)]
    from_locale: Option<String>,
    #[schema(required)]
    updated_at: Option<Timestamp>,
    #[schema(required)]
    updated_by: Option<i64>,
}

/// A new template: texts with placeholders (`{{ title }}`).
#[derive(ToSchema)]
pub(in crate::http) struct NewTemplate {
    /// One line; required for e-mail and push, not available for SMS.
    #[schema(max_length = 20000, examples("{{ title }}"))]
    subject: Option<String>,
    #[schema(max_length = 20000, examples("{{ body }}"))]
    text: String,
    /// For e-mail only. Values are escaped.
    #[schema(max_length = 20000)]
    html: Option<String>,
}

/// Changed parts for a preview.
#[derive(ToSchema)]
pub(in crate::http) struct TemplateChanges {
    #[schema(max_length = 20000, examples("{{ title }}"))]
    subject: Option<String>,
    #[schema(max_length = 20000, examples("{{ body }}"))]
    text: Option<String>,
    #[schema(max_length = 20000)]
    html: Option<String>,
}

/// The message as a recipient would see it.
#[derive(ToSchema)]
pub(in crate::http) struct TemplatePreview {
    subject: String,
    text: String,
    #[schema(required)]
    html: Option<String>,
}

/// The template.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::http) struct TemplatePlace {
    /// An event's name, or `digest`.
    #[param(min_length = 1, max_length = 64, example = "mentioned")]
    event: String,
    #[param(schema_with = channel, example = "EMAIL")]
    channel: String,
    /// A language tag.
    #[param(pattern = "^[a-z]{2,3}(-[A-Z]{2})?$", example = "pt-BR")]
    locale: String,
}

/// Filters of the list of templates.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct TemplateFilters {
    #[param(max_length = 64)]
    event: Option<String>,
    #[param(schema_with = channel)]
    channel: Option<String>,
}
