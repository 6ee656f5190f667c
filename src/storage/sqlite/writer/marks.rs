//! Marks: existing rows become read, unread or deleted, each change with a number of its own.

use std::collections::BTreeSet;

use bellpull_actors::domain::ids::{NotificationId, Seq, UserId};
use bellpull_actors::domain::inbox::{Mark, Marked};
use bellpull_actors::domain::plan::marks::{Candidate, ChangedEntry, MarkPlan, MarkRequest};
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::port::inbox::Selection;
use rusqlite::{Connection, Row, params_from_iter};

use super::super::multi_row::{Cell, MultiRow};
use super::super::statement::all;
use super::context::Place;
use super::escalations::call_off_seen;
use super::failure::Failure;
use super::known::inboxes;
use super::rows::SAVE_HEADS;
use super::{Answer, Done, MarkRows, Write};

static CHANGE: MultiRow = MultiRow::new(
    "UPDATE notifications SET changed_seq = v.column3, \
     read_at = CASE v.column4 WHEN 'read' THEN v.column5 WHEN 'unread' THEN NULL ELSE read_at END, \
     deleted_at = CASE v.column4 WHEN 'delete' THEN v.column5 ELSE deleted_at END FROM ",
    5,
    " AS v WHERE recipient_id = v.column1 AND seq = v.column2",
);

/// Applies all marks, in rounds in which each user comes once: a second mark on an inbox must see
/// the rows as the first has left them.
pub(super) fn apply(
    connection: &Connection,
    place: Place<'_>,
    writes: &[&Write],
    answers: &mut [Option<Answer>],
) -> Result<(), Failure> {
    let mut left: Vec<(usize, &MarkRows)> = Vec::new();
    for (at, write) in writes.iter().enumerate() {
        if let Write::Mark(rows) = write {
            left.push((at, rows));
        }
    }
    let users = || left.iter().map(|(_, rows)| rows.user);
    let mut staged = place.staged.borrow_mut();
    staged.flush(connection, place.deferred, users())?;
    staged.change(users());
    drop(staged);
    while !left.is_empty() {
        let mut users = BTreeSet::new();
        let (fan_out, later): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|(_, rows)| users.insert(rows.user));
        for (at, marked) in apply_fan_out(connection, &fan_out)? {
            answers[at] = Some(Ok(Done::Marked(marked)));
        }
        left = later;
    }
    Ok(())
}

fn apply_fan_out(
    connection: &Connection,
    fan_out: &[(usize, &MarkRows)],
) -> Result<Vec<(usize, Option<Marked>)>, Failure> {
    let mut inboxes = inboxes(connection, fan_out.iter().map(|(_, rows)| rows.user))?;
    let named = named_rows(connection, fan_out)?;
    let (mut plan, mut outcomes) = (MarkPlan::default(), Vec::new());
    for ((at, rows), named) in fan_out.iter().zip(named) {
        let Some(inbox) = inboxes.get_mut(&rows.user) else {
            outcomes.push((*at, None));
            continue;
        };
        let found = match named {
            Some(found) => found,
            None => matching_rows(connection, rows, inbox.head.unread_count)?,
        };
        let request = MarkRequest { user: rows.user, mark: rows.mark, at: rows.now };
        outcomes.push((*at, plan.mark(request, inbox, found)));
    }
    write(connection, &plan)?;
    Ok(outcomes)
}

fn write(connection: &Connection, plan: &MarkPlan) -> rusqlite::Result<()> {
    let mut changes = Vec::new();
    for ChangedEntry { user, seq, changed_seq, mark, at } in &plan.entries {
        let name = match mark {
            Mark::Read => "read",
            Mark::Unread => "unread",
            Mark::Delete => "delete",
        };
        changes.extend([user.0, seq.0, changed_seq.0].map(Cell::Int));
        changes.extend([Cell::from(name), Cell::Int(at.as_millisecond())]);
    }
    CHANGE.run(connection, &changes)?;
    let heads = plan.heads.iter();
    let heads = heads.flat_map(|(user, head)| [user.0, head.last_seq.0, head.unread_count]);
    SAVE_HEADS.run(connection, &heads.map(Cell::Int).collect::<Vec<_>>())?;
    call_off_seen(connection, &plan.seen_by, &plan.seen)
}

/// The rows of all marks that name them, by one query; `None` for marks that do not.
fn named_rows(
    connection: &Connection,
    fan_out: &[(usize, &MarkRows)],
) -> Result<Vec<Option<Vec<Candidate>>>, Failure> {
    let mut pairs: Vec<(usize, UserId, NotificationId)> = Vec::new();
    let mut rows = Vec::new();
    for (place, (_, one)) in fan_out.iter().enumerate() {
        let Selection::Ids(ids) = &one.selection else {
            rows.push(None);
            continue;
        };
        pairs.extend(ids.iter().map(|id| (place, one.user, *id)));
        rows.push(Some(Vec::new()));
    }
    if pairs.is_empty() {
        return Ok(rows);
    }
    let sql = "SELECT w.value ->> 0, n.seq, n.id, n.read_at IS NOT NULL AS is_read \
               FROM json_each(?) w CROSS JOIN notifications n \
               ON n.id = w.value ->> 2 AND n.recipient_id = w.value ->> 1 \
               WHERE n.deleted_at IS NULL";
    // Integers always serialise.
    let wanted = serde_json::to_string(&pairs).unwrap_or_default();
    let found = |row: &Row<'_>| Ok((row.get::<_, u32>(0)?, found(row)?));
    for (place, found) in all(connection, sql, (wanted,), found)? {
        let list = usize::try_from(place).ok().and_then(|place| rows.get_mut(place)?.as_mut());
        if let Some(list) = list {
            list.push(found);
        }
    }
    Ok(rows)
}

/// The rows of one inbox that match and that the mark would change.
///
/// Unread rows are found from the newest on, until as many are seen as there are: old rows that are
/// read are not scanned, however many.
fn matching_rows(
    connection: &Connection,
    rows: &MarkRows,
    unread_count: i64,
) -> Result<Vec<Candidate>, Failure> {
    let narrowed_by_state = match rows.mark {
        Mark::Read => " AND read_at IS NULL",
        Mark::Unread => " AND read_at IS NOT NULL",
        Mark::Delete => "",
    };
    let mut values = vec![Cell::Int(rows.user.0)];
    let limit = if rows.mark == Mark::Read {
        values.push(Cell::Int(unread_count));
        " LIMIT ?"
    } else {
        ""
    };
    let mut sql = format!(
        "SELECT n.seq, n.id, n.read_at IS NOT NULL AS is_read FROM \
         (SELECT seq, id, read_at, message_id FROM notifications \
         WHERE deleted_at IS NULL AND recipient_id = ?{narrowed_by_state} \
         ORDER BY seq DESC{limit}) n WHERE true"
    );
    // All other conditions are outside: inside, the scan would miss the end of the unread rows.
    if let Selection::UpTo(seq) = rows.selection {
        sql.push_str(" AND n.seq <= ?");
        values.push(Cell::Int(seq.0));
    }
    if let Selection::All { channel, ticket } = &rows.selection {
        if let Some(channel) = channel.filter(|channel| *channel != Channel::System) {
            sql.push_str(
                " AND EXISTS (SELECT 1 FROM deliveries d WHERE d.notification_id = n.id \
                 AND d.channel = ?)",
            );
            values.push(Cell::from(channel.as_str()));
        }
        if let Some(ticket) = ticket {
            sql.push_str(
                " AND EXISTS (SELECT 1 FROM messages m WHERE m.id = n.message_id \
                 AND m.ticket_id = ?)",
            );
            values.push(Cell::Int(ticket.0));
        }
    }
    Ok(all(connection, &sql, params_from_iter(values), found)?)
}

fn found(row: &Row<'_>) -> rusqlite::Result<Candidate> {
    Ok(Candidate {
        seq: Seq(row.get("seq")?),
        id: NotificationId(row.get("id")?),
        is_read: row.get("is_read")?,
    })
}
