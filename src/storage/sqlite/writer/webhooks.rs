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
use rusqlite::Connection;

use super::super::multi_row::id_list;
use super::super::statement::{all, execute, one, optional};
use super::super::webhooks::{select_webhooks, webhook};
use super::context::Failure;
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
pub(super) fn apply(
    connection: &Connection,
    write: &WebhookWrite,
    now: Timestamp,
) -> Result<Answer, Failure> {
    match write {
        WebhookWrite::Create(new) => create(connection, new, now),
        WebhookWrite::Change(id, changes) => change(connection, *id, changes, now),
        WebhookWrite::Rotate(id, secret) => rotate(connection, *id, secret, now),
        WebhookWrite::Delete(id) => {
            let sql = "DELETE FROM webhooks WHERE id = ?";
            Ok(Ok(Done::Changed(execute(connection, sql, (id.0,))?)))
        }
    }
}

fn create(connection: &Connection, new: &NewWebhook, now: Timestamp) -> Result<Answer, Failure> {
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
    let (exists, count): (bool, i64) =
        one(connection, sql, (user.or(project),), |row| row.try_into())?;
    if !exists {
        return Ok(Err(StoreError::NotFound));
    }
    if count >= i64::from(most) {
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
        text(&new.events)?,
        &new.description,
        new.is_active,
        new.secret.reveal(),
        now.as_millisecond(),
    );
    let id = one(connection, sql, values, |row| row.get(0))?;
    read(connection, WebhookId(id))
}

fn change(
    connection: &Connection,
    id: WebhookId,
    changes: &WebhookChanges,
    now: Timestamp,
) -> Result<Answer, Failure> {
    let sql = "UPDATE webhooks SET url = ifnull(?2, url), lane = ifnull(?3, lane), \
               events = ifnull(?4, events), description = ifnull(?5, description), \
               is_active = ifnull(?6, is_active), failures = iif(?6, 0, failures), \
               off_reason = iif(?6, NULL, off_reason), updated_at = ?7 WHERE id = ?1";
    let values = (
        id.0,
        changes.address.as_ref().map(|address| &address.url),
        changes.address.as_ref().map(|address| &address.lane),
        changes.events.as_ref().map(text).transpose()?,
        &changes.description,
        changes.is_active,
        now.as_millisecond(),
    );
    execute(connection, sql, values)?;
    read(connection, id)
}

/// As it stands now, if it is there.
fn read(connection: &Connection, id: WebhookId) -> Result<Answer, Failure> {
    let sql = concat!(select_webhooks!(), " WHERE id = ?");
    let found = optional(connection, sql, (id.0,), |row| Ok(webhook(row)))?.transpose()?;
    Ok(Ok(Done::Webhook(found.map(Box::new))))
}

fn rotate(
    connection: &Connection,
    id: WebhookId,
    secret: &HookSecret,
    now: Timestamp,
) -> Result<Answer, Failure> {
    let until = now.saturating_add(OLD_SECRET_LASTS).unwrap_or(Timestamp::MAX);
    let sql = "UPDATE webhooks SET old_secret = secret, old_secret_until = ?3, secret = ?2, \
               updated_at = ?4 WHERE id = ?1";
    let values = (id.0, secret.reveal(), until.as_millisecond(), now.as_millisecond());
    Ok(Ok(Done::Changed(execute(connection, sql, values)?)))
}

/// Counts what these attempts, which are not recorded yet, mean for the webhooks that they called:
/// one that is gone, or that has failed for too long, is switched off. What else is on its way
/// there is held back when its turn comes. An attempt that was recorded before counts no more.
pub(super) fn count(connection: &Connection, attempts: &[&Attempt]) -> Result<(), Failure> {
    let ended = |attempt: &&Attempt| Some((attempt.delivery, (attempt.number, end(attempt)?)));
    let ends: BTreeMap<DeliveryId, (u32, HookEnd)> = attempts.iter().filter_map(ended).collect();
    if ends.is_empty() {
        return Ok(());
    }
    let sql = "SELECT d.id, w.id, w.failures \
               FROM deliveries d CROSS JOIN webhooks w ON w.id = d.target_id AND w.is_active = 1 \
               WHERE d.id IN (SELECT value FROM json_each(?1)) AND d.channel = ?2";
    let values = (id_list(ends.keys().map(|id| id.0)), Channel::Webhook.as_str());
    let called = all(connection, sql, values, |row| {
        Ok((DeliveryId(row.get(0)?), WebhookId(row.get(1)?), row.get(2)?))
    })?;
    if called.is_empty() {
        return Ok(());
    }
    let known = recorded(connection, &called, &ends)?;
    let mut stands: BTreeMap<WebhookId, Health> = BTreeMap::new();
    for (delivery, hook, failures) in called.into_iter().filter(|row| !known.contains(&row.0)) {
        let Some((_, end)) = ends.get(&delivery) else { continue };
        let stand = stands.remove(&hook).unwrap_or(Health { failures, off_reason: None });
        stands.insert(hook, stand.after(*end));
    }
    for (hook, Health { failures, off_reason }) in stands {
        let sql = "UPDATE webhooks SET failures = ?2, off_reason = ?3, is_active = ?3 IS NULL \
                   WHERE id = ?1 AND (failures <> ?2 OR ?3 IS NOT NULL)";
        execute(connection, sql, (hook.0, failures, off_reason))?;
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
fn recorded(
    connection: &Connection,
    called: &[(DeliveryId, WebhookId, u32)],
    ends: &BTreeMap<DeliveryId, (u32, HookEnd)>,
) -> Result<Vec<DeliveryId>, Failure> {
    let number = |id: &DeliveryId| ends.get(id).map(|(number, _)| *number);
    let attempts = called.iter().filter_map(|(id, ..)| Some((*id, number(id)?)));
    let attempts: Vec<(DeliveryId, u32)> = attempts.collect();
    let sql = "SELECT a.delivery_id FROM json_each(?) w \
               CROSS JOIN delivery_attempts a \
               ON a.delivery_id = w.value ->> 0 AND a.number = w.value ->> 1";
    Ok(all(connection, sql, (text(&attempts)?,), |row| row.get(0).map(DeliveryId))?)
}
