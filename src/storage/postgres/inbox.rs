//! Not written yet.
#![allow(unused_variables, unused_imports, reason = "not written yet")]

use super::PostgresStore;
use async_trait::async_trait;
use bellpull_actors::domain::event::Event;
use bellpull_actors::domain::ids::{MessageId, NotificationId, Seq, TicketId, UserId};
use bellpull_actors::domain::inbox::{Entry, Head, Mark, Marked, MessageContent, Outline, Row};
use bellpull_actors::domain::notification::{Kind, Notification};
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::port::InboxStore;
use bellpull_actors::port::inbox::*;
use bellpull_actors::port::{Page, Slice, StoreError};
use jiff::Timestamp;
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::Arc;

#[async_trait]
impl InboxStore for PostgresStore {
    async fn head(&self, user: UserId) -> Result<Head, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn newest_entries(
        &self,
        user: UserId,
        after: Seq,
        limit: u32,
    ) -> Result<Backlog, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn changes(
        &self,
        user: UserId,
        after: Seq,
        limit: u32,
    ) -> Result<ChangedRows, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn texts(&self, messages: &[MessageId]) -> Result<Vec<Arc<MessageContent>>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn newest_changes(
        &self,
        user: UserId,
        after: Seq,
        limit: u32,
    ) -> Result<ChangedRows, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn mark(
        &self,
        user: UserId,
        selection: Selection,
        mark: Mark,
        now: Timestamp,
    ) -> Result<Option<Marked>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn save_delivered(&self, positions: &[(UserId, Seq)]) -> Result<(), StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn notifications(
        &self,
        user: UserId,
        filter: &NotificationFilter,
        slice: Slice,
    ) -> Result<Page<Notification>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn notification(
        &self,
        user: UserId,
        id: NotificationId,
    ) -> Result<Option<Notification>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn unread_counts(&self, user: UserId) -> Result<(i64, Vec<(Channel, i64)>), StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }
}

/// The heads of these users' inboxes.
#[expect(clippy::unused_async, reason = "not written yet")]
pub(super) async fn heads(_: PgPool, _: Vec<UserId>) -> Result<HashMap<UserId, Head>, StoreError> {
    Err(StoreError::Unavailable("not written yet".to_owned()))
}
