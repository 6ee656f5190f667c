//! Rows of webhooks as values of the domain.

use bellpull_domain::delivery::WebhookTarget;
use bellpull_domain::ids::{ProjectId, UserId, WebhookId};
use bellpull_domain::webhook::{HookOwner, HookSecret, Webhook};
use bellpull_port::StoreError;

use super::error::corrupt;
use super::rows::{Columns, int, json, string, text, timestamp};

/// The columns that [`webhook`] decodes.
macro_rules! select_webhooks {
    () => {
        "SELECT id, user_id, project_id, url, events, description, is_active, failures, \
         off_reason, created_at, updated_at FROM webhooks"
    };
}

/// The target of webhook `w` at `$2`, as JSON; [`target`] decodes it.
macro_rules! webhook_target {
    () => {
        "{json_array|json_build_array}(w.id, w.project_id, w.url, w.secret, \
         CASE WHEN w.old_secret_until > $2 THEN w.old_secret END){|::TEXT}"
    };
}

pub(super) use {select_webhooks, webhook_target};

/// A webhook's row.
pub(super) fn webhook(row: &impl Columns) -> Result<Webhook, StoreError> {
    let owner = match (row.int("user_id")?, row.int("project_id")?) {
        (Some(user), None) => HookOwner::User(UserId(user)),
        (None, Some(project)) => HookOwner::Project(ProjectId(project)),
        (None, None) | (Some(_), Some(_)) => return Err(corrupt("webhook")),
    };
    Ok(Webhook {
        id: WebhookId(int(row, "id")?),
        owner,
        url: string(row, "url")?,
        events: json(text(row, "events")?)?,
        description: string(row, "description")?,
        is_active: row.flag("is_active")?,
        failures: u32::try_from(int(row, "failures")?).map_err(|_| corrupt("failures"))?,
        off_reason: row.text("off_reason")?.map(str::to_owned),
        created_at: timestamp(int(row, "created_at")?)?,
        updated_at: timestamp(int(row, "updated_at")?)?,
    })
}

/// A target, from a JSON array: id, project, URL, secret, and the old secret while it is valid.
pub(super) fn target(text: &str) -> Result<WebhookTarget, StoreError> {
    let (id, project, url, secret, old): (_, _, _, String, Option<String>) = json(text)?;
    let secrets = std::iter::once(secret).chain(old).map(HookSecret::new).collect();
    Ok(WebhookTarget { id, project, url, secrets })
}
