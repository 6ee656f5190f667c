//! Writes the rows of a plan: one statement a table, whatever their number.

use std::collections::{BTreeMap, BTreeSet};

use bellpull_domain::comment::Comment;
use bellpull_domain::ids::{CommentId, MessageId, TicketId, UserId};
use bellpull_domain::notification::Message;
use bellpull_domain::plan::{NewDelivery, NewEntry, NewTicket, Rows, Subject};
use bellpull_domain::ticket::{HistoryEntry, Ticket};
use bellpull_port::StoreError;
use rusqlite::Connection;

use super::super::deferred::{DeferredEntry, NOTIFICATIONS, StagedEntry};
use super::super::multi_row::{Cell, MultiRow};
use super::super::rows::to_json;
use super::context::Place;
use super::escalations::call_off_moved;
use super::failure::Failure;
use super::{keys, ticket_words};

/// The changed heads of inboxes: user, last number, unread count.
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
/// A statement of its own: SQLite writes an index on rows that are not deleted for each statement
/// that could change it, whether it does or not.
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
/// Messages that were written before this group.
static COPIES: MultiRow = MultiRow::new(
    "UPDATE messages SET copies = copies + v.column2 FROM ",
    2,
    " AS v WHERE id = v.column1",
);
static DELIVERIES: MultiRow = MultiRow::new(
    "INSERT INTO deliveries (id, notification_id, recipient_id, message_id, channel, target_id, \
     lane, status, rule, due_at, until_seen) SELECT * FROM ",
    11,
    " WHERE column1 IS NOT NULL",
);

/// Writes all planned rows.
pub(super) fn write(
    connection: &Connection,
    place: Place<'_>,
    mut rows: Rows<'_>,
) -> Result<(), Failure> {
    write_tickets(connection, &mut rows)?;
    keys::write(connection, &rows.keys)?;
    write_messages(connection, &rows)?;
    write_entries(connection, place, rows.entries)?;
    // Stored deliveries only: the plan has decided about its own.
    call_off_moved(connection, &rows.moved_on)?;
    Ok(write_deliveries(connection, rows.deliveries)?)
}

fn write_tickets(connection: &Connection, rows: &mut Rows<'_>) -> rusqlite::Result<()> {
    let mut cells = Vec::new();
    for NewTicket { id, project, number, created_by, created_at } in &rows.new_tickets {
        let created_ms = created_at.as_millisecond();
        cells.extend([id.0, project.0, *number, created_by.0, created_ms].map(Cell::Int));
    }
    NEW_TICKETS.run(connection, &cells)?;
    let tickets: Vec<_> = rows.tickets.values().copied().flat_map(state).collect();
    TICKETS.run(connection, &tickets)?;
    let deleted = rows.deleted.iter();
    let deleted = deleted.flat_map(|(id, at)| [id.0, at.as_millisecond()].map(Cell::Int));
    DELETED.run(connection, &deleted.collect::<Vec<_>>())?;
    ticket_words::write(connection, &rows.search)?;
    let numbers = rows.numbers.iter();
    let numbers = numbers.flat_map(|(project, number)| [project.0, *number].map(Cell::Int));
    NUMBERS.run(connection, &numbers.collect::<Vec<_>>())?;
    write_assignees(connection, &rows.assignees)?;
    let history: Vec<_> = rows.history.iter().flat_map(|(id, entry)| line(*id, entry)).collect();
    HISTORY.run(connection, &history)?;
    let comments: Vec<_> = rows.comments.iter().flat_map(|(id, one)| comment(*id, one)).collect();
    COMMENTS.run(connection, &comments)
}

fn state(ticket: &Ticket) -> [Cell<'_>; 8] {
    [
        Cell::Int(ticket.id.0),
        ticket.title.as_str().into(),
        ticket.description.as_str().into(),
        ticket.priority.as_str().into(),
        ticket.category.as_str().into(),
        ticket.status.as_str().into(),
        ticket.version.into(),
        ticket.updated_at.as_millisecond().into(),
    ]
}

fn line(ticket: TicketId, entry: &HistoryEntry) -> [Cell<'_>; 9] {
    [
        Cell::Int(ticket.0),
        entry.version.into(),
        entry.action.into(),
        entry.from.map_or(Cell::Null, |status| status.as_str().into()),
        entry.to.as_str().into(),
        entry.by.0.into(),
        entry.by_name.as_str().into(),
        entry.note.as_str().into(),
        entry.at.as_millisecond().into(),
    ]
}

fn comment(id: CommentId, comment: &Comment) -> [Cell<'_>; 6] {
    [
        Cell::Int(id.0),
        comment.ticket.0.into(),
        comment.author.0.into(),
        comment.author_name.as_str().into(),
        comment.body.as_str().into(),
        comment.created_at.as_millisecond().into(),
    ]
}

fn write_messages(connection: &Connection, rows: &Rows<'_>) -> Result<(), Failure> {
    let mut cells = Vec::new();
    let mut is_new = BTreeSet::new();
    for (id, content) in &rows.messages {
        is_new.insert(*id);
        let copies = rows.copies.get(id).copied().unwrap_or(0);
        cells.extend(message(*id, &content.message, copies)?);
    }
    MESSAGES.run(connection, &cells)?;
    let copies = rows.copies.iter().filter(|(id, _)| !is_new.contains(id));
    let copies = copies.flat_map(|(id, count)| [id.0, *count].map(Cell::Int));
    Ok(COPIES.run(connection, &copies.collect::<Vec<_>>())?)
}

fn write_deliveries(connection: &Connection, deliveries: Vec<NewDelivery>) -> rusqlite::Result<()> {
    let mut cells = Vec::with_capacity(11 * deliveries.len());
    for NewDelivery { id, subject, target, lane, route, ticket } in deliveries {
        let [notification, recipient, message] = match subject {
            Subject::Notification(id, to) => [Cell::Int(id.0), Cell::Int(to.0), Cell::Null],
            Subject::Message(id) => [Cell::Null, Cell::Null, Cell::Int(id.0)],
        };
        // A step that is about no ticket can only be seen: no ticket has id 0.
        let until_seen = route.until_seen.then(|| ticket.map_or(0, |ticket| ticket.0));
        cells.extend([Cell::Int(id.0), notification, recipient, message]);
        cells.extend([
            Cell::from(route.channel.as_str()),
            target.into(),
            lane.into(),
            route.status.as_str().into(),
            route.rule.map_or(Cell::Null, |rule| rule.as_str().into()),
            route.due_at.as_millisecond().into(),
            until_seen.into(),
        ]);
    }
    DELIVERIES.run(connection, &cells)
}

/// Writes the entries and the heads of their inboxes. Those that may be deferred are, unless one of
/// the same inbox may not.
fn write_entries(
    connection: &Connection,
    place: Place<'_>,
    entries: Vec<NewEntry>,
) -> rusqlite::Result<()> {
    let at_once: BTreeSet<UserId> =
        entries.iter().filter(|new| !new.may_wait).map(|new| new.recipient).collect();
    let (mut rows, mut heads, mut later) = (Vec::new(), BTreeMap::new(), Vec::new());
    for NewEntry { id, recipient: user, seq, message, unread_count, reach, .. } in entries {
        if at_once.contains(&user) {
            rows.extend([user.0, seq.0, id.0, message.0].map(Cell::Int));
            heads.insert(user, [user.0, seq.0, unread_count]);
        } else {
            let entry = DeferredEntry { user, seq, id: id.0, message: message.0 };
            later.push(StagedEntry { entry, unread_count, reach });
        }
    }
    let mut staged = place.staged.borrow_mut();
    staged.flush(connection, place.deferred, at_once.iter().copied())?;
    staged.change(at_once);
    staged.defer(later);
    drop(staged);
    NOTIFICATIONS.run(connection, &rows)?;
    let heads: Vec<_> = heads.into_values().flatten().map(Cell::Int).collect();
    SAVE_HEADS.run(connection, &heads)
}

/// Assigns exactly these developers to their tickets.
fn write_assignees(
    connection: &Connection,
    assignees: &BTreeMap<TicketId, &[UserId]>,
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
        for (position, user) in (0_i64..).zip(*users) {
            cells.extend([ticket.0, user.0, position].map(Cell::Int));
        }
    }
    ASSIGNEES.run(connection, &cells)
}

fn message(id: MessageId, message: &Message, copies: i64) -> Result<[Cell<'_>; 13], StoreError> {
    let ticket = message.ticket.as_ref();
    Ok([
        Cell::Int(id.0),
        message.event.as_str().into(),
        message.kind.as_str().into(),
        message.title.as_str().into(),
        message.body.as_str().into(),
        message.action_url.as_str().into(),
        to_json(&message.metadata)?.into(),
        ticket.map(|ticket| ticket.id.0).into(),
        ticket.map(to_json).transpose()?.map_or(Cell::Null, Cell::from),
        message.sender.map(|user| user.0).into(),
        message.priority.as_str().into(),
        message.created_at.as_millisecond().into(),
        copies.into(),
    ])
}
