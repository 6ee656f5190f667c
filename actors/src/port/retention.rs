//! What the forgetting of old things needs of a store.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
pub use crate::domain::plan::retention::{Forgotten, Position};

/// What may be forgotten when it is old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Old {
    /// Deliveries that were sent, have failed or were held back, with their attempts; by when they
    /// were due, or sent where that was later. Never one that is queued.
    Deliveries,
    /// Rows of inboxes that were deleted, by when they were. One of which a delivery is kept is
    /// kept with it. Its inbox notes the number of its last change: who has not come as far cannot
    /// be told any more that it is gone.
    Tombstones,
    /// Messages that no inbox has any more, by when they were said, and the sends that said them.
    /// One that a project's webhooks were told is kept with those deliveries.
    /// Never one that is not sent yet, nor while its idempotency key is kept.
    Messages,
}

impl Old {
    /// All kinds, in the order in which they are to be forgotten: what is done for one lets go of
    /// the next.
    pub const ALL: [Self; 3] = [Self::Deliveries, Self::Tombstones, Self::Messages];

    /// Its name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deliveries => "deliveries",
            Self::Tombstones => "tombstones",
            Self::Messages => "messages",
        }
    }
}

/// Old things go in small steps of a short transaction each. A walk that is given up half way is
/// begun again from its start: what is gone is gone, and no step does anything twice.
#[async_trait]
pub trait RetentionStore: std::fmt::Debug + Send + Sync + 'static {
    /// Looks at no more than `limit` of a kind, from a position on, and removes those of them that
    /// are older than that time and that nothing else needs.
    async fn forget(
        &self,
        what: Old,
        before: Timestamp,
        from: Position,
        limit: u32,
    ) -> Result<Forgotten, StoreError>;
}
