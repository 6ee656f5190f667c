//! `/client/`: the browser client for `bellpull.v1`, one module without dependencies, and two that
//! add lists and a connection that tabs share. The package `@bellpull/client` has the same files.
//!
//! Pages of any origin may import it. Caches must revalidate it, so that a hub and the client that
//! it serves have the same version.

use axum::Router;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

const SCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// The modules and their types.
const FILES: [(&str, &str, &str); 6] = [
    ("/client/bellpull.js", SCRIPT, include_str!("bellpull.js")),
    ("/client/bellpull.d.ts", TEXT, include_str!("bellpull.d.ts")),
    ("/client/list.js", SCRIPT, include_str!("list.js")),
    ("/client/list.d.ts", TEXT, include_str!("list.d.ts")),
    ("/client/tabs.js", SCRIPT, include_str!("tabs.js")),
    ("/client/tabs.d.ts", TEXT, include_str!("tabs.d.ts")),
];

/// The modules and their types.
pub fn router() -> Router {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        let file = File::new(kind, text);
        router.route(path, get(move |headers: HeaderMap| async move { file.answer(&headers) }))
    })
}

/// A file that is part of the binary.
#[derive(Debug, Clone)]
struct File {
    kind: &'static str,
    text: &'static str,
    tag: String,
}

impl File {
    fn new(kind: &'static str, text: &'static str) -> Self {
        let hash = URL_SAFE_NO_PAD.encode(&Sha256::digest(text)[..12]);
        Self { kind, text, tag: format!("\"{hash}\"") }
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let held = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let is_held = held
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == self.tag || tag == "*");
        let fixed = |name: HeaderName, value| (name, HeaderValue::from_static(value));
        let common = [
            fixed(CONTENT_TYPE, self.kind),
            fixed(CACHE_CONTROL, "no-cache"),
            fixed(ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            fixed(HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
            fixed(X_CONTENT_TYPE_OPTIONS, "nosniff"),
            fixed(REFERRER_POLICY, "no-referrer"),
            // For the file opened by itself: a page that imports it has its own policy.
            fixed(CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        ];
        let tag = HeaderValue::from_str(&self.tag).ok().map(|tag| (ETAG, tag));
        let mut response = match is_held {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => self.text.into_response(),
        };
        // Replaces the headers of the text response.
        for (name, value) in common.into_iter().chain(tag) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
