//! Projects and their members: rare, so each is its own statement in the group's transaction.

use bellpull_actors::domain::ids::{ProjectId, UserId};
use bellpull_actors::port::StoreError;
use sqlx::SqliteConnection;

use super::super::rows::{project, project_columns};
use super::group::Failure;
use super::{Answer, Done, NewProject};

/// Makes a project with its first member.
pub(super) async fn create(
    connection: &mut SqliteConnection,
    new: &NewProject,
) -> Result<Answer, Failure> {
    let sql = "SELECT EXISTS (SELECT 1 FROM projects WHERE key = ?), \
               EXISTS (SELECT 1 FROM users WHERE id = ?)";
    let (is_taken, has_creator): (bool, bool) =
        sqlx::query_as(sql).bind(&new.key).bind(new.creator.0).fetch_one(&mut *connection).await?;
    if is_taken {
        return Ok(Err(StoreError::Taken("key")));
    }
    if !has_creator {
        return Ok(Err(StoreError::NotFound));
    }
    let sql = concat!(
        "INSERT INTO projects (key, name, is_open, created_at) VALUES (?, ?, 0, ?) RETURNING ",
        project_columns!()
    );
    let row = sqlx::query(sql)
        .bind(&new.key)
        .bind(&new.name)
        .bind(new.now.as_millisecond())
        .fetch_one(&mut *connection)
        .await?;
    let project = project(&row)?;
    add_member(connection, project.id, new.creator).await??;
    Ok(Ok(Done::Project(Box::new(project))))
}

/// Puts an account on a project's list.
pub(super) async fn add_member(
    connection: &mut SqliteConnection,
    project: ProjectId,
    user: UserId,
) -> Result<Answer, Failure> {
    let sql = "SELECT EXISTS (SELECT 1 FROM projects WHERE id = ?) \
               AND EXISTS (SELECT 1 FROM users WHERE id = ?)";
    let both_exist: bool =
        sqlx::query_scalar(sql).bind(project.0).bind(user.0).fetch_one(&mut *connection).await?;
    if !both_exist {
        return Ok(Err(StoreError::NotFound));
    }
    let sql = "INSERT INTO project_members (project_id, user_id) VALUES (?, ?) \
               ON CONFLICT DO NOTHING";
    change(connection, sql, project, user).await
}

/// Takes an account off a project's list.
pub(super) async fn remove_member(
    connection: &mut SqliteConnection,
    project: ProjectId,
    user: UserId,
) -> Result<Answer, Failure> {
    let sql = "DELETE FROM project_members WHERE project_id = ? AND user_id = ?";
    change(connection, sql, project, user).await
}

async fn change(
    connection: &mut SqliteConnection,
    sql: &'static str,
    project: ProjectId,
    user: UserId,
) -> Result<Answer, Failure> {
    let changed = sqlx::query(sql).bind(project.0).bind(user.0).execute(connection).await?;
    Ok(Ok(Done::Changed(changed.rows_affected())))
}
