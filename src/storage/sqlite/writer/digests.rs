//! Digests: deliveries that are leased for one account's digest are sent in one e-mail.
//! [`bellpull_domain::plan::digest`] decides which.

use std::collections::BTreeMap;

use bellpull_domain::ids::{DeliveryId, MessageId, NotificationId, UserId};
use bellpull_domain::plan::digest::{Email, Part, email, room};
use rusqlite::Connection;

use super::super::leases::{Lease, LeasedRow};
use super::super::multi_row::{Cell, MultiRow};
use super::super::statement::all;
use super::failure::Failure;
use super::late;

/// The lease of the other deliveries of a digest: its name, until when, and its owner.
static GATHER: MultiRow = MultiRow::new(
    "UPDATE deliveries SET digest_id = v.column2, leased_until = v.column3, \
     leases = leases + v.column4, lease_owner = v.column5 FROM ",
    5,
    " AS v WHERE id = v.column1",
);

/// Other due deliveries of an account's digest with a name.
const WAITING: &str = "SELECT d.id, d.notification_id, d.leases + 1, n.message_id \
    FROM (SELECT id FROM deliveries INDEXED BY deliveries_digest WHERE recipient_id = ?1 \
    AND status = 'QUEUED' AND rule = 'digest' AND leased_until IS NULL AND due_at <= ?2 \
    AND digest_id IS ?3 ORDER BY due_at LIMIT ?4) p CROSS JOIN deliveries d ON d.id = p.id \
    CROSS JOIN notifications n ON n.id = d.notification_id";

/// E-mails by account and name; those of a first attempt have none yet.
type Begun = BTreeMap<(UserId, Option<i64>), Vec<LeasedRow>>;

/// Joins the deliveries that go out in one e-mail, with all that are due for it.
pub(super) fn gather(
    connection: &Connection,
    wanted: &Lease,
    leased: Vec<LeasedRow>,
) -> Result<Vec<LeasedRow>, Failure> {
    let (digests, mut rows): (Vec<_>, Vec<_>) = leased.into_iter().partition(|row| row.is_digest);
    if digests.is_empty() {
        return Ok(rows);
    }
    let mut begun = Begun::new();
    for row in digests {
        match row.recipient {
            Some(recipient) => begun.entry((recipient, row.digest_id)).or_default().push(row),
            None => rows.push(row),
        }
    }
    let mut cells = Vec::new();
    for ((recipient, name), begun) in begun {
        let joined = waiting(connection, wanted, (recipient, name), room(begun.len()))?;
        let leased = begun.iter().map(LeasedRow::part);
        let Some(Email { name, parts }) = email(name.map(DeliveryId), leased, joined) else {
            continue;
        };
        for (part, is_joined) in &parts {
            let (until_ms, leases) = (wanted.until.as_millisecond(), i64::from(*is_joined));
            cells.extend([part.id.0, name.0, until_ms, leases].map(Cell::Int));
            cells.push(wanted.owner.as_str().into());
        }
        let parts = parts.into_iter().map(|(part, _)| part);
        rows.extend(begun.into_iter().next().and_then(|any| any.with_parts(parts)));
    }
    GATHER.run(connection, &cells)?;
    rows.sort_unstable_by_key(|row| (row.due_at_ms, row.id));
    Ok(rows)
}

fn waiting(
    connection: &Connection,
    wanted: &Lease,
    (recipient, name): (UserId, Option<i64>),
    room: usize,
) -> Result<Vec<Part>, Failure> {
    let room = i64::try_from(room).unwrap_or(i64::MAX);
    let values = (recipient.0, wanted.now.as_millisecond(), name, room);
    let mut parts = all(connection, WAITING, values, |row| {
        let (id, notification, attempt, message_id) = row.try_into()?;
        let (id, notification) = (DeliveryId(id), Some(NotificationId(notification)));
        Ok(Part { id, notification, attempt, message: MessageId(message_id) })
    })?;
    // The contents of one that was tried before are fixed.
    if name.is_none() {
        let ids = parts.iter().map(|part| part.id);
        for (id, rule) in late::called_off(connection, wanted.channel, ids)? {
            parts.retain(|part| part.id != id);
            late::hold_back(connection, rule, vec![id.0])?;
        }
    }
    Ok(parts)
}
