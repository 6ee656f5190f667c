//! A channel's way to its provider.

use async_trait::async_trait;

use crate::domain::delivery::{Leased, Outcome};

/// Sends to one provider. One a channel; used by that channel's actor alone, many at once.
#[async_trait]
pub trait Sender: std::fmt::Debug + Send + Sync + 'static {
    /// Tries one delivery. Never panics over what a provider answers, never takes longer than its
    /// own time limit (30 s), and gives the provider the delivery's key, so that an attempt after
    /// a crash can be recognised as the same message.
    async fn send(&self, leased: &Leased) -> Outcome;
}
