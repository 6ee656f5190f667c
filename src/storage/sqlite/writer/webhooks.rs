//! Webhooks: they are made and changed one by one, and switched off by what their deliveries come
//! to.

use std::collections::BTreeMap;

use bellpull_domain::idempotency::{Creates, IdempotencyKey};
use bellpull_domain::ids::WebhookId;
use bellpull_domain::plan::webhook::{changed, has_room, old_secret_until};
use bellpull_domain::webhook::{
    Health, HookOwner, HookSecret, NewWebhook, Webhook, WebhookChanges,
};
use bellpull_port::StoreError;
use jiff::Timestamp;
use rusqlite::Connection;

use super::super::columns::select_webhooks;
use super::super::rows::{timestamp, to_json};
use super::super::statement::{execute, one, optional};
use super::super::webhook_rows::webhook;
use super::failure::Failure;
use super::{Answer, Done, keys};

/// Requests that concern webhooks.
#[derive(Debug)]
pub(in super::super) enum WebhookWrite {
    Create(NewWebhook, Option<IdempotencyKey>),
    Change(WebhookId, WebhookChanges),
    Rotate(WebhookId, HookSecret),
    Tell(WebhookId),
    Delete(WebhookId),
}

/// Applies one.
pub(super) fn apply(
    connection: &Connection,
    write: &WebhookWrite,
    now: Timestamp,
) -> Result<Answer, Failure> {
    match write {
        WebhookWrite::Create(new, once) => create(connection, new, once.as_ref(), now),
        WebhookWrite::Change(id, changes) => change(connection, *id, changes, now),
        WebhookWrite::Rotate(id, secret) => rotate(connection, *id, secret, now),
        WebhookWrite::Tell(id) => tell(connection, *id),
        WebhookWrite::Delete(id) => {
            let sql = "DELETE FROM webhooks WHERE id = ?";
            Ok(Ok(Done::Changed(execute(connection, sql, (id.0,))?)))
        }
    }
}

fn create(
    connection: &Connection,
    new: &NewWebhook,
    once: Option<&IdempotencyKey>,
    now: Timestamp,
) -> Result<Answer, Failure> {
    if let Err(used) = keys::admit(connection, once, Creates::Webhook)? {
        return Ok(Err(used));
    }
    let (user, project) = match new.owner {
        HookOwner::User(id) => (Some(id.0), None),
        HookOwner::Project(id) => (None, Some(id.0)),
    };
    let sql = match new.owner {
        HookOwner::User(_) => {
            "SELECT EXISTS (SELECT 1 FROM users WHERE id = ?1), \
             (SELECT count(*) FROM webhooks WHERE user_id = ?1)"
        }
        HookOwner::Project(_) => {
            "SELECT EXISTS (SELECT 1 FROM projects WHERE id = ?1), \
             (SELECT count(*) FROM webhooks WHERE project_id = ?1)"
        }
    };
    let (exists, count): (bool, u32) =
        one(connection, sql, (user.or(project),), |row| row.try_into())?;
    if !exists {
        return Ok(Err(StoreError::NotFound));
    }
    if !has_room(new.owner, count) {
        return Ok(Ok(Done::Webhook(None)));
    }
    let sql = "INSERT INTO webhooks (user_id, project_id, url, lane, events, description, \
               is_active, secret, created_at, updated_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9) RETURNING id";
    let values = (
        user,
        project,
        &new.address.url,
        &new.address.lane,
        to_json(&new.events)?,
        &new.description,
        new.is_active,
        new.secret.reveal(),
        now.as_millisecond(),
    );
    let id = one(connection, sql, values, |row| row.get(0))?;
    keys::record(connection, once, Creates::Webhook, id, now)?;
    Ok(Ok(Done::Webhook(find(connection, WebhookId(id))?.map(Box::new))))
}

fn change(
    connection: &Connection,
    id: WebhookId,
    changes: &WebhookChanges,
    now: Timestamp,
) -> Result<Answer, Failure> {
    let Some(before) = find(connection, id)? else { return Ok(Ok(Done::Webhook(None))) };
    if !before.version().admits(changes.seen) {
        return Ok(Err(StoreError::Conflict));
    }
    let now = timestamp(now.as_millisecond())?;
    let after = changed(before, changes, now);
    let sql = "UPDATE webhooks SET url = ?2, lane = ifnull(?3, lane), events = ?4, \
               description = ?5, is_active = ?6, failures = ?7, off_reason = ?8, \
               failing_since = iif(?7 = 0, NULL, failing_since), \
               is_told = ?8 IS NOT NULL AND is_told, updated_at = ?9 WHERE id = ?1";
    let values = (
        id.0,
        &after.url,
        changes.address.as_ref().map(|address| &address.lane),
        to_json(&after.events)?,
        &after.description,
        after.is_active,
        after.failures,
        &after.off_reason,
        now.as_millisecond(),
    );
    execute(connection, sql, values)?;
    Ok(Ok(Done::Webhook(Some(Box::new(after)))))
}

fn tell(connection: &Connection, id: WebhookId) -> Result<Answer, Failure> {
    let sql = "UPDATE webhooks SET is_told = 1 WHERE id = ? AND NOT is_told \
               AND off_reason IS NOT NULL";
    Ok(Ok(Done::Changed(execute(connection, sql, (id.0,))?)))
}

fn find(connection: &Connection, id: WebhookId) -> Result<Option<Webhook>, Failure> {
    let sql = concat!(select_webhooks!(), " WHERE id = ?");
    Ok(optional(connection, sql, (id.0,), |row| Ok(webhook(row)))?.transpose()?)
}

fn rotate(
    connection: &Connection,
    id: WebhookId,
    secret: &HookSecret,
    now: Timestamp,
) -> Result<Answer, Failure> {
    let until = old_secret_until(now);
    let sql = "UPDATE webhooks SET old_secret = secret, old_secret_until = ?3, secret = ?2, \
               updated_at = ?4 WHERE id = ?1";
    let values = (id.0, secret.reveal(), until.as_millisecond(), now.as_millisecond());
    Ok(Ok(Done::Changed(execute(connection, sql, values)?)))
}

/// Saves the states of webhooks after their deliveries: one that does not exist any more, or that
/// has failed for too long, is disabled. Its other deliveries are suppressed when they are due.
pub(super) fn save_health(
    connection: &Connection,
    hooks: BTreeMap<WebhookId, Health>,
) -> rusqlite::Result<()> {
    for (hook, Health { failures, failing_since, off_reason }) in hooks {
        let sql = "UPDATE webhooks SET failures = ?2, off_reason = ?3, is_active = ?3 IS NULL, \
                   failing_since = ?4 WHERE id = ?1 AND (failures <> ?2 OR ?3 IS NOT NULL)";
        let since = failing_since.map(Timestamp::as_millisecond);
        execute(connection, sql, (hook.0, failures, off_reason, since))?;
    }
    Ok(())
}
