//! Logins: begun, continued, ended.

use bellpull_domain::ids::{LoginId, UserId};
use bellpull_domain::plan::login::{self, EndedLogin, Login};
use bellpull_port::StoreError;
use jiff::Timestamp;
use rusqlite::{Connection, Row};

use super::super::rows::{optional_timestamp, timestamp};
use super::super::statement::{all, execute, one, optional};
use super::failure::Failure;
use super::{Answer, Done, push};

/// Writes of logins. Each begun or continued login issues an access token; its expiry is written in
/// the same transaction, so that a later end of the login knows it.
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
    RevokeAll {
        user: UserId,
        now: Timestamp,
    },
}

pub(super) fn apply(connection: &Connection, write: &LoginWrite) -> Result<Answer, Failure> {
    Ok(match write {
        LoginWrite::Begin { user, password_hash, now, access_until, expires_at } => {
            let sql = "SELECT password_hash FROM users WHERE id = ?";
            let account: Option<Option<String>> =
                optional(connection, sql, (user.0,), |row| row.get(0))?;
            let stored = account.as_ref().map(Option::as_deref);
            if !login::may_begin(stored, password_hash.as_deref()) {
                return Ok(Err(StoreError::NotFound));
            }
            let sql = "INSERT INTO logins (user_id, created_at, access_until, expires_at) \
                       VALUES (?, ?, ?, ?) RETURNING id";
            let [now, until, end] = [now, access_until, expires_at].map(|at| at.as_millisecond());
            let id = one(connection, sql, (user.0, now, until, end), |row| row.get(0))?;
            Ok(Done::Login(LoginId(id)))
        }
        LoginWrite::UseRefresh { login, generation, now, access_until } => {
            let stored = read(connection, *login)?;
            let (answer, after) = login::use_refresh(stored, *generation, *now, *access_until);
            if let Some(after) = after {
                save(connection, &after)?;
            }
            Ok(Done::Refresh(answer))
        }
        LoginWrite::Revoke { login, now } => {
            let stored = read(connection, *login)?;
            if let Some(login) = stored {
                save(connection, &login.revoked(*now))?;
            }
            // Also one that was revoked before: its caller may have failed before it closed the
            // sessions.
            Ok(Done::Revoked(stored.map(|login| login.access_until)))
        }
        LoginWrite::RevokeAll { user, now } => {
            Ok(Done::Ended(Some(end_all(connection, *user, None, *now)?)))
        }
    })
}

macro_rules! select {
    ($condition:literal) => {
        concat!(
            "SELECT id, user_id, generation, access_until, expires_at, revoked_at FROM logins \
             WHERE ",
            $condition
        )
    };
}

fn read(connection: &Connection, id: LoginId) -> Result<Option<Login>, Failure> {
    let row = optional(connection, select!("id = ?"), (id.0,), login)?;
    Ok(row.transpose()?)
}

/// Ends all logins of an account but one; returns those with an access
/// token that is still valid.
pub(super) fn end_all(
    connection: &Connection,
    user: UserId,
    keep: Option<LoginId>,
    now: Timestamp,
) -> Result<Vec<EndedLogin>, Failure> {
    // The conditions avoid reading old logins; the domain decides what the rows mean.
    let sql = select!("user_id = ?1 AND revoked_at IS NULL AND expires_at > ?2");
    let rows = all(connection, sql, (user.0, now.as_millisecond()), login)?;
    let logins: Vec<Login> = rows.into_iter().collect::<Result<_, StoreError>>()?;
    let ended: Vec<&Login> = login::to_revoke(&logins, keep, now).collect();
    for login in &ended {
        save(connection, &login.revoked(now))?;
    }
    Ok(login::still_valid(ended, now))
}

fn login(row: &Row<'_>) -> rusqlite::Result<Result<Login, StoreError>> {
    let (id, user) = (LoginId(row.get(0)?), UserId(row.get(1)?));
    let (generation, access_ms, expires_ms) = (row.get(2)?, row.get(3)?, row.get(4)?);
    let revoked_ms: Option<i64> = row.get(5)?;
    let login = || {
        Ok(Login {
            id,
            user,
            generation,
            access_until: timestamp(access_ms)?,
            expires_at: timestamp(expires_ms)?,
            revoked_at: optional_timestamp(revoked_ms)?,
        })
    };
    Ok(login())
}

fn save(connection: &Connection, login: &Login) -> rusqlite::Result<()> {
    let sql = "UPDATE logins SET generation = ?2, access_until = ?3, revoked_at = ?4 WHERE id = ?1";
    let Login { id, generation, access_until, revoked_at, .. } = login;
    let revoked_ms = revoked_at.map(Timestamp::as_millisecond);
    let values = (id.0, generation, access_until.as_millisecond(), revoked_ms);
    execute(connection, sql, values)?;
    match revoked_at {
        Some(_) => push::end_with(connection, *id),
        None => Ok(()),
    }
}
