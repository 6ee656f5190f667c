//! The rows of a group on their way to the tables: one statement a table, whatever their number.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bellpull_actors::domain::comment::Comment;
use bellpull_actors::domain::ids::{CommentId, ProjectId, TicketId, UserId};
use bellpull_actors::domain::inbox::Letter;
use bellpull_actors::domain::notification::Message;
use bellpull_actors::domain::ticket::{Decision, Ticket};
use bellpull_actors::port::StoreError;
use rusqlite::Connection;
use serde::Serialize;

use super::super::deferred::{Birth, NewBirth};
use super::super::error::corrupt;
use super::super::multi_row::{Cell, MultiRow};
use super::escalations::call_off_moved;
use super::group::{Failure, Place};
use super::outgoing::Outgoing;
use super::words::TicketWords;

/// The moved heads of inboxes: user, last number, unread count.
pub(super) static SAVE_HEADS: MultiRow = MultiRow::new(
    "INSERT INTO inboxes (user_id, last_seq, unread_count) SELECT column1, column2, column3 FROM ",
    3,
    " WHERE column1 IS NOT NULL ON CONFLICT (user_id) \
     DO UPDATE SET last_seq = excluded.last_seq, unread_count = excluded.unread_count",
);
static NEW_TICKETS: MultiRow = MultiRow::new(
    "INSERT INTO tickets (id, project_id, number, title, description, priority, category, status, \
     created_by, version, created_at, updated_at) SELECT column1, column2, column3, '', '', '', \
     '', '', column4, 0, column5, column5 FROM ",
    5,
    " WHERE column1 IS NOT NULL",
);
static TICKETS: MultiRow = MultiRow::new(
    "UPDATE tickets SET title = v.column2, description = v.column3, priority = v.column4, \
     category = v.column5, status = v.column6, version = v.column7, updated_at = v.column8 FROM ",
    8,
    " AS v WHERE id = v.column1",
);
/// A statement of its own: the indexes of what is not deleted are written by each that could change
/// it, whether it does or not.
static DELETED: MultiRow = MultiRow::new(
    "UPDATE tickets SET deleted_at = v.column2 FROM ",
    2,
    " AS v WHERE id = v.column1",
);
static NUMBERS: MultiRow = MultiRow::new(
    "UPDATE projects SET last_number = v.column2 FROM ",
    2,
    " AS v WHERE id = v.column1",
);
static ASSIGNEES: MultiRow = MultiRow::new(
    "INSERT INTO ticket_assignees (ticket_id, user_id, position) \
     SELECT column1, column2, column3 FROM ",
    3,
    " WHERE column1 IS NOT NULL",
);
static HISTORY: MultiRow = MultiRow::new(
    "INSERT INTO ticket_history (ticket_id, version, action, from_status, to_status, actor_id, \
     actor_name, note, created_at) SELECT * FROM ",
    9,
    " WHERE column1 IS NOT NULL",
);
static COMMENTS: MultiRow = MultiRow::new(
    "INSERT INTO comments (id, ticket_id, author_id, author_name, body, created_at) \
     SELECT * FROM ",
    6,
    " WHERE column1 IS NOT NULL",
);
static MESSAGES: MultiRow = MultiRow::new(
    "INSERT INTO messages (id, event, kind, title, body, action_url, metadata, ticket_id, ticket, \
     sender_id, priority, created_at, copies) SELECT * FROM ",
    13,
    " WHERE column1 IS NOT NULL",
);
/// Of messages that were written before this group.
static COPIES: MultiRow = MultiRow::new(
    "UPDATE messages SET copies = copies + v.column2 FROM ",
    2,
    " AS v WHERE id = v.column1",
);
/// Births: whose, which number, which notification, which message.
pub(in super::super) static NOTIFICATIONS: MultiRow = MultiRow::new(
    "INSERT INTO notifications (recipient_id, seq, id, changed_seq, message_id) \
     SELECT column1, column2, column3, column2, column4 FROM ",
    4,
    " WHERE column1 IS NOT NULL",
);
static DELIVERIES: MultiRow = MultiRow::new(
    "INSERT INTO deliveries (id, notification_id, recipient_id, message_id, channel, target_id, \
     lane, status, rule, due_at, until_seen) SELECT * FROM ",
    11,
    " WHERE column1 IS NOT NULL",
);

/// What a delivery brings out of the house.
#[derive(Debug, Clone, Copy)]
pub(super) enum DeliveryOf {
    /// A notification, and whose it is.
    Notification(i64, UserId),
    /// A message that is nobody's notification.
    Message(i64),
}

/// What a group writes. Of a ticket or an inbox that changes twice, the last state is written.
#[derive(Debug, Default)]
pub(super) struct Rows<'a> {
    new_tickets: Vec<Cell<'a>>,
    tickets: BTreeMap<TicketId, [Cell<'a>; 8]>,
    deleted: Vec<Cell<'a>>,
    words: TicketWords,
    numbers: BTreeMap<ProjectId, i64>,
    assignees: BTreeMap<TicketId, Vec<UserId>>,
    history: Vec<Cell<'a>>,
    comments: Vec<Cell<'a>>,
    /// How many rows say each message.
    copies: BTreeMap<i64, i64>,
    births: Vec<NewBirth>,
    deliveries: Vec<Cell<'a>>,
    moved_on: Vec<(TicketId, i64)>,
}

impl<'a> Rows<'a> {
    /// A ticket begins to exist; what it says comes with [`Self::ticket`].
    pub(super) fn new_ticket(&mut self, ticket: &Ticket, number: i64) {
        let created_ms = ticket.created_at.as_millisecond();
        let (id, project, creator) = (ticket.id.0, ticket.project.0, ticket.created_by.0);
        self.new_tickets.extend([id, project, number, creator, created_ms].map(Cell::Int));
        self.numbers.insert(ticket.project, number);
    }

    /// A ticket's new state, and its history's line.
    pub(super) fn ticket(&mut self, decision: &'a Decision, is_reassigned: bool) {
        let ticket = &decision.ticket;
        let updated_ms = ticket.updated_at.as_millisecond();
        let row = [
            Cell::Int(ticket.id.0),
            ticket.title.as_str().into(),
            ticket.description.as_str().into(),
            ticket.priority.as_str().into(),
            ticket.category.as_str().into(),
            ticket.status.as_str().into(),
            ticket.version.into(),
            updated_ms.into(),
        ];
        self.tickets.insert(ticket.id, row);
        if decision.deleted {
            self.deleted.extend([ticket.id.0, updated_ms].map(Cell::Int));
        }
        if is_reassigned {
            self.assignees.insert(ticket.id, ticket.assigned_to.clone());
        }
        let entry = &decision.entry;
        self.history.extend([
            Cell::Int(ticket.id.0),
            entry.version.into(),
            entry.action.into(),
            entry.from.map_or(Cell::Null, |status| status.as_str().into()),
            entry.to.as_str().into(),
            entry.by.0.into(),
            entry.by_name.as_str().into(),
            entry.note.as_str().into(),
            entry.at.as_millisecond().into(),
        ]);
    }

    /// What the index of words has of the tickets.
    pub(super) fn words(&mut self) -> &mut TicketWords {
        &mut self.words
    }

    /// A comment.
    pub(super) fn comment(&mut self, id: CommentId, comment: &'a Comment) {
        self.comments.extend([
            Cell::Int(id.0),
            comment.ticket.0.into(),
            comment.author.0.into(),
            comment.author_name.as_str().into(),
            comment.body.as_str().into(),
            comment.created_at.as_millisecond().into(),
        ]);
    }

    /// A notification.
    pub(super) fn birth(&mut self, new: NewBirth) {
        *self.copies.entry(new.birth.message).or_default() += 1;
        self.births.push(new);
    }

    /// A notification's way out of the house, or a message's to a project's webhook.
    pub(super) fn delivery(&mut self, id: i64, of: DeliveryOf, out: &Outgoing<'_>) {
        let [notification, recipient, message] = match of {
            DeliveryOf::Notification(id, to) => [Cell::Int(id), Cell::Int(to.0), Cell::Null],
            DeliveryOf::Message(id) => [Cell::Null, Cell::Null, Cell::Int(id)],
        };
        self.deliveries.extend([Cell::Int(id), notification, recipient, message]);
        self.deliveries.extend([Cell::from(out.way.channel.as_str()), out.to.id.into()]);
        self.deliveries.extend([
            out.to.lane.clone().into(),
            out.way.status.as_str().into(),
            out.way.rule.map_or(Cell::Null, |rule| rule.as_str().into()),
            out.way.due_at_ms.into(),
            out.way.until_seen.into(),
        ]);
    }

    /// A ticket has moved on: what waited since the deliveries up to this one is called off.
    pub(super) fn moved_on(&mut self, ticket: TicketId, last_delivery: i64) {
        self.moved_on.push((ticket, last_delivery));
    }

    /// Writes all of it, with the messages that are new.
    pub(super) fn write(
        mut self,
        connection: &Connection,
        place: Place<'_>,
        messages: &[(i64, Arc<Letter>)],
    ) -> Result<(), Failure> {
        NEW_TICKETS.run(connection, &self.new_tickets)?;
        let tickets: Vec<_> = self.tickets.into_values().flatten().collect();
        TICKETS.run(connection, &tickets)?;
        DELETED.run(connection, &self.deleted)?;
        self.words.write(connection)?;
        let numbers = self.numbers.into_iter();
        let numbers = numbers.flat_map(|(project, number)| [project.0, number].map(Cell::Int));
        NUMBERS.run(connection, &numbers.collect::<Vec<_>>())?;
        write_assignees(connection, self.assignees)?;
        HISTORY.run(connection, &self.history)?;
        COMMENTS.run(connection, &self.comments)?;
        let mut cells = Vec::new();
        for (id, letter) in messages {
            let copies = self.copies.remove(id).unwrap_or(0);
            cells.extend(message(*id, &letter.message, copies)?);
        }
        MESSAGES.run(connection, &cells)?;
        let copies = self.copies.into_iter();
        let copies = copies.flat_map(|(id, count)| [id, count].map(Cell::Int));
        COPIES.run(connection, &copies.collect::<Vec<_>>())?;
        write_births(connection, place, self.births)?;
        DELIVERIES.run(connection, &self.deliveries)?;
        Ok(call_off_moved(connection, &self.moved_on)?)
    }
}

/// Writes the notifications, and where their inboxes stand now; those that may wait are left to be
/// written later, unless one of the same inbox may not.
fn write_births(
    connection: &Connection,
    place: Place<'_>,
    births: Vec<NewBirth>,
) -> rusqlite::Result<()> {
    let at_once: BTreeSet<UserId> =
        births.iter().filter(|new| !new.may_wait).map(|new| new.birth.user).collect();
    let (now, later): (Vec<_>, Vec<_>) =
        births.into_iter().partition(|new| at_once.contains(&new.birth.user));
    let mut staged = place.staged.borrow_mut();
    staged.settle(connection, place.deferred, at_once.iter().copied())?;
    staged.change(at_once);
    staged.defer(later);
    let (mut rows, mut heads) = (Vec::new(), BTreeMap::new());
    for NewBirth { birth: Birth { user, seq, id, message }, unread_count, .. } in now {
        rows.extend([user.0, seq.0, id, message].map(Cell::Int));
        heads.insert(user, [user.0, seq.0, unread_count]);
    }
    NOTIFICATIONS.run(connection, &rows)?;
    let heads: Vec<_> = heads.into_values().flatten().map(Cell::Int).collect();
    SAVE_HEADS.run(connection, &heads)
}

/// Puts exactly these people on their tickets.
fn write_assignees(
    connection: &Connection,
    assignees: BTreeMap<TicketId, Vec<UserId>>,
) -> rusqlite::Result<()> {
    if assignees.is_empty() {
        return Ok(());
    }
    let mut clear =
        connection.prepare_cached("DELETE FROM ticket_assignees WHERE ticket_id = ?")?;
    for ticket in assignees.keys() {
        clear.execute((ticket.0,))?;
    }
    let mut cells = Vec::new();
    for (ticket, users) in assignees {
        for (position, user) in (0_i64..).zip(users) {
            cells.extend([ticket.0, user.0, position].map(Cell::Int));
        }
    }
    ASSIGNEES.run(connection, &cells)
}

fn message(id: i64, message: &Message, copies: i64) -> Result<[Cell<'_>; 13], StoreError> {
    let ticket = message.ticket.as_ref();
    Ok([
        Cell::Int(id),
        message.event.as_str().into(),
        message.kind.as_str().into(),
        message.title.as_str().into(),
        message.body.as_str().into(),
        message.action_url.as_str().into(),
        text(&message.metadata)?.into(),
        ticket.map(|ticket| ticket.id.0).into(),
        ticket.map(text).transpose()?.map_or(Cell::Null, Cell::from),
        message.sender.map(|user| user.0).into(),
        message.priority.as_str().into(),
        message.created_at.as_millisecond().into(),
        copies.into(),
    ])
}

/// A value as JSON.
pub(super) fn text<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| corrupt("JSON"))
}
