//! An actor of a supervision tree, as the hub's JSON has it, and how its numbers are written.

use serde::Deserialize;
use serde_json::Value;

/// An actor, with what is below it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Actor {
    pub(in crate::cli) node: String,
    pub(in crate::cli) path: String,
    pub(in crate::cli) kind: String,
    pub(in crate::cli) state: String,
    pub(in crate::cli) age_ms: u64,
    pub(in crate::cli) mailbox_depth: u32,
    pub(in crate::cli) handled: u64,
    pub(in crate::cli) handle_p50_us: u64,
    pub(in crate::cli) handle_p99_us: u64,
    pub(in crate::cli) restarts: u32,
    pub(in crate::cli) last_failure: Option<Failure>,
    pub(in crate::cli) last_restart: Option<Restart>,
    pub(in crate::cli) messages: Option<Messages>,
    pub(in crate::cli) children_total: usize,
    pub(in crate::cli) observed: Value,
    pub(in crate::cli) children: Vec<Actor>,
}

/// Why an actor failed last.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::cli) struct Failure {
    text: String,
    at: String,
}

impl Failure {
    pub(in crate::cli) fn text(&self) -> String {
        format!("failed: {} at {}", plain(&self.text), plain(&self.at))
    }
}

/// How an actor was restarted last.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::cli) struct Restart {
    operator: Option<String>,
    at: String,
}

impl Restart {
    /// A restart that an operator requested; after a failure, the failure is shown instead.
    pub(in crate::cli) fn text(&self) -> Option<String> {
        let operator = plain(self.operator.as_ref()?);
        Some(format!("restarted by operator {operator} at {}", plain(&self.at)))
    }
}

/// The last messages of an actor, while an operator watches them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::cli) struct Messages {
    pub(in crate::cli) until: String,
    /// Newest first.
    pub(in crate::cli) last: Vec<HandledMessage>,
}

/// A message that an actor has handled.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::cli) struct HandledMessage {
    pub(in crate::cli) name: String,
    pub(in crate::cli) at: String,
    pub(in crate::cli) took_us: u64,
}

/// Removes characters that would move a terminal's cursor or break the line.
pub(in crate::cli) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A duration in its two largest units.
pub(in crate::cli) fn age(s: u64) -> String {
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m {}s", s / 60, s % 60),
        3_600..86_400 => format!("{}h {}m", s / 3_600, s / 60 % 60),
        _ => format!("{}d {}h", s / 86_400, s / 3_600 % 24),
    }
}

/// A short duration.
pub(in crate::cli) fn took(us: u64) -> String {
    match us {
        0..1_000 => format!("{us}µs"),
        1_000..1_000_000 => format!("{}.{}ms", us / 1_000, us / 100 % 10),
        _ => format!("{}.{}s", us / 1_000_000, us / 100_000 % 10),
    }
}
