//! Not written yet.
#![allow(unused_variables, unused_imports, reason = "not written yet")]

use super::PostgresStore;
use async_trait::async_trait;
use bellpull_actors::domain::ids::{NotificationId, SendId, UserId};
use bellpull_actors::domain::send::NewSend;
use bellpull_actors::port::SendStore;
use bellpull_actors::port::sends::*;
use bellpull_actors::port::tickets::AnnouncedMessage;
use bellpull_actors::port::{LeaseOwner, StoreError};
use jiff::Timestamp;
use std::time::Duration;

#[async_trait]
impl SendStore for PostgresStore {
    async fn begin_send(
        &self,
        send: NewSend,
        chunk: u32,
        now: Timestamp,
    ) -> Result<BeginSend, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn continue_sends(
        &self,
        owner: &LeaseOwner,
        ids: &[SendId],
        rows: u32,
        now: Timestamp,
    ) -> Result<Chunks, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn due_sends(
        &self,
        owner: &LeaseOwner,
        now: Timestamp,
        limit: u32,
    ) -> Result<(Vec<SendId>, Option<Timestamp>), StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn release_sends(&self, owner: &LeaseOwner) -> Result<(), StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }
}
