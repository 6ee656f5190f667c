//! The outbox: leases, attempts, and reports of providers.
//!
//! All attempts of a group are recorded first ([`super::attempts`]), then reports
//! ([`super::reports`]), then leases are returned and ended, and only then new ones are taken: a
//! new lease sees what is free by then.

use bellpull_domain::account_link::{AccountLink, LinkPurpose};
use bellpull_domain::delivery::Rule;
use bellpull_domain::ids::{DeliveryId, LinkId, NotificationId, UserId};
use bellpull_domain::locale::Locale;
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::plan;
use bellpull_domain::plan::step::Step;
use bellpull_domain::routing::Channel;
use bellpull_port::{LeaseOwner, SetBack};
use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, Row};

use super::super::columns::webhook_target;
use super::super::lanes::{held, lane_room, lanes};
use super::super::leases::{Lease, LeasedRow, Leasing, Reading};
use super::super::multi_row::{Cell, MultiRow, id_list};
use super::super::rows::to_json;
use super::super::statement::{all, execute, optional};
use super::context::Place;
use super::failure::Failure;
use super::{Answer, Done, Write, attempts, digests, late, reports};

static GIVE_BACK: MultiRow = MultiRow::new(
    "UPDATE deliveries SET leased_until = NULL, lease_owner = NULL, leases = leases - 1 FROM ",
    3,
    " AS v WHERE id = v.column1 AND leases = v.column2 AND leased_until IS NOT NULL \
     AND lease_owner = v.column3",
);

static HOLD_BACK: MultiRow = MultiRow::new(
    "UPDATE deliveries SET status = 'SUPPRESSED', rule = v.column2, leased_until = NULL, \
     lease_owner = NULL FROM ",
    2,
    " AS v WHERE id = v.column1",
);

/// Applies the group's requests of the outbox.
pub(super) fn apply(
    connection: &Connection,
    place: Place<'_>,
    writes: &[&Write],
    answers: &mut [Option<Answer>],
) -> Result<(), Failure> {
    attempts::record(connection, writes)?;
    reports::take(connection, writes, answers)?;
    for (at, write) in writes.iter().enumerate() {
        if let Write::GiveBack(owner, leases) = write {
            give_back(connection, owner, leases)?;
        } else if let Write::Extend(owner, leases, until) = write {
            let count = extend(connection, owner, leases, *until)?;
            answers[at] = Some(Ok(Done::Changed(count)));
        } else if let Write::Release(owner, channel, known) = write {
            let count = release(connection, owner, *channel, known)?;
            answers[at] = Some(Ok(Done::Changed(count)));
        } else if let Write::SetBack(channel, clock) = write {
            let count = set_back(connection, *channel, *clock)?;
            answers[at] = Some(Ok(Done::Changed(count)));
        } else if let Write::RepairDue(channel, now) = write {
            let count = repair_due(connection, *channel, *now)?;
            answers[at] = Some(Ok(Done::Changed(count)));
        } else if let Write::Retry { delivery, now } = write {
            answers[at] = Some(Ok(Done::Changed(retry(connection, *delivery, *now)?)));
        }
    }
    for (at, write) in writes.iter().enumerate() {
        if let Write::Lease(wanted) = write {
            answers[at] = Some(Ok(Done::Leased(lease(connection, place.verify_email, wanted)?)));
        }
    }
    Ok(())
}

fn give_back(
    connection: &Connection,
    owner: &LeaseOwner,
    leases: &[(DeliveryId, u32)],
) -> rusqlite::Result<()> {
    let cells = leases.iter().flat_map(|(id, number)| {
        [Cell::Int(id.0), i64::from(*number).into(), owner.as_str().into()]
    });
    GIVE_BACK.run(connection, &cells.collect::<Vec<_>>())
}

/// How many of them it still holds.
fn extend(
    connection: &Connection,
    owner: &LeaseOwner,
    leases: &[(DeliveryId, u32)],
    until: Timestamp,
) -> Result<u64, Failure> {
    let sql = "UPDATE deliveries SET leased_until = ?3 FROM json_each(?1) v \
               WHERE deliveries.id = v.value ->> 0 AND leases = v.value ->> 1 \
               AND leased_until IS NOT NULL AND lease_owner = ?2";
    let values = (to_json(&leases)?, owner.as_str(), until.as_millisecond());
    Ok(execute(connection, sql, values)?)
}

fn release(
    connection: &Connection,
    owner: &LeaseOwner,
    channel: Channel,
    known: &[DeliveryId],
) -> Result<u64, rusqlite::Error> {
    let sql = "UPDATE deliveries SET leased_until = NULL, lease_owner = NULL \
               WHERE leased_until IS NOT NULL AND channel = ? AND lease_owner = ? \
               AND id NOT IN (SELECT value FROM json_each(?))";
    let known = id_list(known.iter().map(|id| id.0));
    execute(connection, sql, (channel.as_str(), owner.as_str(), known))
}

fn set_back(
    connection: &Connection,
    channel: Channel,
    clock: SetBack,
) -> Result<u64, rusqlite::Error> {
    let sql = "UPDATE deliveries SET due_at = max(?2, due_at - (?3 - ?2)) \
               WHERE status = 'QUEUED' AND leased_until IS NULL AND channel = ?1 \
               AND due_at > ?2 AND (due_at <= ?3 OR failures > 0)";
    let (was, now) = (clock.was.as_millisecond(), clock.now.as_millisecond());
    execute(connection, sql, (channel.as_str(), now, was))
}

fn repair_due(
    connection: &Connection,
    channel: Channel,
    now: Timestamp,
) -> Result<u64, rusqlite::Error> {
    let sql = "UPDATE deliveries SET due_at = max(?2, due_at - (w.written_at - ?2)) FROM \
               (SELECT d.id, CASE WHEN d.failures > 0 THEN \
               (SELECT max(a.started_at) FROM delivery_attempts a WHERE a.delivery_id = d.id) \
               WHEN d.rule IS NULL THEN d.due_at WHEN d.rule = 'escalation' THEN \
               (SELECT m.created_at FROM notifications n JOIN messages m \
               ON m.id = n.message_id WHERE n.id = d.notification_id) END AS written_at \
               FROM deliveries d WHERE d.status = 'QUEUED' AND d.leased_until IS NULL \
               AND d.channel = ?1 AND d.due_at > ?2) w \
               WHERE deliveries.id = w.id AND w.written_at > ?2 AND due_at >= w.written_at";
    execute(connection, sql, (channel.as_str(), now.as_millisecond()))
}

fn retry(connection: &Connection, delivery: DeliveryId, now: Timestamp) -> Result<u64, Failure> {
    let sql = "SELECT status FROM deliveries WHERE id = ?";
    let status = optional(connection, sql, (delivery.0,), |row| {
        Ok(DeliveryStatus::from_name(row.get_ref(0)?.as_str()?))
    })?;
    let Some(retried) = status.flatten().and_then(|status| plan::retry::retry(status, now)) else {
        return Ok(0);
    };
    let sql = "UPDATE deliveries SET status = ?2, due_at = ?3, failures = ?4, \
               provider_id = NULL, provider_status = NULL, provider_at = NULL, sent_at = NULL \
               WHERE id = ?1";
    let (status, due_at_ms) = (retried.status.as_str(), retried.due_at.as_millisecond());
    Ok(execute(connection, sql, (delivery.0, status, due_at_ms, retried.failures))?)
}

/// The longest due deliveries that are not leased or whose lease has expired, as [`LeasedRow`]s.
///
/// Each lane is read by itself: a hundred thousand that wait in one do not hide one in another.
const DUE: &str = concat!(
    "WITH RECURSIVE ",
    lanes!(),
    ", ",
    held!("?6"),
    ", \
    due AS (SELECT d.id, d.due_at, d.lane FROM lanes l CROSS JOIN deliveries d ON d.id IN \
    (SELECT q.id FROM deliveries q WHERE q.status = 'QUEUED' AND q.leased_until IS NULL \
    AND q.channel = ?1 AND q.lane = l.lane AND q.due_at <= ?2 \
    ORDER BY q.due_at, q.id LIMIT min(?3, ?4)) \
    UNION ALL SELECT id, due_at, lane FROM deliveries \
    WHERE leased_until IS NOT NULL AND channel = ?1 AND leased_until <= ?2), \
    placed AS (SELECT id, due_at, lane, row_number() OVER (PARTITION BY lane \
    ORDER BY due_at, id) AS place FROM due) \
    SELECT d.due_at, d.id, d.notification_id, \
    ifnull(d.message_id, n.message_id), u.id, \
    iif(u.full_name = '', u.username, u.full_name), \
    iif(u.id IS NULL OR u.is_active, \
    CASE ?1 WHEN 'PUSH' THEN ifnull((SELECT json_array(s.id, s.endpoint, \
    s.p256dh, s.auth) || '' FROM push_subscriptions s WHERE s.id = d.target_id \
    AND s.user_id = d.recipient_id), '') WHEN 'WEBHOOK' THEN ifnull((SELECT ",
    webhook_target!(),
    " || '' FROM webhooks w WHERE w.id = d.target_id AND w.is_active = 1 \
    AND w.user_id IS d.recipient_id), '') ELSE ifnull((SELECT a.address FROM addresses a \
    WHERE a.user_id = u.id AND a.channel = ?1 AND (k.id IS NULL OR a.address = k.email)), '') \
    END, ''), d.leases + 1, d.failures, \
    d.rule IS 'digest', d.digest_id, s.body ->> '$.locale', \
    CASE WHEN d.until_seen IS NULL THEN NULL ELSE (d.until_seen < 0) \
    + 2 * (n.read_at IS NOT NULL OR n.deleted_at IS NOT NULL) END, \
    CASE WHEN ?1 <> 'EMAIL' THEN NULL WHEN k.id IS NOT NULL \
    THEN iif(k.ended_at IS NULL AND k.expires_at > ?2, NULL, 'expired') \
    WHEN ?5 AND NOT u.email_verified THEN 'unverified' END, k.id, k.purpose, k.expires_at, \
    iif(d.leases < 4, 0, d.leases - (SELECT count(*) FROM delivery_attempts t \
    WHERE t.delivery_id = d.id)), d.rule IS NOT NULL \
    FROM (SELECT p.id FROM placed p LEFT JOIN held h ON h.lane = p.lane \
    WHERE p.place <= ",
    lane_room!("p.lane", "?4"),
    " - ifnull(h.count, 0) ORDER BY p.due_at, p.id LIMIT ?3) p \
    CROSS JOIN deliveries d ON d.id = p.id LEFT JOIN notifications n ON n.id = d.notification_id \
    LEFT JOIN account_links k ON d.recipient_id IS NULL AND ?1 = 'EMAIL' AND k.id = d.target_id \
    LEFT JOIN users u ON u.id = ifnull(d.recipient_id, k.user_id) \
    LEFT JOIN preferences s ON s.user_id = u.id"
);

fn locale(row: &Row<'_>) -> rusqlite::Result<Option<Locale>> {
    let tag: Option<String> = row.get(11)?;
    tag.map(|tag| tag.parse())
        .transpose()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(11, Type::Text, Box::new(error)))
}

/// The link in the columns from the 14th on, if the delivery contains one.
fn account_link(row: &Row<'_>) -> rusqlite::Result<Option<AccountLink>> {
    let (Some(id), Some(user)) = (row.get::<_, Option<i64>>(14)?, row.get::<_, Option<i64>>(4)?)
    else {
        return Ok(None);
    };
    let bad = |column, kind| rusqlite::Error::InvalidColumnType(column, String::new(), kind);
    let purpose = LinkPurpose::from_name(row.get_ref(15)?.as_str()?);
    let expires_at = Timestamp::from_millisecond(row.get(16)?);
    Ok(Some(AccountLink {
        id: LinkId(id),
        user: UserId(user),
        purpose: purpose.ok_or_else(|| bad(15, Type::Text))?,
        expires_at: expires_at.map_err(|_| bad(16, Type::Integer))?,
    }))
}

/// The step in the 13th column: whether its ticket moved on, and twice whether it was seen.
fn step(row: &Row<'_>) -> rusqlite::Result<Option<Step>> {
    let (bits, digest): (Option<u8>, Option<i64>) = (row.get(12)?, row.get(10)?);
    let step = |bits: u8| Step {
        has_moved_on: bits & 1 != 0,
        is_seen: bits & 2 != 0,
        is_in_digest: digest.is_some(),
    };
    Ok(bits.map(step))
}

fn leased_row(row: &Row<'_>) -> rusqlite::Result<LeasedRow> {
    Ok(LeasedRow {
        due_at_ms: row.get(0)?,
        id: DeliveryId(row.get(1)?),
        notification: row.get::<_, Option<i64>>(2)?.map(NotificationId),
        message_id: row.get(3)?,
        recipient: row.get::<_, Option<i64>>(4)?.map(UserId),
        name: row.get(5)?,
        address: row.get(6)?,
        attempt: row.get(7)?,
        failures: row.get(8)?,
        cut_off: row.get(17)?,
        is_delayed: row.get(18)?,
        called_off: None,
        is_digest: row.get(9)?,
        digest_id: row.get(10)?,
        locale: locale(row)?,
        step: step(row)?,
        stopped_by: row.get_ref(13)?.as_str_or_null()?.and_then(Rule::from_name),
        account_link: account_link(row)?,
        with: Vec::new(),
    })
}

/// Leases what is due. Held back are, and others are leased in their place: a delivery that has
/// lost its address since it was written; one to a disabled account; an escalation step that was
/// leased when its notification was seen or its ticket moved on, and was deferred; an e-mail to an
/// unverified address, or whose link is no longer open; and what has waited while its recipient
/// lost the wish, the need or the right to get it.
fn lease(
    connection: &Connection,
    verify_email: bool,
    wanted: &Lease,
) -> Result<Vec<LeasedRow>, Failure> {
    let (channel, now_ms) = (wanted.channel.as_str(), wanted.now.as_millisecond());
    let (lane_max, owner) = (wanted.limit.lane_max, wanted.owner.as_str());
    let mut leasing = Leasing::new(wanted.limit);
    while let Some(room) = leasing.wanted() {
        let at_most = i64::try_from(room).unwrap_or(i64::MAX);
        let values = (channel, now_ms, at_most, lane_max, verify_email, owner);
        let mut due = all(connection, DUE, values, leased_row)?;
        let waited = due.iter().filter(|row| row.has_waited(wanted.now)).map(|row| row.id);
        for (id, rule) in late::called_off(connection, wanted.channel, waited)? {
            let row = due.iter_mut().find(|row| row.id == id);
            row.into_iter().for_each(|row| row.call_off(rule));
        }
        let Reading { found, held_back } = leasing.take(due);
        if !found.is_empty() {
            let sql = "UPDATE deliveries SET leased_until = ?2, lease_owner = ?3, \
                       leases = leases + 1 WHERE id IN (SELECT value FROM json_each(?1))";
            execute(connection, sql, (id_list(found), wanted.until.as_millisecond(), owner))?;
        }
        let cells = held_back.iter().flat_map(|(id, rule)| [Cell::Int(*id), rule.as_str().into()]);
        HOLD_BACK.run(connection, &cells.collect::<Vec<_>>())?;
    }
    digests::gather(connection, wanted, leasing.into_rows())
}
