//! What operators see of the deliveries.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Page, PageRequest, StoreError};
use crate::domain::delivery::{ProviderStatus, Rule};
use crate::domain::ids::{DeliveryId, NotificationId, UserId};
use crate::domain::notification::DeliveryStatus;
use crate::domain::routing::Channel;

/// Deliveries as they stand, for people.
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
}

/// Which deliveries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Only those that stand so.
    pub status: Option<DeliveryStatus>,
    /// Only those on this channel.
    pub channel: Option<Channel>,
}

/// A delivery as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// The delivery.
    pub id: DeliveryId,
    /// Its notification.
    pub notification: NotificationId,
    /// Whom it is for.
    pub recipient: UserId,
    /// The recipient's name.
    pub recipient_name: String,
    /// Its channel.
    pub channel: Channel,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// What holds it back, or has delayed it.
    pub rule: Option<Rule>,
    /// How many attempts were begun.
    pub attempts: u32,
    /// When it is, or was, due.
    pub due_at: Timestamp,
    /// Until when a channel has it in hand.
    pub leased_until: Option<Timestamp>,
    /// When the provider took it.
    pub sent_at: Option<Timestamp>,
    /// The provider's own name for it.
    pub provider_id: Option<String>,
    /// What the provider has said of it since.
    pub provider_status: Option<ProviderStatus>,
    /// The last failure, for people; none once it was sent.
    pub error: Option<String>,
}
