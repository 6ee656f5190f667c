//! The fake store as a store of projects.

use async_trait::async_trait;
use jiff::Timestamp;

use super::store::{FakeStore, Op};
use super::tickets::no_lists;
use crate::{Page, PageRequest, ProjectStore, StoreError};
use bellpull_domain::idempotency::IdempotencyKey;
use bellpull_domain::ids::{ProjectId, UserId};
use bellpull_domain::ticket::Project;
use bellpull_domain::user::User;

#[async_trait]
impl ProjectStore for FakeStore {
    async fn create_project_once(
        &self,
        key: String,
        name: String,
        creator: UserId,
        _once: Option<IdempotencyKey>,
        _now: Timestamp,
    ) -> Result<Project, StoreError> {
        self.pass(Op::Ticket).await?;
        let mut data = self.data();
        if data.projects.values().any(|project| project.key == key) {
            return Err(StoreError::Taken("key"));
        }
        let last = data.projects.keys().next_back().map_or(0, |id| id.0);
        let project = Project { id: ProjectId(last + 1), key, name, is_open: false };
        data.projects.insert(project.id, project.clone());
        data.members.insert((project.id, creator));
        Ok(project)
    }

    async fn project(&self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        self.pass(Op::Ticket).await?;
        Ok(self.data().projects.get(&id).cloned())
    }

    async fn projects(
        &self,
        _visible_to: Option<UserId>,
        _page: PageRequest,
    ) -> Result<Page<Project>, StoreError> {
        no_lists()
    }

    async fn members(&self, _id: ProjectId, _page: PageRequest) -> Result<Page<User>, StoreError> {
        no_lists()
    }

    async fn is_member(&self, project: ProjectId, user: UserId) -> Result<bool, StoreError> {
        self.pass(Op::Ticket).await?;
        Ok(self.data().members.contains(&(project, user)))
    }

    async fn add_member(&self, project: ProjectId, user: UserId) -> Result<bool, StoreError> {
        self.pass(Op::Ticket).await?;
        let mut data = self.data();
        if !data.projects.contains_key(&project) || !data.users.contains_key(&user) {
            return Err(StoreError::NotFound);
        }
        Ok(data.members.insert((project, user)))
    }

    async fn remove_member(&self, project: ProjectId, user: UserId) -> Result<bool, StoreError> {
        self.pass(Op::Ticket).await?;
        Ok(self.data().members.remove(&(project, user)))
    }

    async fn share_project(&self, one: UserId, other: UserId) -> Result<bool, StoreError> {
        self.pass(Op::Ticket).await?;
        let data = self.data();
        let of = |user| data.members.iter().filter(move |(_, member)| *member == user);
        Ok(of(one).any(|(project, _)| data.members.contains(&(*project, other))))
    }
}
