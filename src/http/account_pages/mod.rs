//! `/account/password/` and `/account/email/`: the pages behind the links in account mails.
//!
//! The page is the same for every visitor: the token is in the URL's fragment, which browsers do
//! not send. The page's script reads it there and posts it after a click, so mail scanners that
//! follow every link, even those that run scripts, change nothing.

use std::sync::LazyLock;

use axum::http::HeaderName;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use utoipa_axum::routes;

use super::routes::Routes;

const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");

static PASSWORD: LazyLock<String> = LazyLock::new(|| whole(include_str!("password.html")));
static EMAIL: LazyLock<String> = LazyLock::new(|| whole(include_str!("email.html")));

/// The pages run only their own script, connect only to this hub, submit no forms elsewhere, and
/// cannot be framed.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let [script, style] = [SCRIPT, STYLE].map(|text| STANDARD.encode(Sha256::digest(text)));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; \
         connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
});

/// Search engines must not index the pages.
const ROBOTS: (HeaderName, &str) = (HeaderName::from_static("x-robots-tag"), "noindex");

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(password)).with(routes!(email))
}

/// The page behind a mailed link for a new password.
#[utoipa::path(
    get, path = "/account/password/", tag = "Accounts", security(()),
    operation_id = "password_page",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html"))
)]
async fn password() -> Response {
    page(&PASSWORD)
}

/// The page behind a mailed link that confirms an address.
#[utoipa::path(
    get, path = "/account/email/", tag = "Accounts", security(()),
    operation_id = "email_page",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html"))
)]
async fn email() -> Response {
    page(&EMAIL)
}

/// A page with its script and style inlined; nothing else is loaded.
fn whole(page: &str) -> String {
    page.replace("/*style*/", STYLE).replace("/*script*/", SCRIPT)
}

fn page(text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY.as_str()),
        // The URL grants access, although its fragment is not sent anyway.
        (REFERRER_POLICY, "no-referrer"),
        ROBOTS,
    ];
    (headers, text).into_response()
}
