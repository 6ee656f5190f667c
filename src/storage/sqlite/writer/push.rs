//! Browsers that may be told: they come and go one by one, and go by themselves when their push
//! service says so.

use bellpull_actors::domain::delivery::{Attempt, OutcomeKind};
use bellpull_actors::domain::ids::UserId;
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::port::StoreError;
use bellpull_actors::port::push::{NewSubscription, SUBSCRIPTIONS_MAX};
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::super::multi_row::id_list;
use super::group::Failure;
use super::{Answer, Done};

/// Subscribes a browser, or its next user in the place of the one before. Another user's is
/// another subscription: what was on its way to the one before must not be shown to the next.
pub(super) async fn subscribe(
    connection: &mut SqliteConnection,
    user: UserId,
    browser: &NewSubscription,
    now: Timestamp,
) -> Result<Answer, Failure> {
    let sql = "SELECT EXISTS (SELECT 1 FROM users WHERE id = ?)";
    let exists: bool = sqlx::query_scalar(sql).bind(user.0).fetch_one(&mut *connection).await?;
    if !exists {
        return Ok(Err(StoreError::NotFound));
    }
    let sql = "DELETE FROM push_subscriptions WHERE endpoint = ? AND user_id <> ?";
    let query = sqlx::query(sql).bind(&browser.endpoint).bind(user.0);
    query.execute(&mut *connection).await?;
    let sql = "INSERT INTO push_subscriptions (user_id, endpoint, lane, p256dh, auth, created_at) \
               VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (endpoint) DO UPDATE SET \
               p256dh = excluded.p256dh, auth = excluded.auth, created_at = excluded.created_at \
               RETURNING id";
    let id: i64 = sqlx::query_scalar(sql)
        .bind(user.0)
        .bind(&browser.endpoint)
        .bind(&browser.lane)
        .bind(&browser.p256dh)
        .bind(&browser.auth)
        .bind(now.as_millisecond())
        .fetch_one(&mut *connection)
        .await?;
    let sql = "DELETE FROM push_subscriptions WHERE user_id = ?1 AND id NOT IN \
               (SELECT id FROM push_subscriptions WHERE user_id = ?1 \
               ORDER BY created_at DESC, id DESC LIMIT ?2)";
    let query = sqlx::query(sql).bind(user.0).bind(SUBSCRIPTIONS_MAX);
    query.execute(connection).await?;
    Ok(Ok(Done::Subscribed(id)))
}

/// Forgets one of the user's browsers.
pub(super) async fn unsubscribe(
    connection: &mut SqliteConnection,
    user: UserId,
    endpoint: &str,
) -> Result<Answer, Failure> {
    let sql = "DELETE FROM push_subscriptions WHERE endpoint = ? AND user_id = ?";
    let query = sqlx::query(sql).bind(endpoint).bind(user.0);
    Ok(Ok(Done::Changed(query.execute(connection).await?.rows_affected())))
}

/// Forgets the browsers that do not exist any more, as these attempts have shown. What else is on
/// its way to them is held back when its turn comes.
pub(super) async fn forget_gone(
    connection: &mut SqliteConnection,
    attempts: &[&Attempt],
) -> Result<(), sqlx::Error> {
    let gone = attempts.iter().filter(|attempt| attempt.outcome.kind() == OutcomeKind::Gone);
    let gone: Vec<i64> = gone.map(|attempt| attempt.delivery.0).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let sql = "DELETE FROM push_subscriptions WHERE id IN (SELECT target_id FROM deliveries \
               WHERE id IN (SELECT value FROM json_each(?1)) AND channel = ?2)";
    let query = sqlx::query(sql).bind(id_list(gone)).bind(Channel::Push.as_str());
    query.execute(connection).await.map(drop)
}
