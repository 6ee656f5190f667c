//! Push subscriptions of browsers: added and removed one by one, and removed when their push
//! service reports that they are gone.

use bellpull_domain::delivery::{Attempt, OutcomeKind};
use bellpull_domain::ids::{LoginId, UserId};
use bellpull_domain::routing::Channel;
use bellpull_port::StoreError;
use bellpull_port::push::{NewSubscription, SUBSCRIPTIONS_MAX};
use jiff::Timestamp;
use rusqlite::Connection;

use super::super::multi_row::id_list;
use super::super::statement::{execute, one};
use super::failure::Failure;
use super::{Answer, Done};

/// Subscribes a browser, replacing its previous user. Another user's is another subscription: what
/// was on its way to the previous user must not be shown to the next.
pub(super) fn subscribe(
    connection: &Connection,
    user: UserId,
    browser: &NewSubscription,
    now: Timestamp,
) -> Result<Answer, Failure> {
    let sql = "SELECT EXISTS (SELECT 1 FROM users WHERE id = ?)";
    let exists: bool = one(connection, sql, (user.0,), |row| row.get(0))?;
    let login = browser.login.map(|login| login.0);
    let sql = "SELECT EXISTS (SELECT 1 FROM logins WHERE id = ? AND revoked_at IS NOT NULL)";
    let has_ended: bool = one(connection, sql, (login,), |row| row.get(0))?;
    if !exists || has_ended {
        return Ok(Err(StoreError::NotFound));
    }
    let sql = "DELETE FROM push_subscriptions WHERE endpoint = ? AND user_id <> ?";
    execute(connection, sql, (&browser.endpoint, user.0))?;
    let sql = "INSERT INTO push_subscriptions \
               (user_id, endpoint, lane, p256dh, auth, created_at, login_id) \
               VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (endpoint) DO UPDATE SET \
               p256dh = excluded.p256dh, auth = excluded.auth, created_at = excluded.created_at, \
               login_id = excluded.login_id RETURNING id";
    let NewSubscription { endpoint, lane, p256dh, auth, login: _ } = browser;
    let values = (user.0, endpoint, lane, p256dh, auth, now.as_millisecond(), login);
    let id = one(connection, sql, values, |row| row.get(0))?;
    let sql = "DELETE FROM push_subscriptions WHERE user_id = ?1 AND id NOT IN \
               (SELECT id FROM push_subscriptions WHERE user_id = ?1 \
               ORDER BY created_at DESC, id DESC LIMIT ?2)";
    execute(connection, sql, (user.0, SUBSCRIPTIONS_MAX))?;
    Ok(Ok(Done::Subscribed(id)))
}

/// Removes one of the user's subscriptions.
pub(super) fn unsubscribe(
    connection: &Connection,
    user: UserId,
    endpoint: &str,
) -> Result<Answer, Failure> {
    let sql = "DELETE FROM push_subscriptions WHERE endpoint = ? AND user_id = ?";
    Ok(Ok(Done::Changed(execute(connection, sql, (endpoint, user.0))?)))
}

/// A login has ended, and what it subscribed with it.
pub(super) fn end_with(connection: &Connection, login: LoginId) -> rusqlite::Result<()> {
    let sql = "DELETE FROM push_subscriptions WHERE login_id = ?";
    execute(connection, sql, (login.0,)).map(drop)
}

/// Removes subscriptions that do not exist any more according to these attempts. Other deliveries
/// to them are held back when they are due.
pub(super) fn forget_gone(connection: &Connection, attempts: &[&Attempt]) -> rusqlite::Result<()> {
    let gone = attempts.iter().filter(|attempt| attempt.outcome.kind() == OutcomeKind::Gone);
    let gone: Vec<i64> = gone.map(|attempt| attempt.delivery.0).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let sql = "DELETE FROM push_subscriptions WHERE id IN (SELECT target_id FROM deliveries \
               WHERE id IN (SELECT value FROM json_each(?1)) AND channel = ?2)";
    execute(connection, sql, (id_list(gone), Channel::Push.as_str())).map(drop)
}
