//! What the actors, the edges and the adapters know of each other.
//!
//! The ports: what the outside must provide: the stores, one port per consumer; the clock; the
//! write side of a session ([`outlet`]). Every method of a store documents what is atomic, ordered
//! and idempotent. One test suite runs on every implementation.
//!
//! How the edges reach the actors: [`session`], [`request`]. And what all of them share: [`call`]
//! (requests with a known outcome), [`rate`] (rate limits), [`shared_rate`] (those of all nodes
//! together), [`turns`] (one at a time per key), [`shares`] (places that keys share by time),
//! [`budget`] (bytes that clients have not read), [`slow`] (the slow log), [`trace`] and
//! [`exemplars`], [`agent`] (what clients call themselves), [`epoch`] (which history of a store
//! this is).

pub mod account_links;
pub mod accounts;
pub mod agent;
pub mod analytics;
pub mod audit;
pub mod broker;
pub mod budget;
pub mod call;
pub mod clock;
pub mod comments;
pub mod deliveries;
pub mod delivery_log;
pub mod epoch;
pub mod escalations;
pub mod exemplars;
pub mod explain;
mod in_time;
pub mod inbox;
pub mod nodes;
pub mod outlet;
pub mod preferences;
pub mod projects;
pub mod push;
pub mod rate;
pub mod request;
pub mod retention;
pub mod send_log;
pub mod sender;
pub mod sends;
pub mod session;
pub mod shared_limits;
pub mod shared_rate;
pub mod shared_tickets;
pub mod shares;
pub mod slow;
pub mod store;
pub mod templates;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tickets;
pub mod trace;
pub mod turns;
pub mod webhooks;

pub use accounts::AccountStore;
pub use analytics::ReportStore;
pub use audit::AuditStore;
pub use broker::{Broker, BrokerMessage, BrokerState, RefusedMessages, Subscriber};
pub use clock::Clock;
pub use comments::CommentStore;
pub use deliveries::{DeliveryStore, LeaseLimit, LeaseOwner, SetBack};
pub use delivery_log::DeliveryLog;
pub use epoch::EpochStore;
pub use escalations::EscalationStore;
pub use explain::ExplainStore;
pub use in_time::STORE_MAX;
pub use in_time::in_time;
pub use inbox::InboxStore;
pub use nodes::NodeStore;
pub use outlet::Outlet;
pub use preferences::PreferenceStore;
pub use projects::ProjectStore;
pub use push::PushStore;
pub use retention::RetentionStore;
pub use send_log::SendLog;
pub use sender::Sender;
pub use sends::SendStore;
pub use shared_limits::SharedLimits;
pub use shared_tickets::SharedTickets;
pub use store::{Store, StoreSize};
pub use templates::TemplateStore;
pub use tickets::TicketStore;
pub use webhooks::WebhookStore;

use bellpull_domain::idempotency::Used;
use bellpull_domain::plan::Rejection;

/// Why a store did not carry out a request. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A concurrent change came first: load the row again and decide again.
    #[error("the row has changed meanwhile")]
    Conflict,
    /// A value that must be unique is taken; the field's name.
    #[error("{0} is taken")]
    Taken(&'static str),
    /// There is no such row.
    #[error("no such row")]
    NotFound,
    /// A unique field's value is confusable with another (see [`bellpull_domain::confusable`]); the
    /// field.
    #[error("{0} looks like one that is taken")]
    TooSimilar(&'static str),
    /// The request's idempotency key was used before: by the same request, which created what has
    /// this id, or by another one.
    #[error("the idempotency key was used before")]
    Used(Used),
    /// Without this account the hub would have no super admin.
    #[error("the last active super admin")]
    LastSuperAdmin,
    /// A value of the request cannot be stored: the database refuses its characters, its size, or
    /// what a rule of its administrator's forbids. The store works, and repeating does not help.
    #[error("a value cannot be stored")]
    Unstorable,
    /// The query was interrupted, for it took longer than the store allows: it must be narrower.
    #[error("the query took too long")]
    TooSlow,
    /// Too many queries of its kind wait; it was not begun, and may be retried soon.
    #[error("too many queries wait")]
    Busy,
    /// The store cannot answer now (its disk is full, it is closing, it is too slow). The text is
    /// for the log; it never reaches a client.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

impl From<Rejection> for StoreError {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Conflict => Self::Conflict,
            Rejection::NotFound => Self::NotFound,
            Rejection::Used(used) => Self::Used(used),
        }
    }
}

/// One page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// From 1.
    pub page: u32,
    /// 1 to 100.
    pub page_size: u32,
}

impl PageRequest {
    /// How many rows are before the page.
    #[must_use]
    pub fn offset(self) -> i64 {
        i64::from(self.page - 1) * i64::from(self.page_size)
    }
}

/// A part of a list, wherever it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// How many rows are before it.
    pub offset: i64,
    /// The most rows that it has; 1 to 100.
    pub limit: u32,
}

impl From<PageRequest> for Slice {
    fn from(page: PageRequest) -> Self {
        Self { offset: page.offset(), limit: page.page_size }
    }
}

/// The rows of one page, and how many there are on all pages together.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// On all pages.
    pub count: i64,
    /// On this one; empty past the end.
    pub rows: Vec<T>,
}
