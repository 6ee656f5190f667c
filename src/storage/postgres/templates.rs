//! Not written yet.
#![allow(unused_variables, unused_imports, reason = "not written yet")]

use super::PostgresStore;
use async_trait::async_trait;
use bellpull_actors::domain::ids::UserId;
use bellpull_actors::domain::locale::Locale;
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::port::StoreError;
use bellpull_actors::port::TemplateStore;
use bellpull_actors::port::templates::*;
use jiff::Timestamp;
use serde::Serialize;

#[async_trait]
impl TemplateStore for PostgresStore {
    async fn templates_version(&self) -> Result<i64, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn templates(&self) -> Result<TemplateShelf, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn put_template(&self, template: WrittenTemplate) -> Result<PutTemplate, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn delete_template(&self, key: TemplateKey) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }
}
