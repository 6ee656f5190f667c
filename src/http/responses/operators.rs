//! Operators' views.

use std::sync::Arc;
use std::time::Duration;

use bellpull_actors::observe::{ActorReport, FailureReport, RestartCause, RestartReport};
use bellpull_actors::vitals::message_log::{HandledMessage, MessageLog};
use bellpull_domain::node::Node;
use bellpull_port::slow::{SlowEntry, SlowKind, SlowLog};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use bellpull_config::Effective;
use bellpull_telemetry::signals::Sample;

use super::times;

/// The process is alive.
#[derive(Serialize, ToSchema)]
pub(crate) struct Alive {
    #[schema(examples("ok"))]
    pub(crate) status: &'static str,
}

/// Whether the hub accepts work.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ready {
    /// Whether all checks pass.
    pub(crate) ready: bool,
    /// `ok` or `unavailable`.
    pub(crate) status: &'static str,
    pub(crate) checks: Checks,
}

/// The readiness checks.
#[derive(Serialize, ToSchema)]
pub(crate) struct Checks {
    /// `ok`, or `failing` after a failed write. An idle store is probed.
    pub(crate) store: &'static str,
    /// `ok`, `degraded`, or `off` on a single node.
    pub(crate) broker: &'static str,
    /// `ok`, or `down` while a supervisor is down.
    pub(crate) supervisors: &'static str,
    /// `yes` during shutdown, else `no`.
    pub(crate) draining: &'static str,
}

/// The nodes.
#[derive(Serialize, ToSchema)]
pub(crate) struct Nodes {
    #[schema(value_type = u64)]
    count: usize,
    results: Vec<NodeRow>,
}

impl From<Vec<Node>> for Nodes {
    fn from(nodes: Vec<Node>) -> Self {
        Self { count: nodes.len(), results: nodes.into_iter().map(NodeRow::from).collect() }
    }
}

/// A node.
#[derive(Serialize, ToSchema)]
pub(crate) struct NodeRow {
    #[schema(examples("web-1"))]
    name: String,
    /// Where it serves clients.
    url: String,
    version: String,
    #[serde(serialize_with = "times::time")]
    started_at: Timestamp,
    #[serde(serialize_with = "times::time")]
    last_seen_at: Timestamp,
    /// `up`, `draining`, or `left` after its end or 15 s of silence.
    state: &'static str,
    sessions: u32,
}

impl From<Node> for NodeRow {
    fn from(node: Node) -> Self {
        Self {
            name: node.name.as_str().to_owned(),
            url: node.url,
            version: node.version,
            started_at: node.started_at,
            last_seen_at: node.last_seen_at,
            state: node.state.as_str(),
            sessions: node.sessions,
        }
    }
}

/// A node that is stopping.
#[derive(Serialize, ToSchema)]
pub(crate) struct Drained {
    pub(crate) message: String,
    #[schema(value_type = String)]
    pub(crate) node: Arc<str>,
}

/// What a node depends on: the state of a tree's root.
#[derive(Serialize)]
pub(crate) struct NodeStanding {
    pub(crate) version: &'static str,
    pub(crate) broker: &'static str,
    /// How many messages on the nodes' topic were of no node of this database, by reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) broker_refused: Option<String>,
    pub(crate) store: &'static str,
    pub(crate) draining: &'static str,
    /// The owner of its leases and claims, as it is stored with them.
    pub(crate) lease_owner: String,
    pub(crate) sessions: usize,
}

/// An actor and its children.
#[derive(Serialize, ToSchema)]
pub(crate) struct Actor {
    /// The node that it runs on.
    #[schema(value_type = String)]
    node: Arc<str>,
    /// `hub`, `users/0`, `user/42`, `ticket/5`; `cluster` above the nodes' `hub`s.
    path: String,
    kind: &'static str,
    /// `running`, `stopping`, `backing_off`, `busy` (does not answer); of a node, also `left` and
    /// `unreachable`.
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
    /// Its last messages, while an operator watches them; else null.
    #[schema(required)]
    messages: Option<ActorMessages>,
    /// How many children it has; only some of them are listed if there are very many.
    #[schema(value_type = u64)]
    children_total: usize,
    /// The actor's own state.
    observed: Value,
    #[schema(value_type = Vec<Actor>, no_recursion)]
    children: Vec<Child>,
}

/// A child of an actor.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Child {
    /// Of this node.
    Own(Box<Actor>),
    /// Another node's root, as that node wrote it.
    Other(Box<RawValue>),
}

impl Actor {
    /// A node's root, with the state of what the node depends on, and all below it.
    pub(crate) fn root(report: ActorReport, node: &Arc<str>, standing: NodeStanding) -> Self {
        // A struct of texts and numbers: this cannot fail.
        let observed = serde_json::to_value(standing).unwrap_or_default();
        Self { observed, ..Self::of(report, node) }
    }

    // The tree has a fixed depth: supervisors, and their actors.
    fn of(report: ActorReport, node: &Arc<str>) -> Self {
        let children = report.children.into_iter();
        Self {
            node: Arc::clone(node),
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
            messages: report.messages.map(ActorMessages::from),
            children_total: report.children_total,
            observed: report.observed,
            children: children.map(|child| Child::Own(Box::new(Self::of(child, node)))).collect(),
        }
    }

    /// The root of a node whose tree is not known.
    pub(crate) fn absent(node: &Arc<str>, state: &'static str) -> Self {
        Self::empty("hub", state, node)
    }

    /// The nodes' roots, as the node that answers has gathered them.
    pub(crate) fn cluster(node: &Arc<str>, roots: Vec<Child>) -> Self {
        let children_total = roots.len();
        Self { children_total, children: roots, ..Self::empty("cluster", "running", node) }
    }

    fn empty(kind: &'static str, state: &'static str, node: &Arc<str>) -> Self {
        Self {
            node: Arc::clone(node),
            path: kind.to_owned(),
            kind,
            state,
            age_ms: 0,
            mailbox_depth: 0,
            handled: 0,
            handle_p50_us: 0,
            handle_p99_us: 0,
            restarts: 0,
            last_failure: None,
            last_restart: None,
            messages: None,
            children_total: 0,
            observed: Value::Null,
            children: Vec::new(),
        }
    }
}

/// Why an actor ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct Failure {
    text: String,
    #[serde(serialize_with = "times::time")]
    at: Timestamp,
}

impl From<FailureReport> for Failure {
    fn from(report: FailureReport) -> Self {
        Self { text: report.text, at: report.at }
    }
}

/// When and why an actor was last restarted.
#[derive(Serialize, ToSchema)]
pub(crate) struct Restart {
    /// `failure` or `operator`.
    cause: &'static str,
    /// The operator who requested it; null after a failure.
    #[schema(required)]
    operator: Option<String>,
    #[serde(serialize_with = "times::time")]
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

/// The last messages of an actor.
#[derive(Serialize, ToSchema)]
pub(crate) struct ActorMessages {
    /// How long it is watched.
    #[serde(serialize_with = "times::time")]
    until: Timestamp,
    /// The last 50, newest first.
    last: Vec<ActorMessage>,
}

/// A message that an actor has handled.
#[derive(Serialize, ToSchema)]
pub(crate) struct ActorMessage {
    /// Its name; nothing of its content is shown.
    #[schema(examples("Changed"))]
    name: String,
    /// When it was taken from the mailbox.
    #[serde(serialize_with = "times::time")]
    at: Timestamp,
    /// How long it took to handle, in microseconds.
    took_us: u64,
}

impl From<MessageLog> for ActorMessages {
    fn from(log: MessageLog) -> Self {
        let shown = |HandledMessage { name, at, took_us }| ActorMessage { name, at, took_us };
        Self { until: log.until, last: log.messages.into_iter().map(shown).collect() }
    }
}

/// A watched actor.
#[derive(Serialize, ToSchema)]
pub(crate) struct Watching {
    pub(crate) path: String,
    /// The node that it runs on.
    #[schema(value_type = String)]
    pub(crate) node: Arc<str>,
    /// Until when; now, if it is no longer watched.
    #[serde(serialize_with = "times::time")]
    pub(crate) until: Timestamp,
}

/// A restarting actor.
#[derive(Serialize, ToSchema)]
pub(crate) struct Restarting {
    pub(crate) message: String,
    pub(crate) path: String,
    /// The node that it runs on.
    #[schema(value_type = String)]
    pub(crate) node: Arc<str>,
}

/// What an operator did by hand.
#[derive(Serialize, ToSchema)]
pub(crate) struct ByHandDone {
    pub(crate) message: String,
    /// The node on which it was done.
    #[schema(value_type = String)]
    pub(crate) node: Arc<str>,
}

/// The golden signals of a node.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignalList {
    /// Whose they are.
    pub(crate) node: String,
    /// The time between two of them, in seconds.
    pub(crate) every_s: u64,
    /// Those of the last hour, oldest first.
    pub(crate) results: Vec<Sample>,
}

/// The slow log of a node.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlowList {
    /// Whose it is.
    pub(crate) node: String,
    pub(crate) bounds: Vec<SlowBound>,
    /// Newest first.
    pub(crate) results: Vec<SlowRow>,
}

/// The bound of one kind.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlowBound {
    /// `request`, `commit` or `frame`.
    kind: &'static str,
    /// What takes longer is slow; null: nothing of this kind is logged.
    #[schema(required)]
    above_ms: Option<u64>,
    /// How many were slow since the process started, also those no longer listed.
    total: u64,
}

impl SlowBound {
    /// Those of all kinds.
    pub(crate) fn all(log: &SlowLog) -> Vec<Self> {
        let of = |kind: SlowKind| Self {
            kind: kind.as_str(),
            above_ms: log.bounds().of(kind).map(whole_ms),
            total: log.total(kind),
        };
        SlowKind::ALL.map(of).into()
    }
}

/// Something that took long.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlowRow {
    /// Counts up from 1 since the process started.
    id: u64,
    /// When it ended.
    #[serde(serialize_with = "times::time")]
    at: Timestamp,
    /// `request`, `commit` or `frame`.
    kind: &'static str,
    /// A request's method and route, how many writes were committed, or whose frame it was.
    #[schema(examples("GET /api/tickets/"))]
    what: String,
    took_ms: f64,
    /// The parts of that time.
    waited: Vec<SlowPart>,
    /// The response's status; null unless it was a request.
    #[schema(required)]
    status: Option<u16>,
    /// As in a `traceparent` header; null unless the request was traced.
    #[schema(required)]
    trace: Option<String>,
}

/// A part of the time that something took.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlowPart {
    /// Of a request: `turn`, `password`, `actor`, `writer`, `handler` (the rest); of a commit:
    /// `queue`, `locks`, `statements`, `commit`; of a frame: `mailbox`, `write`.
    part: &'static str,
    ms: f64,
}

impl From<&SlowEntry> for SlowRow {
    fn from(entry: &SlowEntry) -> Self {
        let part = |(part, time): &(&'static str, Duration)| SlowPart { part, ms: ms(*time) };
        Self {
            id: entry.id,
            at: entry.at,
            kind: entry.kind.as_str(),
            what: entry.slow.what.clone(),
            took_ms: ms(entry.took),
            waited: entry.slow.waits.iter().map(part).collect(),
            status: entry.slow.status,
            trace: entry.slow.trace.clone(),
        }
    }
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// To the microsecond.
fn ms(time: Duration) -> f64 {
    let us = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    f64::from(us) / 1_000.0
}

/// The settings in force on a node.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettingList {
    /// Whose they are.
    pub(crate) node: String,
    /// In the order of the reference.
    pub(crate) results: Vec<Effective>,
}
