//! Tickets for sockets: issued at one node, redeemed at any, once.

use std::time::Duration;

use async_trait::async_trait;
use bellpull_domain::ids::{LoginId, UserId};
use bellpull_port::shared_tickets::{TicketHash, TicketHolder};
use bellpull_port::{SharedTickets, StoreError};

use super::Postgres;
use super::transaction::failed;
use crate::rows::timestamp;

/// Each new ticket also removes some that have expired, so that unused ones do not accumulate.
const KEEP: &str = "WITH clock AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint \
    AS ms), swept AS (DELETE FROM connect_tickets WHERE hash IN (SELECT t.hash \
    FROM connect_tickets t WHERE t.made_at <= (SELECT ms FROM clock) - $5 \
    ORDER BY t.made_at LIMIT 16 FOR UPDATE SKIP LOCKED)) \
    INSERT INTO connect_tickets (hash, user_id, login_id, expires_at, made_at) \
    SELECT $1, $2, $3, $4, clock.ms FROM clock WHERE (SELECT count(*) FROM connect_tickets t \
    WHERE t.user_id = $2 AND t.made_at > clock.ms - $5) < $6";

const TAKE: &str = "DELETE FROM connect_tickets WHERE hash = $1 RETURNING user_id, login_id, \
    expires_at, made_at > (extract(epoch FROM clock_timestamp()) * 1000)::bigint - $2";

#[async_trait]
impl SharedTickets for Postgres {
    async fn keep_ticket(
        &self,
        hash: TicketHash,
        holder: TicketHolder,
        ttl: Duration,
        most: u32,
    ) -> Result<bool, StoreError> {
        let TicketHolder { user, login, expires_at } = holder;
        let kept = sqlx::query(KEEP)
            .bind(hash.as_slice())
            .bind(user.0)
            .bind(login.map(|login| login.0))
            .bind(expires_at.as_millisecond())
            .bind(millis(ttl))
            .bind(i64::from(most))
            .execute(&self.pool)
            .await
            .map_err(failed)?;
        Ok(kept.rows_affected() > 0)
    }

    async fn take_ticket(
        &self,
        hash: TicketHash,
        ttl: Duration,
    ) -> Result<Option<TicketHolder>, StoreError> {
        let query = sqlx::query_as(TAKE).bind(hash.as_slice()).bind(millis(ttl));
        let taken: Option<(i64, Option<i64>, i64, bool)> =
            query.fetch_optional(&self.pool).await.map_err(failed)?;
        let Some((user, login, expires_at, true)) = taken else { return Ok(None) };
        let expires_at = timestamp(expires_at)?;
        Ok(Some(TicketHolder { user: UserId(user), login: login.map(LoginId), expires_at }))
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
