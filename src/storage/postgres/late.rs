//! Deliveries that have waited: those that may not go out any more. The rule is
//! [`bellpull_domain::plan::late`].

use bellpull_domain::delivery::Rule;
use bellpull_domain::event::Event;
use bellpull_domain::ids::{DeliveryId, UserId};
use bellpull_domain::plan::late::{Late, LateTicket};
use bellpull_domain::preference::Preferences;
use bellpull_domain::routing::Channel;
use bellpull_domain::ticket::Membership;
use bellpull_port::StoreError;
use sqlx::postgres::PgRow;

use super::database::Connection;
use super::transaction::failed;
use crate::error::corrupt;
use crate::rows::{Columns, int, json, text};

/// Of deliveries with a recipient. A ticket without a row is none of the hub's.
const LATE: &str = "SELECT d.id, u.id AS user_id, u.role, m.event, s.body::text AS preferences, \
    EXISTS (SELECT 1 FROM sends x WHERE x.message_id = m.id AND x.is_critical) AS is_critical, \
    (n.read_at IS NOT NULL OR n.deleted_at IS NOT NULL) AS is_seen, t.id AS ticket_id, \
    (t.deleted_at IS NOT NULL) AS is_deleted, (coalesce(t.created_by = u.id, FALSE) \
    OR EXISTS (SELECT 1 FROM ticket_assignees a WHERE a.ticket_id = t.id AND a.user_id = u.id)) \
    AS is_own, EXISTS (SELECT 1 FROM projects p WHERE p.id = t.project_id AND (p.is_open \
    OR EXISTS (SELECT 1 FROM project_members k WHERE k.project_id = p.id AND k.user_id = u.id))) \
    AS is_member FROM deliveries d JOIN notifications n ON n.id = d.notification_id \
    JOIN messages m ON m.id = n.message_id JOIN users u ON u.id = d.recipient_id \
    LEFT JOIN tickets t ON t.id = m.ticket_id LEFT JOIN preferences s ON s.user_id = u.id \
    WHERE d.id = ANY ($1)";

const HOLD_BACK: &str = "UPDATE deliveries d SET status = 'SUPPRESSED', rule = v.rule, \
    leased_until = NULL, lease_owner = NULL \
    FROM unnest($1::bigint[], $2::text[]) AS v (id, rule) WHERE d.id = v.id";

/// Those of these deliveries that do not go out, each with the rule.
pub(super) async fn called_off(
    connection: &mut Connection,
    channel: Channel,
    deliveries: impl Iterator<Item = DeliveryId>,
) -> Result<Vec<(DeliveryId, Rule)>, StoreError> {
    let ids: Vec<i64> = deliveries.map(|id| id.0).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(LATE).bind(ids).fetch_all(connection).await.map_err(failed)?;
    let mut called_off = Vec::new();
    for row in &rows {
        let rule = late(row, channel)?.called_off_by();
        let id = DeliveryId(int(row, "id")?);
        called_off.extend(rule.map(|rule| (id, rule)));
    }
    Ok(called_off)
}

/// These do not go out, by these rules.
pub(super) async fn hold_back(
    connection: &mut Connection,
    deliveries: impl Iterator<Item = (DeliveryId, Rule)>,
) -> Result<(), StoreError> {
    let (ids, rules): (Vec<i64>, Vec<&str>) =
        deliveries.map(|(id, rule)| (id.0, rule.as_str())).unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(HOLD_BACK).bind(ids).bind(rules);
    query.execute(connection).await.map(drop).map_err(failed)
}

fn late(row: &PgRow, channel: Channel) -> Result<Late, StoreError> {
    let is_member = row.flag("is_member")?;
    let membership = if is_member { Membership::Member } else { Membership::NonMember };
    let ticket =
        LateTicket { is_deleted: row.flag("is_deleted")?, is_own: row.flag("is_own")?, membership };
    let body = row.text("preferences")?;
    Ok(Late {
        channel,
        event: Event::from_name(text(row, "event")?),
        user: UserId(int(row, "user_id")?),
        role: text(row, "role")?.parse().map_err(|_| corrupt("role"))?,
        preferences: body.map_or_else(|| Ok(Preferences::default()), json)?,
        is_critical: row.flag("is_critical")?,
        is_seen: row.flag("is_seen")?,
        ticket: row.int("ticket_id")?.map(|_| ticket),
    })
}
