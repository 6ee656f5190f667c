//! The adapter of a channel's provider.

use async_trait::async_trait;

use bellpull_domain::delivery::{Leased, Outcome};

/// Sends to one provider. One a channel; used by that channel's actor alone, many at once.
#[async_trait]
pub trait Sender: std::fmt::Debug + Send + Sync + 'static {
    /// Attempts one delivery. Never panics because of a provider's answer, never takes longer than
    /// the channel's time limit, and passes the delivery's key to the provider, so that an attempt
    /// after a crash can be recognised as the same message.
    async fn send(&self, leased: &Leased) -> Outcome;
}
