//! Webhooks as their owners see them.

use async_trait::async_trait;
use bellpull_domain::delivery::WebhookTarget;
use bellpull_domain::idempotency::IdempotencyKey;
use bellpull_domain::ids::WebhookId;
use bellpull_domain::webhook::{HookSecret, NewWebhook, Webhook, WebhookChanges};
use bellpull_port::webhooks::WhichWebhooks;
use bellpull_port::{Page, PageRequest, StoreError, WebhookStore};
use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite};

use super::SqliteStore;
use super::columns::{select_webhooks, webhook_target};
use super::error::unavailable;
use super::slow_reads::{READ_MAX, read_error};
use super::webhook_rows::{target, webhook};
use super::writer::{Done, WebhookWrite, Write, mismatch};

#[async_trait]
impl WebhookStore for SqliteStore {
    async fn create_webhook_once(
        &self,
        new: NewWebhook,
        once: Option<IdempotencyKey>,
        now: Timestamp,
    ) -> Result<Option<Webhook>, StoreError> {
        self.write_webhook(WebhookWrite::Create(new, once), now).await
    }

    async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        let query = sqlx::query(concat!(select_webhooks!(), " WHERE id = ?")).bind(id.0);
        let row = query.fetch_optional(&self.readers).await.map_err(unavailable)?;
        row.as_ref().map(webhook).transpose()
    }

    async fn webhooks(
        &self,
        which: WhichWebhooks,
        page: PageRequest,
    ) -> Result<Page<Webhook>, StoreError> {
        let mut read = self.slow.begin(READ_MAX).await?;
        let mut snapshot = read.snapshot().await?;
        let mut count = QueryBuilder::new("SELECT count(*) FROM webhooks");
        narrow(&mut count, which);
        let count =
            count.build_query_scalar().fetch_one(&mut *snapshot).await.map_err(read_error)?;
        let mut rows = QueryBuilder::new(select_webhooks!());
        narrow(&mut rows, which);
        rows.push(" ORDER BY id LIMIT ").push_bind(i64::from(page.page_size));
        rows.push(" OFFSET ").push_bind(page.offset());
        let rows = rows.build().fetch_all(&mut *snapshot).await.map_err(read_error)?;
        Ok(Page { count, rows: rows.iter().map(webhook).collect::<Result<_, _>>()? })
    }

    async fn change_webhook(
        &self,
        id: WebhookId,
        changes: WebhookChanges,
        now: Timestamp,
    ) -> Result<Option<Webhook>, StoreError> {
        self.write_webhook(WebhookWrite::Change(id, changes), now).await
    }

    async fn untold_webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        let sql = concat!(select_webhooks!(), " WHERE off_reason IS NOT NULL AND NOT is_told");
        let rows = sqlx::query(sql).fetch_all(&self.readers).await.map_err(unavailable)?;
        rows.iter().map(webhook).collect()
    }

    async fn tell_webhook(&self, id: WebhookId) -> Result<bool, StoreError> {
        let write = Box::new(WebhookWrite::Tell(id));
        Ok(self.changed(Write::Webhook(write, Timestamp::UNIX_EPOCH)).await? > 0)
    }

    async fn rotate_secret(
        &self,
        id: WebhookId,
        secret: HookSecret,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let write = Box::new(WebhookWrite::Rotate(id, secret));
        Ok(self.changed(Write::Webhook(write, now)).await? > 0)
    }

    async fn delete_webhook(&self, id: WebhookId) -> Result<bool, StoreError> {
        let write = Box::new(WebhookWrite::Delete(id));
        Ok(self.changed(Write::Webhook(write, Timestamp::UNIX_EPOCH)).await? > 0)
    }

    async fn webhook_target(
        &self,
        id: WebhookId,
        now: Timestamp,
    ) -> Result<Option<WebhookTarget>, StoreError> {
        let sql = concat!("SELECT ", webhook_target!(), " FROM webhooks w WHERE w.id = ?1");
        let query = sqlx::query_scalar(sql).bind(id.0).bind(now.as_millisecond());
        let found: Option<String> =
            query.fetch_optional(&self.readers).await.map_err(unavailable)?;
        found.as_deref().map(target).transpose()
    }
}

impl SqliteStore {
    async fn write_webhook(
        &self,
        write: WebhookWrite,
        now: Timestamp,
    ) -> Result<Option<Webhook>, StoreError> {
        let write = Write::Webhook(Box::new(write), now);
        let Done::Webhook(found) = self.writer.write(write).await? else {
            return Err(mismatch());
        };
        Ok(found.map(|found| *found))
    }
}

fn narrow(sql: &mut QueryBuilder<Sqlite>, which: WhichWebhooks) {
    match which {
        WhichWebhooks::Own(user) => sql.push(" WHERE user_id = ").push_bind(user.0),
        WhichWebhooks::OwnAndProjects(user) => {
            sql.push(" WHERE project_id IS NOT NULL OR user_id = ").push_bind(user.0)
        }
        WhichWebhooks::Of(project) => sql.push(" WHERE project_id = ").push_bind(project.0),
    };
}
