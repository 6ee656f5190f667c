//! The store port of tickets for sockets, where several nodes use one store.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use bellpull_domain::ids::{LoginId, UserId};

/// A ticket as it is stored: its hash.
pub type TicketHash = [u8; 32];

/// The caller that a ticket for a socket was issued to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketHolder {
    /// The user.
    pub user: UserId,
    /// The login, if its token belonged to one.
    pub login: Option<LoginId>,
    /// When the token with which it was requested expires.
    pub expires_at: Timestamp,
}

/// Unused tickets. Their age is told by the store's clock, for the clocks of nodes differ.
#[async_trait]
pub trait SharedTickets: std::fmt::Debug + Send + Sync + 'static {
    /// Keeps a ticket for `ttl`; `false` if the user has `most` unused ones. Need not survive a
    /// crash of the store.
    async fn keep_ticket(
        &self,
        hash: TicketHash,
        holder: TicketHolder,
        ttl: Duration,
        most: u32,
    ) -> Result<bool, StoreError>;

    /// Takes a ticket that is not older than `ttl`. Of concurrent attempts, at any nodes, one gets
    /// it; it is gone in any case.
    async fn take_ticket(
        &self,
        hash: TicketHash,
        ttl: Duration,
    ) -> Result<Option<TicketHolder>, StoreError>;
}
