//! The store port of the lists of preferences. The stores read preferences themselves when they
//! write deliveries.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use bellpull_domain::ids::UserId;
use bellpull_domain::preference::{PreferenceChanges, Preferences};

/// The preferences of all users.
#[async_trait]
pub trait PreferenceStore: std::fmt::Debug + Send + Sync + 'static {
    /// A user's preferences; [`Preferences::default`] without any.
    async fn preferences(&self, user: UserId) -> Result<Preferences, StoreError>;

    /// Merges changes into a user's preferences, in one transaction; returns the result. `None`,
    /// without a change, if there would be choices for too many events. They apply to announcements
    /// after this returns.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such account; [`StoreError::Conflict`] if they have
    /// another version than was seen.
    async fn change_preferences(
        &self,
        user: UserId,
        changes: PreferenceChanges,
        now: Timestamp,
    ) -> Result<Option<Preferences>, StoreError>;
}
