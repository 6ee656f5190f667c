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
use rusqlite::{Connection, Row};

use super::super::error::corrupt;
use super::super::multi_row::id_list;
use super::super::rows::json;
use super::super::statement::{all, execute};
use super::failure::Failure;

/// Of deliveries with a recipient. A ticket without a row is none of the hub's.
const LATE: &str = "SELECT d.id, u.id, u.role, m.event, s.body, \
    EXISTS (SELECT 1 FROM sends x WHERE x.message_id = m.id AND x.is_critical), \
    n.read_at IS NOT NULL OR n.deleted_at IS NOT NULL, t.id IS NOT NULL, t.deleted_at IS NOT NULL, \
    ifnull(t.created_by = u.id, 0) OR EXISTS (SELECT 1 FROM ticket_assignees a \
    WHERE a.ticket_id = t.id AND a.user_id = u.id), \
    EXISTS (SELECT 1 FROM projects p WHERE p.id = t.project_id AND (p.is_open = 1 \
    OR EXISTS (SELECT 1 FROM project_members k WHERE k.project_id = p.id AND k.user_id = u.id))) \
    FROM json_each(?1) i CROSS JOIN deliveries d ON d.id = i.value \
    CROSS JOIN notifications n ON n.id = d.notification_id \
    CROSS JOIN messages m ON m.id = n.message_id CROSS JOIN users u ON u.id = d.recipient_id \
    LEFT JOIN tickets t ON t.id = m.ticket_id LEFT JOIN preferences s ON s.user_id = u.id";

/// Those of these deliveries that do not go out, each with the rule.
pub(super) fn called_off(
    connection: &Connection,
    channel: Channel,
    deliveries: impl Iterator<Item = DeliveryId>,
) -> Result<Vec<(DeliveryId, Rule)>, Failure> {
    let ids = id_list(deliveries.map(|id| id.0));
    if ids == "[]" {
        return Ok(Vec::new());
    }
    let rows = all(connection, LATE, (ids,), |row| Ok(late(row, channel)))?;
    let mut called_off = Vec::new();
    for row in rows {
        let (id, late) = row?;
        called_off.extend(late.called_off_by().map(|rule| (id, rule)));
    }
    Ok(called_off)
}

/// These do not go out, by this rule.
pub(super) fn hold_back(
    connection: &Connection,
    rule: Rule,
    deliveries: Vec<i64>,
) -> rusqlite::Result<()> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE deliveries SET status = 'SUPPRESSED', rule = ?2, leased_until = NULL, \
               lease_owner = NULL WHERE id IN (SELECT value FROM json_each(?1))";
    execute(connection, sql, (id_list(deliveries), rule.as_str())).map(drop)
}

fn late(row: &Row<'_>, channel: Channel) -> Result<(DeliveryId, Late), StoreError> {
    fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, at: usize) -> Result<T, StoreError> {
        row.get(at).map_err(|_| corrupt("a delivery that waited"))
    }
    let (role, event, body): (String, String, Option<String>) =
        (get(row, 2)?, get(row, 3)?, get(row, 4)?);
    let membership = if get(row, 10)? { Membership::Member } else { Membership::NonMember };
    let has_ticket: bool = get(row, 7)?;
    let ticket = LateTicket { is_deleted: get(row, 8)?, is_own: get(row, 9)?, membership };
    let late = Late {
        channel,
        event: Event::from_name(&event),
        user: UserId(get(row, 1)?),
        role: role.parse().map_err(|_| corrupt("role"))?,
        preferences: body.map_or_else(|| Ok(Preferences::default()), |body| json(&body))?,
        is_critical: get(row, 5)?,
        is_seen: get(row, 6)?,
        ticket: has_ticket.then_some(ticket),
    };
    Ok((DeliveryId(get(row, 0)?), late))
}
