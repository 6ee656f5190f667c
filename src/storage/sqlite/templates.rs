//! Templates as senders and admins read them.

use async_trait::async_trait;
use bellpull_domain::ids::UserId;
use bellpull_domain::routing::Channel;
use bellpull_domain::version::Version;
use bellpull_port::templates::{PutTemplate, Source, TemplateKey, TemplateShelf, WrittenTemplate};
use bellpull_port::{StoreError, TemplateStore};
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::error::unavailable;
use super::rows::{get, get_name, get_time};
use super::writer::{Done, Write, mismatch};

/// How often templates were changed; no row before the first time.
const VERSION: &str = "SELECT ifnull((SELECT value FROM counters WHERE name = 'templates'), 0)";

#[async_trait]
impl TemplateStore for SqliteStore {
    async fn templates_version(&self) -> Result<i64, StoreError> {
        sqlx::query_scalar(VERSION).fetch_one(&self.readers).await.map_err(unavailable)
    }

    async fn templates(&self) -> Result<TemplateShelf, StoreError> {
        let mut snapshot = self.readers.begin().await.map_err(unavailable)?;
        let version = sqlx::query_scalar(VERSION);
        let version = version.fetch_one(&mut *snapshot).await.map_err(unavailable)?;
        let sql = "SELECT event, channel, locale, subject, text, html, updated_at, updated_by \
                   FROM templates ORDER BY event, channel, locale";
        let rows = sqlx::query(sql).fetch_all(&mut *snapshot).await.map_err(unavailable)?;
        let templates = rows.iter().map(template).collect::<Result<_, _>>()?;
        Ok(TemplateShelf { version, templates })
    }

    async fn put_template(
        &self,
        template: WrittenTemplate,
        seen: Option<Version>,
    ) -> Result<PutTemplate, StoreError> {
        let write = Write::PutTemplate(Box::new(template), seen);
        let Done::Template(put) = self.writer.write(write).await? else { return Err(mismatch()) };
        Ok(put)
    }

    async fn delete_template(&self, key: TemplateKey) -> Result<bool, StoreError> {
        let Done::Changed(rows) = self.writer.write(Write::DeleteTemplate(Box::new(key))).await?
        else {
            return Err(mismatch());
        };
        Ok(rows > 0)
    }
}

fn template(row: &SqliteRow) -> Result<WrittenTemplate, StoreError> {
    Ok(WrittenTemplate {
        key: TemplateKey {
            event: get(row, "event")?,
            channel: get_name(row, "channel", Channel::from_name)?,
            locale: get_name(row, "locale", |tag| tag.parse().ok())?,
        },
        source: Source {
            subject: get(row, "subject")?,
            text: get(row, "text")?,
            html: get(row, "html")?,
        },
        updated_at: get_time(row, "updated_at")?,
        updated_by: get::<Option<i64>, _>(row, "updated_by")?.map(UserId),
    })
}
