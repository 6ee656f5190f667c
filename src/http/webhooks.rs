//! `/api/webhooks/`: webhooks of the caller or of a project.
//!
//! A user's webhooks receive the inbox, a project's the events of its tickets. Every user manages
//! their own; a project's are managed by admins. A secret is returned once, on creation.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bellpull_domain::idempotency::Used;
use bellpull_domain::ids::{ProjectId, WebhookId};
use bellpull_domain::webhook::{
    HookAddress, HookOwner, HookSecret, NewWebhook, PER_PROJECT_MAX, PER_USER_MAX, Webhook,
    WebhookChanges,
};
use bellpull_port::webhooks::WhichWebhooks;
use bellpull_port::{Clock, StoreError, WebhookStore};
use serde_json::Value;
use utoipa_axum::routes;

use super::Edge;
use super::body::{NoFields, Strict};
use super::error::ApiError;
use super::fields::{Fields, TextRule, integer, kind};
use super::once::{created, replayed};
use super::openapi as doc;
use super::page::Paging;
use super::query::EVENT_MAX;
use super::query::{Id, Params};
use super::responses as res;
use super::routes::Routes;
use super::try_limit::TryLimit;
use super::who::{Recorded, Who};
use bellpull_auth::Principal;
use bellpull_config::Config;
use bellpull_config::outside::Outside;
use bellpull_delivery::webhook::WebhookCaller;

/// What servers accept.
const URL_MAX: usize = 2_048;
/// A line or two.
const DESCRIPTION_MAX: usize = 255;
/// Events that a webhook names: the hub's own, and some of the senders'.
const EVENTS_MAX: usize = 50;
/// Fields that never change, or only by the hub.
const READ_ONLY: [&str; 8] =
    ["id", "user", "project", "secret", "failures", "off_reason", "created_at", "updated_at"];
/// The randomness of a secret, in bytes.
const SECRET_LEN: usize = 24;

/// The handles for creating, changing and testing webhooks.
#[derive(Debug, Clone)]
pub(super) struct Handles {
    store: Arc<dyn WebhookStore>,
    clock: Arc<dyn Clock>,
    rules: HookRules,
    tries: TryLimit,
}

/// The webhook settings, and the client for tests.
#[derive(Debug, Clone)]
pub(super) struct HookRules {
    outside: Outside,
    caller: WebhookCaller,
}

impl HookRules {
    pub(super) fn new(config: &Config, caller: WebhookCaller) -> Self {
        Self { outside: config.delivery.outside, caller }
    }
}

impl FromRef<Edge> for Handles {
    fn from_ref(edge: &Edge) -> Self {
        let (store, clock) = (edge.store.clone(), Arc::clone(&edge.clock));
        let (rules, tries) = (edge.hook_rules.clone(), edge.tries.clone());
        Self { store, clock, rules, tries }
    }
}

pub(super) fn routes() -> Routes {
    Routes::default()
        .with(routes!(list, create))
        .with(routes!(read, change, delete))
        .with(routes!(rotate))
        .with(routes!(test))
}

/// The caller's webhooks, oldest first; for admins those of projects too.
#[utoipa::path(
    get, path = "/api/webhooks/", tag = "Webhooks",
    params(doc::WebhookFilters, doc::Paged),
    responses(
        (status = 200, description = "A page of them.", body = res::Page<res::Webhook>),
        (status = 403, description = "A project's are for admins."),
    )
)]
async fn list(
    State(handles): State<Handles>,
    Who(principal): Who,
    paging: Paging,
    mut params: Params,
) -> Result<Response, ApiError> {
    let project = params.integer("project").map(ProjectId);
    params.finish()?;
    let is_admin = principal.user.role.is_admin();
    let which = match project {
        Some(_) if !is_admin => return Err(ApiError::forbidden()),
        Some(project) => WhichWebhooks::Of(project),
        None if is_admin => WhichWebhooks::OwnAndProjects(principal.user.id),
        None => WhichWebhooks::Own(principal.user.id),
    };
    let page = handles.store.webhooks(which, paging.request()).await?;
    paging.show(page, res::Webhook::from).await
}

/// Creates a webhook: the caller's, or with `project` a project's. Only this answer contains its
/// secret.
#[utoipa::path(
    post, path = "/api/webhooks/", tag = "Webhooks", request_body = doc::NewWebhook,
    params(doc::IdempotencyHeader),
    responses(
        (status = 201, description = "It will be called.", body = res::Webhook),
        (status = 403, description = "A project's are for admins; a service has none of its own."),
        (status = 409, description = "There are as many as there may be."),
    )
)]
async fn create(
    State(handles): State<Handles>,
    Recorded(principal): Recorded,
    Strict(mut body): Strict,
) -> Result<Response, ApiError> {
    let once = body.key(&principal, "")?;
    body.require("url");
    let address = handles.address(&mut body);
    let events = events(&mut body);
    let description = description(&mut body);
    let is_active = body.boolean("is_active").unwrap_or(true);
    let project = project(&mut body);
    body.finish()?;
    let owner = owner(&principal, project)?;
    let secret = secret()?;
    let new = NewWebhook {
        owner,
        // Set: a missing value has been refused.
        address: address.ok_or(ApiError::Internal)?,
        events: events.unwrap_or_default(),
        description: description.unwrap_or_default(),
        is_active,
        secret: secret.clone(),
    };
    let made = handles.store.create_webhook_once(new, once, handles.clock.now()).await;
    if let Err(StoreError::Used(Used::Repeated(id))) = made {
        return handles.made_before(WebhookId(id)).await;
    }
    let made = made.map_err(|error| match error {
        StoreError::NotFound => ApiError::field("project", "There is no such project."),
        other @ (StoreError::Conflict
        | StoreError::Taken(_)
        | StoreError::TooSimilar(_)
        | StoreError::Used(_)
        | StoreError::LastSuperAdmin
        | StoreError::Unstorable
        | StoreError::TooSlow
        | StoreError::Busy
        | StoreError::Unavailable(_)) => other.into(),
    })?;
    let most = match owner {
        HookOwner::User(_) => PER_USER_MAX,
        HookOwner::Project(_) => PER_PROJECT_MAX,
    };
    let made = made.ok_or_else(|| ApiError::Conflict {
        code: "too_many",
        detail: format!("There may be {most} webhooks at most."),
    })?;
    Ok(created(res::Webhook::with_secret(made, &secret)))
}

/// A webhook.
#[utoipa::path(
    get, path = "/api/webhooks/{id}/", tag = "Webhooks", params(doc::Id),
    responses((status = 200, description = "The webhook.", body = res::Webhook))
)]
async fn read(
    State(handles): State<Handles>,
    Who(principal): Who,
    Id(id): Id,
) -> Result<Json<res::Webhook>, ApiError> {
    Ok(Json(handles.visible(&principal, id).await?.into()))
}

/// Changes a webhook; what is not named stays as it is. Switching it on resets its failures.
#[utoipa::path(
    patch, path = "/api/webhooks/{id}/", tag = "Webhooks", params(doc::Id),
    request_body = doc::WebhookChanges,
    responses(
        (status = 200, description = "As it stands now.", body = res::Webhook),
        (status = 409, description = "Another request changed it first."),
    )
)]
async fn change(
    State(handles): State<Handles>,
    Recorded(principal): Recorded,
    Id(id): Id,
    Strict(mut body): Strict,
) -> Result<Json<res::Webhook>, ApiError> {
    let hook = handles.visible(&principal, id).await?;
    let changes = WebhookChanges {
        seen: body.seen(hook.version())?,
        address: handles.address(&mut body),
        events: events(&mut body),
        description: description(&mut body),
        is_active: body.boolean("is_active"),
    };
    body.read_only(&READ_ONLY, &res::Webhook::from(hook.clone()));
    body.finish()?;
    let changed = handles.store.change_webhook(hook.id, changes, handles.clock.now()).await?;
    Ok(Json(changed.ok_or(ApiError::NotFound)?.into()))
}

/// Deletes a webhook.
#[utoipa::path(
    delete, path = "/api/webhooks/{id}/", tag = "Webhooks", params(doc::Id),
    responses((status = 204, description = "It is called no more."))
)]
async fn delete(
    State(handles): State<Handles>,
    Recorded(principal): Recorded,
    Id(id): Id,
) -> Result<StatusCode, ApiError> {
    let hook = handles.visible(&principal, id).await?;
    match handles.store.delete_webhook(hook.id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::NotFound),
    }
}

/// Replaces a webhook's secret; only this answer contains the new one. For a day both sign.
#[utoipa::path(
    post, path = "/api/webhooks/{id}/rotate-secret/", tag = "Webhooks", params(doc::Id),
    operation_id = "rotate_secret",
    responses(
        (status = 200, description = "With its new secret.", body = res::Webhook),
        (status = 400, description = "The body has fields: there are none."),
    )
)]
async fn rotate(
    State(handles): State<Handles>,
    Recorded(principal): Recorded,
    Id(id): Id,
    _: NoFields,
) -> Result<Json<res::Webhook>, ApiError> {
    let hook = handles.visible(&principal, id).await?;
    let secret = secret()?;
    if !handles.store.rotate_secret(hook.id, secret.clone(), handles.clock.now()).await? {
        return Err(ApiError::NotFound);
    }
    let hook = handles.visible(&principal, id).await?;
    Ok(Json(res::Webhook::with_secret(hook, &secret)))
}

/// Calls a webhook immediately with a signed `ping` and returns the result, even if it is switched
/// off. At most one at a time, and ten a minute, per account.
#[utoipa::path(
    post, path = "/api/webhooks/{id}/test/", tag = "Webhooks", params(doc::Id),
    responses(
        (status = 200, description = "What came of it.", body = res::CallResult),
        (status = 400, description = "The body has fields: there are none."),
        (status = 429, description = "Too many were tried."),
    )
)]
async fn test(
    State(handles): State<Handles>,
    Who(principal): Who,
    Id(id): Id,
    _: NoFields,
) -> Result<Json<res::CallResult>, ApiError> {
    let hook = handles.visible(&principal, id).await?;
    let now = handles.clock.now();
    let trying = handles.tries.begin(principal.user.id).await;
    let _trying = trying.map_err(|retry_after_s| ApiError::Throttled { retry_after_s })?;
    let target = handles.store.webhook_target(hook.id, now).await?.ok_or(ApiError::NotFound)?;
    let name = URL_SAFE_NO_PAD.encode(random::<9>()?);
    let called = handles.rules.caller.ping(&target, &name, now).await;
    Ok(Json(called.into()))
}

impl Handles {
    /// The answer to a repeated creation, once more with the secret: the first answer may be lost.
    async fn made_before(&self, id: WebhookId) -> Result<Response, ApiError> {
        let hook = self.store.webhook(id).await?.ok_or(ApiError::NotFound)?;
        let target = self.store.webhook_target(id, self.clock.now()).await?;
        let target = target.ok_or(ApiError::NotFound)?;
        let secret = target.secrets.first().ok_or(ApiError::NotFound)?;
        Ok(replayed(created(res::Webhook::with_secret(hook, secret))))
    }

    /// The webhook, if the caller may see it.
    async fn visible(&self, principal: &Principal, id: i64) -> Result<Webhook, ApiError> {
        let hook = self.store.webhook(WebhookId(id)).await?.ok_or(ApiError::NotFound)?;
        let is_visible = match hook.owner {
            HookOwner::User(user) => user == principal.user.id && !principal.is_service,
            HookOwner::Project(_) => principal.user.role.is_admin(),
        };
        if is_visible { Ok(hook) } else { Err(ApiError::NotFound) }
    }

    /// The URL to call; its host is checked again for each call.
    fn address(&self, body: &mut Fields) -> Option<HookAddress> {
        let url = body.text_if_sent("url", TextRule::line(URL_MAX))?;
        let lane = self.rules.outside.lane(&url).map_err(str::to_owned);
        Some(HookAddress { lane: body.note("url", lane)?, url })
    }
}

/// The owner of a new webhook.
fn owner(principal: &Principal, project: Option<ProjectId>) -> Result<HookOwner, ApiError> {
    match project {
        Some(project) if principal.user.role.is_admin() => Ok(HookOwner::Project(project)),
        Some(_) => Err(ApiError::forbidden()),
        None if principal.is_service => {
            let text =
                "A service token belongs to no user: it can create a project's webhook only.";
            Err(ApiError::Forbidden(text.to_owned()))
        }
        None => Ok(HookOwner::User(principal.user.id)),
    }
}

fn description(body: &mut Fields) -> Option<String> {
    body.text_if_sent("description", TextRule::line(DESCRIPTION_MAX).or_blank())
}

/// The project; null means none.
fn project(body: &mut Fields) -> Option<ProjectId> {
    let value = body.value_or_null("project").filter(|value| !value.is_null())?;
    let id = integer(&value).ok_or_else(|| "A valid integer is required.".to_owned());
    body.note("project", id).map(ProjectId)
}

fn events(body: &mut Fields) -> Option<Vec<String>> {
    let checked = names(&body.value("events")?);
    body.note("events", checked)
}

/// Event names, without duplicates, in order.
fn names(value: &Value) -> Result<Vec<String>, String> {
    let Value::Array(items) = value else {
        return Err(format!("Expected a list of items but got type \"{}\".", kind(value)));
    };
    if items.len() > EVENTS_MAX {
        return Err(format!("Ensure this field has no more than {EVENTS_MAX} elements."));
    }
    let mut names: Vec<String> = Vec::with_capacity(items.len());
    for item in items {
        let name = item.as_str().unwrap_or_default();
        let is_name = (1..=EVENT_MAX).contains(&name.chars().count())
            && name.trim() == name
            && !name.contains(char::is_control);
        if !is_name {
            return Err(format!("An event's name has 1 to {EVENT_MAX} visible characters."));
        }
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// A new random secret.
fn secret() -> Result<HookSecret, ApiError> {
    let random = URL_SAFE_NO_PAD.encode(random::<SECRET_LEN>()?);
    Ok(HookSecret::new(format!("whsec_{random}")))
}

fn random<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| ApiError::Internal)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_a_bounded_list_of_names_each_once() {
        let of = |value: Value| names(&value);
        assert_eq!(of(json!([])), Ok(Vec::new()));
        let wanted = ["mentioned", "build done"].map(str::to_owned).to_vec();
        assert_eq!(of(json!(["mentioned", "build done", "mentioned"])), Ok(wanted));
        for bad in [
            json!("mentioned"),
            json!({}),
            json!([1]),
            json!([""]),
            json!([" x"]),
            json!(["a\nb"]),
            json!(["x".repeat(65)]),
            json!(vec!["x"; EVENTS_MAX + 1]),
        ] {
            assert!(of(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_long_and_new_each_time() {
        let (one, two) = (secret().unwrap(), secret().unwrap());
        assert_ne!(one, two);
        assert!(one.reveal().starts_with("whsec_") && one.reveal().len() == 6 + 32);
    }
}
