//! The store port of projects and their members.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Page, PageRequest, StoreError};
use bellpull_domain::idempotency::IdempotencyKey;
use bellpull_domain::ids::{ProjectId, UserId};
use bellpull_domain::ticket::Project;
use bellpull_domain::user::User;

/// Projects and their members.
#[async_trait]
pub trait ProjectStore: std::fmt::Debug + Send + Sync + 'static {
    /// Makes a project, closed to all but its members and admins; `creator` becomes its first
    /// member in the same transaction.
    ///
    /// # Errors
    /// [`StoreError::Taken`] with `key`; [`StoreError::NotFound`] for an unknown creator.
    async fn create_project(
        &self,
        key: String,
        name: String,
        creator: UserId,
        now: Timestamp,
    ) -> Result<Project, StoreError> {
        self.create_project_once(key, name, creator, None, now).await
    }

    /// The same, for a request that may be repeated.
    ///
    /// # Errors
    /// The same, and [`StoreError::Used`].
    async fn create_project_once(
        &self,
        key: String,
        name: String,
        creator: UserId,
        once: Option<IdempotencyKey>,
        now: Timestamp,
    ) -> Result<Project, StoreError>;

    /// The project.
    async fn project(&self, id: ProjectId) -> Result<Option<Project>, StoreError>;

    /// A page of the projects, by id; only those that are open or have `visible_to` as a member, if
    /// given.
    async fn projects(
        &self,
        visible_to: Option<UserId>,
        page: PageRequest,
    ) -> Result<Page<Project>, StoreError>;

    /// A page of a project's members, by id.
    async fn members(&self, id: ProjectId, page: PageRequest) -> Result<Page<User>, StoreError>;

    /// Whether the user is on the project's list of members (an open project has no members).
    async fn is_member(&self, project: ProjectId, user: UserId) -> Result<bool, StoreError>;

    /// Adds a member; returns whether that was new. An open project keeps no list: the edge
    /// refuses it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown project or account.
    async fn add_member(&self, project: ProjectId, user: UserId) -> Result<bool, StoreError>;

    /// Removes a member; returns whether that changed anything.
    async fn remove_member(&self, project: ProjectId, user: UserId) -> Result<bool, StoreError>;

    /// Whether both are on some project's list of members.
    async fn share_project(&self, one: UserId, other: UserId) -> Result<bool, StoreError>;
}
