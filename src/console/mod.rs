//! The console: tickets and notifications for every user, the supervision tree for super admins.
//! Static files on top of the same REST and socket interfaces as any client.

use std::sync::LazyLock;

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use bellpull_actors::domain::ticket::{Right, WORKFLOW};
use serde_json::{Value, json};

/// Scripts, styles and sockets from this hub only: a page that shows users' texts runs no script of
/// theirs. Sockets are named by scheme, because older browsers do not count them as `'self'`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self' ws: wss:; img-src 'self' data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

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

/// `/console/` and its files.
pub fn router() -> Router {
    let page = || file("text/html; charset=utf-8", include_str!("index.html"));
    let script = || file("text/javascript; charset=utf-8", include_str!("console.js"));
    let workflow = || file("text/javascript; charset=utf-8", WORKFLOW_JS.as_str());
    let style = || file("text/css; charset=utf-8", include_str!("console.css"));
    Router::new()
        .route("/console", get(|| async { Redirect::permanent("/console/") }))
        .route("/console/", get(move || async move { page() }))
        .route("/console/console.js", get(move || async move { script() }))
        .route("/console/workflow.js", get(move || async move { workflow() }))
        .route("/console/console.css", get(move || async move { style() }))
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text)
}
