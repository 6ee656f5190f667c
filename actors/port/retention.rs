//! The store port of retention.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::StoreError;
pub use bellpull_domain::plan::retention::{Forgotten, Position};

/// The kinds of rows that retention removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Old {
    /// Deliveries that were sent, have failed or were held back, with their attempts; by when they
    /// were due, or sent where that was later. Never one that is queued.
    Deliveries,
    /// Deleted rows of inboxes, by the time of their deletion. One with a delivery that is kept is
    /// kept with it. Its inbox stores the number of its last change: a client with a lower position
    /// cannot be told that it is deleted.
    Tombstones,
    /// Messages without inbox rows, by their time, and their sends. One that was sent to a
    /// project's webhooks is kept with those deliveries. Never one that is not sent yet, nor while
    /// its idempotency key is kept.
    Messages,
    /// Entries of the audit log.
    Audit,
    /// Logins, by the end of their refresh token, once the last access token has expired too.
    Logins,
}

impl Old {
    /// All kinds, in the order in which they are removed: one makes rows of the next removable.
    pub const ALL: [Self; 5] =
        [Self::Deliveries, Self::Tombstones, Self::Messages, Self::Audit, Self::Logins];

    /// Its name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deliveries => "deliveries",
            Self::Tombstones => "tombstones",
            Self::Messages => "messages",
            Self::Audit => "audit",
            Self::Logins => "logins",
        }
    }
}

/// For how long things are kept; `None` for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Rows that were deleted (`retention.deleted_days`).
    pub tombstones: Option<SignedDuration>,
    /// Finished deliveries (`retention.deliveries_days`).
    pub deliveries: Option<SignedDuration>,
    /// The audit log (`retention.audit_days`).
    pub audit: Option<SignedDuration>,
    /// Logins of which no token is valid (`retention.logins_days`).
    pub logins: Option<SignedDuration>,
    /// Idempotency keys (`retention.idempotency_hours`); 24 hours at least.
    pub keys: SignedDuration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            tombstones: Some(SignedDuration::from_hours(30 * 24)),
            deliveries: Some(SignedDuration::from_hours(90 * 24)),
            audit: Some(SignedDuration::from_hours(365 * 24)),
            logins: Some(SignedDuration::from_hours(30 * 24)),
            keys: SignedDuration::from_hours(24),
        }
    }
}

impl Retention {
    /// For how long rows of a kind are kept.
    #[must_use]
    pub fn of(&self, what: Old) -> Option<SignedDuration> {
        match what {
            Old::Deliveries => self.deliveries,
            Old::Tombstones | Old::Messages => self.tombstones,
            Old::Audit => self.audit,
            Old::Logins => self.logins,
        }
    }
}

/// Old rows are removed in small steps of a short transaction each. An interrupted walk is begun
/// again from its start: what is removed stays removed, and no step has an effect twice.
#[async_trait]
pub trait RetentionStore: std::fmt::Debug + Send + Sync + 'static {
    /// Reads at most `limit` rows of a kind, from a position on, and removes those that are older
    /// than that time and not needed otherwise.
    async fn forget(
        &self,
        what: Old,
        before: Timestamp,
        from: Position,
        limit: u32,
    ) -> Result<Forgotten, StoreError>;

    /// Indexes anew at most `limit` tickets whose words another version has cut, in a transaction
    /// of its own. Returns how many: 0 once none is left.
    async fn renew_words(&self, limit: u32) -> Result<u64, StoreError>;
}
