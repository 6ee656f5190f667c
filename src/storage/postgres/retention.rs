//! Not written yet.
#![allow(unused_variables, unused_imports, reason = "not written yet")]

use super::PostgresStore;
use async_trait::async_trait;
use bellpull_actors::domain::plan::retention::{Forgotten, Position};
use bellpull_actors::port::RetentionStore;
use bellpull_actors::port::StoreError;
use bellpull_actors::port::retention::*;
use jiff::Timestamp;

#[async_trait]
impl RetentionStore for PostgresStore {
    async fn forget(
        &self,
        what: Old,
        before: Timestamp,
        from: Position,
        limit: u32,
    ) -> Result<Forgotten, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }
}
