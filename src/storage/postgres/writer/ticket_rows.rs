//! Writes the planned rows of tickets: their state, assignees, history, comments and search words.

use std::collections::BTreeMap;

use bellpull_actors::domain::comment::Comment;
use bellpull_actors::domain::ids::{CommentId, TicketId, UserId};
use bellpull_actors::domain::plan::{NewTicket, Rows, SearchText};
use bellpull_actors::domain::ticket::{HistoryEntry, Ticket};
use sqlx::PgConnection;

use super::super::words;
use super::failure::Failure;

/// Writes them.
pub(super) async fn write(
    connection: &mut PgConnection,
    rows: &mut Rows<'_>,
) -> Result<(), Failure> {
    create(connection, &rows.new_tickets).await?;
    update(connection, &rows.tickets).await?;
    delete(connection, rows).await?;
    number(connection, rows).await?;
    write_words(connection, std::mem::take(&mut rows.search)).await?;
    assign(connection, &rows.assignees).await?;
    write_history(connection, &rows.history).await?;
    write_comments(connection, &rows.comments).await
}

/// The new rows; their text and state follow in [`update`].
async fn create(connection: &mut PgConnection, new: &[NewTicket]) -> Result<(), Failure> {
    if new.is_empty() {
        return Ok(());
    }
    let of = |value: fn(&NewTicket) -> i64| new.iter().map(value).collect::<Vec<_>>();
    let sql = "INSERT INTO tickets (id, project_id, number, title, description, priority, \
               category, status, created_by, version, created_at, updated_at) \
               SELECT v.id, v.project_id, v.number, '', '', '', '', '', v.created_by, 0, \
               v.created_at, v.created_at \
               FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) \
               AS v (id, project_id, number, created_by, created_at)";
    sqlx::query(sql)
        .bind(of(|ticket| ticket.id.0))
        .bind(of(|ticket| ticket.project.0))
        .bind(of(|ticket| ticket.number))
        .bind(of(|ticket| ticket.created_by.0))
        .bind(of(|ticket| ticket.created_at.as_millisecond()))
        .execute(connection)
        .await?;
    Ok(())
}

async fn update(
    connection: &mut PgConnection,
    tickets: &BTreeMap<TicketId, &Ticket>,
) -> Result<(), Failure> {
    if tickets.is_empty() {
        return Ok(());
    }
    let texts = |value: fn(&Ticket) -> &str| {
        tickets.values().map(|ticket| value(ticket)).collect::<Vec<&str>>()
    };
    let of = |value: fn(&Ticket) -> i64| {
        tickets.values().map(|ticket| value(ticket)).collect::<Vec<i64>>()
    };
    let sql = "UPDATE tickets t SET title = v.title, description = v.description, \
               priority = v.priority, category = v.category, status = v.status, \
               version = v.version, updated_at = v.updated_at \
               FROM UNNEST($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], \
               $6::text[], $7::bigint[], $8::bigint[]) \
               AS v (id, title, description, priority, category, status, version, updated_at) \
               WHERE t.id = v.id";
    sqlx::query(sql)
        .bind(of(|ticket| ticket.id.0))
        .bind(texts(|ticket| &ticket.title))
        .bind(texts(|ticket| &ticket.description))
        .bind(texts(|ticket| ticket.priority.as_str()))
        .bind(texts(|ticket| ticket.category.as_str()))
        .bind(texts(|ticket| ticket.status.as_str()))
        .bind(of(|ticket| ticket.version))
        .bind(of(|ticket| ticket.updated_at.as_millisecond()))
        .execute(connection)
        .await?;
    Ok(())
}

async fn delete(connection: &mut PgConnection, rows: &Rows<'_>) -> Result<(), Failure> {
    if rows.deleted.is_empty() {
        return Ok(());
    }
    let (ids, times): (Vec<i64>, Vec<i64>) =
        rows.deleted.iter().map(|(id, at)| (id.0, at.as_millisecond())).unzip();
    let sql = "UPDATE tickets t SET deleted_at = v.at \
               FROM UNNEST($1::bigint[], $2::bigint[]) AS v (id, at) WHERE t.id = v.id";
    sqlx::query(sql).bind(ids).bind(times).execute(connection).await?;
    Ok(())
}

/// The last number of each project.
async fn number(connection: &mut PgConnection, rows: &Rows<'_>) -> Result<(), Failure> {
    if rows.numbers.is_empty() {
        return Ok(());
    }
    let (ids, numbers): (Vec<i64>, Vec<i64>) =
        rows.numbers.iter().map(|(id, number)| (id.0, *number)).unzip();
    let sql = "UPDATE projects p SET last_number = v.number \
               FROM UNNEST($1::bigint[], $2::bigint[]) AS v (id, number) WHERE p.id = v.id";
    sqlx::query(sql).bind(ids).bind(numbers).execute(connection).await?;
    Ok(())
}

async fn write_words(
    connection: &mut PgConnection,
    texts: BTreeMap<TicketId, SearchText>,
) -> Result<(), Failure> {
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
        let sql = "DELETE FROM ticket_words WHERE ticket_id = ANY($1)";
        sqlx::query(sql).bind(gone).execute(&mut *connection).await?;
    }
    if !ids.is_empty() {
        let sql = "INSERT INTO ticket_words (ticket_id, words) SELECT v.id, v.words::tsvector \
                   FROM UNNEST($1::bigint[], $2::text[]) AS v (id, words) \
                   ON CONFLICT (ticket_id) DO UPDATE SET words = excluded.words";
        sqlx::query(sql).bind(ids).bind(vectors).execute(connection).await?;
    }
    Ok(())
}

/// Assigns exactly these developers to their tickets.
async fn assign(
    connection: &mut PgConnection,
    assignees: &BTreeMap<TicketId, &[UserId]>,
) -> Result<(), Failure> {
    if assignees.is_empty() {
        return Ok(());
    }
    let tickets: Vec<i64> = assignees.keys().map(|ticket| ticket.0).collect();
    let sql = "DELETE FROM ticket_assignees WHERE ticket_id = ANY($1)";
    sqlx::query(sql).bind(tickets).execute(&mut *connection).await?;
    let (mut tickets, mut users, mut positions) = (Vec::new(), Vec::new(), Vec::new());
    for (ticket, assigned) in assignees {
        for (position, user) in (0_i64..).zip(*assigned) {
            tickets.push(ticket.0);
            users.push(user.0);
            positions.push(position);
        }
    }
    if tickets.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO ticket_assignees (ticket_id, user_id, position) \
               SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[])";
    sqlx::query(sql).bind(tickets).bind(users).bind(positions).execute(connection).await?;
    Ok(())
}

async fn write_history(
    connection: &mut PgConnection,
    history: &[(TicketId, &HistoryEntry)],
) -> Result<(), Failure> {
    if history.is_empty() {
        return Ok(());
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
               actor_id, actor_name, note, created_at) SELECT * FROM UNNEST($1::bigint[], \
               $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], \
               $8::text[], $9::bigint[])";
    sqlx::query(sql)
        .bind(tickets)
        .bind(of(|entry| entry.version))
        .bind(texts(|entry| entry.action))
        .bind(from.collect::<Vec<_>>())
        .bind(texts(|entry| entry.to.as_str()))
        .bind(of(|entry| entry.by.0))
        .bind(texts(|entry| &entry.by_name))
        .bind(texts(|entry| &entry.note))
        .bind(of(|entry| entry.at.as_millisecond()))
        .execute(connection)
        .await?;
    Ok(())
}

async fn write_comments(
    connection: &mut PgConnection,
    comments: &[(CommentId, &Comment)],
) -> Result<(), Failure> {
    if comments.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = comments.iter().map(|(id, _)| id.0).collect();
    let of = |value: fn(&Comment) -> i64| {
        comments.iter().map(|(_, comment)| value(comment)).collect::<Vec<i64>>()
    };
    let texts = |value: fn(&Comment) -> &str| {
        comments.iter().map(|(_, comment)| value(comment)).collect::<Vec<&str>>()
    };
    let sql = "INSERT INTO comments (id, ticket_id, author_id, author_name, body, created_at) \
               SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], \
               $5::text[], $6::bigint[])";
    sqlx::query(sql)
        .bind(ids)
        .bind(of(|comment| comment.ticket.0))
        .bind(of(|comment| comment.author.0))
        .bind(texts(|comment| &comment.author_name))
        .bind(texts(|comment| &comment.body))
        .bind(of(|comment| comment.created_at.as_millisecond()))
        .execute(connection)
        .await?;
    Ok(())
}
