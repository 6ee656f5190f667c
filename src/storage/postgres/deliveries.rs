//! The outbox: leases and what becomes of them.
//!
//! Several nodes work on it. Each method locks the rows of deliveries that it changes, in the order
//! of their ids, except a lease: it passes over rows that others have locked.

use async_trait::async_trait;
use bellpull_domain::delivery::{Attempt, Leased, ProviderReport};
use bellpull_domain::ids::DeliveryId;
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::plan;
use bellpull_domain::routing::Channel;
use bellpull_port::{DeliveryStore, LeaseLimit, LeaseOwner, SetBack, StoreError};
use jiff::Timestamp;

use super::lanes::{held, lane_room, lanes};
use super::messages::contents_of;
use super::transaction::failed;
use super::{PostgresStore, attempts, leases, provider_reports};
use crate::error::{corrupt, unavailable};
use crate::leases::{Lease, LeasedRow};
use crate::rows::optional_timestamp;

#[async_trait]
impl DeliveryStore for PostgresStore {
    async fn lease(
        &self,
        owner: &LeaseOwner,
        channel: Channel,
        limit: LeaseLimit,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Leased>, StoreError> {
        let wanted = Lease { owner: owner.clone(), channel, limit, now, until };
        let rows = leases::lease(self.begin().await?, self.verify_email, &wanted).await?;
        // If this fails, the leases expire.
        let all = rows.iter().flat_map(LeasedRow::messages);
        let contents = contents_of(&self.contents, &self.pool, all).await?;
        rows.into_iter().map(|row| row.leased(channel, until, &contents)).collect()
    }

    async fn release(
        &self,
        owner: &LeaseOwner,
        channel: Channel,
        known: Vec<DeliveryId>,
    ) -> Result<u64, StoreError> {
        let sql = "WITH own AS (SELECT id FROM deliveries WHERE leased_until IS NOT NULL \
                   AND channel = $1 AND lease_owner = $2 AND id <> ALL ($3::bigint[]) \
                   ORDER BY id FOR UPDATE) \
                   UPDATE deliveries d SET leased_until = NULL, lease_owner = NULL \
                   FROM own WHERE d.id = own.id";
        let mut work = self.begin().await?;
        let known: Vec<i64> = known.into_iter().map(|id| id.0).collect();
        let query = sqlx::query(sql).bind(channel.as_str()).bind(owner.as_str()).bind(known);
        let done = query.execute(&mut *work).await.map_err(failed)?;
        work.commit().await?;
        Ok(done.rows_affected())
    }

    async fn set_back(&self, channel: Channel, clock: SetBack) -> Result<u64, StoreError> {
        let sql = "WITH early AS (SELECT id FROM deliveries WHERE status = 'QUEUED' \
                   AND leased_until IS NULL AND channel = $1 AND due_at > $2 \
                   AND (due_at <= $3 OR failures > 0) ORDER BY id FOR UPDATE) \
                   UPDATE deliveries d SET due_at = greatest($2, d.due_at - ($3 - $2)) \
                   FROM early WHERE d.id = early.id";
        let mut work = self.begin().await?;
        let query = sqlx::query(sql).bind(channel.as_str()).bind(clock.now.as_millisecond());
        let done = query.bind(clock.was.as_millisecond()).execute(&mut *work).await;
        let done = done.map_err(failed)?;
        work.commit().await?;
        Ok(done.rows_affected())
    }

    async fn repair_due(&self, channel: Channel, now: Timestamp) -> Result<u64, StoreError> {
        let sql = "WITH written AS (SELECT d.id, CASE WHEN d.failures > 0 THEN \
                   (SELECT max(a.started_at) FROM delivery_attempts a WHERE a.delivery_id = d.id) \
                   WHEN d.rule IS NULL THEN d.due_at WHEN d.rule = 'escalation' THEN \
                   (SELECT m.created_at FROM notifications n JOIN messages m \
                   ON m.id = n.message_id WHERE n.id = d.notification_id) END AS written_at \
                   FROM deliveries d WHERE d.status = 'QUEUED' AND d.leased_until IS NULL \
                   AND d.channel = $1 AND d.due_at > $2 ORDER BY d.id FOR UPDATE OF d) \
                   UPDATE deliveries d SET due_at = greatest($2, d.due_at - (w.written_at - $2)) \
                   FROM written w WHERE d.id = w.id AND w.written_at > $2 \
                   AND d.due_at >= w.written_at";
        let mut work = self.begin().await?;
        let query = sqlx::query(sql).bind(channel.as_str()).bind(now.as_millisecond());
        let done = query.execute(&mut *work).await.map_err(failed)?;
        work.commit().await?;
        Ok(done.rows_affected())
    }

    async fn record(&self, attempts: Vec<Attempt>) -> Result<(), StoreError> {
        if attempts.is_empty() {
            return Ok(());
        }
        attempts::record(self.begin().await?, &attempts).await
    }

    async fn give_back(
        &self,
        owner: &LeaseOwner,
        leases: Vec<(DeliveryId, u32)>,
    ) -> Result<(), StoreError> {
        if leases.is_empty() {
            return Ok(());
        }
        let sql = "WITH back AS (SELECT d.id FROM unnest($1::bigint[], $2::bigint[]) \
                   AS v (id, number) JOIN deliveries d ON d.id = v.id AND d.leases = v.number \
                   WHERE d.leased_until IS NOT NULL AND d.lease_owner = $3 \
                   ORDER BY d.id FOR UPDATE OF d) \
                   UPDATE deliveries d SET leased_until = NULL, lease_owner = NULL, \
                   leases = d.leases - 1 FROM back WHERE d.id = back.id";
        let (ids, numbers): (Vec<i64>, Vec<i64>) =
            leases.iter().map(|(id, number)| (id.0, i64::from(*number))).unzip();
        let mut work = self.begin().await?;
        let query = sqlx::query(sql).bind(ids).bind(numbers).bind(owner.as_str());
        query.execute(&mut *work).await.map_err(failed)?;
        work.commit().await
    }

    async fn extend(
        &self,
        owner: &LeaseOwner,
        leases: Vec<(DeliveryId, u32)>,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "WITH held AS (SELECT d.id FROM unnest($1::bigint[], $2::bigint[]) \
                   AS v (id, number) JOIN deliveries d ON d.id = v.id AND d.leases = v.number \
                   WHERE d.leased_until IS NOT NULL AND d.lease_owner = $3 \
                   ORDER BY d.id FOR UPDATE OF d) \
                   UPDATE deliveries d SET leased_until = $4 FROM held WHERE d.id = held.id";
        let all = u64::try_from(leases.len()).unwrap_or(u64::MAX);
        let (ids, numbers): (Vec<i64>, Vec<i64>) =
            leases.iter().map(|(id, number)| (id.0, i64::from(*number))).unzip();
        let mut work = self.begin().await?;
        let query = sqlx::query(sql).bind(ids).bind(numbers).bind(owner.as_str());
        let query = query.bind(until.as_millisecond());
        let done = query.execute(&mut *work).await.map_err(failed)?;
        work.commit().await?;
        Ok(done.rows_affected() == all)
    }

    async fn next_due(
        &self,
        owner: &LeaseOwner,
        channel: Channel,
        lane_max: u32,
    ) -> Result<Option<Timestamp>, StoreError> {
        // An expired lease stays its owner's until another takes it: `held` counts all.
        let sql = concat!(
            "WITH RECURSIVE ",
            lanes!(),
            ", ",
            held!("$4"),
            " SELECT least((SELECT min(q.due_at) FROM lanes l CROSS JOIN LATERAL \
             (SELECT d.due_at FROM deliveries d WHERE d.status = 'QUEUED' \
             AND d.leased_until IS NULL AND d.channel = $1 AND d.lane = l.lane \
             ORDER BY d.due_at, d.id LIMIT 1) q WHERE l.lane NOT IN \
             (SELECT h.lane FROM held h WHERE h.count >= ",
            lane_room!("h.lane", "$3"),
            ")), (SELECT min(leased_until) FROM leased))"
        );
        let query = sqlx::query_scalar(sql).bind(channel.as_str()).bind(i64::MIN);
        let query = query.bind(i64::from(lane_max)).bind(owner.as_str());
        let next: Option<i64> = query.fetch_one(&self.pool).await.map_err(failed)?;
        optional_timestamp(next)
    }

    async fn reported(
        &self,
        channel: Channel,
        report: ProviderReport,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        // Callers wait here, not for a connection: that has a time limit.
        let _turn = self.provider_reports.acquire().await.map_err(unavailable)?;
        provider_reports::take(&self.pool, channel, report, now).await
    }

    async fn retry(&self, delivery: DeliveryId, now: Timestamp) -> Result<bool, StoreError> {
        let mut work = self.begin().await?;
        let sql = "SELECT status FROM deliveries WHERE id = $1 FOR UPDATE";
        let query = sqlx::query_scalar(sql).bind(delivery.0);
        let status: Option<String> = query.fetch_optional(&mut *work).await.map_err(failed)?;
        let status =
            status.map(|name| DeliveryStatus::from_name(&name).ok_or_else(|| corrupt("status")));
        let Some(retried) = status.transpose()?.and_then(|status| plan::retry::retry(status, now))
        else {
            work.roll_back().await;
            return Ok(false);
        };
        let sql = "UPDATE deliveries SET status = $2, due_at = $3, failures = $4, \
                   provider_id = NULL, provider_status = NULL, provider_at = NULL, sent_at = NULL \
                   WHERE id = $1";
        let query = sqlx::query(sql).bind(delivery.0).bind(retried.status.as_str());
        let query = query.bind(retried.due_at.as_millisecond());
        let query = query.bind(i64::from(retried.failures));
        query.execute(&mut *work).await.map_err(failed)?;
        work.commit().await?;
        Ok(true)
    }
}
