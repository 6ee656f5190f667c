//! How much a client wants what it is offered (RFC 9110, 12.4.2 and 12.5): media types and content
//! codings with their weights.

use axum::http::header::{ACCEPT, ACCEPT_ENCODING, AsHeaderName};
use axum::http::{HeaderMap, HeaderName};

/// A weight in thousandths; 0: not acceptable.
pub(crate) type Weight = u16;

/// The weight of what is named without one.
const WHOLE: Weight = 1_000;

/// What `Accept` says of a media type by its name, whatever its parameters; `None` if it names only
/// ranges that contain it, or nothing of the kind. Of several, the highest counts.
#[must_use]
pub fn named_type(headers: &HeaderMap, wanted: &str) -> Option<Weight> {
    weights(headers, ACCEPT, |name| name.eq_ignore_ascii_case(wanted))
}

/// What `Accept` says of a media type: by its name, else by its range, else by that of all types.
/// Without the header each is as good as any other.
#[must_use]
pub fn media_type(headers: &HeaderMap, wanted: &str) -> Weight {
    let range = wanted.split('/').next().unwrap_or_default();
    let is_range = |name: &str| {
        name.strip_suffix("/*").is_some_and(|family| family.eq_ignore_ascii_case(range))
    };
    let none = if headers.contains_key(ACCEPT) { 0 } else { WHOLE };
    named_type(headers, wanted)
        .or_else(|| weights(headers, ACCEPT, is_range))
        .or_else(|| weights(headers, ACCEPT, |name| name == "*/*"))
        .unwrap_or(none)
}

/// Whether `Accept-Encoding` admits this content coding.
#[must_use]
pub fn admits_coding(headers: &HeaderMap, wanted: &str) -> bool {
    weights(headers, ACCEPT_ENCODING, |name| name.eq_ignore_ascii_case(wanted))
        .or_else(|| weights(headers, ACCEPT_ENCODING, |name| name == "*"))
        .is_some_and(|weight| weight > 0)
}

/// The highest weight of the elements that are meant; `None` if there are none.
fn weights(
    headers: &HeaderMap,
    header: HeaderName,
    is_meant: impl Fn(&str) -> bool,
) -> Option<Weight> {
    let values = lines(headers, header).flat_map(|value| value.split(','));
    let of = |element: &str| {
        let mut parts = element.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        is_meant(name).then(|| parts.find_map(weight).unwrap_or(WHOLE))
    };
    values.filter_map(of).max()
}

fn lines(headers: &HeaderMap, header: impl AsHeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(header).iter().filter_map(|value| value.to_str().ok())
}

/// The weight in a parameter `q=0.5`; what is no number there weighs nothing.
fn weight(parameter: &str) -> Option<Weight> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim_end().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, part) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let digits = part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    let part: Weight = format!("{part:0<3}").parse().ok().filter(|_| digits)?;
    Some(match whole {
        "0" => part,
        "1" if part == 0 => WHOLE,
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn a_type_weighs_what_its_most_specific_range_says() {
        for (accept, csv, json) in [
            ("text/csv", 1_000, 0),
            ("Text/CSV;q=0.9, */*", 900, 1_000),
            ("text/csv;q=0", 0, 0),
            ("text/csv;q=0, */*", 0, 1_000),
            ("text/csv ; header=present ; Q=0.25, application/*;q=0.5", 250, 500),
            ("text/*;q=0.001, */*;q=0.000", 1, 0),
            ("*/*;q=1.000", 1_000, 1_000),
            ("text/csv;q=0.3,text/csv;header=absent;q=0.7", 700, 0),
            ("text/csv;q=x, text/*", 0, 0),
            ("text/csv;q=1.5", 0, 0),
            ("text/csvx, application/jsonp", 0, 0),
            ("", 0, 0),
        ] {
            let headers = headers(ACCEPT, accept);
            let found =
                (media_type(&headers, "text/csv"), media_type(&headers, "application/json"));
            assert_eq!(found, (csv, json), "{accept}");
        }
        assert_eq!(media_type(&HeaderMap::new(), "text/csv"), 1_000);
        assert_eq!(named_type(&headers(ACCEPT, "*/*"), "text/csv"), None);
    }

    #[test]
    fn a_coding_is_admitted_by_name_or_with_all() {
        for (accepted, is_admitted) in [
            ("gzip", true),
            ("br, GZIP;q=0.8", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("gzip ;q=0.0", false),
            ("*", true),
            ("*;q=0", false),
            ("gzip;q=0, *", false),
            ("identity", false),
            ("x-gzip2, br", false),
        ] {
            let headers = headers(ACCEPT_ENCODING, accepted);
            assert_eq!(admits_coding(&headers, "gzip"), is_admitted, "{accepted}");
        }
        assert!(!admits_coding(&HeaderMap::new(), "gzip"));
    }
}
