//! The result of a command.

use super::super::idempotency::IdempotencyKey;
use super::super::notification::Announcement;
use super::{HistoryEntry, Ticket};

/// The new state of a ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Its new state; the version is one more than before.
    pub ticket: Ticket,
    /// Whether it is deleted by this.
    pub deleted: bool,
    /// Its history's next line.
    pub entry: HistoryEntry,
    /// The announcement, if there is one.
    pub announcement: Option<Announcement>,
    /// Of a new ticket: whether its project was open when its creator's rights were checked.
    pub of_open_project: bool,
    /// The key that makes a retry of a creation the same request.
    pub key: Option<IdempotencyKey>,
}

impl Decision {
    /// Whether the ticket has moved on: earlier announcements of it are obsolete.
    #[must_use]
    pub fn moves_on(&self) -> bool {
        self.deleted || self.entry.from.is_some_and(|from| from != self.entry.to)
    }

    /// Whether its title or its description may have changed: steps of the workflow, which are
    /// most of all decisions, leave both as they are.
    #[must_use]
    pub fn changes_text(&self) -> bool {
        matches!(self.entry.action, "create" | "edit")
    }
}
