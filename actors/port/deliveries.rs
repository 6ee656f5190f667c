//! The store port of the channels: the outbox.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::StoreError;
use bellpull_domain::delivery::{Attempt, Leased, ProviderReport};
use bellpull_domain::ids::DeliveryId;
use bellpull_domain::routing::Channel;

/// The owner of a lease: a node and the start of its process. A restarted node is another owner, so
/// its earlier leases expire and cannot be mistaken for new ones. Clones share one text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LeaseOwner(Arc<str>);

impl LeaseOwner {
    /// The process of the node of that name that was started then.
    #[must_use]
    pub fn new(node: &str, started_at: Timestamp) -> Self {
        Self(format!("{node}/{}", started_at.as_millisecond()).into())
    }

    /// As it is kept in rows.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A clock that was set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetBack {
    /// What it would be now, had it not been set.
    pub was: Timestamp,
    /// What it is now.
    pub now: Timestamp,
}

impl SetBack {
    /// By how much.
    fn by(self) -> SignedDuration {
        self.was.duration_since(self.now)
    }

    /// When something is due that was due at this time by the clock as it was.
    #[must_use]
    pub fn due(self, due_at: Timestamp) -> Timestamp {
        due_at.saturating_sub(self.by()).map_or(self.now, |due_at| due_at.max(self.now))
    }
}

/// External deliveries. They are written in the transaction of their event (see
/// [`super::TicketStore::commit`]); here they are leased, and their attempts are recorded. No
/// transaction is open while a provider is called.
///
/// Several nodes may work on one store. A lease has an owner, an end, and a number: the delivery's
/// lease number, which increases by one with each lease and identifies the attempt. An owner may
/// call the provider until the lease ends by its own clock; after that, any owner may take the
/// delivery. The store compares `now` of one caller with `until` of another, so the clocks of nodes
/// may differ by no more than a lease is longer than an attempt.
///
/// Each method is one transaction: all of it is written, or nothing.
#[async_trait]
pub trait DeliveryStore: std::fmt::Debug + Send + Sync + 'static {
    /// Leases the longest due deliveries of a channel that are not leased, within `limit`: no other
    /// lease contains them before `until`. Expired leases are taken over; where the clock was set
    /// forward, an owner may be given its own ones again, and has to notice it. The leases that a
    /// store returns that only one process can open have no end. Two concurrent calls, of one node
    /// or of two, never lease the same delivery. A digest's deliveries are leased together, as one.
    /// As many as the limit allows, or all that are due; fewer only where many of those that are
    /// due first can no longer be sent and are held back, a few hundred at a time: then
    /// [`Self::next_due`] says that more are due. Not idempotent: if the answer is lost, the
    /// owner releases what it does not know, or the leases expire.
    ///
    /// A lane is a part of a channel that may be slow by itself: the host of a push service, or of
    /// a user's webhook; a channel with one provider is one lane. However many wait in a lane, an
    /// owner leases no more of it at once than its share, and deliveries of other lanes are leased
    /// past it. What other owners hold does not count: a node that was killed in the middle would
    /// otherwise close its lanes to all until its leases end.
    async fn lease(
        &self,
        owner: &LeaseOwner,
        channel: Channel,
        limit: LeaseLimit,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Leased>, StoreError>;

    /// Ends the leases of a channel that this owner holds, but for those of `known`, and no others:
    /// the actor that had them has ended, with all attempts that it had begun, or the answer that
    /// named them was lost. How many there were. Idempotent.
    ///
    /// A store that only one process can open ends the leases of earlier processes itself when it
    /// is opened: none of them can be alive. Elsewhere they end by their time.
    async fn release(
        &self,
        owner: &LeaseOwner,
        channel: Channel,
        known: Vec<DeliveryId>,
    ) -> Result<u64, StoreError>;

    /// The clock was set back. What a channel had due by the clock as it was is due now. What has
    /// failed and is tried again later is tried as much earlier, and now at the earliest. How many
    /// were moved. Not idempotent: what has failed would be moved again.
    ///
    /// The time of a delivery that waits for a time of day (a quiet time's end) and was not due by
    /// the clock as it was is right already.
    async fn set_back(&self, channel: Channel, clock: SetBack) -> Result<u64, StoreError>;

    /// Moves what a clock wrote that was ahead of this one, and is not leased. How many were moved.
    /// A channel asks for it when it starts: of a clock that was set back while no process ran,
    /// only the rows can tell. What was moved is not moved again, unless it waits for longer than
    /// the clock was ahead.
    ///
    /// What no rule delays and was never tried was due when it was written: it is due now. What was
    /// last tried in the future is tried as much earlier, and now at the earliest; so is a step of
    /// an escalation whose notification was written in the future. What waits for a time of day
    /// (the end of quiet hours, a digest) waits for it.
    async fn repair_due(&self, channel: Channel, now: Timestamp) -> Result<u64, StoreError>;

    /// Records attempts, many at once, in order: the delivery's status, its provider's id, when it
    /// is due again, and a row per attempt. Idempotent: an attempt that was recorded before changes
    /// nothing.
    ///
    /// An attempt is matched by its lease number, not by its owner. If the lease was lost:
    ///
    /// - it expired, and no other lease was taken: recorded as if it had not expired;
    /// - another lease was taken since: a failure leaves its row only, and that lease stands. A
    ///   success makes the delivery sent, whatever its status: the provider has it, and another
    ///   attempt could only send it twice. The other owner's own attempt, if in progress, then
    ///   leaves its row only, unless the provider accepted that one too.
    async fn record(&self, attempts: Vec<Attempt>) -> Result<(), StoreError>;

    /// Returns unused leases, as if they had never been taken: the hub stops, or the circuit has
    /// opened. Each is named with its attempt. One that this owner no longer holds under that
    /// number is not changed. Idempotent.
    async fn give_back(
        &self,
        owner: &LeaseOwner,
        leases: Vec<(DeliveryId, u32)>,
    ) -> Result<(), StoreError>;

    /// Moves the end of leases whose attempts are in progress. Each is named with its attempt.
    /// Whether this owner still holds all of them; those that it does not hold under that number
    /// are not changed. Idempotent.
    async fn extend(
        &self,
        owner: &LeaseOwner,
        leases: Vec<(DeliveryId, u32)>,
        until: Timestamp,
    ) -> Result<bool, StoreError>;

    /// When the channel's next delivery is due that is not leased, or its next lease ends, of
    /// whichever owner, whichever is first. Lanes of which this owner has leased `lane_max` are
    /// passed over: there the end of an attempt is waited for.
    async fn next_due(
        &self,
        owner: &LeaseOwner,
        channel: Channel,
        lane_max: u32,
    ) -> Result<Option<Timestamp>, StoreError>;

    /// Applies a provider's report on a message that it accepted. Never moves a status backwards;
    /// `false` for an unknown message.
    ///
    /// It may be unknown only for the moment: providers report within milliseconds, and the record
    /// with their id of the message may still be queued. So while something of the channel is
    /// leased, a report on an unknown message is kept, for some minutes and among some thousands,
    /// and applied in the transaction of that record.
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
    /// Of one lane, including what the owner has leased already.
    pub lane_max: u32,
}

impl From<u32> for LeaseLimit {
    /// In all, whatever their lanes.
    fn from(most: u32) -> Self {
        Self { most, lane_max: u32::MAX }
    }
}
