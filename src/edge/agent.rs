//! What a request's client calls itself.

use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;
use bellpull_port::agent::Agent;

/// By the header `User-Agent`, if it has only visible characters.
#[must_use]
pub fn agent(headers: &HeaderMap) -> Agent {
    let text = headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    text.map(Agent::named).unwrap_or_default()
}
