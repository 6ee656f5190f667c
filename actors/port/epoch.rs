//! Epochs: which history of a store this is.
//!
//! A position in an inbox is a number that a client keeps. It means something in the history that
//! gave it out. Another history begins where a store goes on from an older state: a backup was
//! restored, or a standby was promoted that had not received everything. Then numbers that clients
//! hold would be given out again, to other entries, and these would be taken for old ones.
//!
//! So each history has an epoch of its own, by which a client of before is told to begin anew. And
//! all numbers go on [`LEAP`] above the highest that is known, so that clients who know of no
//! epochs take every new entry for a new one, too. A delivered position is lowered to the inbox'
//! last number: what lies above was delivered in the other history.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::StoreError;

/// How far above the highest known number a new epoch begins. More than any inbox receives while a
/// standby lags or since a backup was made; nine million million such steps fit into a number.
pub const LEAP: i64 = 1_000_000;

/// The store's epoch, as this process knows it; clones share it. It changes when another history
/// begins under a running process.
#[derive(Debug, Clone)]
pub struct Epoch(Arc<Mutex<Arc<str>>>);

impl Epoch {
    /// An epoch with that name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(Arc::new(Mutex::new(name.into())))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.lock())
    }

    /// This epoch was read from the store.
    pub fn set(&self, name: &str) {
        let mut known = self.lock();
        if **known == *name {
            return;
        }
        if !known.is_empty() {
            tracing::warn!(epoch = name, before = %known, "another history of the store has begun");
        }
        *known = name.into();
    }

    fn lock(&self) -> MutexGuard<'_, Arc<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<&str> for Epoch {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl Default for Epoch {
    /// Not read yet.
    fn default() -> Self {
        Self::new("")
    }
}

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
    /// [`LEAP`] above their last ones, and delivered positions are no higher
    /// than the last number of before.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn renew_epoch(&self) -> Result<(), StoreError>;
}
