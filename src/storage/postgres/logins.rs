//! Logins: begun, continued, ended. What reads a login to change it locks its row first, so that
//! two nodes decide one after the other.

use bellpull_domain::ids::{LoginId, UserId};
use bellpull_domain::plan::login::{self, EndedLogin, Login, RefreshUse};
use bellpull_port::StoreError;
use bellpull_port::accounts::RevokedLogins;
use jiff::Timestamp;
use sqlx::postgres::PgRow;

use super::database::Connection;
use super::transaction::failed;
use super::{PostgresStore, account_rows};
use crate::rows::{Columns, int, optional_timestamp, timestamp};

macro_rules! select {
    ($condition:literal) => {
        concat!(
            "SELECT id, user_id, generation, access_until, expires_at, revoked_at FROM logins \
             WHERE ",
            $condition
        )
    };
}

/// When a login begins, and when it and its first access token end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) now: Timestamp,
    pub(super) access_until: Timestamp,
    pub(super) expires_at: Timestamp,
}

/// As `AccountStore::begin_login`. A new password waits for the lock on the account, and then ends
/// this login with the others; or this waits, and finds that the password is another one.
pub(super) async fn begin(
    store: &PostgresStore,
    user: UserId,
    password_hash: Option<&str>,
    times: Times,
) -> Result<LoginId, StoreError> {
    let mut work = store.begin().await?;
    let sql = "SELECT password_hash FROM users WHERE id = $1 FOR SHARE";
    let query = sqlx::query_scalar(sql).bind(user.0);
    let account: Option<Option<String>> = query.fetch_optional(&mut *work).await.map_err(failed)?;
    if !login::may_begin(account.as_ref().map(Option::as_deref), password_hash) {
        return Err(StoreError::NotFound);
    }
    let sql = "INSERT INTO logins (user_id, created_at, access_until, expires_at) \
               VALUES ($1, $2, $3, $4) RETURNING id";
    let mut query = sqlx::query_scalar(sql).bind(user.0);
    for time in [times.now, times.access_until, times.expires_at] {
        query = query.bind(time.as_millisecond());
    }
    let id = query.fetch_one(&mut *work).await.map_err(failed)?;
    work.commit().await?;
    Ok(LoginId(id))
}

/// As `AccountStore::use_refresh`.
pub(super) async fn use_refresh(
    store: &PostgresStore,
    id: LoginId,
    generation: i64,
    now: Timestamp,
    access_until: Timestamp,
) -> Result<RefreshUse, StoreError> {
    let mut work = store.begin().await?;
    let stored = lock(&mut work, id).await?;
    let (answer, after) = login::use_refresh(stored, generation, now, access_until);
    if let Some(after) = after {
        save(&mut work, &[after]).await?;
        work.commit().await?;
    }
    Ok(answer)
}

/// As `AccountStore::revoke_login`. The answer is the same for a login that was revoked before: its
/// caller may have failed before it closed the sessions.
pub(super) async fn revoke(
    store: &PostgresStore,
    id: LoginId,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let mut work = store.begin().await?;
    let Some(login) = lock(&mut work, id).await? else { return Ok(None) };
    save(&mut work, &[login.revoked(now)]).await?;
    work.commit().await?;
    Ok(Some(login.access_until))
}

/// As `AccountStore::revoke_all_logins`. No login begins meanwhile.
pub(super) async fn revoke_all(
    store: &PostgresStore,
    user: UserId,
    now: Timestamp,
) -> Result<Vec<EndedLogin>, StoreError> {
    let mut work = store.begin().await?;
    account_rows::lock(&mut work, user).await?;
    let ended = end_all(&mut work, user, None, now).await?;
    work.commit().await?;
    Ok(ended)
}

/// As `AccountStore::ended_logins`.
pub(super) async fn ended(
    store: &PostgresStore,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(LoginId, Timestamp)>, StoreError> {
    let sql = "SELECT id, access_until FROM logins \
               WHERE revoked_at IS NOT NULL AND access_until > $1 \
               ORDER BY access_until DESC LIMIT $2";
    let query = sqlx::query_as(sql).bind(now.as_millisecond()).bind(i64::from(limit));
    let rows: Vec<(i64, i64)> = query.fetch_all(&store.pool).await.map_err(failed)?;
    rows.into_iter().map(|(id, until)| Ok((LoginId(id), timestamp(until)?))).collect()
}

/// As `AccountStore::logins_revoked`: the time, and with each login again; a row without a login if
/// there is none.
pub(super) async fn revoked(
    store: &PostgresStore,
    since: Option<Timestamp>,
    now: Timestamp,
    limit: u32,
) -> Result<RevokedLogins, StoreError> {
    let sql = "SELECT c.now, l.id, l.user_id, l.access_until FROM \
               (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now) c \
               LEFT JOIN (SELECT id, user_id, access_until FROM logins \
               WHERE revoked_at IS NOT NULL AND revoked_at >= $1 AND access_until > $2 \
               ORDER BY revoked_at DESC LIMIT $3) l ON TRUE";
    // No row is of this time or later.
    let since_ms = since.map_or(i64::MAX, Timestamp::as_millisecond);
    let query = sqlx::query_as(sql).bind(since_ms).bind(now.as_millisecond());
    // The time, and a login's columns, all of them or none.
    type Row = (i64, Option<i64>, Option<i64>, Option<i64>);
    let rows: Vec<Row> =
        query.bind(i64::from(limit)).fetch_all(&store.pool).await.map_err(failed)?;
    let mut revoked = RevokedLogins::default();
    for (read_at, id, user, until_ms) in rows {
        revoked.read_at = timestamp(read_at)?;
        if let (Some(id), Some(user), Some(until_ms)) = (id, user, until_ms) {
            let (id, user, access_until) = (LoginId(id), UserId(user), timestamp(until_ms)?);
            revoked.logins.push(EndedLogin { id, user, access_until });
        }
    }
    Ok(revoked)
}

/// As `AccountStore::is_login_ended`.
pub(super) async fn is_ended(store: &PostgresStore, login: LoginId) -> Result<bool, StoreError> {
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM logins WHERE id = $1 AND revoked_at IS NULL)";
    sqlx::query_scalar(sql).bind(login.0).fetch_one(store.pool.by_key()).await.map_err(failed)
}

/// Ends all logins of an account but one; returns those with an access
/// token that is still valid. The caller holds the lock on the account, so that no login begins
/// meanwhile.
pub(super) async fn end_all(
    connection: &mut Connection,
    user: UserId,
    keep: Option<LoginId>,
    now: Timestamp,
) -> Result<Vec<EndedLogin>, StoreError> {
    // The conditions avoid reading old logins; the domain decides what the rows mean.
    let sql = select!(
        "user_id = $1 AND revoked_at IS NULL AND expires_at > $2 ORDER BY id FOR NO KEY UPDATE"
    );
    let query = sqlx::query(sql).bind(user.0).bind(now.as_millisecond());
    let rows = query.fetch_all(&mut *connection).await.map_err(failed)?;
    let logins: Vec<Login> = rows.iter().map(login).collect::<Result<_, _>>()?;
    let ended: Vec<&Login> = login::to_revoke(&logins, keep, now).collect();
    let after: Vec<Login> = ended.iter().map(|login| login.revoked(now)).collect();
    save(connection, &after).await?;
    Ok(login::still_valid(ended, now))
}

/// The login, locked.
async fn lock(connection: &mut Connection, id: LoginId) -> Result<Option<Login>, StoreError> {
    let query = sqlx::query(select!("id = $1 FOR NO KEY UPDATE")).bind(id.0);
    let row = query.fetch_optional(connection).await.map_err(failed)?;
    row.as_ref().map(login).transpose()
}

fn login(row: &PgRow) -> Result<Login, StoreError> {
    Ok(Login {
        id: LoginId(int(row, "id")?),
        user: UserId(int(row, "user_id")?),
        generation: int(row, "generation")?,
        access_until: timestamp(int(row, "access_until")?)?,
        expires_at: timestamp(int(row, "expires_at")?)?,
        revoked_at: optional_timestamp(row.int("revoked_at")?)?,
    })
}

async fn save(connection: &mut Connection, logins: &[Login]) -> Result<(), StoreError> {
    let sql = "UPDATE logins SET generation = v.generation, access_until = v.access_until, \
               revoked_at = v.revoked_at \
               FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[]) \
               AS v (id, generation, access_until, revoked_at) WHERE logins.id = v.id";
    let ids: Vec<i64> = logins.iter().map(|login| login.id.0).collect();
    let generations: Vec<i64> = logins.iter().map(|login| login.generation).collect();
    let access: Vec<i64> = logins.iter().map(|login| login.access_until.as_millisecond()).collect();
    let revoked: Vec<Option<i64>> =
        logins.iter().map(|login| login.revoked_at.map(Timestamp::as_millisecond)).collect();
    let query = sqlx::query(sql).bind(ids).bind(generations).bind(access).bind(revoked);
    query.execute(&mut *connection).await.map_err(failed)?;
    // What a login has subscribed ends with it.
    let ended = logins.iter().filter(|login| login.revoked_at.is_some());
    let ended: Vec<i64> = ended.map(|login| login.id.0).collect();
    if !ended.is_empty() {
        let sql = "DELETE FROM push_subscriptions WHERE login_id = ANY ($1)";
        sqlx::query(sql).bind(ended).execute(connection).await.map_err(failed)?;
    }
    Ok(())
}
