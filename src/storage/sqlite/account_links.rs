//! Reads of account links (sent by e-mail) and of logins that other processes have ended.

use bellpull_domain::account_link::AccountLink;
use bellpull_domain::ids::{LoginId, UserId};
use bellpull_domain::plan::link;
use bellpull_port::account_links::EndedLogin;
use bellpull_port::accounts::RevokedLogins;
use bellpull_port::clock::SystemClock;
use bellpull_port::{Clock, StoreError};
use jiff::Timestamp;

use super::SqliteStore;
use super::columns::STORED_LINK;
use super::error::unavailable;
use super::link_rows::stored_link;
use super::rows::timestamp;
use super::writer::{Done, LinkWrite, Write, mismatch};

/// Writes it. Returns the logins that it ended, unless it was rejected.
pub(super) async fn ended(
    store: &SqliteStore,
    write: LinkWrite,
) -> Result<Option<Vec<EndedLogin>>, StoreError> {
    let Done::Ended(ended) = store.writer.write(Write::Link(Box::new(write))).await? else {
        return Err(mismatch());
    };
    Ok(ended)
}

/// As `AccountStore::is_link_open`.
pub(super) async fn is_open(
    store: &SqliteStore,
    link: &AccountLink,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let query = sqlx::query(STORED_LINK).bind(link.id.0);
    let row = query.fetch_optional(&store.readers).await.map_err(unavailable)?;
    let stored = row.map(|row| stored_link(&row)).transpose()?;
    Ok(link::is_open(stored.as_ref(), link, now))
}

/// As `AccountStore::logins_revoked`.
pub(super) async fn revoked(
    store: &SqliteStore,
    since: Option<Timestamp>,
    now: Timestamp,
    limit: u32,
) -> Result<RevokedLogins, StoreError> {
    // The store's clock is the machine's: every process that opens the file runs there.
    let read_at = SystemClock.now();
    let Some(since) = since else {
        return Ok(RevokedLogins { read_at, logins: Vec::new() });
    };
    // By the index on the time: most logins of a busy hub ended long ago.
    let sql = "SELECT id, user_id, access_until FROM logins INDEXED BY logins_revoked \
               WHERE revoked_at IS NOT NULL AND revoked_at >= ? AND access_until > ? \
               ORDER BY revoked_at DESC LIMIT ?";
    let query = sqlx::query_as(sql).bind(since.as_millisecond()).bind(now.as_millisecond());
    let rows: Vec<(i64, i64, i64)> =
        query.bind(limit).fetch_all(&store.readers).await.map_err(unavailable)?;
    let ended = |(id, user, until_ms)| {
        Ok(EndedLogin { id: LoginId(id), user: UserId(user), access_until: timestamp(until_ms)? })
    };
    let logins = rows.into_iter().map(ended).collect::<Result<_, StoreError>>()?;
    Ok(RevokedLogins { read_at, logins })
}

/// As `AccountStore::is_login_ended`.
pub(super) async fn is_ended(store: &SqliteStore, login: LoginId) -> Result<bool, StoreError> {
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM logins WHERE id = ? AND revoked_at IS NULL)";
    sqlx::query_scalar(sql).bind(login.0).fetch_one(&store.readers).await.map_err(unavailable)
}
