//! What a command writes: facts in, a plan out. The rules that all stores share.
//!
//! A store does three things with a group of commands:
//!
//! 1. it asks [`Needs`] which *facts* the commands depend on, and reads them with as few queries as
//!    it can;
//! 2. it lets a [`Plan`] decide, in memory, command by command, against those [`Facts`];
//! 3. it writes the planned [`Rows`] in the same transaction, and answers with the outcomes.
//!
//! Nothing here reads a clock, draws a random number, knows SQL or awaits. `now` and ids are
//! arguments: several nodes may generate ids, so the order of ids says nothing about the order of
//! time or of commits.
//!
//! For example, a group of two commands about one ticket:
//!
//! ```text
//! let mut needs = Needs::new(channels);
//! needs.decision(&decision);
//! needs.comment(&comment);
//! let facts = /* SELECT … for what `needs` names */;
//! let mut plan = Plan::new(context, facts);
//! let committed = plan.commit(&decision);             // Err(Conflict) leaves no trace
//! let commented = plan.comment(&comment, …);          // sees what the decision did
//! let rows = plan.into_rows();                        // INSERT …, UPDATE …
//! ```
//!
//! In reading order: [`Needs`], [`Facts`] with [`Recipient`], [`Plan`] (`commit`, `comment`,
//! `announce`, `send`), [`Routing`] (which external deliveries an announcement has), [`Rows`] and
//! [`marks`]. Rules that do not concern tickets have modules of their own: [`account`], [`login`],
//! [`link`], [`retention`] and [`report`]; of external deliveries: [`attempt`], [`digest`],
//! [`step`], [`provider_report`], [`retry`] and [`webhook`]; of sends to many: [`send`].

pub mod account;
mod announce;
pub mod attempt;
mod comment;
pub mod digest;
mod facts;
mod ids;
pub mod late;
pub mod link;
pub mod login;
pub mod marks;
mod needs;
mod outcome;
pub mod provider_report;
mod recipient;
pub mod report;
pub mod retention;
pub mod retry;
mod routing;
mod rows;
pub mod send;
pub mod step;
#[cfg(test)]
mod tests;
mod ticket;
pub mod webhook;

pub use announce::SendPart;
pub use facts::{Facts, KnownProject, KnownTicket, Members};
pub use ids::Ids;
pub use needs::Needs;
pub use outcome::{AnnouncedMessage, Committed, InboxEntry, Rejection};
pub use recipient::{Address, Hook, Recipient};
pub use routing::{External, Route, Routing};
pub use rows::{NewDelivery, NewEntry, NewTicket, Rows, SearchText, Subject, UsedKey};
pub use ticket::search_text;

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;

use super::idempotency::{Creates, FirstUse, IdempotencyKey};
use super::ids::TicketId;
use super::routing::Channels;

/// The context of a whole group.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The source of new ids.
    pub ids: &'a dyn Ids,
    /// The channels that are switched on.
    pub channels: Channels,
    /// Entries of an announcement to at least this many recipients may be deferred; `None` for a
    /// store that writes all rows at once.
    pub defers_from: Option<usize>,
}

/// A plan in progress: the facts after the commands so far, and the rows to write.
///
/// A rejected command leaves no trace: the others of its group are not affected.
#[derive(Debug)]
pub struct Plan<'a> {
    context: Context<'a>,
    facts: Facts,
    rows: Rows<'a>,
    /// Of each ticket the planned deliveries that may be called off when it moves on, by their
    /// place among the rows.
    steps: BTreeMap<TicketId, Vec<Range<usize>>>,
}

impl<'a> Plan<'a> {
    /// A plan without a row.
    #[must_use]
    pub fn new(context: Context<'a>, facts: Facts) -> Self {
        Self { context, facts, rows: Rows::default(), steps: BTreeMap::new() }
    }

    /// Whether a request with this key may create something now.
    fn admit(&self, key: Option<&IdempotencyKey>, creates: Creates) -> Result<(), Rejection> {
        let Some(key) = key else { return Ok(()) };
        let first = self.facts.keys.get(&(key.owner, key.key.clone()));
        Ok(key.admit(creates, first)?)
    }

    /// Records what the request with this key has created.
    fn use_key(&mut self, key: Option<&'a IdempotencyKey>, made: Creates, id: i64, at: Timestamp) {
        let Some(key) = key else { return };
        let (body_hash, name) = (key.body_hash.to_vec(), made.as_str().to_owned());
        let first = FirstUse { body_hash, made: name, id };
        self.facts.keys.insert((key.owner, key.key.clone()), first);
        self.rows.keys.push(UsedKey { key, made, id, at });
    }

    /// The rows to write.
    #[must_use]
    pub fn into_rows(self) -> Rows<'a> {
        self.rows
    }
}
