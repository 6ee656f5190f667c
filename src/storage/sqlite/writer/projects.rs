//! Projects and their members: rare, so each is its own statement in the group's transaction.

use bellpull_domain::idempotency::Creates;
use bellpull_domain::ids::{ProjectId, UserId};
use bellpull_port::StoreError;
use rusqlite::Connection;

use super::super::columns::project_columns;
use super::super::rows::project;
use super::super::statement::{execute, one};
use super::failure::Failure;
use super::{Answer, Done, NewProject, keys};

/// Makes a project with its first member.
pub(super) fn create(connection: &Connection, new: &NewProject) -> Result<Answer, Failure> {
    let once = new.once.as_ref();
    if let Err(used) = keys::admit(connection, once, Creates::Project)? {
        return Ok(Err(used));
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM projects WHERE key = ?), \
               EXISTS (SELECT 1 FROM users WHERE id = ?)";
    let (is_taken, has_creator): (bool, bool) =
        one(connection, sql, (&new.key, new.creator.0), |row| row.try_into())?;
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
    let values = (&new.key, &new.name, new.now.as_millisecond());
    let project = one(connection, sql, values, |row| Ok(project(row)))??;
    add_member(connection, project.id, new.creator)??;
    keys::record(connection, once, Creates::Project, project.id.0, new.now)?;
    Ok(Ok(Done::Project(Box::new(project))))
}

/// Puts an account on a project's list.
pub(super) fn add_member(
    connection: &Connection,
    project: ProjectId,
    user: UserId,
) -> Result<Answer, Failure> {
    let sql = "SELECT EXISTS (SELECT 1 FROM projects WHERE id = ?) \
               AND EXISTS (SELECT 1 FROM users WHERE id = ?)";
    let both_exist: bool = one(connection, sql, (project.0, user.0), |row| row.get(0))?;
    if !both_exist {
        return Ok(Err(StoreError::NotFound));
    }
    let sql = "INSERT INTO project_members (project_id, user_id) VALUES (?, ?) \
               ON CONFLICT DO NOTHING";
    change(connection, sql, project, user)
}

/// Removes an account from a project's members.
pub(super) fn remove_member(
    connection: &Connection,
    project: ProjectId,
    user: UserId,
) -> Result<Answer, Failure> {
    let sql = "DELETE FROM project_members WHERE project_id = ? AND user_id = ?";
    change(connection, sql, project, user)
}

fn change(
    connection: &Connection,
    sql: &'static str,
    project: ProjectId,
    user: UserId,
) -> Result<Answer, Failure> {
    Ok(Ok(Done::Changed(execute(connection, sql, (project.0, user.0))?)))
}
