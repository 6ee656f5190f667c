//! Projects and their lists of members.

use async_trait::async_trait;
use bellpull_domain::idempotency::{Creates, IdempotencyKey};
use bellpull_domain::ids::{ProjectId, UserId};
use bellpull_domain::ticket::Project;
use bellpull_domain::user::User;
use bellpull_port::{Page, PageRequest, ProjectStore, StoreError};
use jiff::Timestamp;

use super::keys;
use crate::engine::{
    Change, Db, Dialect, Engine, Failure, Operation, ReadWhole, Row, Statement, sql, values,
};
use crate::rows::{Columns, project, user, user_columns};

macro_rules! project_columns {
    () => {
        "id, key, name, is_open"
    };
}

/// The projects that the user `$1` sees; all of them if it is NULL.
macro_rules! visible {
    () => {
        " FROM projects p WHERE $1 IS NULL OR p.is_open OR EXISTS \
         (SELECT 1 FROM project_members m WHERE m.project_id = p.id AND m.user_id = $1)"
    };
}

#[async_trait]
impl<D: Dialect> ProjectStore for Engine<D> {
    async fn create_project_once(
        &self,
        key: String,
        name: String,
        creator: UserId,
        once: Option<IdempotencyKey>,
        now: Timestamp,
    ) -> Result<Project, StoreError> {
        self.write(Create { key, name, creator, once, now }).await
    }

    async fn project(&self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        let sql = sql!("SELECT ", project_columns!(), " FROM projects WHERE id = $1");
        self.row(sql, values![id], project).await
    }

    async fn projects(
        &self,
        visible_to: Option<UserId>,
        page: PageRequest,
    ) -> Result<Page<Project>, StoreError> {
        let sql = sql!(
            "SELECT c.count, p.* FROM (SELECT count(*) AS count",
            visible!(),
            ") c LEFT JOIN (SELECT ",
            project_columns!(),
            visible!(),
            " ORDER BY p.id LIMIT $2 OFFSET $3) p ON true ORDER BY p.id"
        );
        let values = values![visible_to, page.page_size, page.offset()];
        let statement = Statement::new(sql, values);
        self.read_one(ReadWhole { statement, present: "id", decode: project }).await
    }

    async fn members(&self, id: ProjectId, page: PageRequest) -> Result<Page<User>, StoreError> {
        let sql = sql!(
            "SELECT c.count, p.* FROM (SELECT count(*) AS count FROM project_members \
             WHERE project_id = $1) c LEFT JOIN (SELECT ",
            user_columns!(),
            " FROM users u WHERE u.id IN (SELECT user_id FROM project_members \
             WHERE project_id = $1 ORDER BY user_id LIMIT $2 OFFSET $3)) p ON true ORDER BY p.id"
        );
        let statement = Statement::new(sql, values![id, page.page_size, page.offset()]);
        self.read_one(ReadWhole { statement, present: "id", decode: user }).await
    }

    async fn is_member(&self, project: ProjectId, user: UserId) -> Result<bool, StoreError> {
        let sql = sql!(
            "SELECT EXISTS (SELECT 1 FROM project_members \
             WHERE project_id = $1 AND user_id = $2) AS found"
        );
        Ok(self.row(sql, values![project, user], found).await? == Some(true))
    }

    async fn add_member(&self, project: ProjectId, user: UserId) -> Result<bool, StoreError> {
        self.write(AddMember { project, user }).await
    }

    async fn remove_member(&self, project: ProjectId, user: UserId) -> Result<bool, StoreError> {
        let sql = sql!("DELETE FROM project_members WHERE project_id = $1 AND user_id = $2");
        Ok(self.write(Change::new(sql, values![project, user])).await? > 0)
    }

    async fn share_project(&self, one: UserId, other: UserId) -> Result<bool, StoreError> {
        let sql = sql!(
            "SELECT EXISTS (SELECT 1 FROM project_members a {CROSS |}JOIN project_members b \
             ON b.project_id = a.project_id AND b.user_id = $2 WHERE a.user_id = $1) AS found"
        );
        Ok(self.row(sql, values![one, other], found).await? == Some(true))
    }
}

/// Makes a project with its first member.
#[derive(Debug)]
struct Create {
    key: String,
    name: String,
    creator: UserId,
    once: Option<IdempotencyKey>,
    now: Timestamp,
}

impl Operation for Create {
    type Answer = Project;

    async fn run(&self, db: &mut Db<'_>) -> Result<Project, Failure> {
        let Self { key, name, creator, once, now } = self;
        keys::admit(db, once.as_ref(), Creates::Project).await?;
        let taken = StoreError::Taken("key");
        if db.exists(sql!("SELECT id FROM projects WHERE key = $1"), values![key]).await? {
            return Err(taken.into());
        }
        if !db.exists(sql!("SELECT id FROM users WHERE id = $1"), values![*creator]).await? {
            return Err(StoreError::NotFound.into());
        }
        // Of two at once with one key, the later waits for the earlier and inserts nothing.
        let sql = sql!(
            "INSERT INTO projects (key, name, is_open, created_at) VALUES ($1, $2, false, $3) \
             ON CONFLICT (key) DO NOTHING RETURNING ",
            project_columns!()
        );
        let made = db.optional(sql, values![key, name, *now], project).await?.ok_or(taken)?;
        add_member(db, made.id, *creator).await?;
        keys::record(db, once.as_ref(), Creates::Project, made.id.0, *now).await?;
        Ok(made)
    }
}

/// Puts an account on a project's list.
#[derive(Debug)]
struct AddMember {
    project: ProjectId,
    user: UserId,
}

impl Operation for AddMember {
    type Answer = bool;

    async fn run(&self, db: &mut Db<'_>) -> Result<bool, Failure> {
        let Self { project, user } = *self;
        let both = sql!("SELECT p.id FROM projects p, users u WHERE p.id = $1 AND u.id = $2");
        if !db.exists(both, values![project, user]).await? {
            return Err(StoreError::NotFound.into());
        }
        add_member(db, project, user).await
    }
}

/// Whether the account was not on the list before.
async fn add_member(db: &mut Db<'_>, project: ProjectId, user: UserId) -> Result<bool, Failure> {
    let sql = sql!(
        "INSERT INTO project_members (project_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    );
    Ok(db.execute(sql, values![project, user]).await? > 0)
}

fn found(row: &Row) -> Result<bool, StoreError> {
    row.flag("found")
}
