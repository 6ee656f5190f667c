//! Not written yet.
#![allow(unused_variables, unused_imports, reason = "not written yet")]

use super::PostgresStore;
use async_trait::async_trait;
use bellpull_actors::domain::ids::UserId;
use bellpull_actors::domain::preference::{PreferenceChanges, Preferences};
use bellpull_actors::port::PreferenceStore;
use bellpull_actors::port::StoreError;
use bellpull_actors::port::preferences::*;
use jiff::Timestamp;

#[async_trait]
impl PreferenceStore for PostgresStore {
    async fn preferences(&self, user: UserId) -> Result<Preferences, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn change_preferences(
        &self,
        user: UserId,
        changes: PreferenceChanges,
        now: Timestamp,
    ) -> Result<Option<Preferences>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }
}
