//! The epoch of a store: see [`crate::epoch`].

use async_trait::async_trait;

use super::StoreError;
use crate::epoch::Epoch;

/// Which history of the store this is, and the begin of another one.
#[async_trait]
pub trait EpochStore: Send + Sync + std::fmt::Debug + 'static {
    /// The epoch, as this process knows it.
    fn epoch(&self) -> Epoch;

    /// Reads it: another process may have begun a new one. A store without one is given one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn read_epoch(&self) -> Result<(), StoreError>;

    /// Begins a new epoch, in one transaction: the inboxes' numbers go on
    /// [`LEAP`](crate::epoch::LEAP) above their last ones, and delivered positions are no higher
    /// than the last number of before.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn renew_epoch(&self) -> Result<(), StoreError>;
}
