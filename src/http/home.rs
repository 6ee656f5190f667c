//! `/` and the links of tickets (`/tickets/7/`): redirect browsers to the console.

use axum::extract::Path;
use axum::http::header::VARY;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};

use super::error::ApiError;
use bellpull_edge::accept::named_type;

pub(super) async fn home(method: Method, headers: HeaderMap) -> Response {
    console("", &method, &headers)
}

/// Where a notification's `action_url` leads, in mails and other messages.
pub(super) async fn ticket(Path(id): Path<String>, method: Method, headers: HeaderMap) -> Response {
    match id.parse::<u32>() {
        Ok(id) => console(&format!("tickets/{id}"), &method, &headers),
        Err(_) => ([(VARY, "Accept")], ApiError::NotFound).into_response(),
    }
}

/// For any method: other clients get 404 rather than 405.
fn console(view: &str, method: &Method, headers: &HeaderMap) -> Response {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    if is_read && wants_a_page(headers) {
        let view = format!("/console/{view}");
        return ([(VARY, "Accept")], Redirect::temporary(&view)).into_response();
    }
    ([(VARY, "Accept")], ApiError::NotFound).into_response()
}

/// Browsers accept HTML when they open a page; scripts and tools do not ask for it.
fn wants_a_page(headers: &HeaderMap) -> bool {
    named_type(headers, "text/html").is_some_and(|weight| weight > 0)
}
