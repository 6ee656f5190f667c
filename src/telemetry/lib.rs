//! Logs, metrics and traces.
//!
//! Neither contains tokens, passwords or message texts: only ids and outcomes are logged.

mod series;
pub mod signals;
pub mod traces;

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use metrics::Unit;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use bellpull_config::Config;

/// How often histograms are compacted between two scrapes.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// A metric of the process, which its collector describes.
const STARTED: &str = "process_start_time_seconds";

/// The one recorder of the process; tests run several hubs in one.
static METRICS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// A metric: its type, its name, and its description.
enum Described {
    Counter(&'static str, &'static str),
    Gauge(&'static str, &'static str),
    /// In seconds, as its name says.
    Histogram(&'static str, &'static str),
}

#[rustfmt::skip]
const DESCRIBED: &[Described] = &[
    Described::Gauge("bellpull_build_info", "1, with the version as its label"),
    Described::Gauge("bellpull_connections", "Open connections of every kind on this node"),
    Described::Gauge("bellpull_mailbox_messages",
        "Messages that wait in the mailboxes of this node's actors, by kind"),
    Described::Gauge("bellpull_database_bytes", "Size of the database"),
    Described::Gauge("bellpull_database_log_bytes", "Size of SQLite's log beside the database"),
    Described::Counter("bellpull_commits_total", "Transactions of groups of writes"),
    Described::Counter("bellpull_commit_writes_total", "Writes in those transactions"),
    Described::Histogram("bellpull_commit_seconds",
        "Time of such a transaction, with the disk's confirmation"),
    Described::Counter("bellpull_frames_sent_total",
        "Frames that were written to clients, by socket or stream of events"),
    Described::Counter("bellpull_ticket_changes_total", "Committed changes of tickets"),
    Described::Gauge("bellpull_sessions", "Open sessions on this node"),
    Described::Counter("bellpull_socket_handshakes_total", "WebSocket handshakes, by outcome"),
    Described::Counter("bellpull_origins_refused_total",
        "WebSocket handshakes rejected because of their Origin"),
    Described::Counter("bellpull_socket_closes_total", "Ended sessions, by close code"),
    Described::Counter("bellpull_stream_events_merged_total",
        "Stream events that slow readers were not sent, because newer ones replaced them"),
    Described::Counter("bellpull_tls_handshakes_total", "TLS handshakes, by outcome"),
    Described::Gauge("bellpull_tls_certificate_expiry_timestamp_seconds",
        "Until when the hub's certificate is valid; 0 without one"),
    Described::Counter("bellpull_connections_refused_total",
        "Connections rejected because the limit was reached"),
    Described::Counter("bellpull_connections_stalled_total",
        "Connections closed because the client did not read a response"),
    Described::Counter("bellpull_http_requests_refused_total",
        "Requests rejected because their user had too many in progress"),
    Described::Counter("bellpull_http_answers_refused_total",
        "Reads rejected because unsent responses used up their memory budget"),
    Described::Counter("bellpull_http_bodies_refused_total",
        "Requests rejected because bodies in progress used up their memory budget"),
    Described::Counter("bellpull_http_requests_total",
        "Answered requests, by method, route and status"),
    Described::Histogram("bellpull_http_request_seconds",
        "Time from a request's head to its response's head, by method and route"),
    Described::Gauge("bellpull_actors", "Running actors on this node, by kind"),
    Described::Counter("bellpull_actor_failures_total", "Failed actors, by kind"),
    Described::Gauge("bellpull_deliveries_queued",
        "Queued deliveries that are not leased, by channel"),
    Described::Counter("bellpull_attempts_total",
        "Delivery attempts, by channel and outcome (sent, later, failed)"),
    Described::Counter("bellpull_template_failures_total",
        "Templates that failed to render, so that the default was used, by channel"),
    Described::Gauge("bellpull_deliveries_leased",
        "Leased deliveries that are not yet attempted, by channel"),
    Described::Gauge("bellpull_deliveries_in_flight",
        "Deliveries in progress at their provider, by channel"),
    Described::Gauge("bellpull_broker_up",
        "1 while messages of other nodes arrive, 0 without them or without Redis"),
    Described::Counter("bellpull_broker_published_total", "Messages sent to the other nodes"),
    Described::Counter("bellpull_broker_received_total", "Messages of other nodes"),
    Described::Counter("bellpull_broker_refused_total",
        "Messages on the nodes' topic that no node of this database has sent, by reason"),
    Described::Counter("bellpull_inboxes_shown_again_total",
        "Inboxes that were shown again, because other nodes' messages were not what the store has"),
    Described::Counter("bellpull_broker_dropped_total",
        "Messages that the other nodes were not sent: Redis was away, or too slow"),
    Described::Counter("bellpull_shared_limits_unanswered_total",
        "Requests that Redis did not count for all nodes in time: this node's own limits decided"),
    Described::Gauge("bellpull_circuit_open",
        "1 while a channel's circuit breaker is open, by channel"),
    Described::Counter("bellpull_logins_total", "Logins with a password, by outcome"),
    Described::Counter("bellpull_ended_logins_forgotten_total",
        "Ended logins dropped from memory before their access tokens expired, because of too many"),
    Described::Counter("bellpull_slow_total",
        "Requests, commits and frames above the bounds of the slow log, by kind"),
    Described::Gauge("bellpull_deferred_entries",
        "Notifications stored in the list of their announcement, whose inbox rows are not yet written"),
    Described::Counter("bellpull_sends_total", "Accepted sends"),
    Described::Counter("bellpull_forgotten_total",
        "Rows removed by retention, by kind"),
    Described::Counter("bellpull_send_recipients_total",
        "Recipients written by the scheduler, without each send's first chunk"),
    Described::Counter("bellpull_key_file_errors_total",
        "Failures to read the file with the public keys"),
    Described::Counter("bellpull_writes_throttled_total", "Writes rejected because their account was too fast"),
    Described::Counter("bellpull_tokens_refused_total", "Rejected tokens, by reason"),
];

/// Starts the log, on stderr. A second call in one process changes nothing.
pub fn init_logs(config: &Config) {
    let filter = what_is_logged(config.log_filter.parse().unwrap_or_default());
    let registry = tracing_subscriber::registry().with(filter);
    // A log that cannot be written (its disk is full) is reported nowhere: the report would be
    // printed on stderr too, and panic.
    let layer =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    // It fails if a log is already installed.
    let _ = if config.log_json {
        registry.with(layer.json().flatten_event(true)).try_init()
    } else {
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        registry.with(layer.with_ansi(colours)).try_init()
    };
}

/// Panics are events of the log from now on: by default they are text on stderr.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a panic")));
}

/// A line as the log has it in JSON, of a process that ends with it and may have no log yet.
#[must_use]
pub fn json_line(message: &str) -> String {
    let timestamp = jiff::Timestamp::now();
    json!({"timestamp": timestamp, "level": "ERROR", "message": message, "target": "bellpull"})
        .to_string()
}

/// ractor opens a span for each actor and enters it at each turn. The spans are rarely wanted, so
/// `info` does not include them; more verbose filters, and filters that name ractor, do.
fn what_is_logged(asked: Targets) -> Targets {
    let is_named = asked.iter().any(|(target, _)| target.starts_with("ractor"));
    if is_named || asked.default_level() != Some(LevelFilter::INFO) {
        return asked;
    }
    asked.with_target("ractor", LevelFilter::WARN)
}

/// Installs the recorder and registers every metric. A second call in one process changes nothing.
pub fn init_metrics() {
    METRICS.get_or_init(|| match install() {
        Ok(handle) => {
            describe();
            DESCRIBED.iter().for_each(series::begin);
            // Read from /proc/stat below, which a service may not see (`ProcSubset=pid`).
            let now = jiff::Timestamp::now().as_duration().as_secs_f64();
            metrics::gauge!(STARTED).set(now);
            let process = metrics_process::Collector::default();
            process.describe();
            process.collect();
            Some(handle)
        }
        Err(error) => {
            tracing::error!(%error, "no metrics: another recorder was first");
            None
        }
    });
}

fn install() -> Result<PrometheusHandle, metrics_exporter_prometheus::BuildError> {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    PrometheusBuilder::new()
        .set_buckets_for_metric(seconds, &bellpull_port::exemplars::SECONDS_BUCKETS)?
        .install_recorder()
}

fn describe() {
    for described in DESCRIBED {
        match described {
            Described::Counter(name, help) => {
                metrics::describe_counter!(*name, Unit::Count, *help);
            }
            Described::Gauge(name, help) => metrics::describe_gauge!(*name, Unit::Count, *help),
            Described::Histogram(name, help) => {
                metrics::describe_histogram!(*name, Unit::Seconds, *help);
            }
        }
    }
}

/// All metrics in Prometheus' text format; empty before [`init_metrics`].
#[must_use]
pub fn render() -> String {
    METRICS.get().and_then(Option::as_ref).map(PrometheusHandle::render).unwrap_or_default()
}

/// The same in the OpenMetrics format, with exemplars.
#[must_use]
pub fn render_open_metrics() -> String {
    bellpull_port::exemplars::open_metrics(&render())
}

/// Keeps histograms small between scrapes; never returns.
pub async fn upkeep() {
    let mut ticks = tokio::time::interval(UPKEEP_EVERY);
    loop {
        ticks.tick().await;
        if let Some(Some(handle)) = METRICS.get() {
            handle.run_upkeep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_counted_described_and_rendered_however_often_they_are_started() {
        init_metrics();
        init_metrics();
        metrics::counter!("bellpull_logins_total", "outcome" => "test").increment(2);
        metrics::histogram!("bellpull_test_seconds").record(0.003);
        let text = render();
        for line in [
            "# HELP bellpull_logins_total Logins with a password, by outcome",
            "# TYPE bellpull_logins_total counter",
            "bellpull_logins_total{outcome=\"test\"} 2",
            "bellpull_test_seconds_bucket{le=\"0.005\"} 1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
    }

    /// The macro of a metric, and its name.
    fn named(described: &Described) -> (&'static str, &'static str) {
        match described {
            Described::Counter(name, _) => ("counter", name),
            Described::Gauge(name, _) => ("gauge", name),
            Described::Histogram(name, _) => ("histogram", name),
        }
    }

    #[test]
    fn every_name_says_whose_it_is_and_what_it_counts_in() {
        for (kind, name) in DESCRIBED.iter().map(named) {
            assert!(name.starts_with("bellpull_"), "{name}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
            // A time of day is a gauge, and has this suffix by convention.
            let is_time = name.ends_with("_seconds") && !name.ends_with("_timestamp_seconds");
            assert_eq!(is_time, kind == "histogram", "{name}");
        }
    }

    #[test]
    fn the_handbook_has_every_metric_and_no_other() {
        let handbook = include_str!("../../docs/metrics.md");
        for (_, name) in DESCRIBED.iter().map(named) {
            assert!(handbook.contains(&format!("\n| `{name}` | ")), "{name}");
        }
        for line in handbook.lines().filter_map(|line| line.strip_prefix("| `bellpull_")) {
            let name = format!("bellpull_{}", line.split('`').next().unwrap_or_default());
            assert!(DESCRIBED.iter().any(|one| named(one).1 == name), "{name}");
        }
    }

    /// A metric in a source file: its macro, its name, the names of its labels.
    type Found = (String, String, Vec<String>);

    /// All metrics in a folder of source files.
    fn counted(folder: &std::path::Path, found: &mut Vec<Found>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                counted(&path, found);
                continue;
            }
            // Beside the source are the web app and its build.
            if path.extension().is_none_or(|kind| kind != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for (kind, name, rest) in text.split("metrics::").skip(1).filter_map(|call| {
                let (kind, rest) = call.split_once("!(")?;
                let (name, rest) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
                Some((kind, name, rest))
            }) {
                // Up to the end of the statement, because a value may contain brackets.
                let arguments = rest.split([';', '}']).next().unwrap_or_default();
                let before_arrows = arguments.split(" => ").collect::<Vec<_>>();
                let (_, labelled) = before_arrows.split_last().unwrap();
                let label = |text: &&str| Some(text.rsplit('"').nth(1)?.to_owned());
                let labels = labelled.iter().filter_map(label).collect();
                if ["counter", "gauge", "histogram"].contains(&kind) {
                    found.push((kind.to_owned(), name.to_owned(), labels));
                }
            }
        }
    }

    fn in_the_sources() -> Vec<Found> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut found = Vec::new();
        counted(&root.join("src"), &mut found);
        counted(&root.join("actors"), &mut found);
        assert!(found.len() >= DESCRIBED.len(), "the sources were not found: {found:?}");
        found
    }

    #[test]
    fn what_is_counted_is_described_and_what_is_described_is_counted() {
        let found = in_the_sources();
        for (kind, name, _) in &found {
            let is_it = DESCRIBED.iter().map(named).any(|one| one == (kind.as_str(), name));
            assert!(is_it, "{kind} {name} is not described");
        }
        for one in DESCRIBED.iter().map(named) {
            let is_it = found.iter().any(|(kind, name, _)| one == (kind.as_str(), name));
            assert!(is_it, "{one:?} is described, and nothing counts it");
        }
    }

    #[test]
    fn a_metric_begins_with_the_labels_that_it_is_counted_with() {
        for (_, name, labels) in in_the_sources() {
            assert_eq!(series::label_names(&name), labels, "{name}");
        }
    }

    #[test]
    fn no_actor_has_a_span_unless_ractors_are_enabled() {
        let shows = |filter: &str| {
            let filter = what_is_logged(filter.parse().unwrap());
            let levels = [tracing::Level::WARN, tracing::Level::INFO];
            levels.map(|level| filter.would_enable("ractor::actor", &level))
        };
        for usual in ["info", "info,bellpull=debug"] {
            assert_eq!(shows(usual), [true, false], "{usual}");
        }
        for asked in ["debug", "trace", "info,ractor=info"] {
            assert_eq!(shows(asked), [true, true], "{asked}");
        }
        for quiet in ["error", "off", "bellpull=debug"] {
            assert_eq!(shows(quiet), [false, false], "{quiet}");
        }
    }

    #[test]
    fn logs_can_be_started_twice() {
        init_logs(&Config::default());
        init_logs(&Config { log_json: true, ..Config::default() });
    }
}
