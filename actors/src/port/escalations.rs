//! What the list of policies needs of a store. The stores look at them by themselves where they
//! write deliveries.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Page, PageRequest, StoreError};
use crate::domain::escalation::Escalation;
use crate::domain::event::Event;

/// Each event's policy, where it has one.
#[async_trait]
pub trait EscalationStore: std::fmt::Debug + Send + Sync + 'static {
    /// One page of them, by their events' names.
    async fn escalations(&self, page: PageRequest) -> Result<Page<EscalationRow>, StoreError>;

    /// An event's.
    async fn escalation(&self, event: &Event) -> Result<Option<EscalationRow>, StoreError>;

    /// Gives an event this policy, whatever it had before. What is announced after this returns
    /// goes by it; what was announced before keeps its steps. `None`, and nothing changed, where
    /// that would be policies for too many events.
    async fn set_escalation(
        &self,
        event: &Event,
        escalation: Escalation,
        now: Timestamp,
    ) -> Result<Option<EscalationRow>, StoreError>;

    /// Takes an event's policy away; `false` where it has none. Steps that wait go on waiting.
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
