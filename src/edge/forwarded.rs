//! The headers in which proxies name their clients: `X-Forwarded-For` and RFC 7239 `Forwarded`.
//!
//! Each proxy appends the address that its request came from, so the entries are read from the
//! right. Pure: bytes in, addresses out; trust is decided elsewhere.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::header::FORWARDED;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// An entry that names no address: `unknown`, a pseudonym, or garbage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The addresses of `X-Forwarded-For`, the nearest first; `None` if it is absent.
pub(super) fn x_forwarded_for(headers: &HeaderMap) -> Option<Vec<Result<IpAddr, Malformed>>> {
    let values = headers.get_all(X_FORWARDED_FOR);
    let entry = |text: &str| address(text.trim());
    let of = |value: &HeaderValue| match value.to_str() {
        Ok(text) => text.split(',').map(entry).collect(),
        Err(_) => vec![Err(Malformed)],
    };
    nearest_first(values.iter().map(of))
}

/// The addresses of `Forwarded`, the nearest first; `None` if it is absent.
pub(super) fn forwarded(headers: &HeaderMap) -> Option<Vec<Result<IpAddr, Malformed>>> {
    let entry = |element: &str| match parameter(element, "for") {
        // A bare IPv6 address is not allowed here, and an IPv4 address needs no quotes.
        Some(node) if node.starts_with('[') || node.contains('.') => address(&node),
        Some(_) | None => Err(Malformed),
    };
    let of = |value: &HeaderValue| match value.to_str() {
        Ok(text) => match split(text, ',') {
            Some(elements) => elements.into_iter().map(entry).collect(),
            None => vec![Err(Malformed)],
        },
        Err(_) => vec![Err(Malformed)],
    };
    nearest_first(headers.get_all(FORWARDED).iter().map(of))
}

/// Whether the nearest proxy reports that its client used HTTPS.
pub(super) fn is_https(headers: &HeaderMap) -> bool {
    let text = |name| headers.get_all(name).iter().next_back()?.to_str().ok();
    let is = |scheme: &str| scheme.trim().eq_ignore_ascii_case("https");
    if let Some(scheme) = text(X_FORWARDED_PROTO) {
        return scheme.rsplit(',').next().is_some_and(is);
    }
    let element = text(FORWARDED).and_then(|text| split(text, ',')?.pop());
    element.and_then(|element| parameter(element, "proto")).is_some_and(|scheme| is(&scheme))
}

/// Several lines of one header are one list.
fn nearest_first<T>(lines: impl Iterator<Item = Vec<T>>) -> Option<Vec<T>> {
    let mut entries: Vec<T> = lines.flatten().collect();
    entries.reverse();
    Some(entries).filter(|entries| !entries.is_empty())
}

/// An address, perhaps with a port: `192.0.2.1:80`, `[2001:db8::1]:80`.
fn address(text: &str) -> Result<IpAddr, Malformed> {
    let socket = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let address = text.parse().ok().or_else(socket).or_else(|| bracketed().map(IpAddr::V6));
    address.map(|address: IpAddr| address.to_canonical()).ok_or(Malformed)
}

/// A parameter's value in an element of `Forwarded`, without its quotes.
fn parameter(element: &str, name: &str) -> Option<String> {
    let named = |pair: &str| {
        let (found, value) = pair.trim().split_once('=')?;
        found.eq_ignore_ascii_case(name).then(|| value.to_owned())
    };
    let value = split(element, ';')?.into_iter().find_map(named)?;
    match value.strip_prefix('"') {
        // An escaped character stands for itself; no address has one.
        Some(quoted) => quoted.strip_suffix('"').map(str::to_owned),
        None => Some(value),
    }
}

/// The parts between separators that are not quoted; `None` if a quote is not closed. A client that
/// opens one would hide in it what its proxy appends.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let between = |c: char| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match c {
            '\\' if is_quoted && !was_escaped => is_escaped = true,
            '"' if !was_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        c == separator && !is_quoted
    };
    let parts = text.split(between).collect();
    (!is_quoted).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(line).collect()
    }

    fn shown(entries: Option<Vec<Result<IpAddr, Malformed>>>) -> Vec<String> {
        let shown =
            |entry: Result<IpAddr, _>| entry.map_or("?".to_owned(), |address| address.to_string());
        entries.unwrap_or_default().into_iter().map(shown).collect()
    }

    #[test]
    fn x_forwarded_for_is_read_from_the_right() {
        for (lines, wanted) in [
            (vec![], vec![]),
            (vec!["192.0.2.1"], vec!["192.0.2.1"]),
            (vec!["192.0.2.1, 192.0.2.2"], vec!["192.0.2.2", "192.0.2.1"]),
            (vec!["192.0.2.1", "192.0.2.2,192.0.2.3"], vec!["192.0.2.3", "192.0.2.2", "192.0.2.1"]),
            (vec!["192.0.2.1:80"], vec!["192.0.2.1"]),
            (
                vec!["2001:db8::1, [2001:db8::2], [2001:db8::3]:80"],
                vec!["2001:db8::3", "2001:db8::2", "2001:db8::1"],
            ),
            (vec!["::ffff:192.0.2.1"], vec!["192.0.2.1"]),
            (
                vec!["unknown, , 192.0.2.256, 192.0.2.1:x, [::1, [::1]80, 192.0.2.1:99999"],
                vec!["?"; 7],
            ),
        ] {
            let lines: Vec<_> = lines.into_iter().map(|line| ("x-forwarded-for", line)).collect();
            assert_eq!(shown(x_forwarded_for(&headers(&lines))), wanted, "{lines:?}");
        }
        assert_eq!(x_forwarded_for(&headers(&[])), None);
        let mut bytes = HeaderMap::new();
        bytes.insert(X_FORWARDED_FOR, HeaderValue::from_bytes(b"192.0.2.1\xff").unwrap());
        assert_eq!(shown(x_forwarded_for(&bytes)), ["?"]);
    }

    #[test]
    fn forwarded_is_read_with_its_parameters_and_quotes() {
        for (line, wanted) in [
            ("for=192.0.2.43", vec!["192.0.2.43"]),
            ("For=\"[2001:db8:cafe::17]:4711\"", vec!["2001:db8:cafe::17"]),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", vec!["192.0.2.60"]),
            (
                "for=192.0.2.43, by=\"a,b;c\\\"\" ; for=\"198.51.100.17:80\"",
                vec!["198.51.100.17", "192.0.2.43"],
            ),
            (
                "for=unknown, for=_hidden, for=\"_x\", proto=https, for=2001:db8::1, for=1.2.3",
                vec!["?"; 6],
            ),
            // The last entry is the proxy's; the client opened a quote before it.
            ("for=192.0.2.43, for=198.51.100.1;x=\", for=192.0.2.44", vec!["?"]),
            ("for=198.51.100.1;x\"y, for=\"[2001:db8::1]\"", vec!["?"]),
        ] {
            assert_eq!(shown(forwarded(&headers(&[("forwarded", line)]))), wanted, "{line}");
        }
        assert_eq!(forwarded(&headers(&[])), None);
    }

    #[test]
    fn the_scheme_is_the_nearest_proxys() {
        for (name, value, wanted) in [
            ("x-forwarded-proto", "https", true),
            ("x-forwarded-proto", "HTTPS", true),
            ("x-forwarded-proto", "http, https", true),
            ("x-forwarded-proto", "https, http", false),
            ("x-forwarded-proto", "", false),
            ("forwarded", "for=192.0.2.1;proto=https", true),
            ("forwarded", "for=192.0.2.1;proto=https, for=192.0.2.2;proto=http", false),
            ("forwarded", "for=192.0.2.1;proto=https;x=\", for=192.0.2.2;proto=http", false),
            ("x-other", "https", false),
        ] {
            assert_eq!(is_https(&headers(&[(name, value)])), wanted, "{name}: {value}");
        }
    }

    #[test]
    fn no_text_is_too_strange() {
        use proptest::prelude::*;
        proptest!(|(text in "[ -~]{0,60}")| {
            for name in ["forwarded", "x-forwarded-for", "x-forwarded-proto"] {
                let headers = headers(&[(name, &text)]);
                let _ = (forwarded(&headers), x_forwarded_for(&headers), is_https(&headers));
            }
        });
    }
}
