//! Webhooks: they are made and changed one by one, and switched off by what their deliveries come
//! to.

use std::collections::BTreeMap;

use bellpull_actors::domain::delivery::{Attempt, OutcomeKind};
use bellpull_actors::domain::ids::{DeliveryId, WebhookId};
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::domain::webhook::{
    Health, HookEnd, HookOwner, HookSecret, NewWebhook, OLD_SECRET_LASTS, PER_PROJECT_MAX,
    PER_USER_MAX, WebhookChanges,
};
use bellpull_actors::port::StoreError;
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::super::multi_row::id_list;
use super::super::rows::json;
use super::super::webhooks::{select_webhooks, webhook};
use super::group::Failure;
use super::rows::text;
use super::{Answer, Done};

/// What is asked of somebody's webhooks.
#[derive(Debug)]
pub(in super::super) enum WebhookWrite {
    Create(NewWebhook),
    Change(WebhookId, WebhookChanges),
    Rotate(WebhookId, HookSecret),
    Delete(WebhookId),
}

/// Applies one.
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    write: &WebhookWrite,
    now: Timestamp,
) -> Result<Answer, Failure> {
    match write {
        WebhookWrite::Create(new) => create(connection, new, now).await,
        WebhookWrite::Change(id, changes) => change(connection, *id, changes, now).await,
        WebhookWrite::Rotate(id, secret) => rotate(connection, *id, secret, now).await,
        WebhookWrite::Delete(id) => {
            let query = sqlx::query("DELETE FROM webhooks WHERE id = ?").bind(id.0);
            Ok(Ok(Done::Changed(query.execute(connection).await?.rows_affected())))
        }
    }
}

async fn create(
    connection: &mut SqliteConnection,
    new: &NewWebhook,
    now: Timestamp,
) -> Result<Answer, Failure> {
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
    let most = match new.owner {
        HookOwner::User(_) => PER_USER_MAX,
        HookOwner::Project(_) => PER_PROJECT_MAX,
    };
    let query = sqlx::query_as(sql).bind(user.or(project));
    let (exists, count): (bool, i64) = query.fetch_one(&mut *connection).await?;
    if !exists {
        return Ok(Err(StoreError::NotFound));
    }
    if count >= i64::from(most) {
        return Ok(Ok(Done::Webhook(None)));
    }
    let sql = "INSERT INTO webhooks (user_id, project_id, url, lane, events, description, \
               is_active, secret, created_at, updated_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9) RETURNING id";
    let id: i64 = sqlx::query_scalar(sql)
        .bind(user)
        .bind(project)
        .bind(&new.address.url)
        .bind(&new.address.lane)
        .bind(text(&new.events)?)
        .bind(&new.description)
        .bind(new.is_active)
        .bind(new.secret.reveal())
        .bind(now.as_millisecond())
        .fetch_one(&mut *connection)
        .await?;
    read(connection, WebhookId(id)).await
}

async fn change(
    connection: &mut SqliteConnection,
    id: WebhookId,
    changes: &WebhookChanges,
    now: Timestamp,
) -> Result<Answer, Failure> {
    let sql = "UPDATE webhooks SET url = ifnull(?2, url), lane = ifnull(?3, lane), \
               events = ifnull(?4, events), description = ifnull(?5, description), \
               is_active = ifnull(?6, is_active), failures = iif(?6, 0, failures), \
               off_reason = iif(?6, NULL, off_reason), updated_at = ?7 WHERE id = ?1";
    sqlx::query(sql)
        .bind(id.0)
        .bind(changes.address.as_ref().map(|address| &address.url))
        .bind(changes.address.as_ref().map(|address| &address.lane))
        .bind(changes.events.as_ref().map(text).transpose()?)
        .bind(&changes.description)
        .bind(changes.is_active)
        .bind(now.as_millisecond())
        .execute(&mut *connection)
        .await?;
    read(connection, id).await
}

/// As it stands now, if it is there.
async fn read(connection: &mut SqliteConnection, id: WebhookId) -> Result<Answer, Failure> {
    let query = sqlx::query(concat!(select_webhooks!(), " WHERE id = ?")).bind(id.0);
    let row = query.fetch_optional(connection).await?;
    let found = row.as_ref().map(webhook).transpose()?;
    Ok(Ok(Done::Webhook(found.map(Box::new))))
}

async fn rotate(
    connection: &mut SqliteConnection,
    id: WebhookId,
    secret: &HookSecret,
    now: Timestamp,
) -> Result<Answer, Failure> {
    let until = now.saturating_add(OLD_SECRET_LASTS).unwrap_or(Timestamp::MAX);
    let sql = "UPDATE webhooks SET old_secret = secret, old_secret_until = ?3, secret = ?2, \
               updated_at = ?4 WHERE id = ?1";
    let query = sqlx::query(sql).bind(id.0).bind(secret.reveal()).bind(until.as_millisecond());
    let done = query.bind(now.as_millisecond()).execute(connection).await?;
    Ok(Ok(Done::Changed(done.rows_affected())))
}

/// Counts what these attempts, which are not recorded yet, mean for the webhooks that they called:
/// one that is gone, or that has failed for too long, is switched off. What else is on its way
/// there is held back when its turn comes. An attempt that was recorded before counts no more.
pub(super) async fn count(
    connection: &mut SqliteConnection,
    attempts: &[&Attempt],
) -> Result<(), Failure> {
    let ended = |attempt: &&Attempt| Some((attempt.delivery, (attempt.number, end(attempt)?)));
    let ends: BTreeMap<DeliveryId, (u32, HookEnd)> = attempts.iter().filter_map(ended).collect();
    if ends.is_empty() {
        return Ok(());
    }
    let sql = "SELECT json_group_array(json_array(d.id, w.id, w.failures)) \
               FROM deliveries d CROSS JOIN webhooks w ON w.id = d.target_id AND w.is_active = 1 \
               WHERE d.id IN (SELECT value FROM json_each(?1)) AND d.channel = ?2";
    let query = sqlx::query_scalar(sql).bind(id_list(ends.keys().map(|id| id.0)));
    let called: String = query.bind(Channel::Webhook.as_str()).fetch_one(&mut *connection).await?;
    let called: Vec<(DeliveryId, WebhookId, u32)> = json(&called)?;
    if called.is_empty() {
        return Ok(());
    }
    let known = recorded(connection, &called, &ends).await?;
    let mut stands: BTreeMap<WebhookId, Health> = BTreeMap::new();
    for (delivery, hook, failures) in called.into_iter().filter(|row| !known.contains(&row.0)) {
        let Some((_, end)) = ends.get(&delivery) else { continue };
        let stand = stands.remove(&hook).unwrap_or(Health { failures, off_reason: None });
        stands.insert(hook, stand.after(*end));
    }
    for (hook, Health { failures, off_reason }) in stands {
        let sql = "UPDATE webhooks SET failures = ?2, off_reason = ?3, is_active = ?3 IS NULL \
                   WHERE id = ?1 AND (failures <> ?2 OR ?3 IS NOT NULL)";
        let query = sqlx::query(sql).bind(hook.0).bind(failures).bind(off_reason);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// How an attempt ends its delivery; `None` where there will be another one.
fn end(attempt: &Attempt) -> Option<HookEnd> {
    match attempt.outcome.kind() {
        OutcomeKind::Sent => Some(HookEnd::Taken),
        OutcomeKind::Gone => Some(HookEnd::Gone),
        OutcomeKind::Later | OutcomeKind::Refused => {
            attempt.due_at.is_none().then_some(HookEnd::GivenUp)
        }
    }
}

/// The deliveries whose attempt was recorded before.
async fn recorded(
    connection: &mut SqliteConnection,
    called: &[(DeliveryId, WebhookId, u32)],
    ends: &BTreeMap<DeliveryId, (u32, HookEnd)>,
) -> Result<Vec<DeliveryId>, Failure> {
    let number = |id: &DeliveryId| ends.get(id).map(|(number, _)| *number);
    let attempts = called.iter().filter_map(|(id, ..)| Some((*id, number(id)?)));
    let attempts: Vec<(DeliveryId, u32)> = attempts.collect();
    let sql = "SELECT json_group_array(a.delivery_id) FROM json_each(?) w \
               CROSS JOIN delivery_attempts a \
               ON a.delivery_id = w.value ->> 0 AND a.number = w.value ->> 1";
    let query = sqlx::query_scalar(sql).bind(text(&attempts)?);
    let known: String = query.fetch_one(connection).await?;
    Ok(json(&known)?)
}
