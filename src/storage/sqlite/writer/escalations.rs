//! The steps of escalations that are cancelled because a recipient has seen the notification, or
//! because its ticket moved on.
//!
//! Only steps that are not leased are cancelled at once. One that is with a provider at that moment
//! may go out; it is cancelled if the provider defers it ([`super::attempts`]). An e-mail that was
//! tried before and joins several goes out in any case: a server may have accepted it.

use bellpull_domain::delivery::Rule;
use bellpull_domain::ids::{NotificationId, TicketId, UserId};
use rusqlite::Connection;

use super::super::multi_row::id_list;
use super::super::statement::execute;

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
