//! Not written yet.
#![allow(unused_variables, unused_imports, reason = "not written yet")]

use super::PostgresStore;
use async_trait::async_trait;
use bellpull_actors::domain::ids::{ProjectId, UserId};
use bellpull_actors::domain::ticket::Project;
use bellpull_actors::domain::user::User;
use bellpull_actors::port::ProjectStore;
use bellpull_actors::port::projects::*;
use bellpull_actors::port::{Page, PageRequest, StoreError};
use jiff::Timestamp;

#[async_trait]
impl ProjectStore for PostgresStore {
    async fn create_project(
        &self,
        key: String,
        name: String,
        creator: UserId,
        now: Timestamp,
    ) -> Result<Project, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn project(&self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn projects(
        &self,
        visible_to: Option<UserId>,
        page: PageRequest,
    ) -> Result<Page<Project>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn members(&self, id: ProjectId, page: PageRequest) -> Result<Page<User>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn is_member(&self, project: ProjectId, user: UserId) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn add_member(&self, project: ProjectId, user: UserId) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn remove_member(&self, project: ProjectId, user: UserId) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn share_project(&self, one: UserId, other: UserId) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }
}
