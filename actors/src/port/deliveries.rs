//! What the channels need of a store: the outbox.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::delivery::{Attempt, Leased, ProviderReport};
use crate::domain::ids::DeliveryId;
use crate::domain::routing::Channel;

/// Deliveries on their way out. They are written in the transaction of their event (see
/// [`super::TicketStore::commit`]); here they are leased, and what became of them is recorded. No
/// transaction is ever held while a provider is called.
#[async_trait]
pub trait DeliveryStore: std::fmt::Debug + Send + Sync + 'static {
    /// Leases the longest due deliveries of a channel that nobody has leased, within `limit`, in
    /// one transaction: nobody else gets them before `until`. The attempt has its number from
    /// here, so that one that was cut off and the next can be told apart. A digest's
    /// deliveries are leased together, as one. As many as the limit allows, or all that are due
    /// where there are fewer.
    ///
    /// A lane is what may be slow by itself: the host of a push service, or of somebody's
    /// webhook; a channel with one provider is one lane. However much waits in a lane, no more of
    /// it is leased at once than its part, and the others are found past it.
    async fn lease(
        &self,
        channel: Channel,
        limit: LeaseLimit,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Leased>, StoreError>;

    /// Ends all leases of a channel that this node holds: its actor has ended, and whoever sent
    /// for it with it. How many there were.
    async fn release(&self, channel: Channel) -> Result<u64, StoreError>;

    /// Records attempts, many in one transaction: the delivery's status, its provider's id, when
    /// it is due again, and a row an attempt. An attempt that has been recorded before changes
    /// nothing. One whose delivery has moved on since (its lease ended, and somebody else has it,
    /// or has recorded a later one) leaves its row only, unless the provider took it: then the
    /// delivery is sent, whatever became of it meanwhile.
    async fn record(&self, attempts: Vec<Attempt>) -> Result<(), StoreError>;

    /// Gives leases back unused, as if they had never been taken: the hub stops, or the circuit
    /// has opened. Each is named with its attempt: what somebody else has leased since is left
    /// alone.
    async fn give_back(&self, leases: Vec<(DeliveryId, u32)>) -> Result<(), StoreError>;

    /// When the channel's next delivery is due that nobody has leased, or its next lease ends,
    /// whichever is first. Lanes that have `lane_max` leased are passed over: there the end of an
    /// attempt is waited for.
    async fn next_due(
        &self,
        channel: Channel,
        lane_max: u32,
    ) -> Result<Option<Timestamp>, StoreError>;

    /// A provider reports on a message that it took. Never moves a status backwards; `false` for
    /// one that is unknown here.
    ///
    /// It may be unknown only by now: providers report within milliseconds, and the record that
    /// tells their name for the message waits for others. So while something of the channel is
    /// leased, a report on what is unknown is kept, for some minutes and among some thousands, and
    /// counts in the transaction of that record.
    async fn reported(
        &self,
        channel: Channel,
        report: ProviderReport,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Queues a failed delivery again, with as many attempts before it as a new one; `false`
    /// unless it is `FAILED`.
    async fn retry(&self, delivery: DeliveryId, now: Timestamp) -> Result<bool, StoreError>;
}

/// How many deliveries may be leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseLimit {
    /// By this lease.
    pub most: u32,
    /// Of one lane, with what is leased already.
    pub lane_max: u32,
}

impl From<u32> for LeaseLimit {
    /// So many, whatever their lanes.
    fn from(most: u32) -> Self {
        Self { most, lane_max: u32::MAX }
    }
}
