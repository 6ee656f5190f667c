//! What the lists of wishes need of a store. The stores look at them by themselves where they
//! write deliveries.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::ids::UserId;
use crate::domain::preference::{PreferenceChanges, Preferences};

/// The preferences of all users.
#[async_trait]
pub trait PreferenceStore: std::fmt::Debug + Send + Sync + 'static {
    /// A user's; [`Preferences::default`] where nothing was ever said.
    async fn preferences(&self, user: UserId) -> Result<Preferences, StoreError>;

    /// Merges changes into a user's preferences, in one transaction; what they are then. `None`,
    /// and nothing changed, where that would be wishes on too many events. What is announced after
    /// this returns goes by them.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such account.
    async fn change_preferences(
        &self,
        user: UserId,
        changes: PreferenceChanges,
        now: Timestamp,
    ) -> Result<Option<Preferences>, StoreError>;
}
