//! Not written yet.
#![allow(unused_variables, unused_imports, reason = "not written yet")]

use super::PostgresStore;
use async_trait::async_trait;
use bellpull_actors::domain::delivery::WebhookTarget;
use bellpull_actors::domain::ids::{ProjectId, UserId, WebhookId};
use bellpull_actors::domain::webhook::{HookSecret, NewWebhook, Webhook, WebhookChanges};
use bellpull_actors::port::WebhookStore;
use bellpull_actors::port::webhooks::*;
use bellpull_actors::port::{Page, PageRequest, StoreError};
use jiff::Timestamp;

#[async_trait]
impl WebhookStore for PostgresStore {
    async fn create_webhook(
        &self,
        new: NewWebhook,
        now: Timestamp,
    ) -> Result<Option<Webhook>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn webhooks(
        &self,
        which: WhichWebhooks,
        page: PageRequest,
    ) -> Result<Page<Webhook>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn change_webhook(
        &self,
        id: WebhookId,
        changes: WebhookChanges,
        now: Timestamp,
    ) -> Result<Option<Webhook>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn rotate_secret(
        &self,
        id: WebhookId,
        secret: HookSecret,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn delete_webhook(&self, id: WebhookId) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn webhook_target(
        &self,
        id: WebhookId,
        now: Timestamp,
    ) -> Result<Option<WebhookTarget>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }
}
