//! What operators see of the actors: plain `Serialize` structs, the same for the endpoints, the
//! command line and the tests.

use serde::Serialize;

/// One actor as operators see it.
#[derive(Debug, Clone, Serialize)]
pub struct ActorReport {
    /// `hub`, `users/0`, `user/42`, `ticket/5`.
    pub path: String,
    /// `hub`, `users`, `user`, `tickets`, `ticket`.
    pub kind: &'static str,
    /// `running`, `starting`, `backing_off`, `failed`.
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
