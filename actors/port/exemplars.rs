//! Exemplars: for each bucket of a histogram the last traced observation, so that a slow bucket
//! leads to a trace.
//!
//! The recorder's exporter has none, so they are kept here and added to its text. Only traced work
//! is noted, which is a small part of all: the rest costs a look at a `None`.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::trace::Trace;
use jiff::Timestamp;

/// From a cast between actors to a queued password hash, in seconds.
pub const SECONDS_BUCKETS: [f64; 14] = [
    0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5,
    10.0,
];

/// The longest line for which memory is set aside.
const LINE_USUAL: usize = 160;

/// By a series' beginning, up to its `le`. Their number is that of the histograms' series.
static NOTED: LazyLock<Mutex<HashMap<String, Buckets>>> = LazyLock::new(Mutex::default);

/// By place in [`SECONDS_BUCKETS`]; the last is `+Inf`.
type Buckets = [Option<Exemplar>; SECONDS_BUCKETS.len() + 1];

/// A traced observation.
#[derive(Debug, Clone)]
struct Exemplar {
    trace_id: String,
    span_id: String,
    seconds: f64,
    at: Timestamp,
}

/// Notes an observation of a histogram's series, if it is traced.
pub fn note(histogram: &str, labels: &[(&str, &str)], seconds: f64, trace: &Trace) {
    let Some((trace_id, span_id)) = trace.ids() else { return };
    let at = Timestamp::now();
    let place = SECONDS_BUCKETS.iter().position(|bound| seconds <= *bound);
    let place = place.unwrap_or(SECONDS_BUCKETS.len());
    let mut series = format!("{histogram}_bucket{{");
    for (name, value) in labels {
        let _ = write!(series, "{name}=\"{value}\",");
    }
    let mut noted = NOTED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(slot) = noted.entry(series).or_default().get_mut(place) {
        *slot = Some(Exemplar { trace_id, span_id, seconds, at });
    }
}

/// The recorder's text in the OpenMetrics format, which has room for exemplars.
pub fn open_metrics(text: &str) -> String {
    let noted = NOTED.lock().unwrap_or_else(PoisonError::into_inner);
    with_exemplars(text, &noted)
}

fn with_exemplars(text: &str, noted: &HashMap<String, Buckets>) -> String {
    let mut out = String::with_capacity(text.len() + noted.len() * LINE_USUAL);
    // A series' buckets follow one another.
    let mut place = 0;
    for line in text.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("# ") {
            Some(comment) => describe(&mut out, comment),
            None => out.push_str(line),
        }
        if let Some((series, _)) = line.split_once("le=\"") {
            if line.contains(FIRST) {
                place = 0;
            }
            let buckets = noted.get(series);
            if let Some(Some(exemplar)) = buckets.and_then(|buckets| buckets.get(place)) {
                let Exemplar { trace_id, span_id, seconds, at } = exemplar;
                let (second, ms) = (at.as_second(), at.subsec_millisecond());
                let _ = write!(
                    out,
                    " # {{trace_id=\"{trace_id}\",span_id=\"{span_id}\"}} {seconds} {second}.{ms:03}"
                );
            }
            place += 1;
        }
        out.push('\n');
    }
    out.push_str("# EOF\n");
    out
}

/// The first bucket of [`SECONDS_BUCKETS`].
const FIRST: &str = "le=\"0.00001\"";

/// `HELP` and `TYPE` name a counter without its `_total`.
fn describe(out: &mut String, comment: &str) {
    let mut words = comment.splitn(3, ' ');
    let (kind, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let name = name.strip_suffix("_total").unwrap_or(name);
    let rest = match (kind, words.next().unwrap_or_default()) {
        ("TYPE", "untyped") => "unknown",
        (_, rest) => rest,
    };
    let _ = write!(out, "# {kind} {name} {rest}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_has_the_exemplar_of_its_own_series_only() {
        let text = "# HELP x_seconds Time\n# TYPE x_seconds histogram\n\
            x_seconds_bucket{route=\"/a/\",le=\"0.00001\"} 0\n\
            x_seconds_bucket{route=\"/a/\",le=\"0.00005\"} 2\n\
            x_seconds_sum{route=\"/a/\"} 0.1\n\
            x_seconds_bucket{route=\"/b/\",le=\"0.00001\"} 0\n\
            x_seconds_bucket{route=\"/b/\",le=\"0.00005\"} 1\n\n\
            # HELP y_total Things\n# TYPE y_total counter\ny_total 3\n\n";
        let mut buckets = Buckets::default();
        let (trace_id, span_id) = ("0af7".to_owned(), "b7ad".to_owned());
        let at = Timestamp::from_millisecond(1_700_000_000_500).unwrap();
        buckets[1] = Some(Exemplar { trace_id, span_id, seconds: 0.000_04, at });
        let noted = HashMap::from([("x_seconds_bucket{route=\"/b/\",".to_owned(), buckets)]);
        let wanted = "# HELP x_seconds Time\n# TYPE x_seconds histogram\n\
            x_seconds_bucket{route=\"/a/\",le=\"0.00001\"} 0\n\
            x_seconds_bucket{route=\"/a/\",le=\"0.00005\"} 2\n\
            x_seconds_sum{route=\"/a/\"} 0.1\n\
            x_seconds_bucket{route=\"/b/\",le=\"0.00001\"} 0\n\
            x_seconds_bucket{route=\"/b/\",le=\"0.00005\"} 1 # \
            {trace_id=\"0af7\",span_id=\"b7ad\"} 0.00004 1700000000.500\n\
            # HELP y Things\n# TYPE y counter\ny_total 3\n# EOF\n";
        assert_eq!(with_exemplars(text, &noted), wanted);
    }

    #[test]
    fn the_first_bucket_is_written_as_expected() {
        assert_eq!(FIRST, format!("le=\"{}\"", SECONDS_BUCKETS[0]));
    }

    #[test]
    fn what_is_not_traced_is_not_noted() {
        note("bellpull_untraced_seconds", &[], 0.1, &Trace::default());
        let noted = NOTED.lock().unwrap();
        assert!(!noted.contains_key("bellpull_untraced_seconds_bucket{"));
    }
}
