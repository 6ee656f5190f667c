//! What operators see of the actors: plain `Serialize` structs, the same for the endpoints, the
//! command line and the tests.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;
use tokio::sync::broadcast;

use crate::failures::Record;
use crate::port::Clock;
use crate::vitals::Vitals;

/// One actor as operators see it.
#[derive(Debug, Clone, Serialize)]
pub struct ActorReport {
    /// `hub`, `users/0`, `user/42`, `ticket/5`.
    pub path: String,
    /// `hub`, `users`, `user`, `tickets`, `ticket`.
    pub kind: &'static str,
    /// `running`, `stopping`, `backing_off`, `busy` (it does not answer).
    pub state: &'static str,
    /// Since it was (last) spawned, in milliseconds.
    pub age_ms: u64,
    /// Messages that wait.
    pub mailbox_depth: u32,
    /// Messages handled since it was spawned.
    pub handled: u64,
    /// Half of its messages took no longer, in microseconds (to a power of two).
    pub handle_p50_us: u64,
    /// 99 of 100 of its messages took no longer, in microseconds (to a power of two).
    pub handle_p99_us: u64,
    /// How often it was started again after a failure.
    pub restarts: u32,
    /// Its last failure.
    pub last_failure: Option<FailureReport>,
    /// How many children it has; more than are listed where there are very many.
    pub children_total: usize,
    /// What the actor itself tells.
    pub observed: serde_json::Value,
    /// Its children.
    pub children: Vec<ActorReport>,
}

/// A failure of an actor.
#[derive(Debug, Clone, Serialize)]
pub struct FailureReport {
    /// The panic's or the error's text.
    pub text: String,
    /// When, RFC 3339.
    pub at: jiff::Timestamp,
}

/// Something that happened in the supervision tree.
#[derive(Debug, Clone, Serialize)]
pub struct TreeEvent {
    /// Counts up from 1 while the process lives.
    pub id: u64,
    /// When.
    pub at: jiff::Timestamp,
    /// Which actor.
    pub path: String,
    /// `spawned`, `failed`, `restarted`, `stopped`, `escalated`.
    pub what: &'static str,
    /// The failure's text, the reason of the stop; may be empty.
    pub detail: String,
}

/// Where the tree's events go: to whoever listens. Nobody listening costs a counter.
#[derive(Debug)]
pub struct TreeLog {
    sender: broadcast::Sender<TreeEvent>,
    next_id: AtomicU64,
    clock: Arc<dyn Clock>,
}

/// How many events a slow listener may lag before it misses some.
const EVENTS_KEPT: usize = 1_024;

impl TreeLog {
    /// A log that nobody listens to yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let (sender, _) = broadcast::channel(EVENTS_KEPT);
        Arc::new(Self { sender, next_id: AtomicU64::new(1), clock })
    }

    /// Notes an event.
    pub fn note(&self, path: &dyn Display, what: &'static str, detail: &str) {
        let id = self.next_id.fetch_add(1, Relaxed);
        if self.sender.receiver_count() > 0 {
            let (path, detail) = (path.to_string(), detail.to_owned());
            let _ = self.sender.send(TreeEvent { id, at: self.clock.now(), path, what, detail });
        }
    }

    /// What happens from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<TreeEvent> {
        self.sender.subscribe()
    }

    /// The clock by which events are dated.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

impl ActorReport {
    /// A report of an actor with these counters; its children and what it tells come later.
    #[must_use]
    pub fn new(path: String, kind: &'static str, vitals: &Vitals, record: Option<&Record>) -> Self {
        Self {
            path,
            kind,
            state: "running",
            age_ms: vitals.age_ms(),
            mailbox_depth: vitals.depth(),
            handled: vitals.handled(),
            handle_p50_us: vitals.quantile_us(0.5),
            handle_p99_us: vitals.quantile_us(0.99),
            restarts: record.map_or(0, |record| record.restarts),
            last_failure: record.map(|record| record.last.clone()),
            children_total: 0,
            observed: serde_json::Value::Null,
            children: Vec::new(),
        }
    }
}
