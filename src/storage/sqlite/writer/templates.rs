//! Templates: rare, so each change is its own statement in the group's transaction.

use bellpull_actors::port::templates::{
    PutTemplate, Source, TEMPLATES_MAX, TemplateKey, WrittenTemplate,
};
use sqlx::SqliteConnection;

use super::group::Failure;
use super::{Answer, Done};

/// Keeps a template in the place of the one before.
pub(super) async fn put(
    connection: &mut SqliteConnection,
    template: &WrittenTemplate,
) -> Result<Answer, Failure> {
    let WrittenTemplate { key, source, updated_at, updated_by } = template;
    let Source { subject, text, html } = source;
    let sql = "SELECT count(*), ifnull(sum(event = ? AND channel = ? AND locale = ?), 0) \
               FROM templates";
    let (all, own): (i64, i64) = sqlx::query_as(sql)
        .bind(&key.event)
        .bind(key.channel.as_str())
        .bind(key.locale.as_str())
        .fetch_one(&mut *connection)
        .await?;
    if own == 0 && all >= i64::from(TEMPLATES_MAX) {
        return Ok(Ok(Done::Template(PutTemplate::TooMany)));
    }
    let sql = "INSERT INTO templates (event, channel, locale, subject, text, html, updated_at, \
               updated_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?) \
               ON CONFLICT (event, channel, locale) DO UPDATE SET subject = excluded.subject, \
               text = excluded.text, html = excluded.html, updated_at = excluded.updated_at, \
               updated_by = excluded.updated_by";
    sqlx::query(sql)
        .bind(&key.event)
        .bind(key.channel.as_str())
        .bind(key.locale.as_str())
        .bind(subject)
        .bind(text)
        .bind(html)
        .bind(updated_at.as_millisecond())
        .bind(updated_by.map(|user| user.0))
        .execute(&mut *connection)
        .await?;
    raise_version(connection).await?;
    let put = if own == 0 { PutTemplate::Created } else { PutTemplate::Replaced };
    Ok(Ok(Done::Template(put)))
}

/// Takes a template away.
pub(super) async fn delete(
    connection: &mut SqliteConnection,
    key: &TemplateKey,
) -> Result<Answer, Failure> {
    let sql = "DELETE FROM templates WHERE event = ? AND channel = ? AND locale = ?";
    let query = sqlx::query(sql).bind(&key.event).bind(key.channel.as_str());
    let done = query.bind(key.locale.as_str()).execute(&mut *connection).await?;
    if done.rows_affected() > 0 {
        raise_version(connection).await?;
    }
    Ok(Ok(Done::Changed(done.rows_affected())))
}

/// Whoever has all templates in memory sees by it that they are old.
async fn raise_version(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO counters (name, value) VALUES ('templates', 1) \
               ON CONFLICT (name) DO UPDATE SET value = value + 1";
    sqlx::query(sql).execute(connection).await.map(drop)
}
