//! Escalations: policies, which change rarely, and the steps that are cancelled because a recipient
//! has seen the notification, or because its ticket moved on.
//!
//! Only steps that are not leased are cancelled at once. One that is with a provider at that moment
//! may go out; it is cancelled if the provider defers it ([`super::attempts`]). An e-mail that was
//! tried before and joins several goes out in any case: a server may have accepted it.

use bellpull_domain::delivery::Rule;
use bellpull_domain::escalation::{Escalation, POLICIES_MAX};
use bellpull_domain::event::Event;
use bellpull_domain::ids::{NotificationId, TicketId, UserId};
use bellpull_domain::version::Version;
use bellpull_port::StoreError;
use bellpull_port::escalations::EscalationRow;
use jiff::Timestamp;
use rusqlite::Connection;

use super::super::multi_row::id_list;
use super::super::rows::to_json;
use super::super::statement::{execute, optional};
use super::failure::Failure;
use super::{Answer, Done};

/// The steps of these notifications (`?2`) in these inboxes (`?1`). The index is read by inbox
/// only: an inbox has few steps, but a mark may be for many rows.
const SEEN: &str = "UPDATE deliveries SET status = 'SUPPRESSED', rule = ?3 WHERE id IN \
    (SELECT d.id FROM json_each(?1) u CROSS JOIN deliveries d INDEXED BY deliveries_until_seen \
    ON d.recipient_id = u.value WHERE d.until_seen IS NOT NULL AND d.status = 'QUEUED' \
    AND d.leased_until IS NULL AND d.digest_id IS NULL \
    AND +d.notification_id IN (SELECT value FROM json_each(?2)))";

/// The steps about these tickets. A leased step is marked, for nothing else will show later that
/// the ticket had moved on by then.
const MOVED_ON: &str = "UPDATE deliveries SET \
    status = iif(leased_until IS NULL, 'SUPPRESSED', status), \
    rule = iif(leased_until IS NULL, ?2, rule), \
    until_seen = iif(leased_until IS NULL, until_seen, -1) WHERE id IN \
    (SELECT d.id FROM json_each(?1) w CROSS JOIN deliveries d INDEXED BY deliveries_until_moved \
    ON d.until_seen = w.value WHERE d.status = 'QUEUED' AND d.digest_id IS NULL)";

/// Sets an event's policy; nothing is written if there would be too many.
pub(super) fn set(
    connection: &Connection,
    (event, seen): (&Event, Option<Version>),
    escalation: &Escalation,
    now: Timestamp,
) -> Result<Answer, Failure> {
    let sql = "SELECT updated_at FROM escalations WHERE event = ?";
    let before = optional(connection, sql, (event.as_str(),), |row| row.get(0))?;
    if !Version(before.unwrap_or_default()).admits(seen) {
        return Ok(Err(StoreError::Conflict));
    }
    let sql = "INSERT INTO escalations (event, steps, updated_at) SELECT ?1, ?2, ?3 \
               WHERE (SELECT count(*) FROM escalations WHERE event <> ?1) < ?4 \
               ON CONFLICT (event) DO UPDATE SET steps = excluded.steps, \
               updated_at = excluded.updated_at";
    let values = (event.as_str(), to_json(escalation)?, now.as_millisecond(), POLICIES_MAX);
    let is_set = execute(connection, sql, values)? > 0;
    let row = || {
        let (event, escalation) = (event.clone(), escalation.clone());
        Box::new(EscalationRow { event, escalation, updated_at: now })
    };
    Ok(Ok(Done::Escalation(is_set.then(row))))
}

/// Removes an event's policy.
pub(super) fn remove(connection: &Connection, event: &Event) -> Result<Answer, Failure> {
    let sql = "DELETE FROM escalations WHERE event = ?";
    Ok(Ok(Done::Changed(execute(connection, sql, (event.as_str(),))?)))
}

/// These notifications were read or deleted: cancels the steps that waited for that.
pub(super) fn call_off_seen(
    connection: &Connection,
    users: &[UserId],
    seen: &[NotificationId],
) -> rusqlite::Result<()> {
    if users.is_empty() {
        return Ok(());
    }
    let users = id_list(users.iter().map(|user| user.0));
    let seen = id_list(seen.iter().map(|id| id.0));
    execute(connection, SEEN, (users, seen, Rule::Seen.as_str())).map(drop)
}

/// These tickets moved on: cancels the stored deliveries that waited for that.
pub(super) fn call_off_moved(connection: &Connection, moved: &[TicketId]) -> rusqlite::Result<()> {
    if moved.is_empty() {
        return Ok(());
    }
    let tickets = id_list(moved.iter().map(|ticket| ticket.0));
    execute(connection, MOVED_ON, (tickets, Rule::MovedOn.as_str())).map(drop)
}
