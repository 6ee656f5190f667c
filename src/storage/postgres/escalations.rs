//! Not written yet.
#![allow(unused_variables, unused_imports, reason = "not written yet")]

use super::PostgresStore;
use async_trait::async_trait;
use bellpull_actors::domain::escalation::Escalation;
use bellpull_actors::domain::event::Event;
use bellpull_actors::port::EscalationStore;
use bellpull_actors::port::escalations::*;
use bellpull_actors::port::{Page, PageRequest, StoreError};
use jiff::Timestamp;

#[async_trait]
impl EscalationStore for PostgresStore {
    async fn escalations(&self, page: PageRequest) -> Result<Page<EscalationRow>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn escalation(&self, event: &Event) -> Result<Option<EscalationRow>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn set_escalation(
        &self,
        event: &Event,
        escalation: Escalation,
        now: Timestamp,
    ) -> Result<Option<EscalationRow>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn remove_escalation(&self, event: &Event) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }
}
