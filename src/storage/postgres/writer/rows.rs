//! The rows of a plan: one part of a batch for each table, whatever their number.

use std::collections::{BTreeMap, BTreeSet};

use bellpull_domain::delivery::Rule;
use bellpull_domain::ids::{Seq, TicketId, UserId};
use bellpull_domain::inbox::Reached;
use bellpull_domain::plan::{NewDelivery, NewEntry, Rows, Subject};

use super::super::database::Connection;
use super::batch::Batch;
use super::failure::Failure;
use super::ticket_rows;
use crate::rows::to_json;

/// Adds all planned rows, and the heads of inboxes: those that marks have changed, and those with
/// new entries.
pub(super) fn add(
    batch: &mut Batch,
    mut rows: Rows<'_>,
    mut heads: BTreeMap<UserId, (Seq, i64)>,
) -> Result<(), Failure> {
    ticket_rows::add(batch, &mut rows);
    add_messages(batch, &rows)?;
    for entry in &rows.entries {
        heads.insert(entry.recipient, (entry.seq, entry.unread_count));
    }
    add_entries(batch, &rows.entries);
    add_heads(batch, heads);
    call_off_moved(batch, &rows.moved_on);
    add_deliveries(batch, &rows.deliveries);
    Ok(())
}

fn add_messages(batch: &mut Batch, rows: &Rows<'_>) -> Result<(), Failure> {
    let mut is_new = BTreeSet::new();
    if !rows.messages.is_empty() {
        let messages: Vec<_> = rows.messages.iter().map(|(_, content)| &content.message).collect();
        let (mut metadata, mut tickets) = (Vec::new(), Vec::new());
        for message in &messages {
            metadata.push(to_json(&message.metadata)?);
            tickets.push(message.ticket.as_ref().map(to_json).transpose()?);
        }
        is_new.extend(rows.messages.iter().map(|(id, _)| *id));
        let ids: Vec<i64> = rows.messages.iter().map(|(id, _)| id.0).collect();
        let copies = rows.messages.iter().map(|(id, _)| rows.copies.get(id).copied().unwrap_or(0));
        let texts = |value: fn(&bellpull_domain::notification::Message) -> &str| {
            messages.iter().map(|message| value(message)).collect::<Vec<&str>>()
        };
        let ticket_ids = messages.iter().map(|one| one.ticket.as_ref().map(|ticket| ticket.id.0));
        let times = messages.iter().map(|message| message.created_at.as_millisecond());
        let sql = "INSERT INTO messages (id, event, kind, title, body, action_url, metadata, \
                   ticket_id, ticket, sender_id, priority, created_at, copies) \
                   SELECT * FROM UNNEST(?::bigint[], ?::text[], ?::text[], ?::text[], \
                   ?::text[], ?::text[], ?::text[], ?::bigint[], ?::text[], ?::bigint[], \
                   ?::text[], ?::bigint[], ?::bigint[])";
        batch
            .part(sql)
            .bind(ids)
            .bind(texts(|message| message.event.as_str()))
            .bind(texts(|message| message.kind.as_str()))
            .bind(texts(|message| &message.title))
            .bind(texts(|message| &message.body))
            .bind(texts(|message| &message.action_url))
            .bind(metadata)
            .bind(ticket_ids.collect::<Vec<_>>())
            .bind(tickets)
            .bind(messages.iter().map(|one| one.sender.map(|user| user.0)).collect::<Vec<_>>())
            .bind(texts(|message| message.priority.as_str()))
            .bind(times.collect::<Vec<_>>())
            .bind(copies.collect::<Vec<_>>());
    }
    let (ids, more): (Vec<i64>, Vec<i64>) = rows
        .copies
        .iter()
        .filter(|(id, _)| !is_new.contains(id))
        .map(|(id, count)| (id.0, *count))
        .unzip();
    if !ids.is_empty() {
        // Messages that were written before this group.
        let sql = "UPDATE messages m SET copies = m.copies + v.more \
                   FROM UNNEST(?::bigint[], ?::bigint[]) AS v (id, more) WHERE m.id = v.id";
        batch.part(sql).bind(ids).bind(more);
    }
    Ok(())
}

fn add_entries(batch: &mut Batch, entries: &[NewEntry]) {
    if entries.is_empty() {
        return;
    }
    let sql = "INSERT INTO notifications (recipient_id, seq, id, changed_seq, message_id) \
               SELECT v.recipient_id, v.seq, v.id, v.seq, v.message_id \
               FROM UNNEST(?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[]) \
               AS v (recipient_id, seq, id, message_id)";
    let of = |value: fn(&NewEntry) -> i64| entries.iter().map(value).collect::<Vec<_>>();
    batch
        .part(sql)
        .bind(of(|entry| entry.recipient.0))
        .bind(of(|entry| entry.seq.0))
        .bind(of(|entry| entry.id.0))
        .bind(of(|entry| entry.message.0));
}

/// The inboxes are locked: their order does not matter any more.
fn add_heads(batch: &mut Batch, heads: BTreeMap<UserId, (Seq, i64)>) {
    if heads.is_empty() {
        return;
    }
    let (mut users, mut seqs, mut unread) = (Vec::new(), Vec::new(), Vec::new());
    for (user, (seq, unread_count)) in heads {
        users.push(user.0);
        seqs.push(seq.0);
        unread.push(unread_count);
    }
    let sql = "UPDATE inboxes i SET last_seq = v.last_seq, unread_count = v.unread_count \
               FROM UNNEST(?::bigint[], ?::bigint[], ?::bigint[]) \
               AS v (user_id, last_seq, unread_count) WHERE i.user_id = v.user_id";
    batch.part(sql).bind(users).bind(seqs).bind(unread);
}

/// Raises positions of locked inboxes, at most to their last numbers; none is lowered, but one that
/// cannot be is replaced.
pub(super) async fn raise_reached(
    connection: &mut Connection,
    positions: &BTreeMap<UserId, Reached>,
) -> Result<(), Failure> {
    if positions.is_empty() {
        return Ok(());
    }
    let users: Vec<i64> = positions.keys().map(|user| user.0).collect();
    let delivered: Vec<i64> = positions.values().map(|reached| reached.delivered.0).collect();
    let acknowledged = positions.values().map(|reached| reached.acknowledged.map(|seq| seq.0));
    let sql = "UPDATE inboxes i SET delivered_seq = CASE WHEN i.delivered_seq > i.last_seq \
               THEN least(v.delivered, i.last_seq) \
               ELSE greatest(i.delivered_seq, least(v.delivered, i.last_seq)) END, \
               acknowledged_seq = CASE WHEN v.acknowledged IS NULL THEN i.acknowledged_seq \
               ELSE greatest(i.acknowledged_seq, least(v.acknowledged, i.last_seq)) END \
               FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[]) \
               AS v (user_id, delivered, acknowledged) WHERE i.user_id = v.user_id \
               AND (i.delivered_seq < least(v.delivered, i.last_seq) \
               OR i.delivered_seq > i.last_seq \
               OR coalesce(i.acknowledged_seq, -1) < v.acknowledged)";
    let acknowledged: Vec<Option<i64>> = acknowledged.collect();
    sqlx::query(sql).bind(users).bind(delivered).bind(acknowledged).execute(connection).await?;
    Ok(())
}

/// Cancels the stored steps about tickets that moved on. A leased step is marked, for nothing else
/// will show later that the ticket had moved on by then. Stored deliveries only: the plan has
/// decided about its own.
fn call_off_moved(batch: &mut Batch, moved: &[TicketId]) {
    if moved.is_empty() {
        return;
    }
    let sql = "UPDATE deliveries SET \
               status = CASE WHEN leased_until IS NULL THEN 'SUPPRESSED' ELSE status END, \
               rule = CASE WHEN leased_until IS NULL THEN ? ELSE rule END, \
               until_seen = CASE WHEN leased_until IS NULL THEN until_seen ELSE -1 END \
               WHERE id IN (SELECT d.id FROM deliveries d WHERE d.until_seen = ANY(?) \
               AND d.status = 'QUEUED' AND d.digest_id IS NULL ORDER BY d.id FOR UPDATE)";
    let tickets: Vec<i64> = moved.iter().map(|ticket| ticket.0).collect();
    batch.part(sql).bind(Rule::MovedOn.as_str()).bind(tickets);
}

fn add_deliveries(batch: &mut Batch, deliveries: &[NewDelivery]) {
    if deliveries.is_empty() {
        return;
    }
    let subjects = deliveries.iter().map(|one| match one.subject {
        Subject::Notification(id, to) => (Some(id.0), (Some(to.0), None)),
        Subject::Message(id) => (None, (None, Some(id.0))),
    });
    type Ids = Vec<Option<i64>>;
    let (notifications, (recipients, messages)): (Ids, (Ids, Ids)) = subjects.unzip();
    let ids = |value: fn(&NewDelivery) -> i64| deliveries.iter().map(value).collect::<Vec<_>>();
    let texts =
        |value: fn(&NewDelivery) -> &str| deliveries.iter().map(value).collect::<Vec<&str>>();
    let rules = deliveries.iter().map(|one| one.route.rule.map(|rule| rule.as_str()));
    // A step that is about no ticket can only be seen: no ticket has id 0.
    let until_seen = deliveries
        .iter()
        .map(|one| one.route.until_seen.then(|| one.ticket.map_or(0, |ticket| ticket.0)));
    let sql = "INSERT INTO deliveries (id, notification_id, recipient_id, message_id, channel, \
               target_id, lane, status, rule, due_at, until_seen) SELECT * FROM UNNEST( \
               ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::text[], ?::bigint[], \
               ?::text[], ?::text[], ?::text[], ?::bigint[], ?::bigint[])";
    batch
        .part(sql)
        .bind(ids(|one| one.id.0))
        .bind(notifications)
        .bind(recipients)
        .bind(messages)
        .bind(texts(|one| one.route.channel.as_str()))
        .bind(ids(|one| one.target))
        .bind(texts(|one| &one.lane))
        .bind(texts(|one| one.route.status.as_str()))
        .bind(rules.collect::<Vec<_>>())
        .bind(ids(|one| one.route.due_at.as_millisecond()))
        .bind(until_seen.collect::<Vec<_>>());
}
