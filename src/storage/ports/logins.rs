//! Logins: begun, continued, ended. What reads a login to change it locks its row first, so that
//! two nodes decide one after the other.
//!
//! Each begun or continued login issues an access token; its expiry is written in the same
//! transaction, so that a later end of the login knows it.

use bellpull_domain::ids::{LoginId, UserId};
use bellpull_domain::plan::login::{self, EndedLogin, Login, RefreshUse};
use bellpull_port::StoreError;
use bellpull_port::accounts::RevokedLogins;
use jiff::Timestamp;

use super::accounts;
use crate::engine::{Db, Dialect, Engine, Failure, Operation, Row, among, now_ms, sql, values};
use crate::rows::{Columns, get_time, int, optional_timestamp};

macro_rules! select {
    ($condition:literal) => {
        sql!(
            "SELECT id, user_id, generation, access_until, expires_at, revoked_at FROM logins \
             WHERE ",
            $condition
        )
    };
}

/// When a login begins, and when it and its first access token end.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Times {
    pub(in super::super) now: Timestamp,
    pub(in super::super) access_until: Timestamp,
    pub(in super::super) expires_at: Timestamp,
}

/// As `AccountStore::begin_login`.
pub(in super::super) async fn begin(
    store: &Engine<impl Dialect>,
    user: UserId,
    password_hash: Option<&str>,
    times: Times,
) -> Result<LoginId, StoreError> {
    let password_hash = password_hash.map(str::to_owned);
    store.write(Begin { user, password_hash, times }).await
}

/// As `AccountStore::use_refresh`.
pub(in super::super) async fn use_refresh(
    store: &Engine<impl Dialect>,
    login: LoginId,
    generation: i64,
    now: Timestamp,
    access_until: Timestamp,
) -> Result<RefreshUse, StoreError> {
    store.write(UseRefresh { login, generation, now, access_until }).await
}

/// As `AccountStore::revoke_login`.
pub(in super::super) async fn revoke(
    store: &Engine<impl Dialect>,
    login: LoginId,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    store.write(Revoke { login, now }).await
}

/// As `AccountStore::revoke_all_logins`.
pub(in super::super) async fn revoke_all(
    store: &Engine<impl Dialect>,
    user: UserId,
    now: Timestamp,
) -> Result<Vec<EndedLogin>, StoreError> {
    store.write(RevokeAll { user, now }).await
}

/// As `AccountStore::ended_logins`.
pub(in super::super) async fn ended(
    store: &Engine<impl Dialect>,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(LoginId, Timestamp)>, StoreError> {
    let sql = sql!(
        "SELECT id, access_until FROM logins WHERE revoked_at IS NOT NULL AND access_until > $1 \
         ORDER BY access_until DESC LIMIT $2"
    );
    let login = |row: &Row| Ok((LoginId(int(row, "id")?), get_time(row, "access_until")?));
    store.rows(sql, values![now, limit], login).await
}

/// As `AccountStore::logins_revoked`: the time, and with each login again; a row without a login if
/// there is none.
pub(in super::super) async fn revoked(
    store: &Engine<impl Dialect>,
    since: Option<Timestamp>,
    now: Timestamp,
    limit: u32,
) -> Result<RevokedLogins, StoreError> {
    // By the index on the time: most logins of a busy hub ended long ago.
    let sql = sql!(
        "SELECT c.now, l.id, l.user_id, l.access_until FROM (SELECT ",
        now_ms!(),
        " AS now) c LEFT JOIN (SELECT id, user_id, access_until \
         FROM logins{ INDEXED BY logins_revoked|} \
         WHERE revoked_at IS NOT NULL AND revoked_at >= $1 AND access_until > $2 \
         ORDER BY revoked_at DESC LIMIT $3) l ON true"
    );
    // No row is of this time or later.
    let since_ms = since.map_or(i64::MAX, Timestamp::as_millisecond);
    let read = |row: &Row| {
        let login = row.int("id")?.map(|_| still_ended(row)).transpose()?;
        Ok((get_time(row, "now")?, login))
    };
    let mut revoked = RevokedLogins::default();
    for (read_at, login) in store.rows(sql, values![since_ms, now, limit], read).await? {
        revoked.read_at = read_at;
        revoked.logins.extend(login);
    }
    Ok(revoked)
}

fn still_ended(row: &Row) -> Result<EndedLogin, StoreError> {
    Ok(EndedLogin {
        id: LoginId(int(row, "id")?),
        user: UserId(int(row, "user_id")?),
        access_until: get_time(row, "access_until")?,
    })
}

/// As `AccountStore::is_login_ended`.
pub(in super::super) async fn is_ended(
    store: &Engine<impl Dialect>,
    login: LoginId,
) -> Result<bool, StoreError> {
    let sql = sql!("SELECT id FROM logins WHERE id = $1 AND revoked_at IS NULL");
    Ok(store.row(sql, values![login], |_| Ok(())).await?.is_none())
}

/// Begins a login. A new password waits for the lock on the account, and then ends this login with
/// the others; or this waits, and finds that the password is another one.
#[derive(Debug)]
struct Begin {
    user: UserId,
    password_hash: Option<String>,
    times: Times,
}

impl Operation for Begin {
    type Answer = LoginId;

    async fn run(&self, db: &mut Db<'_>) -> Result<LoginId, Failure> {
        let Self { user, password_hash, times } = self;
        let sql = sql!("SELECT password_hash FROM users WHERE id = $1{| FOR SHARE}");
        let hash = |row: &Row| Ok(row.text("password_hash")?.map(str::to_owned));
        let account = db.optional(sql, values![*user], hash).await?;
        if !login::may_begin(account.as_ref().map(Option::as_deref), password_hash.as_deref()) {
            return Err(StoreError::NotFound.into());
        }
        let sql = sql!(
            "INSERT INTO logins (user_id, created_at, access_until, expires_at) \
             VALUES ($1, $2, $3, $4) RETURNING id"
        );
        let values = values![*user, times.now, times.access_until, times.expires_at];
        Ok(LoginId(db.count(sql, values).await?))
    }
}

/// Continues a login, or ends it.
#[derive(Debug)]
struct UseRefresh {
    login: LoginId,
    generation: i64,
    now: Timestamp,
    access_until: Timestamp,
}

impl Operation for UseRefresh {
    type Answer = RefreshUse;

    async fn run(&self, db: &mut Db<'_>) -> Result<RefreshUse, Failure> {
        let Self { login, generation, now, access_until } = *self;
        let stored = lock(db, login).await?;
        let (answer, after) = login::use_refresh(stored, generation, now, access_until);
        if let Some(Login { id, generation, access_until, revoked_at, .. }) = after {
            if revoked_at.is_some() {
                end(db, vec![id.0], now).await?;
                return Ok(answer);
            }
            let sql = sql!("UPDATE logins SET generation = $2, access_until = $3 WHERE id = $1");
            db.execute(sql, values![id, generation, access_until]).await?;
        }
        Ok(answer)
    }
}

/// Ends a login. The answer is the same for one that was revoked before: its caller may have failed
/// before it closed the sessions.
#[derive(Debug)]
struct Revoke {
    login: LoginId,
    now: Timestamp,
}

impl Operation for Revoke {
    type Answer = Option<Timestamp>;

    async fn run(&self, db: &mut Db<'_>) -> Result<Option<Timestamp>, Failure> {
        let Some(login) = lock(db, self.login).await? else { return Ok(None) };
        end(db, vec![login.id.0], self.now).await?;
        Ok(Some(login.access_until))
    }
}

/// Ends all logins of an account. None begins meanwhile.
#[derive(Debug)]
struct RevokeAll {
    user: UserId,
    now: Timestamp,
}

impl Operation for RevokeAll {
    type Answer = Vec<EndedLogin>;

    async fn run(&self, db: &mut Db<'_>) -> Result<Vec<EndedLogin>, Failure> {
        accounts::hold(db, self.user).await?;
        end_all(db, self.user, None, self.now).await
    }
}

/// Ends all logins of an account but one; returns those with an access token that is still valid.
/// The caller holds the lock on the account, so that no login begins meanwhile.
pub(in super::super) async fn end_all(
    db: &mut Db<'_>,
    user: UserId,
    keep: Option<LoginId>,
    now: Timestamp,
) -> Result<Vec<EndedLogin>, Failure> {
    // The conditions avoid reading old logins; the domain decides what the rows mean.
    let sql = select!(
        "user_id = $1 AND revoked_at IS NULL AND expires_at > $2 \
         ORDER BY id{| FOR NO KEY UPDATE}"
    );
    let logins = db.all(sql, values![user, now], login).await?;
    let ended: Vec<&Login> = login::to_revoke(&logins, keep, now).collect();
    end(db, ended.iter().map(|login| login.id.0).collect(), now).await?;
    Ok(login::still_valid(ended, now))
}

/// The login, locked.
async fn lock(db: &mut Db<'_>, id: LoginId) -> Result<Option<Login>, Failure> {
    db.optional(select!("id = $1{| FOR NO KEY UPDATE}"), values![id], login).await
}

/// Ends logins: once, the first time counts. What they have subscribed ends with them.
async fn end(db: &mut Db<'_>, logins: Vec<i64>, now: Timestamp) -> Result<(), Failure> {
    if logins.is_empty() {
        return Ok(());
    }
    let sql =
        sql!("UPDATE logins SET revoked_at = coalesce(revoked_at, $2) WHERE id ", among!("$1"));
    db.execute(sql, values![logins.clone(), now]).await?;
    let sql = sql!("DELETE FROM push_subscriptions WHERE login_id ", among!("$1"));
    db.execute(sql, values![logins]).await.map(drop)
}

fn login(row: &Row) -> Result<Login, StoreError> {
    Ok(Login {
        id: LoginId(int(row, "id")?),
        user: UserId(int(row, "user_id")?),
        generation: int(row, "generation")?,
        access_until: get_time(row, "access_until")?,
        expires_at: get_time(row, "expires_at")?,
        revoked_at: optional_timestamp(row.int("revoked_at")?)?,
    })
}
