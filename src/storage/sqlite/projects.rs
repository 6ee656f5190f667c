//! Projects and their lists of members.

use async_trait::async_trait;
use bellpull_domain::idempotency::IdempotencyKey;
use bellpull_domain::ids::{ProjectId, UserId};
use bellpull_domain::ticket::Project;
use bellpull_domain::user::User;
use bellpull_port::{Page, PageRequest, ProjectStore, StoreError};
use jiff::Timestamp;

use super::SqliteStore;
use super::columns::{project_columns, user_columns};
use super::error::unavailable;
use super::rows::{project, user};
use super::writer::{Done, NewProject, Write, mismatch};

#[async_trait]
impl ProjectStore for SqliteStore {
    async fn create_project_once(
        &self,
        key: String,
        name: String,
        creator: UserId,
        once: Option<IdempotencyKey>,
        now: Timestamp,
    ) -> Result<Project, StoreError> {
        let new = NewProject { key, name, creator, once, now };
        let Done::Project(project) = self.writer.write(Write::CreateProject(Box::new(new))).await?
        else {
            return Err(mismatch());
        };
        Ok(*project)
    }

    async fn project(&self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        let sql = concat!("SELECT ", project_columns!(), " FROM projects p WHERE p.id = ?");
        let row = sqlx::query(sql).bind(id.0).fetch_optional(&self.readers).await;
        row.map_err(unavailable)?.as_ref().map(project).transpose()
    }

    async fn projects(
        &self,
        visible_to: Option<UserId>,
        page: PageRequest,
    ) -> Result<Page<Project>, StoreError> {
        macro_rules! visible {
            ($what:expr, $rest:literal) => {
                concat!(
                    "SELECT ",
                    $what,
                    " FROM projects p WHERE ?1 IS NULL OR p.is_open = 1 OR EXISTS \
                     (SELECT 1 FROM project_members m WHERE m.project_id = p.id \
                     AND m.user_id = ?1)",
                    $rest
                )
            };
        }
        let visible_to = visible_to.map(|user| user.0);
        let mut snapshot = self.readers.begin().await.map_err(unavailable)?;
        let count = sqlx::query_scalar(visible!("count(*)", ""))
            .bind(visible_to)
            .fetch_one(&mut *snapshot)
            .await
            .map_err(unavailable)?;
        let rows = sqlx::query(visible!(project_columns!(), " ORDER BY p.id LIMIT ?2 OFFSET ?3"))
            .bind(visible_to)
            .bind(i64::from(page.page_size))
            .bind(page.offset())
            .fetch_all(&mut *snapshot)
            .await
            .map_err(unavailable)?;
        Ok(Page { count, rows: rows.iter().map(project).collect::<Result<_, _>>()? })
    }

    async fn members(&self, id: ProjectId, page: PageRequest) -> Result<Page<User>, StoreError> {
        let mut snapshot = self.readers.begin().await.map_err(unavailable)?;
        let count = sqlx::query_scalar("SELECT count(*) FROM project_members WHERE project_id = ?")
            .bind(id.0)
            .fetch_one(&mut *snapshot)
            .await
            .map_err(unavailable)?;
        let sql = concat!(
            "SELECT ",
            user_columns!(),
            " FROM users WHERE id IN (SELECT user_id FROM project_members WHERE project_id = ? \
             ORDER BY user_id LIMIT ? OFFSET ?) ORDER BY id"
        );
        let rows = sqlx::query(sql)
            .bind(id.0)
            .bind(i64::from(page.page_size))
            .bind(page.offset())
            .fetch_all(&mut *snapshot)
            .await
            .map_err(unavailable)?;
        Ok(Page { count, rows: rows.iter().map(user).collect::<Result<_, _>>()? })
    }

    async fn is_member(&self, project: ProjectId, user: UserId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM project_members \
                   WHERE project_id = ? AND user_id = ?)";
        let query = sqlx::query_scalar(sql).bind(project.0).bind(user.0);
        query.fetch_one(&self.readers).await.map_err(unavailable)
    }

    async fn add_member(&self, project: ProjectId, user: UserId) -> Result<bool, StoreError> {
        self.change_members(Write::AddMember(project, user)).await
    }

    async fn remove_member(&self, project: ProjectId, user: UserId) -> Result<bool, StoreError> {
        self.change_members(Write::RemoveMember(project, user)).await
    }

    async fn share_project(&self, one: UserId, other: UserId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM project_members a CROSS JOIN project_members b \
                   ON b.project_id = a.project_id AND b.user_id = ?2 WHERE a.user_id = ?1)";
        let query = sqlx::query_scalar(sql).bind(one.0).bind(other.0);
        query.fetch_one(&self.readers).await.map_err(unavailable)
    }
}

impl SqliteStore {
    async fn change_members(&self, write: Write) -> Result<bool, StoreError> {
        let Done::Changed(rows) = self.writer.write(write).await? else { return Err(mismatch()) };
        Ok(rows > 0)
    }
}
