//! Templates as senders and admins read them. Every change raises their version first: the lock on
//! its row lets one change in at a time, over all nodes.

use async_trait::async_trait;
use bellpull_domain::ids::UserId;
use bellpull_domain::routing::Channel;
use bellpull_domain::version::Version;
use bellpull_port::templates::{
    PutTemplate, Source, TEMPLATES_MAX, TemplateKey, TemplateShelf, WrittenTemplate,
};
use bellpull_port::{StoreError, TemplateStore};
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::database::Connection;
use super::transaction::failed;
use crate::rows::{Columns, get_name, get_time, string};

/// How often templates were changed; no row before the first time.
const VERSION: &str = "SELECT coalesce((SELECT value FROM counters WHERE name = 'templates'), 0)";

#[async_trait]
impl TemplateStore for PostgresStore {
    async fn templates_version(&self) -> Result<i64, StoreError> {
        sqlx::query_scalar(VERSION).fetch_one(&self.pool).await.map_err(failed)
    }

    async fn templates(&self) -> Result<TemplateShelf, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let version = sqlx::query_scalar(VERSION);
        let version = version.fetch_one(&mut *snapshot).await.map_err(failed)?;
        let sql = "SELECT event, channel, locale, subject, text, html, updated_at, updated_by \
                   FROM templates ORDER BY event, channel, locale";
        let rows = sqlx::query(sql).fetch_all(&mut *snapshot).await.map_err(failed)?;
        let templates = rows.iter().map(template).collect::<Result<_, _>>()?;
        Ok(TemplateShelf { version, templates })
    }

    async fn put_template(
        &self,
        template: WrittenTemplate,
        seen: Option<Version>,
    ) -> Result<PutTemplate, StoreError> {
        let mut work = self.begin().await?;
        raise_version(&mut work).await?;
        let put = put(&mut work, &template, seen).await?;
        match put {
            PutTemplate::Created | PutTemplate::Replaced => work.commit().await?,
            PutTemplate::TooMany => work.roll_back().await,
        }
        Ok(put)
    }

    async fn delete_template(&self, key: TemplateKey) -> Result<bool, StoreError> {
        let mut work = self.begin().await?;
        raise_version(&mut work).await?;
        let sql = "DELETE FROM templates WHERE event = $1 AND channel = $2 AND locale = $3";
        let query = sqlx::query(sql).bind(&key.event).bind(key.channel.as_str());
        let query = query.bind(key.locale.as_str());
        let is_deleted = query.execute(&mut *work).await.map_err(failed)?.rows_affected() > 0;
        if is_deleted {
            work.commit().await?;
        } else {
            work.roll_back().await;
        }
        Ok(is_deleted)
    }
}

async fn put(
    connection: &mut Connection,
    template: &WrittenTemplate,
    seen: Option<Version>,
) -> Result<PutTemplate, StoreError> {
    let WrittenTemplate { key, source, updated_at, updated_by } = template;
    let Source { subject, text, html } = source;
    let (event, channel, locale) = (&key.event, key.channel.as_str(), key.locale.as_str());
    let sql = "SELECT count(*), max(CASE WHEN event = $1 AND channel = $2 AND locale = $3 \
               THEN updated_at END) FROM templates";
    let query = sqlx::query_as(sql).bind(event).bind(channel).bind(locale);
    let (all, own): (i64, Option<i64>) = query.fetch_one(&mut *connection).await.map_err(failed)?;
    if !Version(own.unwrap_or_default()).admits(seen) {
        return Err(StoreError::Conflict);
    }
    if own.is_none() && all >= i64::from(TEMPLATES_MAX) {
        return Ok(PutTemplate::TooMany);
    }
    let sql = "INSERT INTO templates (event, channel, locale, subject, text, html, updated_at, \
               updated_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
               ON CONFLICT (event, channel, locale) DO UPDATE SET subject = excluded.subject, \
               text = excluded.text, html = excluded.html, updated_at = excluded.updated_at, \
               updated_by = excluded.updated_by";
    let query = sqlx::query(sql).bind(event).bind(channel).bind(locale);
    let query = query.bind(subject).bind(text).bind(html);
    let query = query.bind(updated_at.as_millisecond()).bind(updated_by.map(|user| user.0));
    query.execute(connection).await.map_err(failed)?;
    Ok(if own.is_none() { PutTemplate::Created } else { PutTemplate::Replaced })
}

/// A process that has cached all templates sees by it that they are stale.
async fn raise_version(connection: &mut Connection) -> Result<(), StoreError> {
    let sql = "INSERT INTO counters (name, value) VALUES ('templates', 1) \
               ON CONFLICT (name) DO UPDATE SET value = counters.value + 1";
    sqlx::query(sql).execute(connection).await.map_err(failed)?;
    Ok(())
}

fn template(row: &PgRow) -> Result<WrittenTemplate, StoreError> {
    Ok(WrittenTemplate {
        key: TemplateKey {
            event: string(row, "event")?,
            channel: get_name(row, "channel", Channel::from_name)?,
            locale: get_name(row, "locale", |tag| tag.parse().ok())?,
        },
        source: Source {
            subject: string(row, "subject")?,
            text: string(row, "text")?,
            html: string(row, "html")?,
        },
        updated_at: get_time(row, "updated_at")?,
        updated_by: row.int("updated_by")?.map(UserId),
    })
}
