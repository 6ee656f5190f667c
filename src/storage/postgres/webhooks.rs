//! Webhooks as their owners see them. Their deliveries switch them off: see [`super::attempts`].

use async_trait::async_trait;
use bellpull_domain::delivery::WebhookTarget;
use bellpull_domain::idempotency::{Creates, IdempotencyKey};
use bellpull_domain::ids::{UserId, WebhookId};
use bellpull_domain::plan::webhook::{changed, has_room, old_secret_until};
use bellpull_domain::webhook::{HookOwner, HookSecret, NewWebhook, Webhook, WebhookChanges};
use bellpull_port::webhooks::WhichWebhooks;
use bellpull_port::{Page, PageRequest, StoreError, WebhookStore};
use jiff::Timestamp;

use super::columns::select_webhooks;
use super::database::Connection;
use super::transaction::failed;
use super::{PostgresStore, account_rows, keys};
use crate::rows::{timestamp, to_json};
use crate::webhook_rows::{target, webhook};

/// Which webhooks a list shows: those of the user `$1`, of the project `$2`, or of any project if
/// `$3`.
macro_rules! listed {
    () => {
        " WHERE user_id = $1 OR project_id = $2 OR ($3 AND project_id IS NOT NULL)"
    };
}

#[async_trait]
impl WebhookStore for PostgresStore {
    async fn create_webhook_once(
        &self,
        new: NewWebhook,
        once: Option<IdempotencyKey>,
        now: Timestamp,
    ) -> Result<Option<Webhook>, StoreError> {
        let mut work = self.begin().await?;
        let once = once.as_ref();
        keys::admit(&mut work, once, Creates::Webhook).await.map_err(failed)??;
        // Two at once are counted one after the other.
        match new.owner {
            HookOwner::User(user) => account_rows::lock(&mut work, user).await?,
            HookOwner::Project(project) => {
                let sql = "SELECT id FROM projects WHERE id = $1 FOR NO KEY UPDATE";
                let query = sqlx::query_scalar::<_, i64>(sql).bind(project.0);
                let found = query.fetch_optional(&mut *work).await.map_err(failed)?;
                found.ok_or(StoreError::NotFound)?;
            }
        }
        if !has_room(new.owner, count(&mut work, new.owner).await?) {
            return Ok(None);
        }
        let id = insert(&mut work, &new, now).await?;
        let recorded = keys::record(&mut work, once, Creates::Webhook, id.0, now);
        recorded.await.map_err(failed)?;
        let created = find(&mut work, id, Lock::None).await?;
        work.commit().await?;
        Ok(created)
    }

    async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        find(&mut connection, id, Lock::None).await
    }

    async fn webhooks(
        &self,
        which: WhichWebhooks,
        page: PageRequest,
    ) -> Result<Page<Webhook>, StoreError> {
        let (user, project, of_projects) = match which {
            WhichWebhooks::Own(user) => (Some(user.0), None, false),
            WhichWebhooks::OwnAndProjects(user) => (Some(user.0), None, true),
            WhichWebhooks::Of(project) => (None, Some(project.0), false),
        };
        let mut snapshot = self.snapshot().await?;
        let sql = concat!("SELECT count(*) FROM webhooks", listed!());
        let count = sqlx::query_scalar(sql).bind(user).bind(project).bind(of_projects);
        let count = count.fetch_one(&mut *snapshot).await.map_err(failed)?;
        let sql = concat!(select_webhooks!(), listed!(), " ORDER BY id LIMIT $4 OFFSET $5");
        let rows = sqlx::query(sql).bind(user).bind(project).bind(of_projects);
        let rows = rows.bind(i64::from(page.page_size)).bind(page.offset());
        let rows = rows.fetch_all(&mut *snapshot).await.map_err(failed)?;
        Ok(Page { count, rows: rows.iter().map(webhook).collect::<Result<_, _>>()? })
    }

    async fn change_webhook(
        &self,
        id: WebhookId,
        changes: WebhookChanges,
        now: Timestamp,
    ) -> Result<Option<Webhook>, StoreError> {
        let mut work = self.begin().await?;
        let Some(before) = find(&mut work, id, Lock::Row).await? else { return Ok(None) };
        if !before.version().admits(changes.seen) {
            return Err(StoreError::Conflict);
        }
        let now = timestamp(now.as_millisecond())?;
        let after = changed(before, &changes, now);
        let sql = "UPDATE webhooks SET url = $2, lane = coalesce($3, lane), events = $4, \
                   description = $5, is_active = $6, failures = $7, off_reason = $8, \
                   failing_since = CASE WHEN $7 = 0 THEN NULL ELSE failing_since END, \
                   is_told = $8 IS NOT NULL AND is_told, updated_at = $9 WHERE id = $1";
        let query = sqlx::query(sql)
            .bind(id.0)
            .bind(&after.url)
            .bind(changes.address.as_ref().map(|address| &address.lane))
            .bind(to_json(&after.events)?)
            .bind(&after.description)
            .bind(after.is_active)
            .bind(i64::from(after.failures))
            .bind(&after.off_reason)
            .bind(now.as_millisecond());
        query.execute(&mut *work).await.map_err(failed)?;
        work.commit().await?;
        Ok(Some(after))
    }

    async fn untold_webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        let sql = concat!(select_webhooks!(), " WHERE off_reason IS NOT NULL AND NOT is_told");
        let rows = sqlx::query(sql).fetch_all(&self.pool).await.map_err(failed)?;
        rows.iter().map(webhook).collect()
    }

    async fn tell_webhook(&self, id: WebhookId) -> Result<bool, StoreError> {
        let mut work = self.begin().await?;
        let sql = "UPDATE webhooks SET is_told = true WHERE id = $1 AND NOT is_told \
                   AND off_reason IS NOT NULL";
        let told = sqlx::query(sql).bind(id.0).execute(&mut *work).await.map_err(failed)?;
        work.commit().await?;
        Ok(told.rows_affected() > 0)
    }

    async fn rotate_secret(
        &self,
        id: WebhookId,
        secret: HookSecret,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut work = self.begin().await?;
        let sql = "UPDATE webhooks SET old_secret = secret, old_secret_until = $3, secret = $2, \
                   updated_at = $4 WHERE id = $1";
        let query = sqlx::query(sql).bind(id.0).bind(secret.reveal());
        let query = query.bind(old_secret_until(now).as_millisecond()).bind(now.as_millisecond());
        let rotated = query.execute(&mut *work).await.map_err(failed)?.rows_affected();
        work.commit().await?;
        Ok(rotated > 0)
    }

    async fn delete_webhook(&self, id: WebhookId) -> Result<bool, StoreError> {
        let mut work = self.begin().await?;
        let query = sqlx::query("DELETE FROM webhooks WHERE id = $1").bind(id.0);
        let deleted = query.execute(&mut *work).await.map_err(failed)?.rows_affected();
        work.commit().await?;
        Ok(deleted > 0)
    }

    async fn webhook_target(
        &self,
        id: WebhookId,
        now: Timestamp,
    ) -> Result<Option<WebhookTarget>, StoreError> {
        let sql = "SELECT json_build_array(id, project_id, url, secret, \
                   CASE WHEN old_secret_until > $2 THEN old_secret END)::TEXT \
                   FROM webhooks WHERE id = $1";
        let query = sqlx::query_scalar(sql).bind(id.0).bind(now.as_millisecond());
        let found: Option<String> = query.fetch_optional(&self.pool).await.map_err(failed)?;
        found.as_deref().map(target).transpose()
    }
}

/// How many webhooks an owner has.
async fn count(connection: &mut Connection, owner: HookOwner) -> Result<u32, StoreError> {
    let (user, project) = columns(owner);
    let sql = "SELECT count(*) FROM webhooks WHERE user_id = $1 OR project_id = $2";
    let query = sqlx::query_scalar::<_, i64>(sql).bind(user).bind(project);
    let count = query.fetch_one(connection).await.map_err(failed)?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// An owner as the columns of a user and of a project.
fn columns(owner: HookOwner) -> (Option<i64>, Option<i64>) {
    match owner {
        HookOwner::User(UserId(id)) => (Some(id), None),
        HookOwner::Project(id) => (None, Some(id.0)),
    }
}

async fn insert(
    connection: &mut Connection,
    new: &NewWebhook,
    now: Timestamp,
) -> Result<WebhookId, StoreError> {
    let (user, project) = columns(new.owner);
    let sql = "INSERT INTO webhooks (user_id, project_id, url, lane, events, description, \
               is_active, secret, created_at, updated_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) RETURNING id";
    let query = sqlx::query_scalar(sql)
        .bind(user)
        .bind(project)
        .bind(&new.address.url)
        .bind(&new.address.lane)
        .bind(to_json(&new.events)?)
        .bind(&new.description)
        .bind(new.is_active)
        .bind(new.secret.reveal())
        .bind(now.as_millisecond());
    Ok(WebhookId(query.fetch_one(connection).await.map_err(failed)?))
}

/// Whether a row is read to be changed.
#[derive(Debug, Clone, Copy)]
enum Lock {
    None,
    Row,
}

async fn find(
    connection: &mut Connection,
    id: WebhookId,
    lock: Lock,
) -> Result<Option<Webhook>, StoreError> {
    let query = sqlx::query(match lock {
        Lock::None => concat!(select_webhooks!(), " WHERE id = $1"),
        Lock::Row => concat!(select_webhooks!(), " WHERE id = $1 FOR NO KEY UPDATE"),
    });
    let row = query.bind(id.0).fetch_optional(connection).await.map_err(failed)?;
    row.as_ref().map(webhook).transpose()
}
