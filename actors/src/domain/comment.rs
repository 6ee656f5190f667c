//! A comment on a ticket.

use jiff::Timestamp;

use super::ids::{CommentId, TicketId, UserId};

/// What somebody said about a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Over all tickets.
    pub id: CommentId,
    /// What it is about.
    pub ticket: TicketId,
    /// Who said it.
    pub author: UserId,
    /// That person's name at the time.
    pub author_name: String,
    /// What was said; 1 to 10,000 characters, never blank (the edge checks it).
    pub body: String,
    /// When.
    pub created_at: Timestamp,
}
