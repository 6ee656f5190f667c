//! Push subscriptions of browsers. They are removed with the attempt by which their push service
//! reports that they are gone.

use async_trait::async_trait;
use bellpull_domain::delivery::PushTarget;
use bellpull_domain::ids::UserId;
use bellpull_port::push::{NewSubscription, SUBSCRIPTIONS_MAX};
use bellpull_port::{PushStore, StoreError};
use jiff::Timestamp;

use super::accounts;
use crate::engine::{Change, Db, Dialect, Engine, Failure, Operation, sql, values};
use crate::postgres::{class, lock};
use crate::rows::push_target;

#[async_trait]
impl<D: Dialect> PushStore for Engine<D> {
    async fn subscribe(
        &self,
        user: UserId,
        browser: NewSubscription,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        self.write(Subscribe { user, browser, now }).await
    }

    async fn subscription(
        &self,
        user: UserId,
        endpoint: &str,
    ) -> Result<Option<PushTarget>, StoreError> {
        let sql = sql!(
            "SELECT id, endpoint, p256dh, auth FROM push_subscriptions \
             WHERE endpoint = $1 AND user_id = $2"
        );
        self.row(sql, values![endpoint, user], push_target).await
    }

    async fn unsubscribe(&self, user: UserId, endpoint: &str) -> Result<bool, StoreError> {
        let sql = sql!("DELETE FROM push_subscriptions WHERE endpoint = $1 AND user_id = $2");
        Ok(self.write(Change::new(sql, values![endpoint, user]).of_people()).await? > 0)
    }
}

/// Subscribes a browser, replacing its previous user. Another user's is another subscription: what
/// was on its way to the previous user must not be shown to the next.
#[derive(Debug)]
struct Subscribe {
    user: UserId,
    browser: NewSubscription,
    now: Timestamp,
}

impl Operation for Subscribe {
    type Answer = i64;

    fn changes_people(&self) -> bool {
        true
    }

    async fn run(&self, db: &mut Db<'_>) -> Result<i64, Failure> {
        let Self { user, browser, now } = self;
        let NewSubscription { endpoint, lane, p256dh, auth, login } = browser;
        // Two users at once are one after the other. The browser is hashed.
        let held = sql!("{|SELECT ", lock!(browser, "hashtext($1)"), "}");
        db.execute(held, values![endpoint]).await?;
        accounts::lock(db, *user).await?;
        // Its end waits for this, or this sees it.
        let sql = sql!("SELECT revoked_at FROM logins WHERE id = $1{| FOR SHARE}");
        if db.int(sql, values![*login]).await?.is_some() {
            return Err(StoreError::NotFound.into());
        }
        let sql = sql!("DELETE FROM push_subscriptions WHERE endpoint = $1 AND user_id <> $2");
        db.execute(sql, values![endpoint, *user]).await?;
        let sql = sql!(
            "INSERT INTO push_subscriptions \
             (user_id, endpoint, lane, p256dh, auth, created_at, login_id) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (endpoint) DO UPDATE SET \
             p256dh = excluded.p256dh, auth = excluded.auth, created_at = excluded.created_at, \
             login_id = excluded.login_id RETURNING id"
        );
        let id = db.count(sql, values![*user, endpoint, lane, p256dh, auth, *now, *login]).await?;
        // Of too many browsers the oldest go. Rows that another transaction is about to remove are
        // not waited for.
        let sql = sql!(
            "DELETE FROM push_subscriptions WHERE id IN \
             (SELECT id FROM push_subscriptions WHERE user_id = $1 \
             ORDER BY created_at DESC, id DESC {LIMIT -1 |}OFFSET $2{| FOR UPDATE SKIP LOCKED})"
        );
        db.execute(sql, values![*user, SUBSCRIPTIONS_MAX]).await?;
        Ok(id)
    }
}
