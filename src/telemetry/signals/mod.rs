//! The golden signals of this node over the last hour: latency, traffic, errors and saturation,
//! for the operators' page. No Prometheus is needed for that; one that is there has more.
//!
//! A task reads the node's own metrics every few seconds and keeps what it found in a ring.

mod exposition;
mod gauges;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bellpull_actors::hub::Hub;
use bellpull_port::Store;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval};
use utoipa::ToSchema;

use bellpull_edge::listen::Connections;
use exposition::Reading;

pub use gauges::count_waiting;

/// How often they are read.
const EVERY: Duration = Duration::from_secs(5);
/// An hour of them.
const KEPT: usize = 720;

/// What was found at a time: rates over the time since the reading before it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Signal)]
#[cfg_attr(test, derive(Default))]
pub struct Sample {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Open connections of every kind.
    pub connections: f64,
    /// Open sessions.
    pub sessions: f64,
    /// Requests that were answered, a second.
    pub requests: f64,
    /// Those of them that were answered with 5xx, a second.
    pub errors: f64,
    /// What 99 of 100 requests took at most, in seconds.
    pub request_p99: f64,
    /// Frames to clients, a second.
    pub frames: f64,
    /// Changes of tickets, a second.
    pub ticket_changes: f64,
    /// Commits, a second.
    pub commits: f64,
    /// Writes in a commit, on average.
    pub commit_writes: f64,
    /// What 99 of 100 commits took at most, in seconds.
    pub commit_p99: f64,
    /// Deliveries that wait for their turn.
    pub deliveries_queued: f64,
    /// Messages that wait in the mailboxes of actors.
    pub mailboxes: f64,
    /// Resident memory, in bytes.
    pub memory: f64,
    /// Processors in use: 1 is one that is always busy.
    pub processors: f64,
    /// The size of the database, in bytes.
    pub database: f64,
}

/// The last hour. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct GoldenSignals(Arc<Mutex<VecDeque<Sample>>>);

impl GoldenSignals {
    /// What was found after that time, oldest first.
    #[must_use]
    pub fn after(&self, at: i64) -> Vec<Sample> {
        self.samples().iter().filter(|sample| sample.at > at).copied().collect()
    }

    /// The time between two samples.
    #[must_use]
    pub fn every() -> Duration {
        EVERY
    }

    /// Reads again and again; never returns.
    pub async fn keep(self, hub: Hub, store: Arc<dyn Store>, listening: Vec<Connections>) {
        metrics::gauge!("bellpull_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        let process = metrics_process::Collector::default();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before: Option<(Instant, Reading)> = None;
        loop {
            ticks.tick().await;
            gauges::set(&hub, &*store, &listening).await;
            process.collect();
            let (now, read) = (Instant::now(), Reading::of(&crate::render()));
            if let Some((then, earlier)) = &before {
                let passed = now.duration_since(*then).as_secs_f64();
                self.note(sample(&read, earlier, passed));
            }
            before = Some((now, read));
        }
    }

    fn note(&self, sample: Sample) {
        let mut samples = self.samples();
        if samples.len() == KEPT {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    fn samples(&self) -> std::sync::MutexGuard<'_, VecDeque<Sample>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sample(now: &Reading, before: &Reading, passed: f64) -> Sample {
    let rate = |name: &str| (now.sum(name) - before.sum(name)).max(0.0) / passed;
    let commits = rate("bellpull_commits_total");
    let writes = rate("bellpull_commit_writes_total");
    let (failed, failed_before) = (now.failed_requests(), before.failed_requests());
    Sample {
        at: Timestamp::now().as_millisecond(),
        connections: now.sum("bellpull_connections"),
        sessions: now.sum("bellpull_sessions"),
        requests: rate("bellpull_http_requests_total"),
        errors: (failed - failed_before).max(0.0) / passed,
        request_p99: now.quantile(before, "bellpull_http_request_seconds", 0.99),
        frames: rate("bellpull_frames_sent_total"),
        ticket_changes: rate("bellpull_ticket_changes_total"),
        commits,
        commit_writes: if commits > 0.0 { writes / commits } else { 0.0 },
        commit_p99: now.quantile(before, "bellpull_commit_seconds", 0.99),
        deliveries_queued: now.sum("bellpull_deliveries_queued"),
        mailboxes: now.sum("bellpull_mailbox_messages"),
        memory: now.sum("process_resident_memory_bytes"),
        processors: rate("process_cpu_seconds_total"),
        database: now.sum("bellpull_database_bytes") + now.sum("bellpull_database_log_bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept() {
        let signals = GoldenSignals::default();
        for at in 0..1_000 {
            signals.note(Sample { at, ..Sample::default() });
        }
        let kept = signals.after(0);
        assert_eq!((kept.len(), kept[0].at, kept[719].at), (720, 280, 999));
        assert_eq!(signals.after(997).len(), 2);
    }

    #[test]
    fn a_sample_has_rates() {
        let text = |requests: u32, failed: u32, fast: u32| {
            Reading::of(&format!(
                "bellpull_http_requests_total{{method=\"GET\",route=\"/a/\",status=\"200\"}} {requests}\n\
                 bellpull_http_requests_total{{method=\"GET\",route=\"/a/\",status=\"503\"}} {failed}\n\
                 bellpull_http_request_seconds_bucket{{le=\"0.1\"}} {fast}\n\
                 bellpull_http_request_seconds_bucket{{le=\"1\"}} {}\n\
                 bellpull_http_request_seconds_bucket{{le=\"+Inf\"}} {}\n\
                 bellpull_commits_total 4\nprocess_resident_memory_bytes 1000\n",
                fast + failed,
                fast + failed,
            ))
        };
        let found = sample(&text(200, 10, 200), &text(100, 0, 100), 5.0);
        assert_eq!((found.requests, found.errors, found.commits), (22.0, 2.0, 0.0));
        assert_eq!((found.request_p99, found.memory), (1.0, 1000.0));
        let none = sample(&text(200, 10, 200), &text(200, 10, 200), 5.0);
        assert_eq!((none.request_p99, none.commit_writes), (0.0, 0.0));
    }
}
