//! Not written yet.
#![allow(unused_variables, unused_imports, reason = "not written yet")]

use super::PostgresStore;
use async_trait::async_trait;
use bellpull_actors::domain::ids::{ProjectId, TicketId, UserId};
use bellpull_actors::domain::plan::{AnnouncedMessage, Committed, InboxEntry};
use bellpull_actors::domain::search::Search;
use bellpull_actors::domain::ticket::{Decision, Priority, Status, Ticket};
use bellpull_actors::domain::user::{Role, User};
use bellpull_actors::port::TicketStore;
use bellpull_actors::port::tickets::*;
use bellpull_actors::port::{Page, PageRequest, ProjectStore, StoreError};
use jiff::Timestamp;

#[async_trait]
impl TicketStore for PostgresStore {
    async fn reserve_ticket_id(&self) -> Result<TicketId, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn ticket(&self, id: TicketId) -> Result<Option<Ticket>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn commit(&self, decision: Decision) -> Result<Committed, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn tickets(
        &self,
        filter: &TicketFilter,
        page: PageRequest,
    ) -> Result<Page<Ticket>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn history(
        &self,
        id: TicketId,
        page: PageRequest,
    ) -> Result<Page<StoredEntry>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }
}
