//! Templates.

use bellpull_domain::channel::Channel;
use bellpull_domain::locale::Locale;
use bellpull_domain::version::Version;
use bellpull_port::templates::TemplateKey;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use crate::choices::one_of;
use bellpull_delivery::template::Rendered;
use bellpull_delivery::template_service::Found;

use super::times;

/// The channels that have templates.
pub(crate) fn template_channel() -> Schema {
    one_of(Channel::templated().map(|(channel, _)| channel.as_str()))
}

/// The templates of an event on a channel.
#[derive(Serialize, ToSchema)]
pub(crate) struct TemplateSummary {
    pub(crate) event: String,
    pub(crate) event_display: String,
    #[schema(schema_with = template_channel)]
    pub(crate) channel: &'static str,
    pub(crate) channel_display: &'static str,
    /// The languages that an admin has written it in.
    #[schema(value_type = Vec<String>)]
    pub(crate) locales: Vec<Locale>,
    /// Whether only the default exists.
    pub(crate) is_default: bool,
}

/// The template of an event on a channel in a language.
#[derive(Serialize, ToSchema)]
pub(crate) struct Template {
    event: String,
    #[schema(schema_with = template_channel)]
    channel: &'static str,
    #[schema(value_type = String)]
    locale: Locale,
    subject: String,
    text: String,
    html: String,
    /// Of the template in this very language; 0 where there is none.
    version: i64,
    /// Whether it is the default.
    is_default: bool,
    /// The language it was written in: this one, or the nearest.
    #[schema(required, value_type = Option<String>)]
    from_locale: Option<Locale>,
    #[schema(required)]
    #[serde(serialize_with = "times::maybe")]
    updated_at: Option<Timestamp>,
    #[schema(required)]
    updated_by: Option<i64>,
}

impl Template {
    /// The template in effect for a key.
    pub(crate) fn new(key: TemplateKey, found: &Found) -> Self {
        let written = match found {
            Found::Written(template) => Some(template),
            Found::Default(_) => None,
        };
        let source = found.source().clone();
        let own = written.filter(|template| template.key == key);
        Self {
            version: Version::of(own.map(|template| template.updated_at)).0,
            event: key.event,
            channel: key.channel.as_str(),
            locale: key.locale,
            subject: source.subject,
            text: source.text,
            html: source.html,
            is_default: written.is_none(),
            from_locale: written.map(|template| template.key.locale.clone()),
            updated_at: written.map(|template| template.updated_at),
            updated_by: written.and_then(|template| template.updated_by).map(|id| id.0),
        }
    }

    /// Of the template in this very language.
    pub(crate) fn version(&self) -> Version {
        Version(self.version)
    }
}

/// The message as a recipient would see it.
#[derive(Serialize, ToSchema)]
pub(crate) struct TemplatePreview {
    subject: String,
    text: String,
    #[schema(required)]
    html: Option<String>,
}

impl From<Rendered> for TemplatePreview {
    fn from(rendered: Rendered) -> Self {
        Self { subject: rendered.subject, text: rendered.text, html: rendered.html }
    }
}
