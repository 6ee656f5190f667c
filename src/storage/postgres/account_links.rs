//! Account links, which are sent by e-mail: created with their e-mail, used, and revoked. Every
//! write of one locks its account first, so that a link is used once.
//!
//! The e-mail's delivery has no notification. Like a project's webhook's, it names its message
//! itself; its `target_id` is the link, whose row names the account.

use bellpull_domain::account_link::AccountLink;
use bellpull_domain::confusable::{email_key, is_same_name};
use bellpull_domain::ids::{DeliveryId, LinkId, MessageId, UserId};
use bellpull_domain::notification::Message;
use bellpull_domain::plan::login::EndedLogin;
use bellpull_domain::plan::{Route, link};
use bellpull_domain::routing::Channel;
use bellpull_domain::user::User;
use bellpull_port::StoreError;
use bellpull_port::account_links::{LinkTo, NewLink, PasswordChange};
use jiff::Timestamp;

use super::account_rows::locked;
use super::columns::STORED_LINK;
use super::database::Connection;
use super::ids::Sequence;
use super::transaction::failed;
use super::{PostgresStore, logins};
use crate::error::corrupt;
use crate::link_rows::stored_link;
use crate::rows::{timestamp, to_json};

/// Expired rows that are removed with each new one.
const SWEPT_MAX: i64 = 100;

/// As `AccountStore::mail_link`.
pub(super) async fn mail(store: &PostgresStore, new: NewLink) -> Result<bool, StoreError> {
    let mut work = store.begin().await?;
    let Some(user) = account_for(&mut work, &new).await? else { return Ok(false) };
    let (purpose, now_ms) = (new.purpose.as_str(), new.now.as_millisecond());
    let displaced = link::displaced(open(&mut work, user.id, purpose).await?);
    let sql = "UPDATE account_links SET ended_at = $2 WHERE id = ANY($1)";
    let displaced: Vec<i64> = displaced.into_iter().map(|link| link.0).collect();
    let query = sqlx::query(sql).bind(displaced).bind(now_ms);
    query.execute(&mut *work).await.map_err(failed)?;
    let sql = "INSERT INTO account_links (user_id, purpose, email, created_at, expires_at) \
               VALUES ($1, $2, $3, $4, $5) RETURNING id";
    let expires_ms = new.purpose.expires_at(new.now).as_millisecond();
    let query = sqlx::query_scalar(sql).bind(user.id.0).bind(purpose).bind(user.email());
    let query = query.bind(now_ms).bind(expires_ms);
    let link = LinkId(query.fetch_one(&mut *work).await.map_err(failed)?);
    queue(store, &mut work, link, &new.purpose.message(&user, new.now), new.now).await?;
    sweep(&mut work, new.now).await?;
    work.commit().await?;
    Ok(true)
}

/// The account of a new link, locked, if the link is of use to it.
async fn account_for(
    connection: &mut Connection,
    new: &NewLink,
) -> Result<Option<User>, StoreError> {
    let id = match &new.to {
        LinkTo::User(id) => *id,
        LinkTo::Email(email) => {
            let sql = "SELECT coalesce((SELECT user_id FROM addresses \
                       WHERE channel = 'EMAIL' AND lower(address) = lower($1 COLLATE \"C\")), \
                       (SELECT user_id FROM name_keys \
                       WHERE kind = 'email' AND key = $2 AND key <> ''))";
            let query = sqlx::query_scalar(sql).bind(email).bind(email_key(email));
            match query.fetch_one(&mut *connection).await.map_err(failed)? {
                Some(id) => UserId(id),
                None => return Ok(None),
            }
        }
    };
    let Some((user, has_password)) = locked(connection, id).await? else { return Ok(None) };
    // It may have had another address a moment ago.
    let has_moved = match &new.to {
        LinkTo::User(_) => false,
        LinkTo::Email(email) => !is_same_name(user.email(), email),
    };
    Ok((!has_moved && link::is_of_use(new.purpose, &user, has_password)).then_some(user))
}

/// The account's open links of that purpose.
async fn open(
    connection: &mut Connection,
    user: UserId,
    purpose: &str,
) -> Result<Vec<(Timestamp, LinkId)>, StoreError> {
    let sql = "SELECT created_at, id FROM account_links \
               WHERE ended_at IS NULL AND user_id = $1 AND purpose = $2";
    let query = sqlx::query_as(sql).bind(user.0).bind(purpose);
    let rows: Vec<(i64, i64)> = query.fetch_all(connection).await.map_err(failed)?;
    let link = |(created_ms, id)| Ok((timestamp(created_ms)?, LinkId(id)));
    rows.into_iter().map(link).collect()
}

/// The last step that waits for no lock: two that sweep at once hold rows of each other's accounts.
async fn sweep(connection: &mut Connection, now: Timestamp) -> Result<(), StoreError> {
    let sql = "DELETE FROM account_links WHERE id IN (SELECT id FROM account_links \
               WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)";
    let before_ms = link::forgotten_before(now).as_millisecond();
    let query = sqlx::query(sql).bind(before_ms).bind(SWEPT_MAX);
    query.execute(connection).await.map_err(failed)?;
    Ok(())
}

/// Writes the e-mail's message and its delivery.
async fn queue(
    store: &PostgresStore,
    connection: &mut Connection,
    link: LinkId,
    message: &Message,
    now: Timestamp,
) -> Result<(), StoreError> {
    let message_id = MessageId(id(store, connection, Sequence::Messages).await?);
    let sql = "INSERT INTO messages (id, event, kind, title, body, action_url, metadata, \
               sender_id, priority, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let query = sqlx::query(sql)
        .bind(message_id.0)
        .bind(message.event.as_str())
        .bind(message.kind.as_str())
        .bind(&message.title)
        .bind(&message.body)
        .bind(&message.action_url)
        .bind(to_json(&message.metadata)?)
        .bind(message.sender.map(|user| user.0))
        .bind(message.priority.as_str())
        .bind(message.created_at.as_millisecond());
    query.execute(&mut *connection).await.map_err(failed)?;
    let delivery = DeliveryId(id(store, connection, Sequence::Deliveries).await?);
    let route = Route::plain(Channel::Email, now);
    let sql = "INSERT INTO deliveries (id, message_id, channel, target_id, status, rule, due_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let query = sqlx::query(sql)
        .bind(delivery.0)
        .bind(message_id.0)
        .bind(route.channel.as_str())
        .bind(link.0)
        .bind(route.status.as_str())
        .bind(route.rule.map(|rule| rule.as_str()))
        .bind(route.due_at.as_millisecond());
    query.execute(connection).await.map_err(failed)?;
    Ok(())
}

/// The next id of that kind.
async fn id(
    store: &PostgresStore,
    connection: &mut Connection,
    sequence: Sequence,
) -> Result<i64, StoreError> {
    if let Some(id) = store.ids.take(sequence) {
        return Ok(id);
    }
    store.ids.reserve(connection, sequence, 1).await.map_err(failed)?;
    store.ids.take(sequence).ok_or_else(|| corrupt("sequence"))
}

/// As `AccountStore::is_link_open`.
pub(super) async fn is_open(
    store: &PostgresStore,
    link: &AccountLink,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let query = sqlx::query(STORED_LINK).bind(link.id.0);
    let row = query.fetch_optional(&store.pool).await.map_err(failed)?;
    let stored = row.map(|row| stored_link(&row)).transpose()?;
    Ok(link::is_open(stored.as_ref(), link, now))
}

/// As `AccountStore::reset_password`.
pub(super) async fn reset(
    store: &PostgresStore,
    link: AccountLink,
    password_hash: String,
    now: Timestamp,
) -> Result<Option<Vec<EndedLogin>>, StoreError> {
    let mut work = store.begin().await?;
    if !spend(&mut work, &link, now).await? {
        return Ok(None);
    }
    verify(&mut work, &link).await?;
    let user = link.user;
    let change = PasswordChange { user, password_hash, seen: None, keep: None, now };
    set_password(&mut work, &change).await?;
    let ended = logins::end_all(&mut work, user, None, now).await?;
    work.commit().await?;
    Ok(Some(ended))
}

/// As `AccountStore::confirm_email`.
pub(super) async fn confirm(
    store: &PostgresStore,
    link: AccountLink,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut work = store.begin().await?;
    if !spend(&mut work, &link, now).await? {
        return Ok(false);
    }
    verify(&mut work, &link).await?;
    work.commit().await?;
    Ok(true)
}

/// As `AccountStore::change_password`.
pub(super) async fn change_password(
    store: &PostgresStore,
    change: PasswordChange,
) -> Result<Vec<EndedLogin>, StoreError> {
    let mut work = store.begin().await?;
    if !set_password(&mut work, &change).await? {
        return Err(StoreError::NotFound);
    }
    let ended = logins::end_all(&mut work, change.user, change.keep, change.now).await?;
    work.commit().await?;
    Ok(ended)
}

/// Uses the link; whether it may be used.
async fn spend(
    connection: &mut Connection,
    link: &AccountLink,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let account = locked(connection, link.user).await?.map(|(account, _)| account);
    let query = sqlx::query(STORED_LINK).bind(link.id.0);
    let row = query.fetch_optional(&mut *connection).await.map_err(failed)?;
    let stored = row.map(|row| stored_link(&row)).transpose()?;
    let is_used = link::may_use(stored.as_ref(), account.as_ref(), link, now);
    if is_used {
        let sql = "UPDATE account_links SET ended_at = $2 WHERE id = $1";
        let query = sqlx::query(sql).bind(link.id.0).bind(now.as_millisecond());
        query.execute(connection).await.map_err(failed)?;
    }
    Ok(is_used)
}

/// The holder of a link has received an e-mail at the account's address.
async fn verify(connection: &mut Connection, link: &AccountLink) -> Result<(), StoreError> {
    let sql = "UPDATE users SET email_verified = TRUE WHERE id = $1";
    sqlx::query(sql).bind(link.user.0).execute(connection).await.map_err(failed)?;
    Ok(())
}

/// Whether the account still has the password that was verified; with another one its open links
/// for a new password are void. Locks the account.
async fn set_password(
    connection: &mut Connection,
    change: &PasswordChange,
) -> Result<bool, StoreError> {
    let PasswordChange { user, password_hash, seen, now, .. } = change;
    let sql = "UPDATE users SET password_hash = $2 \
               WHERE id = $1 AND ($3::TEXT IS NULL OR password_hash = $3)";
    let query = sqlx::query(sql).bind(user.0).bind(password_hash).bind(seen);
    if query.execute(&mut *connection).await.map_err(failed)?.rows_affected() == 0 {
        return Ok(false);
    }
    let sql = "UPDATE account_links SET ended_at = $2 \
               WHERE ended_at IS NULL AND user_id = $1 AND purpose = 'password'";
    let query = sqlx::query(sql).bind(user.0).bind(now.as_millisecond());
    query.execute(connection).await.map_err(failed)?;
    Ok(true)
}

/// The account, which the caller has locked, has another address: links sent to the previous one
/// are void.
pub(super) async fn void_all(connection: &mut Connection, user: UserId) -> Result<(), StoreError> {
    let sql = "UPDATE account_links SET ended_at = created_at \
               WHERE ended_at IS NULL AND user_id = $1";
    sqlx::query(sql).bind(user.0).execute(connection).await.map_err(failed)?;
    Ok(())
}
