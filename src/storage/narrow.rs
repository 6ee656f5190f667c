//! Which notifications a filter means: the conditions of lists and of marks of many, the same text
//! on both databases.

use bellpull_domain::ids::Seq;
use bellpull_domain::routing::Channel;
use bellpull_port::inbox::NotificationFilter;

use sqlx::{Postgres, QueryBuilder};

use crate::engine::Build;

/// Rows that a list may read on a connection for short reads: some milliseconds of work.
const SHORT: i64 = 10_000;
/// The same where each row needs a lookup in another table: its message, or its deliveries.
const SHORT_WITH_LOOKUP: i64 = 1_000;

/// The value of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Int(i64),
    Text(String),
}

/// A condition: a text with `?` where its value belongs.
type Condition = (&'static str, Option<Value>);

/// The filter's conditions on notifications `n` and, where [`needs_messages`], on their messages
/// `m`.
pub(super) fn conditions(filter: &NotificationFilter) -> Vec<Condition> {
    let text = |name: &str| Some(Value::Text(name.to_owned()));
    let mut all: Vec<Condition> = vec![("n.deleted_at IS NULL", None)];
    match filter.is_read {
        None => {}
        Some(true) => all.push(("n.read_at IS NOT NULL", None)),
        Some(false) => all.push(("n.read_at IS NULL", None)),
    }
    if let Some(channel) = filter.channel.filter(|channel| *channel != Channel::System) {
        let sql = "EXISTS (SELECT 1 FROM deliveries o WHERE o.notification_id = n.id \
                   AND o.channel = ?)";
        all.push((sql, text(channel.as_str())));
    }
    if let Some(kind) = filter.kind {
        all.push(("m.kind = ?", text(kind.as_str())));
    }
    if let Some(event) = &filter.event {
        all.push(("m.event = ?", text(event.as_str())));
    }
    if let Some(ticket) = filter.ticket {
        all.push(("m.ticket_id = ?", Some(Value::Int(ticket.0))));
    }
    if let Some(project) = filter.project {
        let sql = "m.ticket_id IN (SELECT id FROM tickets WHERE project_id = ?)";
        all.push((sql, Some(Value::Int(project.0))));
    }
    if let Some(seq) = filter.since_seq {
        all.push(("n.seq > ?", Some(Value::Int(seq.0))));
    }
    all
}

/// Appends the conditions, joined by `AND`.
pub(super) fn push(sql: &mut Build, filter: &NotificationFilter) {
    let mut joint = "";
    for (condition, value) in conditions(filter) {
        let (before, after) = condition.split_once('?').unwrap_or((condition, ""));
        sql.push(joint).push(before);
        match value {
            Some(Value::Int(value)) => drop(sql.bind(value)),
            Some(Value::Text(value)) => drop(sql.bind(value)),
            None => {}
        }
        sql.push(after);
        joint = " AND ";
    }
}

/// The same for a statement of PostgreSQL's alone.
pub(super) fn push_to(sql: &mut QueryBuilder<Postgres>, filter: &NotificationFilter) {
    let mut joint = "";
    for (condition, value) in conditions(filter) {
        let (before, after) = condition.split_once('?').unwrap_or((condition, ""));
        sql.push(joint).push(before);
        match value {
            Some(Value::Int(value)) => drop(sql.push_bind(value)),
            Some(Value::Text(value)) => drop(sql.push_bind(value)),
            None => {}
        }
        sql.push(after);
        joint = " AND ";
    }
}

/// Whether the conditions are on messages too: an inbox without such filters is counted without
/// its messages.
pub(super) fn needs_messages(filter: &NotificationFilter) -> bool {
    filter.kind.is_some()
        || filter.event.is_some()
        || filter.ticket.is_some()
        || filter.project.is_some()
}

/// Whether a list reads few rows: its count reads the whole inbox, or what `since_seq` leaves.
pub(super) fn is_short(last_seq: Seq, filter: &NotificationFilter) -> bool {
    let has_channel = filter.channel.is_some_and(|channel| channel != Channel::System);
    let most = if needs_messages(filter) || has_channel { SHORT_WITH_LOOKUP } else { SHORT };
    last_seq.0 - filter.since_seq.map_or(0, |seq| seq.0) <= most
}
