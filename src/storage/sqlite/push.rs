//! Push subscriptions of browsers.

use async_trait::async_trait;
use bellpull_domain::delivery::PushTarget;
use bellpull_domain::ids::UserId;
use bellpull_port::push::NewSubscription;
use bellpull_port::{PushStore, StoreError};
use jiff::Timestamp;

use super::SqliteStore;
use super::error::unavailable;
use super::rows::push_target;
use super::writer::{Done, Write, mismatch};

#[async_trait]
impl PushStore for SqliteStore {
    async fn subscribe(
        &self,
        user: UserId,
        browser: NewSubscription,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let write = Write::Subscribe { user, browser: Box::new(browser), now };
        let Done::Subscribed(id) = self.writer.write(write).await? else {
            return Err(mismatch());
        };
        Ok(id)
    }

    async fn subscription(
        &self,
        user: UserId,
        endpoint: &str,
    ) -> Result<Option<PushTarget>, StoreError> {
        let sql = "SELECT id, endpoint, p256dh, auth FROM push_subscriptions \
                   WHERE endpoint = ? AND user_id = ?";
        let query = sqlx::query(sql).bind(endpoint).bind(user.0);
        let row = query.fetch_optional(&self.readers).await.map_err(unavailable)?;
        row.as_ref().map(push_target).transpose()
    }

    async fn unsubscribe(&self, user: UserId, endpoint: &str) -> Result<bool, StoreError> {
        let write = Write::Unsubscribe { user, endpoint: endpoint.to_owned() };
        let Done::Changed(rows) = self.writer.write(write).await? else { return Err(mismatch()) };
        Ok(rows > 0)
    }
}
