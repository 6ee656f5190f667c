//! Templates: rare, so each change is its own statement in the group's transaction.

use bellpull_domain::version::Version;
use bellpull_port::StoreError;
use bellpull_port::templates::{PutTemplate, Source, TEMPLATES_MAX, TemplateKey, WrittenTemplate};
use rusqlite::Connection;

use super::super::statement::{execute, one};
use super::failure::Failure;
use super::{Answer, Done};

/// Stores a template, replacing the previous one.
pub(super) fn put(
    connection: &Connection,
    template: &WrittenTemplate,
    seen: Option<Version>,
) -> Result<Answer, Failure> {
    let WrittenTemplate { key, source, updated_at, updated_by } = template;
    let Source { subject, text, html } = source;
    let sql = "SELECT count(*), max(CASE WHEN event = ? AND channel = ? AND locale = ? \
               THEN updated_at END) FROM templates";
    let (event, channel, locale) = (&key.event, key.channel.as_str(), key.locale.as_str());
    let (all, own): (i64, Option<i64>) =
        one(connection, sql, (event, channel, locale), |row| row.try_into())?;
    if !Version(own.unwrap_or_default()).admits(seen) {
        return Ok(Err(StoreError::Conflict));
    }
    if own.is_none() && all >= i64::from(TEMPLATES_MAX) {
        return Ok(Ok(Done::Template(PutTemplate::TooMany)));
    }
    let sql = "INSERT INTO templates (event, channel, locale, subject, text, html, updated_at, \
               updated_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?) \
               ON CONFLICT (event, channel, locale) DO UPDATE SET subject = excluded.subject, \
               text = excluded.text, html = excluded.html, updated_at = excluded.updated_at, \
               updated_by = excluded.updated_by";
    let (at_ms, by) = (updated_at.as_millisecond(), updated_by.map(|user| user.0));
    let values = (event, channel, locale, subject, text, html, at_ms, by);
    execute(connection, sql, values)?;
    raise_version(connection)?;
    let put = if own.is_none() { PutTemplate::Created } else { PutTemplate::Replaced };
    Ok(Ok(Done::Template(put)))
}

/// Removes a template.
pub(super) fn delete(connection: &Connection, key: &TemplateKey) -> Result<Answer, Failure> {
    let sql = "DELETE FROM templates WHERE event = ? AND channel = ? AND locale = ?";
    let values = (&key.event, key.channel.as_str(), key.locale.as_str());
    let deleted = execute(connection, sql, values)?;
    if deleted > 0 {
        raise_version(connection)?;
    }
    Ok(Ok(Done::Changed(deleted)))
}

/// A process that has cached all templates sees by it that they are stale.
fn raise_version(connection: &Connection) -> rusqlite::Result<()> {
    let sql = "INSERT INTO counters (name, value) VALUES ('templates', 1) \
               ON CONFLICT (name) DO UPDATE SET value = value + 1";
    execute(connection, sql, ()).map(drop)
}
