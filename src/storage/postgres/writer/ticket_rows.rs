//! The planned rows of tickets: their state, assignees, history, comments and search words.

use std::collections::BTreeMap;

use super::super::words;
use super::batch::{Batch, Part};
use bellpull_domain::comment::Comment;
use bellpull_domain::ids::{CommentId, TicketId, UserId};
use bellpull_domain::plan::{NewTicket, Rows, SearchText, UsedKey};
use bellpull_domain::ticket::{HistoryEntry, Ticket};

/// Adds them.
pub(super) fn add(batch: &mut Batch, rows: &mut Rows<'_>) {
    let mut changed = rows.tickets.clone();
    let new = rows.new_tickets.iter().filter_map(|new| Some((*new, changed.remove(&new.id)?)));
    let new: Vec<(NewTicket, &Ticket)> = new.collect();
    let deleted = rows.deleted.iter().map(|(id, at)| (*id, at.as_millisecond())).collect();
    create(batch, &new, &deleted);
    update(batch, &changed, &deleted);
    number(batch, rows);
    add_words(batch, std::mem::take(&mut rows.search));
    assign(batch, &rows.assignees);
    add_history(batch, &rows.history);
    add_comments(batch, &rows.comments);
    add_keys(batch, &rows.keys);
}

/// When each deleted ticket was deleted, in milliseconds.
type Deleted = BTreeMap<TicketId, i64>;

fn create(batch: &mut Batch, new: &[(NewTicket, &Ticket)], deleted: &Deleted) {
    if new.is_empty() {
        return;
    }
    let of = |value: fn(&NewTicket) -> i64| -> Vec<i64> {
        new.iter().map(|(ticket, _)| value(ticket)).collect()
    };
    let states = new.iter().map(|(_, ticket)| *ticket);
    let sql = "INSERT INTO tickets (project_id, number, created_by, created_at, id, title, \
               description, priority, category, status, version, updated_at, deleted_at) \
               SELECT * FROM UNNEST(?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], \
               ?::bigint[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::bigint[], \
               ?::bigint[], ?::bigint[])";
    let part = batch
        .part(sql)
        .bind(of(|ticket| ticket.project.0))
        .bind(of(|ticket| ticket.number))
        .bind(of(|ticket| ticket.created_by.0))
        .bind(of(|ticket| ticket.created_at.as_millisecond()));
    bind_states(part, states, deleted);
}

fn update(batch: &mut Batch, changed: &BTreeMap<TicketId, &Ticket>, deleted: &Deleted) {
    if changed.is_empty() {
        return;
    }
    let sql = "UPDATE tickets t SET title = v.title, description = v.description, \
               priority = v.priority, category = v.category, status = v.status, \
               version = v.version, updated_at = v.updated_at, \
               deleted_at = coalesce(v.deleted_at, t.deleted_at) \
               FROM UNNEST(?::bigint[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], \
               ?::bigint[], ?::bigint[], ?::bigint[]) AS v (id, title, description, priority, \
               category, status, version, updated_at, deleted_at) WHERE t.id = v.id";
    bind_states(batch.part(sql), changed.values().copied(), deleted);
}

/// From the id to the time of deletion.
fn bind_states<'t>(
    part: Part<'_>,
    tickets: impl Iterator<Item = &'t Ticket> + Clone,
    deleted: &Deleted,
) {
    let of = |value: fn(&Ticket) -> i64| tickets.clone().map(value).collect::<Vec<i64>>();
    let texts = |value: fn(&Ticket) -> &str| tickets.clone().map(value).collect::<Vec<&str>>();
    let deleted_at = tickets.clone().map(|ticket| deleted.get(&ticket.id).copied());
    part.bind(of(|ticket| ticket.id.0))
        .bind(texts(|ticket| &ticket.title))
        .bind(texts(|ticket| &ticket.description))
        .bind(texts(|ticket| ticket.priority.as_str()))
        .bind(texts(|ticket| ticket.category.as_str()))
        .bind(texts(|ticket| ticket.status.as_str()))
        .bind(of(|ticket| ticket.version))
        .bind(of(|ticket| ticket.updated_at.as_millisecond()))
        .bind(deleted_at.collect::<Vec<_>>());
}

/// The last number of each project.
fn number(batch: &mut Batch, rows: &Rows<'_>) {
    if rows.numbers.is_empty() {
        return;
    }
    let (ids, numbers): (Vec<i64>, Vec<i64>) =
        rows.numbers.iter().map(|(id, number)| (id.0, *number)).unzip();
    let sql = "UPDATE projects p SET last_number = v.number \
               FROM UNNEST(?::bigint[], ?::bigint[]) AS v (id, number) WHERE p.id = v.id";
    batch.part(sql).bind(ids).bind(numbers);
}

fn add_words(batch: &mut Batch, texts: BTreeMap<TicketId, SearchText>) {
    let (mut gone, mut ids, mut vectors) = (Vec::new(), Vec::new(), Vec::new());
    for (ticket, SearchText { text, .. }) in texts {
        match text {
            Some(text) => {
                ids.push(ticket.0);
                vectors.push(words::vector(&text));
            }
            None => gone.push(ticket.0),
        }
    }
    if !gone.is_empty() {
        let sql = "DELETE FROM ticket_words WHERE ticket_id = ANY(?)";
        batch.part(sql).bind(gone);
    }
    if !ids.is_empty() {
        let sql = "INSERT INTO ticket_words AS w (ticket_id, words, revision) \
                   SELECT v.id, v.words::tsvector, 1 \
                   FROM UNNEST(?::bigint[], ?::text[]) AS v (id, words) ON CONFLICT (ticket_id) \
                   DO UPDATE SET words = excluded.words, revision = w.revision + 1";
        batch.part(sql).bind(ids).bind(vectors);
    }
}

/// Assigns exactly these developers to their tickets.
fn assign(batch: &mut Batch, assignees: &BTreeMap<TicketId, &[UserId]>) {
    if assignees.is_empty() {
        return;
    }
    let tickets: Vec<i64> = assignees.keys().map(|ticket| ticket.0).collect();
    let (mut of, mut users, mut positions) = (Vec::new(), Vec::new(), Vec::new());
    for (ticket, assigned) in assignees {
        for (position, user) in (0_i64..).zip(*assigned) {
            of.push(ticket.0);
            users.push(user.0);
            positions.push(position);
        }
    }
    // Those that stay are updated below, not here.
    let sql = "DELETE FROM ticket_assignees a WHERE a.ticket_id = ANY(?) AND NOT EXISTS \
               (SELECT 1 FROM UNNEST(?::bigint[], ?::bigint[]) AS v (ticket_id, user_id) \
               WHERE v.ticket_id = a.ticket_id AND v.user_id = a.user_id)";
    batch.part(sql).bind(tickets).bind(of.clone()).bind(users.clone());
    if of.is_empty() {
        return;
    }
    let sql = "INSERT INTO ticket_assignees (ticket_id, user_id, position) \
               SELECT * FROM UNNEST(?::bigint[], ?::bigint[], ?::bigint[]) \
               ON CONFLICT (ticket_id, user_id) DO UPDATE SET position = excluded.position";
    batch.part(sql).bind(of).bind(users).bind(positions);
}

fn add_history(batch: &mut Batch, history: &[(TicketId, &HistoryEntry)]) {
    if history.is_empty() {
        return;
    }
    let tickets: Vec<i64> = history.iter().map(|(ticket, _)| ticket.0).collect();
    let of = |value: fn(&HistoryEntry) -> i64| {
        history.iter().map(|(_, entry)| value(entry)).collect::<Vec<i64>>()
    };
    let texts = |value: fn(&HistoryEntry) -> &str| {
        history.iter().map(|(_, entry)| value(entry)).collect::<Vec<&str>>()
    };
    let from = history.iter().map(|(_, entry)| entry.from.map(|status| status.as_str()));
    let sql = "INSERT INTO ticket_history (ticket_id, version, action, from_status, to_status, \
               actor_id, actor_name, note, created_at) SELECT * FROM UNNEST(?::bigint[], \
               ?::bigint[], ?::text[], ?::text[], ?::text[], ?::bigint[], ?::text[], \
               ?::text[], ?::bigint[])";
    batch
        .part(sql)
        .bind(tickets)
        .bind(of(|entry| entry.version))
        .bind(texts(|entry| entry.action))
        .bind(from.collect::<Vec<_>>())
        .bind(texts(|entry| entry.to.as_str()))
        .bind(of(|entry| entry.by.0))
        .bind(texts(|entry| &entry.by_name))
        .bind(texts(|entry| &entry.note))
        .bind(of(|entry| entry.at.as_millisecond()));
}

fn add_comments(batch: &mut Batch, comments: &[(CommentId, &Comment)]) {
    if comments.is_empty() {
        return;
    }
    let ids: Vec<i64> = comments.iter().map(|(id, _)| id.0).collect();
    let of = |value: fn(&Comment) -> i64| {
        comments.iter().map(|(_, comment)| value(comment)).collect::<Vec<i64>>()
    };
    let texts = |value: fn(&Comment) -> &str| {
        comments.iter().map(|(_, comment)| value(comment)).collect::<Vec<&str>>()
    };
    let sql = "INSERT INTO comments (id, ticket_id, author_id, author_name, body, created_at) \
               SELECT * FROM UNNEST(?::bigint[], ?::bigint[], ?::bigint[], ?::text[], \
               ?::text[], ?::bigint[])";
    batch
        .part(sql)
        .bind(ids)
        .bind(of(|comment| comment.ticket.0))
        .bind(of(|comment| comment.author.0))
        .bind(texts(|comment| &comment.author_name))
        .bind(texts(|comment| &comment.body))
        .bind(of(|comment| comment.created_at.as_millisecond()));
}

fn add_keys(batch: &mut Batch, keys: &[UsedKey<'_>]) {
    if keys.is_empty() {
        return;
    }
    let of = |value: fn(&UsedKey<'_>) -> i64| keys.iter().map(value).collect::<Vec<i64>>();
    let sql = "INSERT INTO idempotency_keys (owner_id, key, body_hash, made, made_id, created_at) \
               SELECT * FROM UNNEST(?::bigint[], ?::text[], ?::bytea[], ?::text[], ?::bigint[], \
               ?::bigint[])";
    batch
        .part(sql)
        .bind(of(|used| used.key.owner.0))
        .bind(keys.iter().map(|used| used.key.key.as_str()).collect::<Vec<_>>())
        .bind(keys.iter().map(|used| used.key.body_hash.as_slice()).collect::<Vec<_>>())
        .bind(keys.iter().map(|used| used.made.as_str()).collect::<Vec<_>>())
        .bind(of(|used| used.id))
        .bind(of(|used| used.at.as_millisecond()));
}
