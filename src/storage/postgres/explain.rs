//! Not written yet.
#![allow(unused_variables, unused_imports, reason = "not written yet")]

use super::PostgresStore;
use async_trait::async_trait;
use bellpull_actors::domain::event::Event;
use bellpull_actors::domain::ids::{NotificationId, Seq, TicketId, UserId};
use bellpull_actors::domain::routing::Channels;
use bellpull_actors::port::ExplainStore;
use bellpull_actors::port::explain::*;
use bellpull_actors::port::{Page, PageRequest, StoreError};
use jiff::Timestamp;

#[async_trait]
impl ExplainStore for PostgresStore {
    fn channels(&self) -> Channels {
        self.channels
    }

    async fn announcement(&self, id: NotificationId) -> Result<Option<Announced>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn announced(
        &self,
        ticket: TicketId,
        user: UserId,
        page: PageRequest,
    ) -> Result<Page<Announced>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn has_browser(&self, user: UserId) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }
}
