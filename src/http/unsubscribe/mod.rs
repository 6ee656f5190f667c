//! `/unsubscribe/{token}/`: the unsubscribe link in e-mails, without a login.
//!
//! A GET shows a page with a button; only a POST unsubscribes, because mail scanners follow every
//! link. Mail clients post by themselves (RFC 8058). The body is ignored, the token alone decides:
//! no user should keep getting e-mails because of a form's spelling.

use std::sync::{Arc, LazyLock};

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bellpull_domain::event::Event;
use bellpull_domain::preference::{PreferenceChanges, Wish};
use bellpull_domain::routing::Channel;
use bellpull_port::{Clock, PreferenceStore, StoreError};
use minijinja::Environment;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa_axum::routes;

use super::body::Raw;
use super::error::ApiError;
use super::openapi as doc;
use super::routes::Routes;
use bellpull_delivery::link::{Links, Unsubscribe};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// The page runs no script, loads nothing, cannot be framed, and posts only to this hub.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    )
});

/// Search engines must not index a user's link.
const ROBOTS: (HeaderName, &str) = (HeaderName::from_static("x-robots-tag"), "noindex");

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(look, unsubscribe))
}

/// The page behind the link in an e-mail: which e-mails it ends, and a button. It changes nothing.
#[utoipa::path(
    get, path = "/unsubscribe/{token}/", tag = "Unsubscribe", security(()),
    params(doc::UnsubscribeToken),
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html"),
        (status = 404, description = "A page that says so: the link is none of this hub's.",
            body = String, content_type = "text/html"),
    )
)]
async fn look(
    State(links): State<Links>,
    token: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    match read(&links, token) {
        Some(Unsubscribe { event, .. }) => {
            let kind = kind_of(&event);
            page(StatusCode::OK, &View { state: "question", kind: &kind })
        }
        None => unknown(),
    }
}

/// Ends the e-mails that the link names: with the page's button, or by a mail client with
/// `List-Unsubscribe=One-Click` (RFC 8058). Repeating it changes nothing.
#[utoipa::path(
    post, path = "/unsubscribe/{token}/", tag = "Unsubscribe", security(()),
    params(doc::UnsubscribeToken),
    responses(
        (status = 200, description = "They have ended.", body = String,
            content_type = "text/html"),
        (status = 404, description = "A page that says so: the link is none of this hub's.",
            body = String, content_type = "text/html"),
        (status = 413, description = "The body is larger than `http.max_body_bytes`."),
    )
)]
async fn unsubscribe(
    State(links): State<Links>,
    State(store): State<Arc<dyn PreferenceStore>>,
    State(clock): State<Arc<dyn Clock>>,
    token: Result<Path<String>, PathRejection>,
    Raw(_): Raw, // read to its end, so that the connection can be used again
) -> Result<Response, ApiError> {
    let Some(Unsubscribe { user, event }) = read(&links, token) else { return unknown() };
    let kind = kind_of(&event);
    let mut changes = PreferenceChanges::default();
    changes.events.entry(event).or_default().insert(Channel::Email, Wish::Unsubscribed);
    match store.change_preferences(user, changes, clock.now()).await {
        // Unsubscribing is not limited by the number of preferences.
        Ok(Some(_)) => page(StatusCode::OK, &View { state: "done", kind: &kind }),
        Ok(None) => Err(ApiError::Internal),
        Err(StoreError::NotFound) => unknown(),
        Err(error) => Err(error.into()),
    }
}

fn read(links: &Links, token: Result<Path<String>, PathRejection>) -> Option<Unsubscribe> {
    let Ok(Path(token)) = token else { return None };
    links.read_unsubscribe(&token)
}

/// The event's display name; a sender's event has only its name.
fn kind_of(event: &str) -> String {
    match Event::from_name(event).title() {
        "" => event.to_owned(),
        title => title.to_owned(),
    }
}

fn unknown() -> Result<Response, ApiError> {
    page(StatusCode::NOT_FOUND, &View { state: "unknown", kind: "" })
}

/// What the page shows: its state, and the kind of e-mails.
#[derive(Serialize)]
struct View<'a> {
    state: &'static str,
    kind: &'a str,
}

/// The page; values are escaped.
fn page(status: StatusCode, view: &View<'_>) -> Result<Response, ApiError> {
    let mut environment = Environment::new();
    environment.add_global("style", minijinja::Value::from_safe_string(STYLE.to_owned()));
    let text = environment.render_named_str("page.html", PAGE, view).map_err(|error| {
        tracing::error!(%error, "the page of unsubscribe links cannot be made");
        ApiError::Internal
    })?;
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY.as_str()),
        // The URL grants access: it must not reach other pages.
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ROBOTS,
    ];
    Ok((status, headers, text).into_response())
}
