//! `/account/password/` and `/account/email/`: where the links in mails about an account lead.
//!
//! A page is the same for everyone: the token stands in the URL's fragment, which a browser sends
//! nowhere. The page's script takes it from there, and posts it when the user says so: scanners of
//! mail that follow every link, and even those that run scripts, change nothing.

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

/// The pages run their own script and none else, ask only this hub, send no form anywhere, and
/// stand in no frame.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let [script, style] = [SCRIPT, STYLE].map(|text| STANDARD.encode(Sha256::digest(text)));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; \
         connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
});

/// No search engine should keep the pages.
const ROBOTS: (HeaderName, &str) = (HeaderName::from_static("x-robots-tag"), "noindex");

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(password)).with(routes!(email))
}

/// The page behind a mail's link for a new password.
#[utoipa::path(
    get, path = "/account/password/", tag = "Accounts", security(()),
    operation_id = "password_page",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html"))
)]
async fn password() -> Response {
    page(&PASSWORD)
}

/// The page behind a mail's link that confirms an address.
#[utoipa::path(
    get, path = "/account/email/", tag = "Accounts", security(()),
    operation_id = "email_page",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html"))
)]
async fn email() -> Response {
    page(&EMAIL)
}

/// A page with its script and style within it: nothing else is loaded.
fn whole(page: &str) -> String {
    page.replace("/*style*/", STYLE).replace("/*script*/", SCRIPT)
}

fn page(text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY.as_str()),
        // The address is as good as a key, though its fragment is not sent anyway.
        (REFERRER_POLICY, "no-referrer"),
        ROBOTS,
    ];
    (headers, text).into_response()
}
