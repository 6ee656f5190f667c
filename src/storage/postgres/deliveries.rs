//! Not written yet.
#![allow(unused_variables, unused_imports, reason = "not written yet")]

use super::PostgresStore;
use async_trait::async_trait;
use bellpull_actors::domain::delivery::{Attempt, Leased, ProviderReport};
use bellpull_actors::domain::ids::DeliveryId;
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::port::DeliveryStore;
use bellpull_actors::port::StoreError;
use bellpull_actors::port::deliveries::*;
use jiff::Timestamp;
use std::sync::Arc;

#[async_trait]
impl DeliveryStore for PostgresStore {
    async fn lease(
        &self,
        owner: &LeaseOwner,
        channel: Channel,
        limit: LeaseLimit,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Leased>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn release(&self, owner: &LeaseOwner, channel: Channel) -> Result<u64, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn record(&self, attempts: Vec<Attempt>) -> Result<(), StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn give_back(
        &self,
        owner: &LeaseOwner,
        leases: Vec<(DeliveryId, u32)>,
    ) -> Result<(), StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn next_due(
        &self,
        channel: Channel,
        lane_max: u32,
    ) -> Result<Option<Timestamp>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn reported(
        &self,
        channel: Channel,
        report: ProviderReport,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn retry(&self, delivery: DeliveryId, now: Timestamp) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }
}
