//! `/`: redirects browsers to the console.

use axum::http::header::{ACCEPT, VARY};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};

use super::error::ApiError;

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
    let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.to_ascii_lowercase().contains("text/html"))
}
