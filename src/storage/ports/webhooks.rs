//! Webhooks as their owners see them.

use async_trait::async_trait;
use bellpull_domain::delivery::WebhookTarget;
use bellpull_domain::idempotency::{Creates, IdempotencyKey};
use bellpull_domain::ids::{ProjectId, UserId, WebhookId};
use bellpull_domain::plan::webhook::{changed, has_room, old_secret_until};
use bellpull_domain::webhook::{HookOwner, HookSecret, NewWebhook, Webhook, WebhookChanges};
use bellpull_port::webhooks::WhichWebhooks;
use bellpull_port::{Page, PageRequest, StoreError, WebhookStore};
use jiff::Timestamp;

use super::keys;
use crate::engine::{
    Change, Db, Dialect, Engine, Failure, Operation, ReadPage, Reads, Sql, Statement, sql, values,
};
use crate::rows::{text, timestamp, to_json};
use crate::webhook_rows::{select_webhooks, target, webhook, webhook_target};

/// Which webhooks a list shows: those of the user `$1`, of the project `$2`, or of any project if
/// `$3`.
macro_rules! listed {
    () => {
        " WHERE user_id = $1 OR project_id = $2 OR ($3 AND project_id IS NOT NULL)"
    };
}

#[async_trait]
impl<D: Dialect> WebhookStore for Engine<D> {
    async fn create_webhook_once(
        &self,
        new: NewWebhook,
        once: Option<IdempotencyKey>,
        now: Timestamp,
    ) -> Result<Option<Webhook>, StoreError> {
        self.write(Create { new, once, now }).await
    }

    async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        self.row(found(), values![id], webhook).await
    }

    async fn webhooks(
        &self,
        which: WhichWebhooks,
        page: PageRequest,
    ) -> Result<Page<Webhook>, StoreError> {
        let (user, project, of_projects) = match which {
            WhichWebhooks::Own(user) => (Some(user), None, false),
            WhichWebhooks::OwnAndProjects(user) => (Some(user), None, true),
            WhichWebhooks::Of(project) => (None, Some(project), false),
        };
        let count = sql!("SELECT count(*) FROM webhooks", listed!());
        let rows = sql!(select_webhooks!(), listed!(), " ORDER BY id LIMIT $4 OFFSET $5");
        let values = values![user, project, of_projects, page.page_size, page.offset()];
        let read = ReadPage {
            count: Statement::new(count, &values[..3]),
            rows: Statement::new(rows, values),
            decode: webhook,
        };
        self.read(Reads::Lists, read).await
    }

    async fn change_webhook(
        &self,
        id: WebhookId,
        changes: WebhookChanges,
        now: Timestamp,
    ) -> Result<Option<Webhook>, StoreError> {
        self.write(Alter { id, changes, now }).await
    }

    async fn untold_webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        let sql = sql!(select_webhooks!(), " WHERE off_reason IS NOT NULL AND NOT is_told");
        self.rows(sql, &[], webhook).await
    }

    async fn tell_webhook(&self, id: WebhookId) -> Result<bool, StoreError> {
        let sql = sql!(
            "UPDATE webhooks SET is_told = true WHERE id = $1 AND NOT is_told \
             AND off_reason IS NOT NULL"
        );
        Ok(self.write(Change::new(sql, values![id]).of_people()).await? > 0)
    }

    async fn rotate_secret(
        &self,
        id: WebhookId,
        secret: HookSecret,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = sql!(
            "UPDATE webhooks SET old_secret = secret, old_secret_until = $3, secret = $2, \
             updated_at = $4 WHERE id = $1"
        );
        let values = values![id, secret.reveal(), old_secret_until(now), now];
        Ok(self.write(Change::new(sql, values).of_people()).await? > 0)
    }

    async fn delete_webhook(&self, id: WebhookId) -> Result<bool, StoreError> {
        let sql = sql!("DELETE FROM webhooks WHERE id = $1");
        Ok(self.write(Change::new(sql, values![id]).of_people()).await? > 0)
    }

    async fn webhook_target(
        &self,
        id: WebhookId,
        now: Timestamp,
    ) -> Result<Option<WebhookTarget>, StoreError> {
        let sql = sql!("SELECT ", webhook_target!(), " AS target FROM webhooks w WHERE w.id = $1");
        self.row(sql, values![id, now], |row| target(text(row, "target")?)).await
    }
}

/// Creates a webhook, unless its owner has too many.
#[derive(Debug)]
struct Create {
    new: NewWebhook,
    once: Option<IdempotencyKey>,
    now: Timestamp,
}

impl Operation for Create {
    type Answer = Option<Webhook>;

    fn changes_people(&self) -> bool {
        true
    }

    async fn run(&self, db: &mut Db<'_>) -> Result<Option<Webhook>, Failure> {
        let Self { new, once, now } = self;
        keys::admit(db, once.as_ref(), Creates::Webhook).await?;
        let (user, project) = columns(new.owner);
        // Two at once are counted one after the other.
        let owner = sql!("SELECT id FROM users WHERE id = $1{| FOR NO KEY UPDATE}");
        let its_project = sql!("SELECT id FROM projects WHERE id = $1{| FOR NO KEY UPDATE}");
        let is_there = match new.owner {
            HookOwner::User(user) => db.exists(owner, values![user]).await?,
            HookOwner::Project(project) => db.exists(its_project, values![project]).await?,
        };
        if !is_there {
            return Err(StoreError::NotFound.into());
        }
        let sql = sql!("SELECT count(*) FROM webhooks WHERE user_id = $1 OR project_id = $2");
        let count = db.count(sql, values![user, project]).await?;
        if !has_room(new.owner, u32::try_from(count).unwrap_or(u32::MAX)) {
            return Ok(None);
        }
        let sql = sql!(
            "INSERT INTO webhooks (user_id, project_id, url, lane, events, description, \
             is_active, secret, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) RETURNING id"
        );
        let values = values![
            user,
            project,
            &new.address.url,
            &new.address.lane,
            to_json(&new.events)?,
            &new.description,
            new.is_active,
            new.secret.reveal(),
            *now,
        ];
        let id = db.count(sql, values).await?;
        keys::record(db, once.as_ref(), Creates::Webhook, id, *now).await?;
        db.optional(found(), values![id], webhook).await
    }
}

/// Changes a webhook.
#[derive(Debug)]
struct Alter {
    id: WebhookId,
    changes: WebhookChanges,
    now: Timestamp,
}

impl Operation for Alter {
    type Answer = Option<Webhook>;

    fn changes_people(&self) -> bool {
        true
    }

    async fn run(&self, db: &mut Db<'_>) -> Result<Option<Webhook>, Failure> {
        let Self { id, changes, now } = self;
        let found = sql!(select_webhooks!(), " WHERE id = $1{| FOR NO KEY UPDATE}");
        let Some(before) = db.optional(found, values![*id], webhook).await? else {
            return Ok(None);
        };
        if !before.version().admits(changes.seen) {
            return Err(StoreError::Conflict.into());
        }
        let after = changed(before, changes, timestamp(now.as_millisecond())?);
        let sql = sql!(
            "UPDATE webhooks SET url = $2, lane = coalesce($3, lane), events = $4, \
             description = $5, is_active = $6, failures = $7, off_reason = $8, \
             failing_since = CASE WHEN $7 = 0 THEN NULL ELSE failing_since END, \
             is_told = $8 IS NOT NULL AND is_told, updated_at = $9 WHERE id = $1"
        );
        let values = values![
            *id,
            &after.url,
            changes.address.as_ref().map(|address| &address.lane),
            to_json(&after.events)?,
            &after.description,
            after.is_active,
            after.failures,
            &after.off_reason,
            *now,
        ];
        db.execute(sql, values).await?;
        Ok(Some(after))
    }
}

/// An owner as the columns of a user and of a project.
fn columns(owner: HookOwner) -> (Option<UserId>, Option<ProjectId>) {
    match owner {
        HookOwner::User(user) => (Some(user), None),
        HookOwner::Project(project) => (None, Some(project)),
    }
}

/// A webhook by its id.
fn found() -> &'static Sql {
    sql!(select_webhooks!(), " WHERE id = $1")
}
