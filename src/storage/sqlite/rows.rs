//! Rows as values of the domain.

use bellpull_actors::domain::event::Event;
use bellpull_actors::domain::ids::{ProjectId, TicketId, UserId};
use bellpull_actors::domain::notification::{Kind, Message};
use bellpull_actors::domain::ticket::{Category, Priority, Project, Status, Ticket};
use bellpull_actors::domain::user::User;
use bellpull_actors::port::StoreError;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::error::{corrupt, unavailable};

macro_rules! user_columns {
    () => {
        "id, username, full_name, role, is_active, email_verified, created_at, \
         (SELECT json_group_object(channel, address) FROM addresses WHERE user_id = users.id) \
         AS addresses"
    };
}

macro_rules! project_columns {
    () => {
        "id, key, name, is_open"
    };
}

macro_rules! message_columns {
    () => {
        "m.event, m.kind, m.title, m.body, m.action_url, m.metadata, m.ticket, m.sender_id, \
         m.priority, m.created_at"
    };
}

/// Tickets `t` with what a ticket shows of its project `p` and its creator `u`.
macro_rules! select_tickets {
    () => {
        "SELECT t.id, t.project_id, p.name AS project_name, p.key || '-' || t.number AS key, \
         t.title, t.description, t.priority, t.category, t.status, t.created_by, \
         iif(u.full_name = '', u.username, u.full_name) AS created_by_name, t.version, \
         t.created_at, t.updated_at, (SELECT json_group_array(a.user_id ORDER BY a.position) \
         FROM ticket_assignees a WHERE a.ticket_id = t.id) AS assigned_to \
         FROM tickets t JOIN projects p ON p.id = t.project_id JOIN users u ON u.id = t.created_by"
    };
}

pub(super) use {message_columns, project_columns, select_tickets, user_columns};

/// A row that readers and the writer both decode, each with its own library.
pub(super) trait Columns {
    /// A column's text, which may be NULL.
    fn text(&self, column: &str) -> Result<Option<&str>, StoreError>;
    /// A column's integer, which may be NULL.
    fn int(&self, column: &str) -> Result<Option<i64>, StoreError>;
}

impl Columns for SqliteRow {
    fn text(&self, column: &str) -> Result<Option<&str>, StoreError> {
        get(self, column)
    }

    fn int(&self, column: &str) -> Result<Option<i64>, StoreError> {
        get(self, column)
    }
}

impl Columns for rusqlite::Row<'_> {
    fn text(&self, column: &str) -> Result<Option<&str>, StoreError> {
        let value = self.get_ref(column).map_err(unavailable)?;
        value.as_str_or_null().map_err(unavailable)
    }

    fn int(&self, column: &str) -> Result<Option<i64>, StoreError> {
        self.get(column).map_err(unavailable)
    }
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

/// The enum value that the text names.
fn name<T>(
    row: &impl Columns,
    column: &str,
    from_name: impl FnOnce(&str) -> Option<T>,
) -> Result<T, StoreError> {
    from_name(text(row, column)?).ok_or_else(|| corrupt(column))
}

/// The column's value.
pub(super) fn get<'r, T>(row: &'r SqliteRow, column: &str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
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
pub(super) fn get_time(row: &SqliteRow, column: &str) -> Result<Timestamp, StoreError> {
    timestamp(get(row, column)?)
}

/// The column's name, as the enum that it is of.
pub(super) fn get_name<T>(
    row: &SqliteRow,
    column: &str,
    from_name: impl FnOnce(&str) -> Option<T>,
) -> Result<T, StoreError> {
    from_name(get(row, column)?).ok_or_else(|| corrupt(column))
}

/// A value as JSON.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| corrupt("JSON"))
}

/// A JSON value.
pub(super) fn json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| corrupt("JSON"))
}

/// A row of [`user_columns!`].
pub(super) fn user(row: &impl Columns) -> Result<User, StoreError> {
    Ok(User {
        id: UserId(int(row, "id")?),
        username: string(row, "username")?.into(),
        full_name: string(row, "full_name")?.into(),
        role: name(row, "role", |slug| slug.parse().ok())?,
        addresses: json(text(row, "addresses")?)?,
        is_active: int(row, "is_active")? != 0,
        is_email_verified: int(row, "email_verified")? != 0,
        created_at: timestamp(int(row, "created_at")?)?,
    })
}

/// A row of [`project_columns!`].
pub(super) fn project(row: &impl Columns) -> Result<Project, StoreError> {
    Ok(Project {
        id: ProjectId(int(row, "id")?),
        key: string(row, "key")?,
        name: string(row, "name")?,
        is_open: int(row, "is_open")? != 0,
    })
}

/// A row of [`select_tickets!`].
pub(super) fn ticket(row: &SqliteRow) -> Result<Ticket, StoreError> {
    Ok(Ticket {
        id: TicketId(get(row, "id")?),
        project: ProjectId(get(row, "project_id")?),
        project_name: get(row, "project_name")?,
        key: get(row, "key")?,
        title: get(row, "title")?,
        description: get(row, "description")?,
        priority: get_name(row, "priority", Priority::from_name)?,
        category: get_name(row, "category", Category::from_name)?,
        status: get_name(row, "status", Status::from_name)?,
        created_by: UserId(get(row, "created_by")?),
        created_by_name: get(row, "created_by_name")?,
        assigned_to: json(get(row, "assigned_to")?)?,
        version: get(row, "version")?,
        created_at: get_time(row, "created_at")?,
        updated_at: get_time(row, "updated_at")?,
    })
}

/// A row of [`message_columns!`].
pub(super) fn message(row: &impl Columns) -> Result<Message, StoreError> {
    Ok(Message {
        event: Event::from_name(text(row, "event")?),
        kind: name(row, "kind", Kind::from_name)?,
        title: string(row, "title")?,
        body: string(row, "body")?,
        action_url: string(row, "action_url")?,
        metadata: json(text(row, "metadata")?)?,
        ticket: row.text("ticket")?.map(json).transpose()?,
        sender: row.int("sender_id")?.map(UserId),
        priority: name(row, "priority", Priority::from_name)?,
        created_at: timestamp(int(row, "created_at")?)?,
    })
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
