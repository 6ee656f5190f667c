//! Helpers for the tests of several files.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// Headers with these names and values; names may repeat.
pub(super) fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}
