//! Push subscriptions of browsers. They are removed with the attempt by which their push service
//! reports that they are gone: see [`super::attempts`].

use async_trait::async_trait;
use bellpull_domain::delivery::PushTarget;
use bellpull_domain::ids::UserId;
use bellpull_port::push::{NewSubscription, SUBSCRIPTIONS_MAX};
use bellpull_port::{PushStore, StoreError};
use jiff::Timestamp;

use super::locks::{class, lock};
use super::transaction::failed;
use super::{PostgresStore, account_rows};
use crate::rows::push_target;

/// Held while a browser gets its user: two users at once are one after the other. The browser is
/// hashed.
const LOCK_BROWSER: &str = concat!("SELECT ", lock!(browser, "hashtext($1)"));

/// Of too many browsers the oldest go. Rows that another transaction is about to remove are not
/// waited for.
const REMOVE_EXCESS: &str = "DELETE FROM push_subscriptions WHERE id IN \
    (SELECT id FROM push_subscriptions WHERE user_id = $1 \
    ORDER BY created_at DESC, id DESC OFFSET $2 FOR UPDATE SKIP LOCKED)";

#[async_trait]
impl PushStore for PostgresStore {
    /// Another user's is another subscription: what was on its way to the previous user must not be
    /// shown to the next.
    async fn subscribe(
        &self,
        user: UserId,
        browser: NewSubscription,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let NewSubscription { endpoint, lane, p256dh, auth, login } = &browser;
        let login = login.map(|login| login.0);
        let mut work = self.begin().await?;
        sqlx::query(LOCK_BROWSER).bind(endpoint).execute(&mut *work).await.map_err(failed)?;
        account_rows::lock(&mut work, user).await?;
        // Its end waits for this, or this sees it.
        let sql = "SELECT revoked_at IS NOT NULL FROM logins WHERE id = $1 FOR SHARE";
        let query = sqlx::query_scalar(sql).bind(login);
        if query.fetch_optional(&mut *work).await.map_err(failed)? == Some(true) {
            return Err(StoreError::NotFound);
        }
        let sql = "DELETE FROM push_subscriptions WHERE endpoint = $1 AND user_id <> $2";
        let query = sqlx::query(sql).bind(endpoint).bind(user.0);
        query.execute(&mut *work).await.map_err(failed)?;
        let sql = "INSERT INTO push_subscriptions \
                   (user_id, endpoint, lane, p256dh, auth, created_at, login_id) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (endpoint) DO UPDATE SET \
                   p256dh = excluded.p256dh, auth = excluded.auth, \
                   created_at = excluded.created_at, login_id = excluded.login_id RETURNING id";
        let query = sqlx::query_scalar(sql).bind(user.0).bind(endpoint).bind(lane);
        let query = query.bind(p256dh).bind(auth).bind(now.as_millisecond()).bind(login);
        let id = query.fetch_one(&mut *work).await.map_err(failed)?;
        let query = sqlx::query(REMOVE_EXCESS).bind(user.0).bind(i64::from(SUBSCRIPTIONS_MAX));
        query.execute(&mut *work).await.map_err(failed)?;
        work.commit().await?;
        Ok(id)
    }

    async fn subscription(
        &self,
        user: UserId,
        endpoint: &str,
    ) -> Result<Option<PushTarget>, StoreError> {
        let sql = "SELECT id, endpoint, p256dh, auth FROM push_subscriptions \
                   WHERE endpoint = $1 AND user_id = $2";
        let query = sqlx::query(sql).bind(endpoint).bind(user.0);
        let row = query.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(push_target).transpose()
    }

    async fn unsubscribe(&self, user: UserId, endpoint: &str) -> Result<bool, StoreError> {
        let mut work = self.begin().await?;
        let sql = "DELETE FROM push_subscriptions WHERE endpoint = $1 AND user_id = $2";
        let query = sqlx::query(sql).bind(endpoint).bind(user.0);
        let removed = query.execute(&mut *work).await.map_err(failed)?.rows_affected();
        work.commit().await?;
        Ok(removed > 0)
    }
}
