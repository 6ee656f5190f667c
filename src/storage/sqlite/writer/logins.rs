//! Logins: begun, gone on with, ended.

use bellpull_actors::domain::ids::{LoginId, UserId};
use bellpull_actors::port::StoreError;
use bellpull_actors::port::accounts::RefreshUse;
use jiff::Timestamp;
use rusqlite::Connection;

use super::super::rows::timestamp;
use super::super::statement::{execute, optional};
use super::group::Failure;
use super::{Answer, Done};

/// What can be asked of logins. An access token is issued with what begins a login or goes on with
/// it: until when it is good is written in that transaction, so that whoever ends the login knows.
#[derive(Debug)]
pub(in super::super) enum LoginWrite {
    Begin {
        user: UserId,
        password_hash: Option<String>,
        now: Timestamp,
        access_until: Timestamp,
        expires_at: Timestamp,
    },
    UseRefresh {
        login: LoginId,
        generation: i64,
        now: Timestamp,
        access_until: Timestamp,
    },
    Revoke {
        login: LoginId,
        now: Timestamp,
    },
}

pub(super) fn apply(connection: &Connection, write: &LoginWrite) -> Result<Answer, Failure> {
    Ok(match write {
        LoginWrite::Begin { user, password_hash, now, access_until, expires_at } => {
            let sql = "INSERT INTO logins (user_id, created_at, access_until, expires_at) \
                       SELECT id, ?2, ?3, ?4 FROM users WHERE id = ?1 AND password_hash IS ?5 \
                       RETURNING id";
            let [now, until, end] = [now, access_until, expires_at].map(|at| at.as_millisecond());
            let values = (user.0, now, until, end, password_hash);
            let id = optional(connection, sql, values, |row| row.get(0))?;
            id.map(|id| Done::Login(LoginId(id))).ok_or(StoreError::NotFound)
        }
        LoginWrite::UseRefresh { login, generation, now, access_until } => {
            let used = use_refresh(connection, *login, *generation, *now, *access_until)?;
            Ok(Done::Refresh(used))
        }
        LoginWrite::Revoke { login, now } => Ok(Done::Revoked(revoke(connection, *login, *now)?)),
    })
}

fn use_refresh(
    connection: &Connection,
    login: LoginId,
    generation: i64,
    now: Timestamp,
    access_until: Timestamp,
) -> Result<RefreshUse, Failure> {
    let sql = "SELECT user_id, generation FROM logins \
               WHERE id = ?1 AND revoked_at IS NULL AND expires_at > ?2";
    let values = (login.0, now.as_millisecond());
    let row: Option<(i64, i64)> = optional(connection, sql, values, |row| row.try_into())?;
    let Some((user, used)) = row else { return Ok(RefreshUse::Ended) };
    let user = UserId(user);
    if generation < used {
        let access_until = revoke(connection, login, now)?;
        return Ok(access_until
            .map_or(RefreshUse::Ended, |access_until| RefreshUse::Reused { user, access_until }));
    }
    let sql = "UPDATE logins SET generation = ?2, access_until = max(access_until, ?3) \
               WHERE id = ?1";
    execute(connection, sql, (login.0, generation, access_until.as_millisecond()))?;
    Ok(RefreshUse::Good(user))
}

/// When the last of its access tokens ends: also of one that was revoked before, for whoever did
/// may not have lived to say so.
fn revoke(
    connection: &Connection,
    login: LoginId,
    now: Timestamp,
) -> Result<Option<Timestamp>, Failure> {
    let sql = "UPDATE logins SET revoked_at = ifnull(revoked_at, ?2) WHERE id = ?1 \
               RETURNING access_until";
    let until = optional(connection, sql, (login.0, now.as_millisecond()), |row| row.get(0))?;
    Ok(until.map(timestamp).transpose()?)
}
