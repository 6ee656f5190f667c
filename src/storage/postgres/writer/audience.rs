//! The queries for the audience of a send: how many accounts it has, and which come next, in the
//! order of their ids. What an audience is, is [`bellpull_domain::plan::send::Audience`].

use bellpull_domain::ids::UserId;
use bellpull_domain::plan::send::Audience;
use bellpull_domain::plan::send::step::Portion;
use bellpull_domain::user::Role;

use super::super::database::Connection;
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
    accounts: Vec<(i64, i64)>,
    has_more: bool,
}

const ALL: &str = "SELECT id, created_at FROM users \
    WHERE is_active AND id > $1 AND id <= $2 ORDER BY id LIMIT $3";
/// Two walks of one index, merged: a super admin counts among the admins. Compared as rows, they
/// have no other plan: with `role = $4 AND id > $1` the server may walk all accounts by their ids,
/// and for a role that few have, or no second one, that is all of them for each chunk.
const OF_ROLES: &str = "SELECT id, created_at FROM ( \
    (SELECT id, created_at FROM users WHERE is_active AND (role, id) > ($4, $1) \
    AND (role, id) <= ($4, $2) ORDER BY role, id LIMIT $3) UNION ALL \
    (SELECT id, created_at FROM users WHERE is_active AND (role, id) > ($5, $1) \
    AND (role, id) <= ($5, $2) ORDER BY role, id LIMIT $3)) AS both_roles ORDER BY id LIMIT $3";
/// Compared as rows for the same reason.
const MEMBERS: &str = "SELECT u.id, u.created_at FROM project_members m \
    JOIN users u ON u.id = m.user_id WHERE (m.project_id, m.user_id) > ($4, $1) \
    AND (m.project_id, m.user_id) <= ($4, $2) AND u.is_active \
    ORDER BY m.project_id, m.user_id LIMIT $3";

/// How many accounts it has now, and the highest id of all accounts.
pub(super) async fn count(
    audience: &Audience,
    connection: &mut Connection,
) -> Result<(i64, UserId), Failure> {
    macro_rules! count {
        ($which:literal) => {
            concat!(
                "SELECT (SELECT count(*) FROM ",
                $which,
                "), coalesce((SELECT max(id) FROM users), 0)"
            )
        };
    }
    let (count, last): (i64, i64) = match audience {
        Audience::Users(users) => {
            let count = i64::try_from(users.len()).unwrap_or(i64::MAX);
            return Ok((count, users.last().copied().unwrap_or(UserId(0))));
        }
        Audience::Role(role) => {
            let [role, also] = roles(role);
            let sql = count!("users WHERE role IN ($1, $2) AND is_active");
            sqlx::query_as(sql).bind(role).bind(also).fetch_one(connection).await?
        }
        Audience::Project(project) => {
            let sql = count!(
                "project_members m JOIN users u ON u.id = m.user_id \
                 WHERE m.project_id = $1 AND u.is_active"
            );
            sqlx::query_as(sql).bind(project.0).fetch_one(connection).await?
        }
        Audience::All => {
            sqlx::query_as(count!("users WHERE is_active")).fetch_one(connection).await?
        }
    };
    Ok((count, UserId(last)))
}

/// The first `chunk` accounts, of an audience that has just been counted; those that had registered
/// by then.
pub(super) async fn first(
    audience: &Audience,
    connection: &mut Connection,
    last: UserId,
    chunk: u32,
    registered_by_ms: i64,
) -> Result<Portion, Failure> {
    match audience {
        // They have just been looked up.
        Audience::Users(users) => Ok(Portion::of(users, UserId(0), chunk)),
        Audience::Role(_) | Audience::Project(_) | Audience::All => {
            let walk = Walk { cursor: UserId(0), last };
            let found = Candidates::read(audience, connection, walk, chunk).await?;
            Ok(found.portion(walk, registered_by_ms))
        }
    }
}

/// The next `chunk` of the accounts that are named, without those that were deactivated since.
pub(super) async fn next_of(
    users: &[UserId],
    connection: &mut Connection,
    walk: Walk,
    chunk: u32,
) -> Result<Portion, Failure> {
    let mut portion = Portion::of(users, walk.cursor, chunk);
    let sql = "SELECT id FROM users WHERE id = ANY($1) AND is_active ORDER BY id";
    let ids: Vec<i64> = portion.recipients.iter().map(|user| user.0).collect();
    let active: Vec<i64> = sqlx::query_scalar(sql).bind(ids).fetch_all(connection).await?;
    portion.recipients = active.into_iter().map(UserId).collect();
    Ok(portion)
}

impl Candidates {
    /// The next `chunk` accounts of a group; of named accounts, see [`next_of`].
    pub(super) async fn read(
        group: &Audience,
        connection: &mut Connection,
        walk: Walk,
        chunk: u32,
    ) -> Result<Self, Failure> {
        let chunk = chunk.max(1);
        // One more than wanted is read: it shows whether there are others.
        let wanted = i64::from(chunk) + 1;
        let bounded = |sql| {
            sqlx::query_as::<_, (i64, i64)>(sql).bind(walk.cursor.0).bind(walk.last.0).bind(wanted)
        };
        let mut accounts = match group {
            Audience::Users(_) => Vec::new(),
            Audience::Role(role) => {
                let [role, also] = roles(role);
                bounded(OF_ROLES).bind(role).bind(also).fetch_all(connection).await?
            }
            Audience::Project(project) => {
                bounded(MEMBERS).bind(project.0).fetch_all(connection).await?
            }
            Audience::All => bounded(ALL).fetch_all(connection).await?,
        };
        let chunk = usize::try_from(chunk).unwrap_or(usize::MAX);
        let has_more = accounts.len() > chunk;
        accounts.truncate(chunk);
        Ok(Self { accounts, has_more })
    }

    /// Those that had registered by then.
    pub(super) fn portion(&self, walk: Walk, registered_by_ms: i64) -> Portion {
        let registered = self.accounts.iter().filter(|(_, at)| *at <= registered_by_ms);
        Portion {
            recipients: registered.map(|(user, _)| UserId(*user)).collect(),
            cursor: self.accounts.last().map_or(walk.cursor, |(user, _)| UserId(*user)),
            has_more: self.has_more,
        }
    }
}

/// The names of a role in rows.
fn roles(role: &Role) -> [Option<String>; 2] {
    let also = matches!(role, Role::Admin).then(|| "super_admin".to_owned());
    [Some(role.as_str().to_owned()), also]
}
