//! Not written yet.
#![allow(unused_variables, unused_imports, reason = "not written yet")]

use super::PostgresStore;
use async_trait::async_trait;
use bellpull_actors::domain::ids::SendId;
use bellpull_actors::domain::notification::Message;
use bellpull_actors::domain::routing::Channels;
use bellpull_actors::domain::send::{Recipients, SendStatus};
use bellpull_actors::port::SendLog;
use bellpull_actors::port::send_log::*;
use bellpull_actors::port::{Page, PageRequest, StoreError};
use jiff::Timestamp;

#[async_trait]
impl SendLog for PostgresStore {
    async fn unfinished(&self, page: PageRequest) -> Result<Page<SendRow>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn send(&self, id: SendId) -> Result<Option<SendRow>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn cancel_send(&self, id: SendId) -> Result<CancelSend, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }
}
