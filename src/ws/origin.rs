//! Which pages may open sockets: browsers send their page's origin, other clients need none.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, header};
use bellpull_port::rate::{Quota, RateLimit};

use super::refusal::Refusal;

/// How much of a refused origin is logged, in characters.
const LOGGED_MAX: usize = 200;

/// Log lines about refused origins: enough to find a wrong setting, and at most a quarter of a
/// megabyte per hour.
const LINES_PER_S: u32 = 1;
/// The burst: an operator's own pages that are missing in the setting.
const LINES_BURST: u32 = 10;

/// Whether the request comes from no page, or from an allowed one.
pub(super) fn check_origin(headers: &HeaderMap, allowed: &[String]) -> Result<(), Refusal> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    // Only browsers send one, and only their pages need to be restricted.
    let Some(origin) = origins.next() else { return Ok(()) };
    let origin = if origins.next().is_some() { "" } else { origin.to_str().unwrap_or_default() };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let origin = &as_page(origin);
    let is_allowed =
        is_same_host(origin, host) || allowed.iter().any(|one| one == "*" || one == origin);
    if is_allowed {
        return Ok(());
    }
    log_refused(origin);
    Err(Refusal::Origin)
}

/// The origin of a page. Libraries that make one from their socket's own address may leave its
/// scheme; no browser does, so no page gains by it.
fn as_page(origin: &str) -> String {
    match origin.strip_prefix("ws").filter(|rest| rest.starts_with("://") || rest.starts_with("s:"))
    {
        Some(rest) => format!("http{rest}"),
        None => origin.to_owned(),
    }
}

/// Logs a refused origin, within the limit: any page on the web can make browsers try as often as
/// it likes. The next line says how many were left out.
fn log_refused(origin: &str) {
    static LINES: LazyLock<RateLimit<()>> =
        LazyLock::new(|| RateLimit::new(Quota::per_second(LINES_PER_S, LINES_BURST), 1));
    static SUPPRESSED: AtomicU64 = AtomicU64::new(0);
    metrics::counter!("bellpull_origins_refused_total").increment(1);
    if LINES.admit(&()).is_err() {
        SUPPRESSED.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let suppressed = SUPPRESSED.swap(0, Ordering::Relaxed);
    let origin: String = origin.chars().take(LOGGED_MAX).collect();
    let text = "refused a socket: its Origin is not on http.allowed_origins";
    if suppressed == 0 {
        tracing::warn!(?origin, "{text}");
    } else {
        tracing::warn!(?origin, suppressed, "{text}");
    }
}

/// Whether a page of that origin came from the request's host and port.
fn is_same_host(origin: &str, host: &str) -> bool {
    let (authority, default_port) = match origin.split_once("://") {
        Some(("http", authority)) => (authority, ":80"),
        Some(("https", authority)) => (authority, ":443"),
        _ => return false,
    };
    let bare = |name: &str| name.strip_suffix(default_port).unwrap_or(name).to_ascii_lowercase();
    !authority.is_empty() && bare(authority) == bare(host)
}

#[cfg(test)]
mod tests {
    use super::super::testing::headers;
    use super::*;

    #[test]
    fn origins() {
        let listed = |origins: &[&str]| origins.iter().map(|one| (*one).to_owned()).collect();
        let ours = listed(&["https://app.example.com", "http://localhost:3000"]);
        let (unknown, all): (Vec<String>, Vec<String>) = (Vec::new(), listed(&["*"]));
        let table: &[(&str, &str, &[String], bool)] = &[
            ("https://app.example.com", "api.example.com", &ours, true),
            ("http://localhost:3000", "localhost:8000", &ours, true),
            ("http://app.example.com", "api.example.com", &ours, false),
            ("https://app.example.com:8443", "api.example.com", &ours, false),
            ("https://app.example.com.evil.org", "api.example.com", &ours, false),
            ("https://api.example.com", "api.example.com", &ours, true),
            ("null", "api.example.com", &ours, false),
            ("https://anybody.example.org", "api.example.com", &all, true),
            ("null", "api.example.com", &all, true),
            ("http://localhost:8000", "localhost:8000", &unknown, true),
            ("http://LOCALHOST:8000", "localhost:8000", &unknown, true),
            ("https://api.example.com", "api.example.com", &unknown, true),
            ("https://api.example.com", "api.example.com:443", &unknown, true),
            ("http://api.example.com:80", "api.example.com", &unknown, true),
            ("ws://localhost:8000", "localhost:8000", &unknown, true),
            ("wss://api.example.com", "api.example.com", &unknown, true),
            ("wss://app.example.com", "api.example.com", &ours, true),
            ("ws://localhost:3000", "localhost:8000", &unknown, false),
            ("wsx://localhost:8000", "localhost:8000", &unknown, false),
            ("http://localhost:3000", "localhost:8000", &unknown, false),
            ("https://evil.org", "api.example.com", &unknown, false),
            ("http://", "", &unknown, false),
            ("null", "null", &unknown, false),
            ("", "", &unknown, false),
        ];
        for (origin, host, allowed, is_allowed) in table {
            let headers = headers(&[("origin", origin), ("host", host)]);
            let checked = check_origin(&headers, allowed);
            assert_eq!(checked.is_ok(), *is_allowed, "{origin} to {host} with {allowed:?}");
        }
        assert_eq!(check_origin(&headers(&[("host", "x")]), &ours), Ok(()));
        let two = headers(&[("host", "x"), ("origin", "http://x"), ("origin", "http://x")]);
        assert_eq!(check_origin(&two, &unknown), Err(Refusal::Origin));
    }
}
