//! The store port of the list of policies. The stores read policies themselves when they write
//! deliveries.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Page, PageRequest, StoreError};
use bellpull_domain::escalation::Escalation;
use bellpull_domain::event::Event;
use bellpull_domain::version::Version;

/// Each event's policy, where it has one.
#[async_trait]
pub trait EscalationStore: std::fmt::Debug + Send + Sync + 'static {
    /// One page of them, by their events' names.
    async fn escalations(&self, page: PageRequest) -> Result<Page<EscalationRow>, StoreError>;

    /// An event's.
    async fn escalation(&self, event: &Event) -> Result<Option<EscalationRow>, StoreError>;

    /// Sets an event's policy, replacing any other. It applies to announcements after this returns;
    /// earlier ones keep their steps. `None`, without a change, if there would be policies for too
    /// many events.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the one before has another version than was `seen`.
    async fn set_escalation(
        &self,
        event: &Event,
        escalation: Escalation,
        seen: Option<Version>,
        now: Timestamp,
    ) -> Result<Option<EscalationRow>, StoreError>;

    /// Removes an event's policy; `false` if it has none. Waiting steps keep waiting.
    async fn remove_escalation(&self, event: &Event) -> Result<bool, StoreError>;
}

/// An event's policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EscalationRow {
    /// The event.
    pub event: Event,
    /// Its policy.
    pub escalation: Escalation,
    /// Since when.
    pub updated_at: Timestamp,
}
