//! The console: the web app for users, admins and operators, on top of the same REST and socket
//! interfaces as any client.
//!
//! Its source is in `app/` (Svelte and TypeScript), its build in `built/`, which is committed: the
//! hub is built without Node. A test fails if the build is not of the present source.

#[path = "built/files.rs"]
mod files;
#[cfg(test)]
mod freshness;

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bellpull_domain::ticket::{Right, WORKFLOW};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use bellpull_edge::accept::admits_coding;

/// Scripts, styles and sockets from this hub only: a page that shows users' texts runs no script of
/// theirs. Sockets are named by scheme, because older browsers do not count them as `'self'`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self' ws: wss:; img-src 'self' data:; worker-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Files whose names contain a hash of their content never change.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// A file of the build.
#[derive(Debug)]
struct Embedded {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    gzip: &'static [u8],
}

/// The workflow as a module: which steps there are, who may take each, and from where.
static WORKFLOW_JS: LazyLock<String> = LazyLock::new(|| {
    let steps: Vec<Value> = WORKFLOW
        .iter()
        .map(|rule| {
            let by = match rule.by {
                Right::Admin => "admin",
                Right::AssignedDeveloper => "assigned",
                Right::Creator => "creator",
                Right::CreatorOrAdmin => "creator_or_admin",
            };
            let from: Vec<&str> = rule.from.iter().map(|status| status.as_str()).collect();
            json!({"name": rule.name, "by": by, "from": from})
        })
        .collect();
    format!("export const workflow = {};\n", Value::from(steps))
});

/// `/console/` and its files. Any other path below it is a view of the app.
pub fn router() -> Router {
    let workflow = || common("text/javascript; charset=utf-8", "no-cache", WORKFLOW_JS.as_str());
    Router::new()
        .route("/console", get(|| async { Redirect::permanent("/console/") }))
        .route("/console/", get(async |headers: HeaderMap| answer("index.html", &headers)))
        .route("/console/workflow.js", get(move || async move { workflow() }))
        .route(
            "/console/{*path}",
            get(async |Path(path): Path<String>, headers: HeaderMap| answer(&path, &headers)),
        )
}

/// The file at that path, or the app: it has a view for each other path.
fn answer(path: &str, headers: &HeaderMap) -> Response {
    let find = |path: &str| files::FILES.iter().find(|file| file.path == path);
    let is_asset = path.starts_with("assets/");
    let Some(file) = find(path).or_else(|| find("index.html").filter(|_| !is_asset)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if is_asset {
        return file.send(headers, IMMUTABLE, None);
    }
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(file.bytes)[..12]));
    if has_tag(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response();
    }
    file.send(headers, "no-cache", HeaderValue::from_str(&tag).ok())
}

impl Embedded {
    fn send(&self, headers: &HeaderMap, cache: &'static str, tag: Option<HeaderValue>) -> Response {
        let is_gzip = admits_coding(headers, "gzip");
        let bytes = if is_gzip { self.gzip } else { self.bytes };
        let mut response = common(self.kind, cache, bytes);
        let headers = response.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if is_gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Some(tag) = tag {
            headers.insert(ETAG, tag);
        }
        response
    }
}

/// Whether the client has the file with this tag.
fn has_tag(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

fn common(kind: &'static str, cache: &'static str, body: impl IntoResponse) -> Response {
    let headers = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, cache),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, body).into_response()
}
