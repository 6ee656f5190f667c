//! Operators' views.

use bellpull_actors::observe::{ActorReport, FailureReport, RestartCause, RestartReport};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The process is alive.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Alive {
    #[schema(examples("ok"))]
    pub(in crate::http) status: &'static str,
}

/// Whether the hub accepts work.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Ready {
    /// Whether all checks pass.
    pub(in crate::http) ready: bool,
    /// `ok` or `unavailable`.
    pub(in crate::http) status: &'static str,
    pub(in crate::http) checks: Checks,
}

/// The readiness checks.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Checks {
    /// `ok`, or `failing` after a failed write. An idle store is probed.
    pub(in crate::http) store: &'static str,
    /// `ok`, `degraded`, or `off` on a single node.
    pub(in crate::http) broker: &'static str,
    /// `ok`, or `down` while a supervisor is down.
    pub(in crate::http) supervisors: &'static str,
    /// `yes` during shutdown, else `no`.
    pub(in crate::http) draining: &'static str,
}

/// An actor and its children.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Actor {
    /// `hub`, `users/0`, `user/42`, `ticket/5`.
    path: String,
    kind: &'static str,
    /// `running`, `stopping`, `backing_off`, `busy` (does not answer).
    state: &'static str,
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
    #[schema(value_type = u64)]
    children_total: usize,
    /// The actor's own state.
    observed: Value,
    #[schema(no_recursion)]
    children: Vec<Actor>,
}

// The tree has a fixed depth: supervisors, and their actors.
impl From<ActorReport> for Actor {
    fn from(report: ActorReport) -> Self {
        Self {
            path: report.path,
            kind: report.kind,
            state: report.state,
            age_ms: report.age_ms,
            mailbox_depth: report.mailbox_depth,
            handled: report.handled,
            handle_p50_us: report.handle_p50_us,
            handle_p99_us: report.handle_p99_us,
            restarts: report.restarts,
            last_failure: report.last_failure.map(Failure::from),
            last_restart: report.last_restart.as_ref().map(Restart::from),
            children_total: report.children_total,
            observed: report.observed,
            children: report.children.into_iter().map(Self::from).collect(),
        }
    }
}

/// Why an actor ended.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Failure {
    text: String,
    at: Timestamp,
}

impl From<FailureReport> for Failure {
    fn from(report: FailureReport) -> Self {
        Self { text: report.text, at: report.at }
    }
}

/// When and why an actor was last restarted.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Restart {
    /// `failure` or `operator`.
    cause: &'static str,
    /// The operator who requested it; null after a failure.
    #[schema(required)]
    operator: Option<String>,
    at: Timestamp,
}

impl From<&RestartReport> for Restart {
    fn from(report: &RestartReport) -> Self {
        let (cause, operator) = match &report.cause {
            RestartCause::Failure => ("failure", None),
            RestartCause::Operator(name) => ("operator", Some(name.to_string())),
        };
        Self { cause, operator, at: report.at }
    }
}

/// A restarting actor.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Restarting {
    pub(in crate::http) message: String,
    pub(in crate::http) path: String,
}
