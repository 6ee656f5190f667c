//! What the tests of several files here begin with.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// Headers with these names and values; a name may stand there twice.
pub(super) fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}
