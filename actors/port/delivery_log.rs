//! The store port of the operators' list of deliveries.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Page, PageRequest, StoreError};
use bellpull_domain::delivery::{OutcomeKind, ProviderStatus, Rule};
use bellpull_domain::ids::{DeliveryId, NotificationId, UserId};
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::routing::Channel;

/// Deliveries with their state, for a reader.
#[async_trait]
pub trait DeliveryLog: std::fmt::Debug + Send + Sync + 'static {
    /// One page, the newest first; the count and the rows are of one snapshot.
    async fn deliveries(
        &self,
        filter: DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<DeliveryRow>, StoreError>;

    /// One of them, if there is one.
    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRow>, StoreError>;

    /// All of these notifications, each one's by channel and address.
    async fn deliveries_of(
        &self,
        notifications: &[NotificationId],
    ) -> Result<Vec<DeliveryRow>, StoreError>;

    /// The attempts that were recorded of these deliveries, each delivery's in their order.
    async fn attempts(&self, deliveries: &[DeliveryId]) -> Result<Vec<AttemptRow>, StoreError>;

    /// The queued deliveries of each channel that has some.
    async fn waiting(&self) -> Result<Vec<Waiting>, StoreError>;
}

/// Which deliveries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Only those with this status.
    pub status: Option<DeliveryStatus>,
    /// Only those on this channel.
    pub channel: Option<Channel>,
}

/// A delivery with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// The delivery.
    pub id: DeliveryId,
    /// Its notification; none, where it is for a project's webhook.
    pub notification: Option<NotificationId>,
    /// The recipient.
    pub recipient: Option<UserId>,
    /// The recipient's name.
    pub recipient_name: Option<String>,
    /// Its channel.
    pub channel: Channel,
    /// Which browser or webhook; 0 where an account has one address.
    pub target: i64,
    /// Its status.
    pub status: DeliveryStatus,
    /// Why it is suppressed, or was delayed.
    pub rule: Option<Rule>,
    /// Whether it is a step of an escalation: called off when its notification is seen, or its
    /// ticket moves on.
    pub is_until_seen: bool,
    /// How many attempts were begun.
    pub attempts: u32,
    /// When it is, or was, due.
    pub due_at: Timestamp,
    /// When its lease expires.
    pub leased_until: Option<Timestamp>,
    /// When the provider took it.
    pub sent_at: Option<Timestamp>,
    /// The provider's own name for it.
    pub provider_id: Option<String>,
    /// The provider's last report.
    pub provider_status: Option<ProviderStatus>,
    /// The last failure, for a reader; `None` once it was sent.
    pub error: Option<String>,
}

/// An attempt as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// Of which delivery.
    pub delivery: DeliveryId,
    /// Which: from 1. One that was cut off left no row.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long the provider took, in ms.
    pub took_ms: u32,
    /// The outcome.
    pub outcome: OutcomeKind,
    /// The provider's text.
    pub detail: Option<String>,
}

/// The queued deliveries of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The channel.
    pub channel: Channel,
    /// How many deliveries are queued, due or for later, and not leased.
    pub queued: i64,
    /// When the first of them is, or was, due.
    pub first_due_at: Timestamp,
}
