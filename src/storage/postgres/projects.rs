//! Projects and their lists of members.

use async_trait::async_trait;
use bellpull_domain::idempotency::{Creates, IdempotencyKey};
use bellpull_domain::ids::{ProjectId, UserId};
use bellpull_domain::ticket::Project;
use bellpull_domain::user::User;
use bellpull_port::{Page, PageRequest, ProjectStore, StoreError};
use jiff::Timestamp;

use super::columns::{page_of, project_columns, user_columns};
use super::transaction::failed;
use super::{PostgresStore, keys};
use crate::rows::{Columns, project, user};

#[async_trait]
impl ProjectStore for PostgresStore {
    async fn create_project_once(
        &self,
        key: String,
        name: String,
        creator: UserId,
        once: Option<IdempotencyKey>,
        now: Timestamp,
    ) -> Result<Project, StoreError> {
        // Of two at once with one key, the later waits for the earlier and inserts nothing.
        let sql = concat!(
            "WITH creator AS (SELECT u.id FROM users u WHERE u.id = $3), \
             made AS (INSERT INTO projects (key, name, is_open, created_at) \
             SELECT $1, $2, FALSE, $4 FROM creator ON CONFLICT (key) DO NOTHING RETURNING ",
            project_columns!(),
            "), member AS (INSERT INTO project_members (project_id, user_id) \
             SELECT made.id, creator.id FROM made, creator) \
             SELECT EXISTS (SELECT 1 FROM projects p WHERE p.key = $1) AS is_taken, \
             EXISTS (SELECT 1 FROM creator) AS has_creator, made.* \
             FROM (SELECT) one LEFT JOIN made ON TRUE"
        );
        let mut work = self.begin().await?;
        let once = once.as_ref();
        keys::admit(&mut work, once, Creates::Project).await.map_err(failed)??;
        let query = sqlx::query(sql).bind(key).bind(name).bind(creator.0);
        let row = query.bind(now.as_millisecond()).fetch_one(&mut *work).await.map_err(failed)?;
        if row.int("id")?.is_none() {
            work.roll_back().await;
            let is_taken = row.flag("is_taken")? || row.flag("has_creator")?;
            return Err(if is_taken { StoreError::Taken("key") } else { StoreError::NotFound });
        }
        let made = project(&row)?;
        let recorded = keys::record(&mut work, once, Creates::Project, made.id.0, now);
        recorded.await.map_err(failed)?;
        work.commit().await?;
        Ok(made)
    }

    async fn project(&self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        let sql = concat!("SELECT ", project_columns!(), " FROM projects WHERE id = $1");
        let row = sqlx::query(sql).bind(id.0).fetch_optional(self.pool.by_key()).await;
        row.map_err(failed)?.as_ref().map(project).transpose()
    }

    async fn projects(
        &self,
        visible_to: Option<UserId>,
        page: PageRequest,
    ) -> Result<Page<Project>, StoreError> {
        macro_rules! visible {
            () => {
                " FROM projects p WHERE $1::bigint IS NULL OR p.is_open OR EXISTS \
                 (SELECT 1 FROM project_members m WHERE m.project_id = p.id AND m.user_id = $1)"
            };
        }
        let sql = concat!(
            "SELECT c.count, p.* FROM (SELECT count(*)",
            visible!(),
            ") c LEFT JOIN (SELECT ",
            project_columns!(),
            visible!(),
            " ORDER BY p.id LIMIT $2 OFFSET $3) p ON TRUE ORDER BY p.id"
        );
        let query = sqlx::query(sql).bind(visible_to.map(|user| user.0));
        let query = query.bind(i64::from(page.page_size)).bind(page.offset());
        page_of(&query.fetch_all(&self.pool).await.map_err(failed)?, "id", project)
    }

    async fn members(&self, id: ProjectId, page: PageRequest) -> Result<Page<User>, StoreError> {
        let sql = concat!(
            "SELECT c.count, p.* FROM \
             (SELECT count(*) FROM project_members WHERE project_id = $1) c LEFT JOIN (SELECT ",
            user_columns!(),
            " FROM users u WHERE u.id IN (SELECT user_id FROM project_members \
             WHERE project_id = $1 ORDER BY user_id LIMIT $2 OFFSET $3)) p ON TRUE ORDER BY p.id"
        );
        let query = sqlx::query(sql).bind(id.0).bind(i64::from(page.page_size));
        let rows = query.bind(page.offset()).fetch_all(&self.pool).await;
        page_of(&rows.map_err(failed)?, "id", user)
    }

    async fn is_member(&self, project: ProjectId, user: UserId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM project_members \
                   WHERE project_id = $1 AND user_id = $2)";
        let query = sqlx::query_scalar(sql).bind(project.0).bind(user.0);
        query.fetch_one(self.pool.by_key()).await.map_err(failed)
    }

    async fn add_member(&self, project: ProjectId, user: UserId) -> Result<bool, StoreError> {
        let sql = "WITH both_exist AS (SELECT p.id AS project_id, u.id AS user_id \
                   FROM projects p, users u WHERE p.id = $1 AND u.id = $2), \
                   added AS (INSERT INTO project_members (project_id, user_id) \
                   SELECT project_id, user_id FROM both_exist ON CONFLICT DO NOTHING RETURNING 1) \
                   SELECT EXISTS (SELECT 1 FROM both_exist), EXISTS (SELECT 1 FROM added)";
        let mut work = self.begin().await?;
        let query = sqlx::query_as(sql).bind(project.0).bind(user.0);
        let (both_exist, is_added): (bool, bool) =
            query.fetch_one(&mut *work).await.map_err(failed)?;
        work.commit().await?;
        if both_exist { Ok(is_added) } else { Err(StoreError::NotFound) }
    }

    async fn remove_member(&self, project: ProjectId, user: UserId) -> Result<bool, StoreError> {
        let sql = "DELETE FROM project_members WHERE project_id = $1 AND user_id = $2";
        let mut work = self.begin().await?;
        let query = sqlx::query(sql).bind(project.0).bind(user.0);
        let removed = query.execute(&mut *work).await.map_err(failed)?;
        work.commit().await?;
        Ok(removed.rows_affected() > 0)
    }

    async fn share_project(&self, one: UserId, other: UserId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM project_members a JOIN project_members b \
                   ON b.project_id = a.project_id AND b.user_id = $2 WHERE a.user_id = $1)";
        let query = sqlx::query_scalar(sql).bind(one.0).bind(other.0);
        query.fetch_one(&self.pool).await.map_err(failed)
    }
}
