//! Leases: the longest due deliveries of a channel.
//!
//! Nodes lease one after the other, a channel at a time, so that none finds only rows that another
//! is about to take. A lease is a few short
//! statements. The lock is one of the transaction, and a node that stops in the middle loses it
//! after [`IDLE_MAX`].

use bellpull_domain::account_link::{AccountLink, LinkPurpose};
use bellpull_domain::delivery::Rule;
use bellpull_domain::ids::{DeliveryId, LinkId, NotificationId, UserId};
use bellpull_domain::locale::Locale;
use bellpull_domain::plan::step::Step;
use bellpull_port::StoreError;
use sqlx::postgres::PgRow;

use super::database::Connection;
use super::lanes::{held, lane_room, lanes};
use super::locks::{class, lock};
use super::transaction::{Work, failed};
use super::{digests, late};
use crate::delivery_rows::{count, optional_name};
use crate::error::corrupt;
use crate::leases::{Lease, LeasedRow, Leasing, Reading};
use crate::rows::{Columns, get_name, get_time, int, string};

/// How long the transaction of a lease may wait for its client.
const IDLE_MAX: &str = "3s";

/// Waits for the channel's other leases.
const TURN: &str = concat!(
    "SELECT ",
    lock!(leases, "hashtext($1)"),
    ", set_config('idle_in_transaction_session_timeout', $2, TRUE)"
);

/// The longest due deliveries that are not leased or whose lease has expired, locked.
///
/// Each lane is read by itself: a hundred thousand that wait in one do not hide one in another.
/// The condition on `d` is repeated: a row that has changed since the statement began is tested by
/// it again, once it is locked.
const DUE: &str = concat!(
    "WITH RECURSIVE ",
    lanes!(),
    ", ",
    held!("$6"),
    ", \
    due AS (SELECT q.id, q.due_at, l.lane FROM lanes l CROSS JOIN LATERAL \
    (SELECT q.id, q.due_at FROM deliveries q WHERE q.status = 'QUEUED' \
    AND q.leased_until IS NULL AND q.channel = $1 AND q.lane = l.lane AND q.due_at <= $2 \
    ORDER BY q.due_at, q.id LIMIT least($3, $4)) q \
    UNION ALL SELECT id, due_at, lane FROM leased WHERE leased_until <= $2), \
    placed AS (SELECT id, due_at, lane, row_number() OVER (PARTITION BY lane \
    ORDER BY due_at, id) AS place FROM due) \
    SELECT d.due_at, d.id, d.notification_id, coalesce(d.message_id, n.message_id) AS message_id, \
    u.id AS recipient_id, CASE u.full_name WHEN '' THEN u.username ELSE u.full_name END AS name, \
    coalesce(CASE WHEN NOT u.is_active THEN NULL WHEN $1 = 'PUSH' THEN \
    (SELECT json_build_array(s.id, s.endpoint, s.p256dh, s.auth)::text \
    FROM push_subscriptions s WHERE s.id = d.target_id AND s.user_id = d.recipient_id) \
    WHEN $1 = 'WEBHOOK' THEN (SELECT json_build_array(w.id, w.project_id, w.url, w.secret, \
    CASE WHEN w.old_secret_until > $2 THEN w.old_secret END)::text FROM webhooks w \
    WHERE w.id = d.target_id AND w.is_active AND w.user_id IS NOT DISTINCT FROM d.recipient_id) \
    ELSE (SELECT a.address FROM addresses a WHERE a.user_id = u.id AND a.channel = $1 \
    AND (k.id IS NULL OR lower(a.address) = lower(k.email))) END, '') AS address, \
    d.leases + 1 AS attempt, d.failures, d.rule IS NOT DISTINCT FROM 'digest' AS is_digest, \
    d.digest_id, s.body::json ->> 'locale' AS locale, d.until_seen, \
    (n.read_at IS NOT NULL OR n.deleted_at IS NOT NULL) AS is_seen, \
    CASE WHEN $1 <> 'EMAIL' THEN NULL WHEN k.id IS NOT NULL THEN \
    CASE WHEN k.ended_at IS NULL AND k.expires_at > $2 THEN NULL ELSE 'expired' END \
    WHEN $5 AND NOT u.email_verified THEN 'unverified' END AS stopped_by, \
    k.id AS link_id, k.purpose AS link_purpose, k.expires_at AS link_expires_at, \
    CASE WHEN d.leases < 4 THEN 0 ELSE d.leases - (SELECT count(*) FROM delivery_attempts t \
    WHERE t.delivery_id = d.id) END AS cut_off, d.rule IS NOT NULL AS is_delayed \
    FROM deliveries d LEFT JOIN notifications n ON n.id = d.notification_id \
    LEFT JOIN account_links k ON d.recipient_id IS NULL AND $1 = 'EMAIL' AND k.id = d.target_id \
    LEFT JOIN users u ON u.id = coalesce(d.recipient_id, k.user_id) \
    LEFT JOIN preferences s ON s.user_id = u.id \
    WHERE d.id = ANY (ARRAY (SELECT p.id FROM placed p LEFT JOIN held h ON h.lane = p.lane \
    WHERE p.place <= ",
    lane_room!("p.lane", "$4"),
    " - coalesce(h.count, 0) ORDER BY p.due_at, p.id LIMIT $3)) AND d.status = 'QUEUED' \
    AND (d.leased_until IS NULL OR d.leased_until <= $2) FOR UPDATE OF d SKIP LOCKED"
);

const LEASE: &str = "UPDATE deliveries SET leased_until = $2, lease_owner = $3, \
    leases = leases + 1 WHERE id = ANY ($1)";

/// Leases what is due. Held back are, and others are leased in their place: a delivery that has
/// lost its address since it was written; one to a disabled account; an escalation step that was
/// leased when its notification was seen or its ticket moved on, and was deferred; an e-mail to an
/// unverified address, or whose link is no longer open; and what has waited while its recipient
/// lost the wish, the need or the right to get it.
pub(super) async fn lease(
    mut work: Work,
    verify_email: bool,
    wanted: &Lease,
) -> Result<Vec<LeasedRow>, StoreError> {
    let turn = sqlx::query(TURN).bind(wanted.channel.as_str()).bind(IDLE_MAX);
    turn.execute(&mut *work).await.map_err(failed)?;
    let mut leasing = Leasing::new(wanted.limit);
    let mut has_changed = false;
    while let Some(room) = leasing.wanted() {
        let mut due = due(&mut work, verify_email, wanted, room).await?;
        let waited = due.iter().filter(|row| row.has_waited(wanted.now)).map(|row| row.id);
        for (id, rule) in late::called_off(&mut work, wanted.channel, waited).await? {
            let row = due.iter_mut().find(|row| row.id == id);
            row.into_iter().for_each(|row| row.call_off(rule));
        }
        let Reading { found, held_back } = leasing.take(due);
        has_changed |= !found.is_empty() || !held_back.is_empty();
        if !found.is_empty() {
            let query = sqlx::query(LEASE).bind(found).bind(wanted.until.as_millisecond());
            let query = query.bind(wanted.owner.as_str());
            query.execute(&mut *work).await.map_err(failed)?;
        }
        let held_back = held_back.into_iter().map(|(id, rule)| (DeliveryId(id), rule));
        late::hold_back(&mut work, held_back).await?;
    }
    let leased = leasing.into_rows();
    if !has_changed {
        work.roll_back().await;
        return Ok(leased);
    }
    let leased = digests::gather(&mut work, wanted, leased).await?;
    work.commit().await?;
    Ok(leased)
}

async fn due(
    connection: &mut Connection,
    verify_email: bool,
    wanted: &Lease,
    room: usize,
) -> Result<Vec<LeasedRow>, StoreError> {
    let query = sqlx::query(DUE).bind(wanted.channel.as_str());
    let query = query.bind(wanted.now.as_millisecond());
    let query = query.bind(i64::try_from(room).unwrap_or(i64::MAX));
    let query = query.bind(i64::from(wanted.limit.lane_max)).bind(verify_email);
    let query = query.bind(wanted.owner.as_str());
    query.fetch_all(connection).await.map_err(failed)?.iter().map(leased_row).collect()
}

fn leased_row(row: &PgRow) -> Result<LeasedRow, StoreError> {
    let digest_id = row.int("digest_id")?;
    let is_seen = row.flag("is_seen")?;
    let step =
        |until: i64| Step { has_moved_on: until < 0, is_seen, is_in_digest: digest_id.is_some() };
    let locale = row.text("locale")?.map(str::parse::<Locale>).transpose();
    Ok(LeasedRow {
        due_at_ms: int(row, "due_at")?,
        id: DeliveryId(int(row, "id")?),
        notification: row.int("notification_id")?.map(NotificationId),
        message_id: int(row, "message_id")?,
        recipient: row.int("recipient_id")?.map(UserId),
        name: row.text("name")?.map(str::to_owned),
        address: string(row, "address")?,
        attempt: count(row, "attempt")?,
        failures: count(row, "failures")?,
        cut_off: count(row, "cut_off")?,
        is_delayed: row.flag("is_delayed")?,
        called_off: None,
        is_digest: row.flag("is_digest")?,
        digest_id,
        locale: locale.map_err(|_| corrupt("locale"))?,
        step: row.int("until_seen")?.map(step),
        stopped_by: optional_name(row, "stopped_by", Rule::from_name)?,
        account_link: account_link(row)?,
        with: Vec::new(),
    })
}

/// The link, if the delivery contains one.
fn account_link(row: &PgRow) -> Result<Option<AccountLink>, StoreError> {
    let (Some(id), Some(user)) = (row.int("link_id")?, row.int("recipient_id")?) else {
        return Ok(None);
    };
    Ok(Some(AccountLink {
        id: LinkId(id),
        user: UserId(user),
        purpose: get_name(row, "link_purpose", LinkPurpose::from_name)?,
        expires_at: get_time(row, "link_expires_at")?,
    }))
}
