//! The outbox: leases and outcomes go through the writer, other reads do not.

use async_trait::async_trait;
use bellpull_domain::delivery::{Attempt, Leased, ProviderReport};
use bellpull_domain::ids::DeliveryId;
use bellpull_domain::routing::Channel;
use bellpull_port::{DeliveryStore, LeaseLimit, LeaseOwner, SetBack, StoreError};
use jiff::Timestamp;

use super::SqliteStore;
use super::lanes::{held, lane_room, lanes};
use super::leases::{Lease, LeasedRow};
use super::messages::contents_of;
use super::rows::{Columns, optional_timestamp};
use super::writer::{Done, Report, Write, mismatch};
use crate::engine::{Dialect, Row, sql, values};

#[async_trait]
impl DeliveryStore for SqliteStore {
    async fn lease(
        &self,
        owner: &LeaseOwner,
        channel: Channel,
        limit: LeaseLimit,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Leased>, StoreError> {
        let lease = Write::Lease(Lease { owner: owner.clone(), channel, limit, now, until });
        let Done::Leased(rows) = self.writer.write(lease).await? else { return Err(mismatch()) };
        // If this fails, the leases expire.
        let all = rows.iter().flat_map(LeasedRow::messages);
        let contents = contents_of(&self.contents, &self.short_reads, all).await?;
        // A hub has the file for itself: no other process takes a delivery over, whatever the clock
        // says. The stored end is for leases whose answer was lost.
        let held_until = if self.is_hubs { Timestamp::MAX } else { until };
        rows.into_iter().map(|row| row.leased(channel, held_until, &contents)).collect()
    }

    async fn release(
        &self,
        owner: &LeaseOwner,
        channel: Channel,
        known: Vec<DeliveryId>,
    ) -> Result<u64, StoreError> {
        self.changed(Write::Release(owner.clone(), channel, known)).await
    }

    async fn set_back(&self, channel: Channel, clock: SetBack) -> Result<u64, StoreError> {
        self.changed(Write::SetBack(channel, clock)).await
    }

    async fn repair_due(&self, channel: Channel, now: Timestamp) -> Result<u64, StoreError> {
        self.changed(Write::RepairDue(channel, now)).await
    }

    async fn record(&self, attempts: Vec<Attempt>) -> Result<(), StoreError> {
        self.writer.write(Write::Record(attempts)).await.map(drop)
    }

    async fn give_back(
        &self,
        owner: &LeaseOwner,
        leases: Vec<(DeliveryId, u32)>,
    ) -> Result<(), StoreError> {
        self.writer.write(Write::GiveBack(owner.clone(), leases)).await.map(drop)
    }

    async fn extend(
        &self,
        owner: &LeaseOwner,
        leases: Vec<(DeliveryId, u32)>,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let all = u64::try_from(leases.len()).unwrap_or(u64::MAX);
        Ok(self.changed(Write::Extend(owner.clone(), leases, until)).await? == all)
    }

    async fn next_due(
        &self,
        owner: &LeaseOwner,
        channel: Channel,
        lane_max: u32,
    ) -> Result<Option<Timestamp>, StoreError> {
        let sql = sql!(
            "WITH RECURSIVE ",
            lanes!(),
            ", ",
            held!("?4"),
            " SELECT min(at) AS next FROM (SELECT (SELECT min(q.due_at) FROM deliveries q \
             WHERE q.status = 'QUEUED' AND q.leased_until IS NULL AND q.channel = ?1 \
             AND q.lane = l.lane) AS at FROM lanes l WHERE l.lane IS NOT NULL \
             AND l.lane NOT IN (SELECT h.lane FROM held h WHERE h.count >= ",
            lane_room!("h.lane", "?3"),
            ") UNION ALL SELECT min(leased_until) FROM deliveries \
             WHERE leased_until IS NOT NULL AND channel = ?1)"
        );
        // An expired lease stays its owner's until another takes it.
        let ever = i64::MIN;
        let values = values![channel.as_str(), ever, lane_max, owner.as_str()];
        let next = |row: &Row| optional_timestamp(row.int("next")?);
        Ok(self.row(sql, values, next).await?.flatten())
    }

    async fn reported(
        &self,
        channel: Channel,
        report: ProviderReport,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        // Others may send from the same number: a report that cannot be ours costs no write.
        let sql = sql!(
            "SELECT EXISTS (SELECT 1 FROM deliveries WHERE channel = $1 AND provider_id = $2) \
             OR EXISTS (SELECT 1 FROM deliveries WHERE leased_until IS NOT NULL \
             AND channel = $1) AS may_be_ours"
        );
        let values = values![channel.as_str(), &report.provider_id];
        if self.row(sql, values, |row| row.flag("may_be_ours")).await? != Some(true) {
            return Ok(false);
        }
        let report = Box::new(Report { channel, report, now });
        Ok(self.changed(Write::Report(report)).await? > 0)
    }

    async fn retry(&self, delivery: DeliveryId, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.changed(Write::Retry { delivery, now }).await? > 0)
    }
}

impl SqliteStore {
    /// Writes it; returns how many rows changed.
    pub(super) async fn changed(&self, write: Write) -> Result<u64, StoreError> {
        let Done::Changed(rows) = self.writer.write(write).await? else { return Err(mismatch()) };
        Ok(rows)
    }
}
