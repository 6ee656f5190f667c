//! Not written yet.
#![allow(unused_variables, unused_imports, reason = "not written yet")]

use super::PostgresStore;
use async_trait::async_trait;
use bellpull_actors::domain::ids::UserId;
use bellpull_actors::port::PushStore;
use bellpull_actors::port::StoreError;
use bellpull_actors::port::push::*;
use jiff::Timestamp;

#[async_trait]
impl PushStore for PostgresStore {
    async fn subscribe(
        &self,
        user: UserId,
        browser: NewSubscription,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn unsubscribe(&self, user: UserId, endpoint: &str) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }
}
