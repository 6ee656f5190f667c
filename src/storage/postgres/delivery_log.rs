//! Not written yet.
#![allow(unused_variables, unused_imports, reason = "not written yet")]

use super::PostgresStore;
use async_trait::async_trait;
use bellpull_actors::domain::delivery::{OutcomeKind, ProviderStatus, Rule};
use bellpull_actors::domain::ids::{DeliveryId, NotificationId, UserId};
use bellpull_actors::domain::notification::DeliveryStatus;
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::port::DeliveryLog;
use bellpull_actors::port::delivery_log::*;
use bellpull_actors::port::{Page, PageRequest, StoreError};
use jiff::Timestamp;

#[async_trait]
impl DeliveryLog for PostgresStore {
    async fn deliveries(
        &self,
        filter: DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<DeliveryRow>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRow>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn deliveries_of(
        &self,
        notifications: &[NotificationId],
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn attempts(&self, deliveries: &[DeliveryId]) -> Result<Vec<AttemptRow>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }
}
