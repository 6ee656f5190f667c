//! The queries for the audience of a send: how many accounts it has, and which come next, in the
//! order of their ids. What an audience is, is
//! [`bellpull_domain::plan::send::Audience`].

use bellpull_domain::ids::UserId;
use bellpull_domain::plan::send::Audience;
use bellpull_domain::plan::send::step::Portion;
use bellpull_domain::user::Role;
use rusqlite::{Connection, Row, params_from_iter};

use super::super::multi_row::{Cell, id_list};
use super::super::statement::{all, one};
use super::failure::Failure;

/// Where a send reads its audience: in the order of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Walk {
    /// Those after this one,
    pub(super) cursor: UserId,
    /// up to this one.
    pub(super) last: UserId,
}

/// Active accounts of a group, with the times of their registration.
///
/// Sends in step to one group share them: they differ only in which accounts had registered when
/// each was accepted. The order of ids does not show that: an account may be registered with a
/// chosen id.
#[derive(Debug)]
pub(super) struct Candidates {
    accounts: Vec<(UserId, i64)>,
    has_more: bool,
}

const ALL: &str = "SELECT id, created_at FROM users NOT INDEXED \
    WHERE is_active = 1 AND id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3";
/// Two walks of one index, merged: a super admin counts among the admins.
const OF_ROLES: &str = "SELECT id, created_at FROM users \
    WHERE role = ?4 AND is_active = 1 AND id > ?1 AND id <= ?2 \
    UNION ALL SELECT id, created_at FROM users \
    WHERE role = ?5 AND is_active = 1 AND id > ?1 AND id <= ?2 \
    ORDER BY id LIMIT ?3";
const MEMBERS: &str = "SELECT u.id, u.created_at \
    FROM project_members m CROSS JOIN users u ON u.id = m.user_id \
    WHERE m.project_id = ?4 AND m.user_id > ?1 AND m.user_id <= ?2 AND u.is_active = 1 \
    ORDER BY m.user_id LIMIT ?3";

/// How many accounts it has now, and the highest id of all accounts.
pub(super) fn count(
    audience: &Audience,
    connection: &Connection,
) -> Result<(i64, UserId), Failure> {
    macro_rules! count {
        ($which:literal) => {
            concat!("SELECT (SELECT count(*) FROM ", $which, "), ifnull(max(id), 0) FROM users")
        };
    }
    let (sql, which) = match audience {
        Audience::Users(users) => {
            let count = i64::try_from(users.len()).unwrap_or(i64::MAX);
            return Ok((count, users.last().copied().unwrap_or(UserId(0))));
        }
        Audience::Role(role) => {
            let sql = count!("users WHERE role IN (?1, ?2) AND is_active = 1");
            (sql, roles(role).to_vec())
        }
        Audience::Project(project) => {
            let sql = count!(
                "project_members m CROSS JOIN users u ON u.id = m.user_id \
                 WHERE m.project_id = ? AND u.is_active = 1"
            );
            (sql, vec![Cell::Int(project.0)])
        }
        Audience::All => (count!("users WHERE is_active = 1"), Vec::new()),
    };
    let (count, last) = one(connection, sql, params_from_iter(which), |row| row.try_into())?;
    Ok((count, UserId(last)))
}

/// The first `chunk` accounts, of an audience that has just been counted.
pub(super) fn first(
    audience: &Audience,
    connection: &Connection,
    last: UserId,
    chunk: u32,
) -> Result<Portion, Failure> {
    match audience {
        // They have just been looked up.
        Audience::Users(users) => Ok(Portion::of(users, UserId(0), chunk)),
        Audience::Role(_) | Audience::Project(_) | Audience::All => {
            let walk = Walk { cursor: UserId(0), last };
            // In this transaction there is no account that registers later.
            Ok(Candidates::read(audience, connection, walk, chunk)?.portion(walk, i64::MAX))
        }
    }
}

/// The next `chunk` of the accounts that are named.
pub(super) fn next_of(
    users: &[UserId],
    connection: &Connection,
    walk: Walk,
    chunk: u32,
) -> Result<Portion, Failure> {
    still_active(connection, Portion::of(users, walk.cursor, chunk))
}

impl Candidates {
    /// The next `chunk` accounts of a group; of named accounts, see [`next_of`].
    pub(super) fn read(
        group: &Audience,
        connection: &Connection,
        walk: Walk,
        chunk: u32,
    ) -> Result<Self, Failure> {
        let (sql, which) = match group {
            Audience::Users(_) => return Ok(Self { accounts: Vec::new(), has_more: false }),
            Audience::Role(role) => (OF_ROLES, roles(role).to_vec()),
            Audience::Project(project) => (MEMBERS, vec![Cell::Int(project.0)]),
            Audience::All => (ALL, Vec::new()),
        };
        let chunk = chunk.max(1);
        // One more than wanted is read: it shows whether there are others.
        let bounds = [walk.cursor.0, walk.last.0, i64::from(chunk) + 1].map(Cell::Int);
        let parameters = params_from_iter(bounds.into_iter().chain(which));
        let account = |row: &Row<'_>| Ok((UserId(row.get(0)?), row.get(1)?));
        let mut accounts: Vec<(UserId, i64)> = all(connection, sql, parameters, account)?;
        let chunk = usize::try_from(chunk).unwrap_or(usize::MAX);
        let has_more = accounts.len() > chunk;
        accounts.truncate(chunk);
        Ok(Self { accounts, has_more })
    }

    /// Those that had registered by then.
    pub(super) fn portion(&self, walk: Walk, registered_by_ms: i64) -> Portion {
        let registered = self.accounts.iter().filter(|(_, at)| *at <= registered_by_ms);
        Portion {
            recipients: registered.map(|(user, _)| *user).collect(),
            cursor: self.accounts.last().map_or(walk.cursor, |(user, _)| *user),
            has_more: self.has_more,
        }
    }
}

/// The portion without accounts that have been deactivated since.
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
