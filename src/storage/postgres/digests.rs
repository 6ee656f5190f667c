//! Digests: deliveries that are leased for one account's digest are sent in one e-mail.
//! [`bellpull_domain::plan::digest`] decides which.

use std::collections::BTreeMap;

use bellpull_domain::ids::{DeliveryId, MessageId, NotificationId, UserId};
use bellpull_domain::plan::digest::{Email, Part, email, room};
use bellpull_port::StoreError;
use sqlx::postgres::PgRow;

use super::database::Connection;
use super::late;
use super::transaction::failed;
use crate::delivery_rows::count;
use crate::leases::{Lease, LeasedRow};
use crate::rows::int;

/// The lease of the other deliveries of a digest: its name, until when, and its owner.
const GATHER: &str = "UPDATE deliveries d SET digest_id = v.name, leases = d.leases + v.leases, \
    leased_until = $4, lease_owner = $5 \
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS v (id, name, leases) \
    WHERE d.id = v.id";

/// Other due deliveries of each of these accounts' digests with a name, locked: as many as its
/// e-mail has room for.
const WAITING: &str = "SELECT w.place, d.id, d.notification_id, d.attempt, n.message_id \
    FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY \
    AS w (recipient_id, name, room, place) CROSS JOIN LATERAL \
    (SELECT d.id, d.notification_id, d.leases + 1 AS attempt FROM deliveries d \
    WHERE d.recipient_id = w.recipient_id AND d.status = 'QUEUED' AND d.rule = 'digest' \
    AND d.leased_until IS NULL AND d.due_at <= $1 AND d.digest_id IS NOT DISTINCT FROM w.name \
    ORDER BY d.due_at, d.id LIMIT w.room FOR UPDATE SKIP LOCKED) d \
    JOIN notifications n ON n.id = d.notification_id";

/// E-mails by account and name; those of a first attempt have none yet.
type Begun = BTreeMap<(UserId, Option<i64>), Vec<LeasedRow>>;

/// Joins the deliveries that go out in one e-mail, with all that are due for it.
pub(super) async fn gather(
    connection: &mut Connection,
    wanted: &Lease,
    leased: Vec<LeasedRow>,
) -> Result<Vec<LeasedRow>, StoreError> {
    let (digests, mut rows): (Vec<_>, Vec<_>) = leased.into_iter().partition(|row| row.is_digest);
    let mut begun = Begun::new();
    for row in digests {
        match row.recipient {
            Some(recipient) => begun.entry((recipient, row.digest_id)).or_default().push(row),
            None => rows.push(row),
        }
    }
    if begun.is_empty() {
        return Ok(rows);
    }
    let (mut ids, mut names, mut leases) = (Vec::new(), Vec::new(), Vec::new());
    let mut waiting = waiting(connection, wanted, &begun).await?;
    for (place, ((_, name), begun)) in (1..).zip(begun) {
        let joined = waiting.remove(&place).unwrap_or_default();
        let leased = begun.iter().map(LeasedRow::part);
        let Some(Email { name, parts }) = email(name.map(DeliveryId), leased, joined) else {
            continue;
        };
        for (part, is_joined) in &parts {
            ids.push(part.id.0);
            names.push(name.0);
            leases.push(i64::from(*is_joined));
        }
        let parts = parts.into_iter().map(|(part, _)| part);
        rows.extend(begun.into_iter().next().and_then(|any| any.with_parts(parts)));
    }
    let query = sqlx::query(GATHER).bind(ids).bind(names).bind(leases);
    let query = query.bind(wanted.until.as_millisecond()).bind(wanted.owner.as_str());
    query.execute(connection).await.map_err(failed)?;
    rows.sort_unstable_by_key(|row| (row.due_at_ms, row.id));
    Ok(rows)
}

/// What may join each of the e-mails, by their places in that order, from 1 on.
async fn waiting(
    connection: &mut Connection,
    wanted: &Lease,
    begun: &Begun,
) -> Result<BTreeMap<i64, Vec<Part>>, StoreError> {
    let recipients: Vec<i64> = begun.keys().map(|(recipient, _)| recipient.0).collect();
    let names: Vec<Option<i64>> = begun.keys().map(|(_, name)| *name).collect();
    let room = |begun: &Vec<LeasedRow>| i64::try_from(room(begun.len())).unwrap_or(i64::MAX);
    let rooms: Vec<i64> = begun.values().map(room).collect();
    let query = sqlx::query(WAITING).bind(wanted.now.as_millisecond());
    let query = query.bind(recipients).bind(names.clone()).bind(rooms);
    let mut waiting = BTreeMap::<i64, Vec<Part>>::new();
    for row in query.fetch_all(&mut *connection).await.map_err(failed)? {
        waiting.entry(int(&row, "place")?).or_default().push(part(&row)?);
    }
    // The contents of one that was tried before are fixed.
    let is_new = |place: &i64| {
        let at = usize::try_from(place - 1).ok();
        at.and_then(|at| names.get(at)).is_some_and(Option::is_none)
    };
    let new = waiting.iter().filter(|(place, _)| is_new(place)).flat_map(|(_, parts)| parts);
    let new: Vec<DeliveryId> = new.map(|part| part.id).collect();
    let called_off = late::called_off(connection, wanted.channel, new.into_iter()).await?;
    if !called_off.is_empty() {
        let is_left = |part: &Part| called_off.iter().all(|(id, _)| *id != part.id);
        waiting.values_mut().for_each(|parts| parts.retain(is_left));
        late::hold_back(connection, called_off.iter().copied()).await?;
    }
    Ok(waiting)
}

fn part(row: &PgRow) -> Result<Part, StoreError> {
    Ok(Part {
        id: DeliveryId(int(row, "id")?),
        notification: Some(NotificationId(int(row, "notification_id")?)),
        attempt: count(row, "attempt")?,
        message: MessageId(int(row, "message_id")?),
    })
}
