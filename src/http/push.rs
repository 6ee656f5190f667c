//! `/api/push/`: the caller's browsers that receive web push.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use bellpull_port::push::NewSubscription;
use bellpull_port::{Clock, PushStore};
use serde_json::Value;
use utoipa_axum::routes;

use super::Edge;
use super::error::ApiError;
use super::fields::{Fields, TextRule, kind};
use super::openapi as doc;
use super::responses as res;
use super::routes::Routes;
use super::try_limit::TryLimit;
use super::who::Who;
use bellpull_auth::Principal;
use bellpull_config::Config;
use bellpull_config::outside::Outside;
use bellpull_delivery::push::PushCaller;
use bellpull_delivery::push_crypt::{BadKey, BrowserKeys};

/// The longest endpoints in use have some 500 characters.
const ENDPOINT_MAX: usize = 2_000;

const DISABLED: ApiError = ApiError::Disabled("Web push is not set up here.");

/// The hub's public key, and the client for tests, if web push is on.
#[derive(Debug, Clone)]
pub(super) struct PushHandles {
    key: Option<Arc<str>>,
    outside: Outside,
    caller: Option<PushCaller>,
}

impl PushHandles {
    pub(super) fn new(config: &Config, caller: Option<PushCaller>) -> Self {
        let key = config.delivery.push.as_ref().map(|push| push.vapid.public_key().into());
        Self { key, outside: config.delivery.outside, caller }
    }

    fn key(&self) -> Result<&str, ApiError> {
        self.key.as_deref().ok_or(DISABLED)
    }
}

impl FromRef<Edge> for PushHandles {
    fn from_ref(edge: &Edge) -> Self {
        edge.push_handles.clone()
    }
}

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(key)).with(routes!(subscribe, unsubscribe)).with(routes!(test))
}

/// The key that a browser subscribes with (`applicationServerKey`).
#[utoipa::path(
    get, path = "/api/push/key/", tag = "Push",
    responses(
        (status = 200, description = "The key.", body = res::PushKey),
        (status = 403, description = "Web push is not set up here."),
    )
)]
async fn key(
    State(handles): State<PushHandles>,
    Who(_): Who,
) -> Result<Json<res::PushKey>, ApiError> {
    Ok(Json(res::PushKey { key: handles.key()?.to_owned() }))
}

/// Subscribes a browser; the body is its `PushSubscription` as JSON. Subscribing a browser again
/// replaces its subscription. Beyond 20 the oldest is removed. A subscription ends with the login
/// that made it: at a logout, and with a new password.
#[utoipa::path(
    post, path = "/api/push/subscriptions/", tag = "Push", request_body = doc::NewSubscription,
    responses(
        (status = 201, description = "It will be told.", body = res::Subscription),
        (status = 403, description = "Web push is not set up here; or a service asks."),
    )
)]
async fn subscribe(
    State(handles): State<PushHandles>,
    State(store): State<Arc<dyn PushStore>>,
    State(clock): State<Arc<dyn Clock>>,
    Who(principal): Who,
    mut body: Fields,
) -> Result<(StatusCode, Json<res::Subscription>), ApiError> {
    handles.key()?;
    reader(&principal)?;
    let endpoint = endpoint(&mut body);
    let mut lane = String::new();
    if !endpoint.is_empty() {
        let checked = handles.outside.lane(&endpoint);
        lane = body.note("endpoint", checked.map_err(str::to_owned)).unwrap_or_default();
    }
    body.require("keys");
    let keys = body.value("keys").map(|keys| self::keys(&keys));
    let keys = keys.and_then(|keys| body.note("keys", keys));
    body.finish()?;
    let (p256dh, auth) = keys.unwrap_or_default();
    let login = principal.login;
    let browser = NewSubscription { endpoint: endpoint.clone(), lane, p256dh, auth, login };
    let id = store.subscribe(principal.user.id, browser, clock.now()).await?;
    Ok((StatusCode::CREATED, Json(res::Subscription { id, endpoint })))
}

/// Unsubscribes one of the caller's browsers.
#[utoipa::path(
    delete, path = "/api/push/subscriptions/", tag = "Push", request_body = doc::SubscribedBrowser,
    responses(
        (status = 204, description = "It is told no more."),
        (status = 403, description = "A service asks."),
        (status = 404, description = "It was told nothing."),
    )
)]
async fn unsubscribe(
    State(store): State<Arc<dyn PushStore>>,
    Who(principal): Who,
    mut body: Fields,
) -> Result<StatusCode, ApiError> {
    reader(&principal)?;
    let endpoint = endpoint(&mut body);
    body.finish()?;
    match store.unsubscribe(principal.user.id, &endpoint).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::NotFound),
    }
}

/// Sends one of the caller's subscribed browsers a test message immediately and returns the push
/// service's answer. At most one test of a browser or webhook at a time, and ten a minute, per
/// account.
#[utoipa::path(
    post, path = "/api/push/test/", tag = "Push", request_body = doc::SubscribedBrowser,
    responses(
        (status = 200, description = "What came of it.", body = res::CallResult),
        (status = 403, description = "Web push is not set up here; or a service asks."),
        (status = 404, description = "The browser is not subscribed."),
        (status = 429, description = "Too many were tried."),
    )
)]
async fn test(
    State(handles): State<PushHandles>,
    State(store): State<Arc<dyn PushStore>>,
    State(tries): State<TryLimit>,
    Who(principal): Who,
    mut body: Fields,
) -> Result<Json<res::CallResult>, ApiError> {
    let caller = handles.caller.as_ref().ok_or(DISABLED)?;
    reader(&principal)?;
    let endpoint = endpoint(&mut body);
    body.finish()?;
    let target = store.subscription(principal.user.id, &endpoint).await?;
    let target = target.ok_or(ApiError::NotFound)?;
    let trying = tries.begin(principal.user.id).await;
    let _trying = trying.map_err(|retry_after_s| ApiError::Throttled { retry_after_s })?;
    Ok(Json(caller.ping(&target).await.into()))
}

fn reader(principal: &Principal) -> Result<(), ApiError> {
    if principal.is_service {
        let text = "A service token belongs to no user and has no browser.";
        return Err(ApiError::Forbidden(text.to_owned()));
    }
    Ok(())
}

fn endpoint(body: &mut Fields) -> String {
    body.text("endpoint", TextRule::line(ENDPOINT_MAX))
}

/// A browser's keys, validated.
fn keys(value: &Value) -> Result<(String, String), String> {
    let Value::Object(keys) = value else {
        let kind = kind(value);
        return Err(format!("Expected a dictionary of items but got type \"{kind}\"."));
    };
    let text = |name: &str| keys.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (p256dh, auth) = (text("p256dh"), text("auth"));
    match BrowserKeys::read(&p256dh, &auth) {
        Ok(_) => Ok((p256dh, auth)),
        Err(BadKey::Secret) => Err("auth: 16 bytes in base64url are required.".to_owned()),
        Err(BadKey::Browser | BadKey::Failed) => {
            Err("p256dh: an uncompressed P-256 key in base64url is required.".to_owned())
        }
    }
}
