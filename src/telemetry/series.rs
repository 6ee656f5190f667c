//! Registers every metric with 0 at start, so that no query or alert meets a missing series.
//!
//! A metric without labels is one series. A metric with labels has one series for each combination
//! of the values here; for labels with too many values (routes), only one is registered.

use bellpull_domain::channel::OUTGOING_NAMES;
use metrics::Label;

use super::Described;

/// A metric's labels, each with its values.
type Labels = &'static [(&'static str, &'static [&'static str])];

const CHANNELS: &[&str] = &OUTGOING_NAMES;

/// The labels of all metrics that have any.
const LABELLED: &[(&str, Labels)] = &[
    ("bellpull_actors", &[("kind", &["user", "ticket", "project"])]),
    (
        "bellpull_actor_failures_total",
        &[("kind", &["user", "ticket", "project", "supervisor", "scheduler", "channel"])],
    ),
    (
        "bellpull_attempts_total",
        &[("channel", CHANNELS), ("outcome", &["sent", "later", "failed"])],
    ),
    (
        "bellpull_broker_refused_total",
        &[("why", &["unsealed", "other_database", "forged", "repeated"])],
    ),
    ("bellpull_build_info", &[("version", &[env!("CARGO_PKG_VERSION")])]),
    ("bellpull_circuit_open", &[("channel", CHANNELS)]),
    ("bellpull_deliveries_in_flight", &[("channel", CHANNELS)]),
    ("bellpull_deliveries_leased", &[("channel", CHANNELS)]),
    ("bellpull_deliveries_queued", &[("channel", CHANNELS)]),
    ("bellpull_frames_sent_total", &[("by", &["socket", "stream"])]),
    (
        "bellpull_forgotten_total",
        &[("kind", &["deliveries", "idempotency_keys", "messages", "tombstones"])],
    ),
    ("bellpull_http_request_seconds", &[("method", &["GET"]), ("route", &["/metrics/"])]),
    (
        "bellpull_http_requests_total",
        &[("method", &["GET"]), ("route", &["/metrics/"]), ("status", &["200"])],
    ),
    ("bellpull_mailbox_messages", &[("kind", &["user", "ticket", "project"])]),
    ("bellpull_logins_total", &[("outcome", &["good", "refused", "failed"])]),
    ("bellpull_slow_total", &[("kind", &["request", "commit", "frame"])]),
    ("bellpull_socket_closes_total", &[("code", CLOSE_CODES)]),
    ("bellpull_socket_handshakes_total", &[("outcome", HANDSHAKES)]),
    ("bellpull_template_failures_total", &[("channel", CHANNELS)]),
    (
        "bellpull_tls_handshakes_total",
        &[("outcome", &["full", "resumed", "failed", "left", "limited", "not_tls", "timeout"])],
    ),
    ("bellpull_tokens_refused_total", &[("why", REFUSED)]),
];

const CLOSE_CODES: &[&str] = &[
    "client", "1002", "1003", "1007", "1009", "1011", "1012", "4400", "4401", "4403", "4408",
    "4413", "4429",
];

const HANDSHAKES: &[&str] = &[
    "opened",
    "bad_handshake",
    "draining",
    "invalid",
    "method_not_allowed",
    "not_authenticated",
    "not_found",
    "origin_not_allowed",
    "permission_denied",
    "throttled",
    "token_not_valid",
    "unavailable",
    "unknown_dialect",
    "upgrade_required",
    "wrong_dialect",
];

const REFUSED: &[&str] = &[
    "a service token lives a minute at most",
    "it has critical extensions",
    "it has expired",
    "it has no expiry",
    "it is meant for another audience",
    "it is not a well-formed token",
    "it is not an access token",
    "it is not yet valid",
    "it is too long",
    "it names no user",
    "its algorithm is not accepted",
    "its key is not known",
    "its login has ended",
    "its signature is wrong",
    "its user_id is not a number",
    "the account is not active",
    "the ticket was used, has expired or never was",
    "there is no such account",
];

/// Each combination of the values of a metric's labels; an empty one for a metric without labels.
fn combinations(name: &str) -> Vec<Vec<Label>> {
    let labels = LABELLED.iter().find(|(labelled, _)| *labelled == name).map(|(_, labels)| *labels);
    let mut made: Vec<Vec<Label>> = vec![Vec::new()];
    for (label, values) in labels.unwrap_or_default() {
        let with = |of: &Vec<Label>| {
            let of = of.clone();
            values.iter().map(move |value| {
                of.iter().cloned().chain([Label::from_static_parts(label, value)]).collect()
            })
        };
        made = made.iter().flat_map(with).collect();
    }
    made
}

/// Registers a metric.
pub(super) fn begin(described: &Described) {
    match described {
        Described::Counter(name, _) => {
            for labels in combinations(name) {
                metrics::counter!(*name, labels).increment(0);
            }
        }
        Described::Gauge(name, _) => {
            for labels in combinations(name) {
                metrics::gauge!(*name, labels).increment(0.0);
            }
        }
        // Registering it is enough; it has no samples.
        Described::Histogram(name, _) => {
            for labels in combinations(name) {
                let _ = metrics::histogram!(*name, labels);
            }
        }
    }
}

/// The names of a metric's labels, for the test that compares them with the sources.
#[cfg(test)]
pub(super) fn label_names(name: &str) -> Vec<&'static str> {
    let found = LABELLED.iter().find(|(labelled, _)| *labelled == name);
    found.map(|(_, labels)| labels.iter().map(|(label, _)| *label).collect()).unwrap_or_default()
}
