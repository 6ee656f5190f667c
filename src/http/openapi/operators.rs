//! OpenAPI schemas: operators.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use jiff::Timestamp;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// The process is alive.
#[derive(ToSchema)]
pub(in crate::http) struct Alive {
    #[schema(examples("ok"))]
    status: String,
}

/// Whether the hub accepts work.
#[derive(ToSchema)]
pub(in crate::http) struct Ready {
    /// Whether all checks pass.
    ready: bool,
    /// `ok` or `unavailable`.
    status: String,
    checks: Checks,
}

/// The readiness checks.
#[derive(ToSchema)]
pub(in crate::http) struct Checks {
    /// `ok`, or `failing` after a failed write. An idle store is probed.
    store: String,
    /// `ok`, `degraded`, or `off` on a single node.
    broker: String,
    /// `ok`, or `down` while a supervisor is down.
    supervisors: String,
    /// `yes` during shutdown, else `no`.
    draining: String,
}

/// An actor and its children.
#[derive(ToSchema)]
pub(in crate::http) struct Actor {
    /// `hub`, `users/0`, `user/42`, `ticket/5`.
    path: String,
    kind: String,
    /// `running`, `stopping`, `backing_off`, `busy` (does not answer).
    state: String,
    /// Since it was (last) spawned, in milliseconds.
    age_ms: u64,
    /// Messages in the mailbox.
    mailbox_depth: u32,
    /// Messages handled since it was spawned.
    handled: u64,
    /// The median time to handle a message, in microseconds.
    handle_p50_us: u64,
    /// The 99th percentile, in microseconds.
    handle_p99_us: u64,
    /// How often it was restarted, after a failure or by an operator.
    restarts: u32,
    #[schema(required)]
    last_failure: Option<Failure>,
    #[schema(required)]
    last_restart: Option<Restart>,
    /// How many children it has; only some of them are listed if there are very many.
    children_total: u64,
    /// The actor's own state.
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

/// When and why an actor was last restarted.
#[derive(ToSchema)]
pub(in crate::http) struct Restart {
    /// `failure` or `operator`.
    cause: String,
    /// The operator who requested it; null after a failure.
    #[schema(required)]
    operator: Option<String>,
    at: Timestamp,
}

/// A restarting actor.
#[derive(ToSchema)]
pub(in crate::http) struct Restarting {
    message: String,
    path: String,
}

/// How much of the tree is returned.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct TreeSize {
    /// How many children of each supervisor are listed: 50 by default, at most 10,000.
    #[param(minimum = 0)]
    children: Option<u64>,
}
