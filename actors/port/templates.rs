//! The store port of templates: those that admins wrote, which replace the defaults.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;

use super::StoreError;
use bellpull_domain::ids::UserId;
use bellpull_domain::locale::Locale;
use bellpull_domain::routing::Channel;
use bellpull_domain::version::Version;

/// The most templates that there may be: every event of the hub's own on every channel in twenty
/// languages. Each node has all of them in memory.
pub const TEMPLATES_MAX: u32 = 1_000;

/// What a template is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateKey {
    /// An event's name, or `digest`.
    pub event: String,
    /// Its channel.
    pub channel: Channel,
    /// The recipient's language.
    pub locale: Locale,
}

/// The text, with placeholders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Source {
    /// One line; empty where the channel has none.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML part of an e-mail; empty for none.
    pub html: String,
}

/// A template that an admin wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenTemplate {
    /// What it is for.
    pub key: TemplateKey,
    /// Its text.
    pub source: Source,
    /// When it was written.
    pub updated_at: Timestamp,
    /// The author; `None` for a service.
    pub updated_by: Option<UserId>,
}

/// All templates at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateShelf {
    /// Rises with every change; 0 before the first.
    pub version: i64,
    /// In the order of their keys.
    pub templates: Vec<WrittenTemplate>,
}

/// The result of storing a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutTemplate {
    /// It is new.
    Created,
    /// It took the place of another one.
    Replaced,
    /// There are [`TEMPLATES_MAX`] others: nothing was changed.
    TooMany,
}

/// The templates that admins wrote. Senders keep all of them in memory and compare versions.
#[async_trait]
pub trait TemplateStore: std::fmt::Debug + Send + Sync + 'static {
    /// The version of all templates: reads one row, whatever their number.
    async fn templates_version(&self) -> Result<i64, StoreError>;

    /// All of them with their version, as of one moment.
    async fn templates(&self) -> Result<TemplateShelf, StoreError>;

    /// Keeps a template in the place of the one before, and raises the version, in one
    /// transaction.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the one before has another version than was `seen`.
    async fn put_template(
        &self,
        template: WrittenTemplate,
        seen: Option<Version>,
    ) -> Result<PutTemplate, StoreError>;

    /// Removes a template and increments the version, in one transaction; `false`, without a
    /// change, if there was none.
    async fn delete_template(&self, key: TemplateKey) -> Result<bool, StoreError>;
}
