//! Reports of the actors for operators: plain `Serialize` structs, the same for the endpoints, the
//! command line and the tests.

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::broadcast;

use crate::failures::Record;
pub use crate::failures::{FailureReport, RestartCause, RestartReport};
use crate::vitals::Vitals;
use crate::vitals::message_log::{self, MessageLog};
use bellpull_port::Clock;

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
    /// Messages in the mailbox.
    pub mailbox_depth: u32,
    /// Messages handled since it was spawned.
    pub handled: u64,
    /// Half of its messages took no longer, in microseconds (to a power of two).
    pub handle_p50_us: u64,
    /// 99 of 100 of its messages took no longer, in microseconds (to a power of two).
    pub handle_p99_us: u64,
    /// How often it was started again, after a failure or by an operator.
    pub restarts: u32,
    /// Its last failure.
    pub last_failure: Option<FailureReport>,
    /// When and why it was last started again.
    pub last_restart: Option<RestartReport>,
    /// Its last messages, while an operator watches them.
    pub messages: Option<MessageLog>,
    /// How many children it has; more than are listed where there are very many.
    pub children_total: usize,
    /// The actor's own report.
    pub observed: serde_json::Value,
    /// Its children.
    pub children: Vec<ActorReport>,
}

/// Something that happened in the supervision tree.
#[derive(Debug, Clone, Serialize)]
pub struct TreeEvent {
    /// Counts up from 1 during the process' lifetime.
    pub id: u64,
    /// When.
    pub at: jiff::Timestamp,
    /// Which actor.
    pub path: String,
    /// `spawned`, `failed`, `restarted`, `stopped`, `escalated`; by an operator: `closed` (a
    /// session), `circuit` (of a channel).
    pub what: &'static str,
    /// The failure's text, the reason of the stop or of the restart; may be empty.
    pub detail: String,
}

/// The tree's events: the last ones are kept, and each is sent to all listeners.
#[derive(Debug)]
pub struct TreeLog {
    sender: broadcast::Sender<Arc<TreeEvent>>,
    kept: Mutex<Kept>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Arc<TreeEvent>>,
    last_id: u64,
}

/// The events for a listener: earlier ones, then live ones.
#[derive(Debug)]
pub struct TreeEvents {
    /// Earlier events, oldest first, without a gap up to the first of `live`.
    pub kept: VecDeque<Arc<TreeEvent>>,
    /// Live events; a receiver that lags is told how many it missed.
    pub live: broadcast::Receiver<Arc<TreeEvent>>,
}

/// How many events are kept (some 200 KiB), and how many a slow listener may lag before it misses
/// some.
const EVENTS_KEPT: usize = 1_024;
/// How many of them a new listener is sent: a few screens.
const EVENTS_TOLD: usize = 100;

impl TreeLog {
    /// An empty log.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let (sender, _) = broadcast::channel(EVENTS_KEPT);
        Arc::new(Self { sender, kept: Mutex::default(), clock })
    }

    /// Notes an event.
    pub fn note(&self, path: &dyn Display, what: &'static str, detail: &str) {
        let (path, detail, at) = (path.to_string(), detail.to_owned(), self.clock.now());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.last_id += 1;
        let event = Arc::new(TreeEvent { id: kept.last_id, at, path, what, detail });
        if kept.events.len() == EVENTS_KEPT {
            kept.events.pop_front();
        }
        kept.events.push_back(Arc::clone(&event));
        // Under the lock: listeners are sent events in the order of their ids. It does not fail
        // without listeners.
        let _ = self.sender.send(event);
    }

    /// Notes that an actor was started, for the first time or again.
    pub fn note_start(&self, path: &dyn Display, restart: Option<&RestartReport>) {
        match restart {
            Some(restart) => self.note(path, "restarted", &restart.to_string()),
            None => self.note(path, "spawned", ""),
        }
    }

    /// The kept events after the one with that id, and live ones. Without an id, or with one that
    /// this process has not reached, the last hundred.
    #[must_use]
    pub fn listen(&self, after: Option<u64>) -> TreeEvents {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let after = after.filter(|after| *after <= kept.last_id);
        let skip = match after {
            Some(after) => kept.events.partition_point(|event| event.id <= after),
            None => kept.events.len().saturating_sub(EVENTS_TOLD),
        };
        let events = kept.events.iter().skip(skip).cloned().collect();
        TreeEvents { kept: events, live: self.sender.subscribe() }
    }

    /// The clock by which events are dated.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

impl ActorReport {
    /// A report of an actor with these counters; its children and its own report are added later.
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
            last_failure: record.and_then(|record| record.last_failure.clone()),
            last_restart: record.and_then(|record| record.last_restart.clone()),
            messages: message_log::of(vitals),
            children_total: 0,
            observed: serde_json::Value::Null,
            children: Vec::new(),
        }
    }
}
