//! The store port of ticket actors and the lists of tickets.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Page, PageRequest, ProjectStore, StoreError};
use bellpull_domain::ids::{ProjectId, TicketId, UserId};
pub use bellpull_domain::plan::{AnnouncedMessage, Committed, InboxEntry};
use bellpull_domain::search::Search;
use bellpull_domain::ticket::{Decision, Priority, Status, Ticket};
use bellpull_domain::user::{Role, User};

/// Tickets, their history, and the facts about users that the workflow's rules need. A ticket
/// belongs to a project, so a store of tickets is a store of projects.
#[async_trait]
pub trait TicketStore: ProjectStore {
    /// An id that no ticket has had or will get otherwise. Not durable by itself: an id that was
    /// reserved and never committed may be given out again after a restart.
    async fn reserve_ticket_id(&self) -> Result<TicketId, StoreError>;

    /// The ticket, unless it never was or is deleted.
    async fn ticket(&self, id: TicketId) -> Result<Option<Ticket>, StoreError>;

    /// Those of the accounts that exist, in no particular order.
    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError>;

    /// Writes a decision whole, in one transaction: the ticket (with its number and key, where it
    /// is new), its assignees, the history's line, and the announcement as one message, a
    /// notification in each recipient's inbox, and a delivery for each recipient and each channel
    /// that is switched on. When this returns `Ok`, all of it is on the disk.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the stored version is not `decision.ticket.version - 1` (or,
    /// for version 1, the id exists): nothing was written. [`StoreError::Used`] when the decision's
    /// idempotency key was used before.
    async fn commit(&self, decision: Decision) -> Result<Committed, StoreError>;

    /// A page of the tickets that match and that `filter.visible_to` may see, newest first.
    async fn tickets(
        &self,
        filter: &TicketFilter,
        page: PageRequest,
    ) -> Result<Page<Ticket>, StoreError>;

    /// A page of a ticket's history, oldest first. Empty for a ticket that never was.
    async fn history(
        &self,
        id: TicketId,
        page: PageRequest,
    ) -> Result<Page<StoredEntry>, StoreError>;
}

/// Which tickets a list shows; `None` does not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TicketFilter {
    /// Only what this user may see; `None` sees all.
    pub visible_to: Option<(UserId, Role)>,
    /// In this status.
    pub status: Option<Status>,
    /// Of this project.
    pub project: Option<ProjectId>,
    /// This urgent.
    pub priority: Option<Priority>,
    /// With this developer on it.
    pub assigned_to: Option<UserId>,
    /// Raised by this user.
    pub created_by: Option<UserId>,
    /// With these words in title, description or key.
    pub search: Option<Search>,
}

/// A line of a history as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// The version that the change made.
    pub version: i64,
    /// `create`, or the command's name.
    pub action: String,
    /// The status before; `None` for the creation.
    pub from: Option<Status>,
    /// The status after.
    pub to: Status,
    /// The acting user.
    pub by: UserId,
    /// That person's name at the time.
    pub by_name: String,
    /// Details.
    pub note: String,
    /// When.
    pub at: Timestamp,
}
