//! Templates as senders and admins read them.

use async_trait::async_trait;
use bellpull_domain::ids::UserId;
use bellpull_domain::routing::Channel;
use bellpull_domain::version::Version;
use bellpull_port::templates::{
    PutTemplate, Source, TEMPLATES_MAX, TemplateKey, TemplateShelf, WrittenTemplate,
};
use bellpull_port::{StoreError, TemplateStore};

use crate::engine::{Db, Dialect, Engine, Failure, Operation, Reads, Row, Sql, sql, values};
use crate::rows::{Columns, get_name, get_time, int, string};

/// How often templates were changed; no row before the first time.
fn version() -> &'static Sql {
    sql!(
        "SELECT coalesce((SELECT value FROM counters WHERE name = 'templates'), 0) \
         AS version"
    )
}

#[async_trait]
impl<D: Dialect> TemplateStore for Engine<D> {
    async fn templates_version(&self) -> Result<i64, StoreError> {
        let first = |row: &Row| int(row, "version");
        Ok(self.row(version(), &[], first).await?.unwrap_or_default())
    }

    async fn templates(&self) -> Result<TemplateShelf, StoreError> {
        self.read(Reads::Short, All).await
    }

    async fn put_template(
        &self,
        template: WrittenTemplate,
        seen: Option<Version>,
    ) -> Result<PutTemplate, StoreError> {
        self.write(Put { template, seen }).await
    }

    async fn delete_template(&self, key: TemplateKey) -> Result<bool, StoreError> {
        self.write(Delete(key)).await
    }
}

/// All templates, with their version.
struct All;

impl Operation for All {
    type Answer = TemplateShelf;

    async fn run(&self, db: &mut Db<'_>) -> Result<TemplateShelf, Failure> {
        let version = db.count(version(), &[]).await?;
        let sql = sql!(
            "SELECT event, channel, locale, subject, text, html, updated_at, updated_by \
             FROM templates ORDER BY event, channel, locale"
        );
        Ok(TemplateShelf { version, templates: db.all(sql, &[], template).await? })
    }
}

/// Stores a template, replacing the previous one.
#[derive(Debug)]
struct Put {
    template: WrittenTemplate,
    seen: Option<Version>,
}

impl Operation for Put {
    type Answer = PutTemplate;

    async fn run(&self, db: &mut Db<'_>) -> Result<PutTemplate, Failure> {
        let WrittenTemplate { key, source, updated_at, updated_by } = &self.template;
        let Source { subject, text, html } = source;
        let (event, channel, locale) = (&key.event, key.channel.as_str(), key.locale.as_str());
        raise_version(db).await?;
        let sql = sql!(
            "SELECT count(*) AS stored, \
             max(CASE WHEN event = $1 AND channel = $2 AND locale = $3 \
             THEN updated_at END) AS changed_at FROM templates"
        );
        let counts = |row: &Row| Ok((int(row, "stored")?, row.int("changed_at")?));
        let counted = db.optional(sql, values![event, channel, locale], counts).await?;
        let (stored, changed_at) = counted.unwrap_or_default();
        if !Version(changed_at.unwrap_or_default()).admits(self.seen) {
            return Err(StoreError::Conflict.into());
        }
        if changed_at.is_none() && stored >= i64::from(TEMPLATES_MAX) {
            lower_version(db).await?;
            return Ok(PutTemplate::TooMany);
        }
        let sql = sql!(
            "INSERT INTO templates (event, channel, locale, subject, text, html, updated_at, \
             updated_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (event, channel, locale) DO UPDATE SET subject = excluded.subject, \
             text = excluded.text, html = excluded.html, updated_at = excluded.updated_at, \
             updated_by = excluded.updated_by"
        );
        let values = values![event, channel, locale, subject, text, html, *updated_at, *updated_by];
        db.execute(sql, values).await?;
        Ok(if changed_at.is_none() { PutTemplate::Created } else { PutTemplate::Replaced })
    }
}

/// Removes a template.
#[derive(Debug)]
struct Delete(TemplateKey);

impl Operation for Delete {
    type Answer = bool;

    async fn run(&self, db: &mut Db<'_>) -> Result<bool, Failure> {
        let TemplateKey { event, channel, locale } = &self.0;
        raise_version(db).await?;
        let sql = sql!("DELETE FROM templates WHERE event = $1 AND channel = $2 AND locale = $3");
        let deleted = db.execute(sql, values![event, channel.as_str(), locale.as_str()]).await?;
        if deleted == 0 {
            lower_version(db).await?;
        }
        Ok(deleted > 0)
    }
}

/// A process that has cached all templates sees by the version that they are stale. It is raised
/// before a change: the lock on its row lets one change in at a time, over all nodes.
async fn raise_version(db: &mut Db<'_>) -> Result<(), Failure> {
    add_to_version(db, 1).await
}

/// Nothing was changed after all.
async fn lower_version(db: &mut Db<'_>) -> Result<(), Failure> {
    add_to_version(db, -1).await
}

async fn add_to_version(db: &mut Db<'_>, difference: i64) -> Result<(), Failure> {
    let sql = sql!(
        "INSERT INTO counters (name, value) VALUES ('templates', $1) \
         ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value"
    );
    db.execute(sql, values![difference]).await.map(drop)
}

fn template(row: &Row) -> Result<WrittenTemplate, StoreError> {
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
