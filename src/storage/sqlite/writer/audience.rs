//! Whom a send is for: how many they are, and who is next. Always active people, in the order of
//! their ids.

use bellpull_actors::domain::ids::{ProjectId, UserId};
use bellpull_actors::domain::user::Role;
use rusqlite::{Connection, Row, params_from_iter};
use serde::{Deserialize, Serialize};

use super::super::multi_row::{Cell, id_list};
use super::super::statement::{all, one};
use super::context::Failure;

/// As it was when the send was taken in; kept as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Audience {
    /// These, in the order of their ids.
    Users(Vec<UserId>),
    /// Of this role.
    Role(Role),
    /// On this project's list of members.
    Project(ProjectId),
    /// Every active user.
    All,
}

/// Some of an audience.
#[derive(Debug)]
pub(super) struct Portion {
    /// In the order of their ids.
    pub(super) recipients: Vec<UserId>,
    /// The last who was looked at.
    pub(super) cursor: UserId,
    /// Whether others come after.
    pub(super) has_more: bool,
}

const ALL: &str = "SELECT id FROM users NOT INDEXED \
    WHERE is_active = 1 AND id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3";
/// Two walks of one index, merged: a super admin counts among the admins.
const OF_ROLES: &str = "SELECT id FROM users \
    WHERE role = ?4 AND is_active = 1 AND id > ?1 AND id <= ?2 \
    UNION ALL SELECT id FROM users \
    WHERE role = ?5 AND is_active = 1 AND id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3";
const MEMBERS: &str = "SELECT u.id FROM project_members m CROSS JOIN users u ON u.id = m.user_id \
    WHERE m.project_id = ?4 AND m.user_id > ?1 AND m.user_id <= ?2 AND u.is_active = 1 \
    ORDER BY m.user_id LIMIT ?3";

impl Audience {
    /// How many they are now, and the last account that can be among them.
    pub(super) fn count(&self, connection: &Connection) -> Result<(i64, UserId), Failure> {
        macro_rules! count {
            ($which:literal) => {
                concat!("SELECT (SELECT count(*) FROM ", $which, "), ifnull(max(id), 0) FROM users")
            };
        }
        let (sql, which) = match self {
            Self::Users(users) => {
                let count = i64::try_from(users.len()).unwrap_or(i64::MAX);
                return Ok((count, users.last().copied().unwrap_or(UserId(0))));
            }
            Self::Role(role) => {
                let sql = count!("users WHERE role IN (?1, ?2) AND is_active = 1");
                (sql, roles(role).to_vec())
            }
            Self::Project(project) => {
                let sql = count!(
                    "project_members m CROSS JOIN users u ON u.id = m.user_id \
                     WHERE m.project_id = ? AND u.is_active = 1"
                );
                (sql, vec![Cell::Int(project.0)])
            }
            Self::All => (count!("users WHERE is_active = 1"), Vec::new()),
        };
        let (count, last) = one(connection, sql, params_from_iter(which), |row| row.try_into())?;
        Ok((count, UserId(last)))
    }

    /// The first `chunk` of them.
    pub(super) fn first(
        &self,
        connection: &Connection,
        last: UserId,
        chunk: u32,
    ) -> Result<Portion, Failure> {
        match self {
            // They have just been looked up.
            Self::Users(users) => Ok(slice(users, UserId(0), chunk)),
            Self::Role(_) | Self::Project(_) | Self::All => {
                self.after(connection, UserId(0), last, chunk)
            }
        }
    }

    /// The next `chunk` of them after `cursor`, up to `last`.
    pub(super) fn after(
        &self,
        connection: &Connection,
        cursor: UserId,
        last: UserId,
        chunk: u32,
    ) -> Result<Portion, Failure> {
        let limit = i64::from(chunk.max(1));
        let (sql, which) = match self {
            Self::Users(users) => {
                return still_active(connection, slice(users, cursor, chunk));
            }
            Self::Role(role) => (OF_ROLES, roles(role).to_vec()),
            Self::Project(project) => (MEMBERS, vec![Cell::Int(project.0)]),
            Self::All => (ALL, Vec::new()),
        };
        let walk = [cursor.0, last.0, limit + 1].map(Cell::Int).into_iter().chain(which);
        let id = |row: &Row<'_>| row.get(0).map(UserId);
        let found: Vec<UserId> = all(connection, sql, params_from_iter(walk), id)?;
        // One more than wanted was asked for: whether it is there is all that matters of it.
        Ok(slice(&found, cursor, chunk))
    }
}

/// The first `chunk` after `cursor` of people in the order of their ids.
fn slice(users: &[UserId], cursor: UserId, chunk: u32) -> Portion {
    let rest = &users[users.partition_point(|user| *user <= cursor)..];
    let chunk = usize::try_from(chunk.max(1)).unwrap_or(usize::MAX);
    let recipients = rest[..rest.len().min(chunk)].to_vec();
    let cursor = recipients.last().copied().unwrap_or(cursor);
    let has_more = rest.len() > recipients.len();
    Portion { recipients, cursor, has_more }
}

/// The portion without those who were deactivated meanwhile.
fn still_active(connection: &Connection, mut portion: Portion) -> Result<Portion, Failure> {
    let sql = "SELECT id FROM users \
               WHERE id IN (SELECT value FROM json_each(?)) AND is_active = 1";
    let ids = id_list(portion.recipients.iter().map(|user| user.0));
    portion.recipients = all(connection, sql, (ids,), |row| row.get(0).map(UserId))?;
    portion.recipients.sort_unstable();
    Ok(portion)
}

/// The names of a role in rows.
fn roles(role: &Role) -> [Cell<'_>; 2] {
    let also = matches!(role, Role::Admin).then_some("super_admin");
    [Cell::from(role.as_str()), also.map_or(Cell::Null, Cell::from)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_join_without_gap_or_overlap() {
        let users: Vec<UserId> = [2, 3, 5, 8, 13].map(UserId).to_vec();
        for chunk in 1..7 {
            let (mut seen, mut cursor, mut has_more) = (Vec::new(), UserId(0), true);
            while has_more {
                let portion = slice(&users, cursor, chunk);
                seen.extend(portion.recipients);
                (cursor, has_more) = (portion.cursor, portion.has_more);
            }
            assert_eq!(seen, users, "by {chunk}");
        }
        assert!(slice(&[], UserId(0), 5).recipients.is_empty());
    }

    #[test]
    fn an_audience_survives_its_row() {
        for (audience, text) in [
            (Audience::Users(vec![UserId(2), UserId(7)]), r#"{"users":[2,7]}"#),
            (Audience::Role(Role::Developer), r#"{"role":"developer"}"#),
            (Audience::Project(ProjectId(3)), r#"{"project":3}"#),
            (Audience::All, r#""all""#),
        ] {
            assert_eq!(serde_json::to_string(&audience).unwrap(), text);
            assert_eq!(serde_json::from_str::<Audience>(text).unwrap(), audience);
        }
    }
}
