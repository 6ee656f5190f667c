//! Rows of either database as values of the domain.

use bellpull_domain::delivery::PushTarget;
use bellpull_domain::event::Event;
use bellpull_domain::ids::{ProjectId, TicketId, UserId};
use bellpull_domain::notification::{Kind, Message};
use bellpull_domain::ticket::{Category, Priority, Project, Status, Ticket};
use bellpull_domain::user::{Origin, User};
use bellpull_port::{Page, StoreError};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;

use super::error::{corrupt, unavailable};

/// A row as each database's library returns it.
pub(super) trait Columns {
    /// A column's text, which may be NULL.
    fn text(&self, column: &str) -> Result<Option<&str>, StoreError>;
    /// A column's integer, which may be NULL.
    fn int(&self, column: &str) -> Result<Option<i64>, StoreError>;
    /// A column's truth value.
    fn flag(&self, column: &str) -> Result<bool, StoreError>;
}

/// The column's text.
pub(super) fn text<'r>(row: &'r impl Columns, column: &str) -> Result<&'r str, StoreError> {
    row.text(column)?.ok_or_else(|| corrupt(column))
}

/// The same, owned.
pub(super) fn string(row: &impl Columns, column: &str) -> Result<String, StoreError> {
    text(row, column).map(str::to_owned)
}

/// The column's integer.
pub(super) fn int(row: &impl Columns, column: &str) -> Result<i64, StoreError> {
    row.int(column)?.ok_or_else(|| corrupt(column))
}

/// The column's value.
pub(super) fn get<'r, T, R>(row: &'r R, column: &str) -> Result<T, StoreError>
where
    R: Row,
    T: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    for<'c> &'c str: sqlx::ColumnIndex<R>,
{
    row.try_get(column).map_err(unavailable)
}

/// Milliseconds since 1970, as they are stored.
pub(super) fn timestamp(ms: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(ms).map_err(|_| corrupt("time"))
}

/// A time that may be missing.
pub(super) fn optional_timestamp(ms: Option<i64>) -> Result<Option<Timestamp>, StoreError> {
    ms.map(timestamp).transpose()
}

/// The column's time.
pub(super) fn get_time(row: &impl Columns, column: &str) -> Result<Timestamp, StoreError> {
    timestamp(int(row, column)?)
}

/// The column's name, as the enum that it is of.
pub(super) fn get_name<T>(
    row: &impl Columns,
    column: &str,
    from_name: impl FnOnce(&str) -> Option<T>,
) -> Result<T, StoreError> {
    from_name(text(row, column)?).ok_or_else(|| corrupt(column))
}

/// A value as JSON.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| corrupt("JSON"))
}

/// A JSON value.
pub(super) fn json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| corrupt("JSON"))
}

/// Who gave an account its number, of the column `claims_at`.
pub(super) fn origin(claims_ms: Option<i64>) -> Result<Origin, StoreError> {
    let issuer = |claims_at| Origin::Issuer { claims_at };
    Ok(optional_timestamp(claims_ms)?.map_or(Origin::Hub, issuer))
}

/// The column `claims_at` of an account.
pub(super) fn claims_ms(origin: Origin) -> Option<i64> {
    match origin {
        Origin::Hub => None,
        Origin::Issuer { claims_at } => Some(claims_at.as_millisecond()),
    }
}

/// The columns of a user `u` that [`user`] decodes.
macro_rules! user_columns {
    () => {
        "u.id, u.username, u.full_name, u.role, u.is_active, u.email_verified, u.created_at, \
         u.claims_at, u.tokens_from, \
         (SELECT {json_group_object(a.channel, a.address)\
         |coalesce(json_object_agg(a.channel, a.address), json_build_object())::text} \
         FROM addresses a WHERE a.user_id = u.id) AS addresses"
    };
}

/// Tickets `t` with what a ticket shows of its project `p` and its creator `u`, which [`ticket`]
/// decodes.
macro_rules! select_tickets {
    () => {
        "SELECT t.id, t.project_id, p.name AS project_name, p.key || '-' || t.number AS key, \
         t.title, t.description, t.priority, t.category, t.status, t.created_by, \
         CASE u.full_name WHEN '' THEN u.username ELSE u.full_name END AS created_by_name, \
         t.version, t.created_at, t.updated_at, \
         (SELECT {json_group_array(a.user_id ORDER BY a.position)\
         |coalesce(json_agg(a.user_id ORDER BY a.position), '[]')::text} \
         FROM ticket_assignees a WHERE a.ticket_id = t.id) AS assigned_to \
         FROM tickets t JOIN projects p ON p.id = t.project_id JOIN users u ON u.id = t.created_by"
    };
}

pub(super) use {select_tickets, user_columns};

/// A user's row; `addresses` is a JSON object by channel.
pub(super) fn user(row: &impl Columns) -> Result<User, StoreError> {
    Ok(User {
        id: UserId(int(row, "id")?),
        username: string(row, "username")?.into(),
        full_name: string(row, "full_name")?.into(),
        role: get_name(row, "role", |slug| slug.parse().ok())?,
        addresses: json(text(row, "addresses")?)?,
        is_active: row.flag("is_active")?,
        is_email_verified: row.flag("email_verified")?,
        created_at: timestamp(int(row, "created_at")?)?,
        origin: origin(row.int("claims_at")?)?,
        tokens_from: timestamp(int(row, "tokens_from")?)?,
    })
}

/// A project's row.
pub(super) fn project(row: &impl Columns) -> Result<Project, StoreError> {
    Ok(Project {
        id: ProjectId(int(row, "id")?),
        key: string(row, "key")?,
        name: string(row, "name")?,
        is_open: row.flag("is_open")?,
    })
}

/// A ticket's row; `assigned_to` is a JSON array.
pub(super) fn ticket(row: &impl Columns) -> Result<Ticket, StoreError> {
    Ok(Ticket {
        id: TicketId(int(row, "id")?),
        project: ProjectId(int(row, "project_id")?),
        project_name: string(row, "project_name")?,
        key: string(row, "key")?,
        title: string(row, "title")?,
        description: string(row, "description")?,
        priority: get_name(row, "priority", Priority::from_name)?,
        category: get_name(row, "category", Category::from_name)?,
        status: get_name(row, "status", Status::from_name)?,
        created_by: UserId(int(row, "created_by")?),
        created_by_name: string(row, "created_by_name")?,
        assigned_to: json(text(row, "assigned_to")?)?,
        version: int(row, "version")?,
        created_at: get_time(row, "created_at")?,
        updated_at: get_time(row, "updated_at")?,
    })
}

/// A browser's subscription to web push.
pub(super) fn push_target(row: &impl Columns) -> Result<PushTarget, StoreError> {
    Ok(PushTarget {
        id: int(row, "id")?,
        endpoint: string(row, "endpoint")?,
        p256dh: string(row, "p256dh")?,
        auth: string(row, "auth")?,
    })
}

/// The columns of a message `m` that [`message`] decodes.
macro_rules! message_columns {
    () => {
        "m.event, m.kind, m.title, m.body, m.action_url, m.metadata, m.ticket, m.sender_id, \
         m.priority, m.created_at"
    };
}

pub(super) use message_columns;

/// A message's row.
pub(super) fn message(row: &impl Columns) -> Result<Message, StoreError> {
    Ok(Message {
        event: Event::from_name(text(row, "event")?),
        kind: get_name(row, "kind", Kind::from_name)?,
        title: string(row, "title")?,
        body: string(row, "body")?,
        action_url: string(row, "action_url")?,
        metadata: json(text(row, "metadata")?)?,
        ticket: row.text("ticket")?.map(json).transpose()?,
        sender: row.int("sender_id")?.map(UserId),
        priority: get_name(row, "priority", Priority::from_name)?,
        created_at: timestamp(int(row, "created_at")?)?,
    })
}

/// A page from rows that have the number of all rows in the column `count`; a page without rows
/// has one row, whose column `present` is NULL. So the count and the rows are of one statement.
pub(super) fn page_of<T, R: Columns>(
    rows: &[R],
    present: &str,
    decode: impl Fn(&R) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let count = rows.first().map_or(Ok(0), |row| int(row, "count"))?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        if row.int(present)?.is_some() {
            found.push(decode(row)?);
        }
    }
    Ok(Page { count, rows: found })
}

/// The pattern that matches `text` anywhere, with its special characters escaped; for `LIKE …
/// ESCAPE '\'`.
pub(super) fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for content in text.chars() {
        if matches!(content, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(content);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_in_a_search_mean_themselves() {
        assert_eq!(containing("100%_\\"), "%100\\%\\_\\\\%");
    }
}
