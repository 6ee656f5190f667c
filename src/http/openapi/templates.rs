//! What is said on each channel, as the document has it.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use jiff::Timestamp;
use utoipa::openapi::Schema;
use utoipa::{IntoParams, ToSchema};

use super::one_of;
use crate::delivery::defaults::CHANNELS;

fn channel() -> Schema {
    one_of(CHANNELS.map(bellpull_actors::domain::routing::Channel::as_str))
}

/// What is said of an event on a channel.
#[derive(ToSchema)]
pub(in crate::http) struct TemplateSummary {
    event: String,
    event_display: String,
    #[schema(schema_with = channel)]
    channel: String,
    channel_display: String,
    /// The languages in which somebody wrote it.
    locales: Vec<String>,
    /// Whether nobody did.
    is_default: bool,
}

/// What is said of an event on a channel in a language.
#[derive(ToSchema)]
pub(in crate::http) struct Template {
    event: String,
    #[schema(schema_with = channel)]
    channel: String,
    locale: String,
    subject: String,
    text: String,
    html: String,
    /// Whether nobody wrote it.
    is_default: bool,
    /// The language in which it was written: this one, or the nearest.
    #[schema(required)]
    from_locale: Option<String>,
    #[schema(required)]
    updated_at: Option<Timestamp>,
    #[schema(required)]
    updated_by: Option<i64>,
}

/// What is to be said: texts with places that are filled in (`{{ title }}`).
#[derive(ToSchema)]
pub(in crate::http) struct NewTemplate {
    /// One line; of e-mails and pushes it must be there, SMS have none.
    #[schema(max_length = 20000, examples("{{ title }}"))]
    subject: Option<String>,
    #[schema(max_length = 20000, examples("{{ body }}"))]
    text: String,
    /// Of e-mails alone. What is filled in is escaped.
    #[schema(max_length = 20000)]
    html: Option<String>,
}

/// Other parts, to see what they would come to.
#[derive(ToSchema)]
pub(in crate::http) struct TemplateChanges {
    #[schema(max_length = 20000, examples("{{ title }}"))]
    subject: Option<String>,
    #[schema(max_length = 20000, examples("{{ body }}"))]
    text: Option<String>,
    #[schema(max_length = 20000)]
    html: Option<String>,
}

/// What somebody would read.
#[derive(ToSchema)]
pub(in crate::http) struct TemplatePreview {
    subject: String,
    text: String,
    #[schema(required)]
    html: Option<String>,
}

/// Which template.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::http) struct TemplatePlace {
    /// An event's name, or `digest`.
    #[param(min_length = 1, max_length = 64, example = "mentioned")]
    event: String,
    #[param(schema_with = channel, example = "EMAIL")]
    channel: String,
    /// A language's tag.
    #[param(pattern = "^[a-z]{2,3}(-[A-Z]{2})?$", example = "pt-BR")]
    locale: String,
}

/// Which templates.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct TemplateFilters {
    #[param(max_length = 64)]
    event: Option<String>,
    #[param(schema_with = channel)]
    channel: Option<String>,
}
