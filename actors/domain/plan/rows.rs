//! The rows of a plan, as plain data: a store turns them into one statement a table.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::comment::Comment;
use super::super::delivery::Rule;
use super::super::idempotency::{Creates, IdempotencyKey};
use super::super::ids::{
    CommentId, DeliveryId, MessageId, NotificationId, ProjectId, Seq, TicketId, UserId,
};
use super::super::inbox::MessageContent;
use super::super::notification::DeliveryStatus;
use super::super::routing::Channels;
use super::super::ticket::{HistoryEntry, Ticket};
use super::super::words::Folded;
use super::{External, Route};

/// The rows that a group writes. Of a ticket that changes twice, the last state is written.
///
/// The fields are in the order in which a store writes them, except [`Rows::moved_on`]: it applies
/// to deliveries that are stored already, so it comes before [`Rows::deliveries`].
#[derive(Debug, Default)]
pub struct Rows<'a> {
    /// Tickets that begin to exist; their text and status are in [`Rows::tickets`].
    pub new_tickets: Vec<NewTicket>,
    /// The tickets' new states.
    pub tickets: BTreeMap<TicketId, &'a Ticket>,
    /// The tickets that are deleted, and when.
    pub deleted: Vec<(TicketId, Timestamp)>,
    /// The new search words of tickets.
    pub search: BTreeMap<TicketId, SearchText>,
    /// The last ticket number of each project.
    pub numbers: BTreeMap<ProjectId, i64>,
    /// The developers on tickets, in their order, where those have changed.
    pub assignees: BTreeMap<TicketId, &'a [UserId]>,
    /// New lines of the tickets' histories.
    pub history: Vec<(TicketId, &'a HistoryEntry)>,
    /// New comments; the id is the plan's, not the one in the comment.
    pub comments: Vec<(CommentId, &'a Comment)>,
    /// New messages.
    pub messages: Vec<(MessageId, Arc<MessageContent>)>,
    /// How many new entries share a message; also of messages that were written before.
    pub copies: BTreeMap<MessageId, i64>,
    /// New entries of inboxes, each inbox' in the order of its numbers.
    pub entries: Vec<NewEntry>,
    /// New external deliveries.
    pub deliveries: Vec<NewDelivery>,
    /// Tickets that moved on: stored deliveries that waited for that are called off.
    pub moved_on: Vec<TicketId>,
    /// First uses of idempotency keys.
    pub keys: Vec<UsedKey<'a>>,
}

/// The first use of an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedKey<'a> {
    /// The key.
    pub key: &'a IdempotencyKey,
    /// What it created.
    pub made: Creates,
    /// The id of that.
    pub id: i64,
    /// When.
    pub at: Timestamp,
}

/// A ticket that begins to exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTicket {
    /// Its id.
    pub id: TicketId,
    /// Where it belongs.
    pub project: ProjectId,
    /// Its number there.
    pub number: i64,
    /// The creator.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
}

/// The search words of a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchText {
    /// Whether the index has nothing of the ticket yet.
    pub is_new: bool,
    /// Key, title and description; `None` once the ticket is deleted.
    pub text: Option<Folded>,
}

/// An entry of an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewEntry {
    /// Its id.
    pub id: NotificationId,
    /// The inbox' user.
    pub recipient: UserId,
    /// Its number there.
    pub seq: Seq,
    /// The message.
    pub message: MessageId,
    /// The inbox' count with it.
    pub unread_count: i64,
    /// Whether the store may write it later: no delivery names it, and it is one of many.
    pub may_wait: bool,
    /// If it may be deferred: see [`super::Recipient::plain_reach`].
    pub reach: Option<Channels>,
}

/// The subject of an external delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A notification and its recipient.
    Notification(NotificationId, UserId),
    /// A message without a notification: to a project's webhook, or about an account.
    Message(MessageId),
}

/// An external delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// Its subject.
    pub subject: Subject,
    /// See [`super::Address::id`].
    pub target: i64,
    /// See [`super::Address::lane`].
    pub lane: String,
    /// Its channel, status and time.
    pub route: Route,
    /// The ticket that it is about, if any.
    pub ticket: Option<TicketId>,
}

impl NewDelivery {
    /// An external delivery of `subject`.
    #[must_use]
    pub fn new(
        id: DeliveryId,
        subject: Subject,
        external: &External<'_>,
        ticket: Option<TicketId>,
    ) -> Self {
        let External { to, route } = *external;
        Self { id, subject, target: to.id, lane: to.lane.clone(), route, ticket }
    }

    /// Calls off a step of an escalation that still waits: its ticket has moved on.
    pub(super) fn call_off(&mut self) {
        if self.route.until_seen && self.route.is_queued() {
            self.route.status = DeliveryStatus::Suppressed;
            self.route.rule = Some(Rule::MovedOn);
        }
    }
}
