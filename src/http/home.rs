//! `/`: redirects browsers to the console.

use axum::http::header::VARY;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};

use super::error::ApiError;
use bellpull_edge::accept::named_type;

/// For any method: other clients get 404 rather than 405.
pub(super) async fn home(method: Method, headers: HeaderMap) -> Response {
    let is_read = matches!(method, Method::GET | Method::HEAD);
    if is_read && wants_a_page(&headers) {
        return ([(VARY, "Accept")], Redirect::temporary("/console/")).into_response();
    }
    ([(VARY, "Accept")], ApiError::NotFound).into_response()
}

/// Browsers accept HTML when they open a page; scripts and tools do not ask for it.
fn wants_a_page(headers: &HeaderMap) -> bool {
    named_type(headers, "text/html").is_some_and(|weight| weight > 0)
}
