//! What operators and their machines read, as the document has it.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use jiff::Timestamp;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// The process answers.
#[derive(ToSchema)]
pub(in crate::http) struct Alive {
    #[schema(examples("ok"))]
    status: String,
}

/// Whether work should be sent here.
#[derive(ToSchema)]
pub(in crate::http) struct Ready {
    /// Whether all checks hold.
    ready: bool,
    /// `ok` or `unavailable`.
    status: String,
    checks: Checks,
}

/// What readiness depends on.
#[derive(ToSchema)]
pub(in crate::http) struct Checks {
    /// `ok`, or `failing` after a write that failed. A store that nobody writes to is tried.
    store: String,
    /// `ok`, `degraded`, or `off` on a node of its own.
    broker: String,
    /// `ok`, or `down` while any supervisor is.
    supervisors: String,
    /// `yes` on the way out, else `no`.
    draining: String,
}

/// An actor, and those below it.
#[derive(ToSchema)]
pub(in crate::http) struct Actor {
    /// `hub`, `users/0`, `user/42`, `ticket/5`.
    path: String,
    kind: String,
    /// `running`, `stopping`, `backing_off`, `busy` (it does not answer).
    state: String,
    /// Since it was (last) spawned, in milliseconds.
    age_ms: u64,
    /// Messages that wait.
    mailbox_depth: u32,
    /// Messages handled since it was spawned.
    handled: u64,
    /// Half of its messages took no longer, in microseconds.
    handle_p50_us: u64,
    /// 99 of 100 of its messages took no longer, in microseconds.
    handle_p99_us: u64,
    /// How often it was started again, after a failure or by an operator.
    restarts: u32,
    #[schema(required)]
    last_failure: Option<Failure>,
    #[schema(required)]
    last_restart: Option<Restart>,
    /// How many children it has; more than are listed where there are very many.
    children_total: u64,
    /// What the actor itself tells.
    observed: Value,
    #[schema(no_recursion)]
    children: Vec<Actor>,
}

/// Why an actor ended.
#[derive(ToSchema)]
pub(in crate::http) struct Failure {
    text: String,
    at: Timestamp,
}

/// When and why an actor was last started again.
#[derive(ToSchema)]
pub(in crate::http) struct Restart {
    /// `failure` or `operator`.
    cause: String,
    /// The operator that asked for it; null after a failure.
    #[schema(required)]
    operator: Option<String>,
    at: Timestamp,
}

/// An actor that starts again.
#[derive(ToSchema)]
pub(in crate::http) struct Restarting {
    message: String,
    path: String,
}

/// How much of the tree.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct TreeSize {
    /// How many children of each supervisor are listed: 50 where nobody says, at most 10,000.
    #[param(minimum = 0)]
    children: Option<u64>,
}
