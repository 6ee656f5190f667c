//! Marks: existing rows become read, unread or deleted, each change with a number of its own.

use std::collections::BTreeSet;

use bellpull_domain::ids::{NotificationId, Seq, UserId};
use bellpull_domain::inbox::Mark;
use bellpull_domain::plan::marks::{
    Candidate, ChangedEntry, MarkPlan, MarkRows, MarkedPortion, Window,
};
use bellpull_port::inbox::{MarkPortion, Selection};
use rusqlite::{Connection, Row, params_from_iter};

use super::super::multi_row::{Cell, MultiRow, id_list};
use super::super::statement::all;
use super::context::Place;
use super::escalations::call_off_seen;
use super::failure::Failure;
use super::known::inboxes;
use super::rows::SAVE_HEADS;
use super::{Answer, Done, Write};
use crate::narrow::{Value, conditions, needs_messages};

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
    let mut left: Vec<(usize, &MarkPortion)> = Vec::new();
    for (at, write) in writes.iter().enumerate() {
        if let Write::Mark(portion) = write {
            left.push((at, portion));
        }
    }
    let users = || left.iter().map(|(_, portion)| portion.user);
    let mut staged = place.staged.borrow_mut();
    staged.flush(connection, place.deferred, users())?;
    staged.change(users());
    drop(staged);
    let mut plan = MarkPlan::default();
    while !left.is_empty() {
        let mut users = BTreeSet::new();
        let (round, later): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|(_, portion)| users.insert(portion.user));
        apply_round(connection, &round, &mut plan, answers)?;
        left = later;
    }
    Ok(())
}

fn apply_round(
    connection: &Connection,
    round: &[(usize, &MarkPortion)],
    plan: &mut MarkPlan,
    answers: &mut [Option<Answer>],
) -> Result<(), Failure> {
    let mut inboxes = inboxes(connection, round.iter().map(|(_, portion)| portion.user))?;
    let named = named_rows(connection, round)?;
    for ((at, portion), named) in round.iter().zip(named) {
        let Some(inbox) = inboxes.get_mut(&portion.user) else {
            answers[*at] = Some(Ok(Done::Marked(MarkedPortion::default())));
            continue;
        };
        let request = portion.request();
        let found = match named {
            Some(found) => found,
            None => matching_rows(connection, portion, plan.window(&request, &inbox.head))?,
        };
        answers[*at] = Some(Ok(Done::Marked(plan.mark(&request, inbox, found))));
    }
    write(connection, &plan.take())?;
    Ok(())
}

fn write(connection: &Connection, plan: &MarkRows) -> rusqlite::Result<()> {
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

/// The rows of all marks that only name them, by one query; `None` for the others.
fn named_rows(
    connection: &Connection,
    round: &[(usize, &MarkPortion)],
) -> Result<Vec<Option<Vec<Candidate>>>, Failure> {
    let mut pairs: Vec<(usize, UserId, NotificationId)> = Vec::new();
    let mut rows = Vec::new();
    for (place, (_, portion)) in round.iter().enumerate() {
        let Some(ids) = portion.selection.only_ids() else {
            rows.push(None);
            continue;
        };
        pairs.extend(ids.iter().map(|id| (place, portion.user, *id)));
        rows.push(Some(Vec::new()));
    }
    if pairs.is_empty() {
        return Ok(rows);
    }
    let sql = "SELECT n.seq, n.id, n.read_at IS NOT NULL, n.deleted_at IS NULL, w.value ->> 0 \
               FROM json_each(?) w CROSS JOIN notifications n \
               ON n.id = w.value ->> 2 AND n.recipient_id = w.value ->> 1";
    // Integers always serialise.
    let wanted = serde_json::to_string(&pairs).unwrap_or_default();
    let found = |row: &Row<'_>| Ok((row.get::<_, u32>(4)?, candidate(row)?));
    for (place, found) in all(connection, sql, (wanted,), found)? {
        let list = usize::try_from(place).ok().and_then(|place| rows.get_mut(place)?.as_mut());
        if let Some(list) = list {
            list.push(found);
        }
    }
    Ok(rows)
}

/// The rows of a mark's window. Its bound is on the rows that are read, not on those that match:
/// few may match in an inbox of a million.
fn matching_rows(
    connection: &Connection,
    portion: &MarkPortion,
    window: Window,
) -> Result<Vec<Candidate>, Failure> {
    let Selection { ids, filter, .. } = &*portion.selection;
    let most = i64::try_from(window.most).unwrap_or(i64::MAX).saturating_add(1);
    let mut values: Vec<Cell<'_>> = Vec::new();
    let mut matches = Vec::new();
    for (condition, value) in conditions(filter) {
        matches.push(condition);
        values.extend(value.map(|value| match value {
            Value::Int(value) => Cell::Int(value),
            Value::Text(value) => Cell::from(value),
        }));
    }
    values.extend([portion.user.0, window.before.0].map(Cell::Int));
    let named = ids.as_ref().map(|ids| id_list(ids.iter().map(|id| id.0)));
    let is_named = if named.is_some() { "AND id IN (SELECT value FROM json_each(?)) " } else { "" };
    values.extend(named.map(Cell::from));
    values.extend([filter.since_seq.map_or(0, |seq| seq.0), most].map(Cell::Int));
    let joined = if needs_messages(filter) { "JOIN messages m ON m.id = n.message_id" } else { "" };
    let sql = format!(
        "SELECT n.seq, n.id, n.read_at IS NOT NULL, ({}) IS TRUE FROM \
         (SELECT seq, id, read_at, deleted_at, message_id FROM notifications \
         WHERE recipient_id = ? AND seq < ? {is_named}AND seq > ? ORDER BY seq DESC LIMIT ?) n \
         {joined}",
        matches.join(" AND "),
    );
    Ok(all(connection, &sql, params_from_iter(values), candidate)?)
}

fn candidate(row: &Row<'_>) -> rusqlite::Result<Candidate> {
    Ok(Candidate {
        seq: Seq(row.get(0)?),
        id: NotificationId(row.get(1)?),
        is_read: row.get(2)?,
        is_selected: row.get(3)?,
    })
}
