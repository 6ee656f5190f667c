//! Times: always with three digits after the point. Stores keep milliseconds, and a time that now
//! and then has fewer digits is misread by parsers with a fixed format, and sorts wrongly as text.

use jiff::Timestamp;
use serde::Serializer;

/// A time.
pub(super) fn time<S: Serializer>(at: &Timestamp, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(&format_args!("{at:.3}"))
}

/// A time that may be missing.
pub(super) fn maybe<S: Serializer>(at: &Option<Timestamp>, out: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => time(at, out),
        None => out.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::json;

    use super::*;

    #[derive(Serialize)]
    struct Row {
        #[serde(serialize_with = "time")]
        at: Timestamp,
        #[serde(serialize_with = "maybe")]
        until: Option<Timestamp>,
    }

    #[test]
    fn a_time_has_three_digits_after_the_point() {
        for (ms, wanted) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_766_572_200_000, "2025-12-24T10:30:00.000Z"),
            (1_766_572_200_100, "2025-12-24T10:30:00.100Z"),
            (1_766_572_200_120, "2025-12-24T10:30:00.120Z"),
            (1_766_572_200_123, "2025-12-24T10:30:00.123Z"),
        ] {
            let at = Timestamp::from_millisecond(ms).unwrap();
            let row = |until| serde_json::to_value(Row { at, until }).unwrap();
            assert_eq!(row(Some(at)), json!({"at": wanted, "until": wanted}));
            assert_eq!(row(None), json!({"at": wanted, "until": null}));
        }
    }
}
