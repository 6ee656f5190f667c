//! Nodes: their names, and when a node counts as live or left.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

/// How often a node writes that it is alive.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);

/// A node that was silent for this long has left: two heartbeats may be late, for a busy database
/// or a slow disk.
pub const LEFT_AFTER: Duration = Duration::from_secs(15);

/// How long a node that has left stays listed.
pub const LISTED_FOR: Duration = Duration::from_secs(3_600);

/// The longest name of a node, in characters. A host's name has at most 63.
pub const NAME_MAX: usize = 80;

/// A node's name: 1 to 80 letters, digits, dots, hyphens and underscores, so that it needs no
/// quotes in a URL, a header or a log. Clones share one text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// The name, if it is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let is_name = (1..=NAME_MAX).contains(&text.len()) && text.chars().all(is_plain);
        is_name.then(|| Self(text.into()))
    }

    /// A name from a host's and a suffix: characters that a name may not have are left out, and a
    /// host's name that is too long is cut.
    #[must_use]
    pub fn of_host(host: &str, suffix: u32) -> Self {
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let host: String = host.chars().filter(is_plain).take(63).collect();
        let host = if host.is_empty() { "node" } else { &host };
        Self(format!("{host}-{suffix:08x}").into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, shared.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a node works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It works.
    Up,
    /// It is stopping: it accepts nothing new.
    Draining,
    /// It has stopped, or was silent for too long.
    Left,
}

impl NodeState {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Draining => "draining",
            Self::Left => "left",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Up, Self::Draining, Self::Left].into_iter().find(|state| state.as_str() == name)
    }

    /// Whether its process runs.
    #[must_use]
    pub fn is_live(self) -> bool {
        self != Self::Left
    }

    /// The state now of a node that was last seen then and has written this state. Both times are
    /// by one clock.
    #[must_use]
    pub fn at(self, last_seen_at: Timestamp, now: Timestamp) -> Self {
        if is_past(last_seen_at, LEFT_AFTER, now) { Self::Left } else { self }
    }
}

/// A node as the others know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Unique among the live ones.
    pub name: NodeName,
    /// Where it serves clients, without a trailing slash.
    pub url: String,
    /// Where it serves operators and the other nodes, without a trailing slash.
    pub operator_url: String,
    /// Its program's version.
    pub version: String,
    /// When it was registered. With the name it identifies the process.
    pub started_at: Timestamp,
    /// Its last heartbeat.
    pub last_seen_at: Timestamp,
    /// Whether it works.
    pub state: NodeState,
    /// How many sessions it has.
    pub sessions: u32,
}

impl Node {
    /// Whether it is listed: a node that left long ago is not.
    #[must_use]
    pub fn is_listed(&self, now: Timestamp) -> bool {
        self.state.is_live() || !is_past(self.last_seen_at, LISTED_FOR, now)
    }

    /// Whether another process may take its name.
    #[must_use]
    pub fn gives_up_its_name(&self) -> bool {
        !self.state.is_live()
    }
}

/// The nodes that share the work, this one among them; 1 or more.
#[must_use]
pub fn live_count(nodes: &[Node]) -> u32 {
    let live = nodes.iter().filter(|node| node.state.is_live()).count();
    u32::try_from(live).unwrap_or(u32::MAX).max(1)
}

fn is_past(at: Timestamp, length: Duration, now: Timestamp) -> bool {
    let since_ms = now.as_millisecond().saturating_sub(at.as_millisecond());
    u128::try_from(since_ms).is_ok_and(|since_ms| since_ms >= length.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    fn node(state: NodeState, seen_ms: i64) -> Node {
        Node {
            name: NodeName::parse("a").unwrap(),
            url: String::new(),
            operator_url: String::new(),
            version: String::new(),
            started_at: at(0),
            last_seen_at: at(seen_ms),
            state,
            sessions: 0,
        }
    }

    #[test]
    fn a_name_needs_no_quotes() {
        for good in ["a", "web-1.example_2", &"x".repeat(NAME_MAX)] {
            assert_eq!(NodeName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a/b", "ä", "a\n", "a:1", &"x".repeat(NAME_MAX + 1)] {
            assert_eq!(NodeName::parse(bad), None, "{bad:?}");
        }
        assert_eq!(NodeName::of_host("web 1/ä", 255).as_str(), "web1-000000ff");
        assert_eq!(NodeName::of_host("", 1).as_str(), "node-00000001");
        let long = NodeName::of_host(&"h".repeat(300), u32::MAX);
        assert_eq!(NodeName::parse(long.as_str()), Some(long));
    }

    #[test]
    fn a_silent_node_has_left() {
        use NodeState::{Draining, Left, Up};
        for (kept, seen, now, wanted) in [
            (Up, 0, 14_999, Up),
            (Up, 0, 15_000, Left),
            (Draining, 0, 14_999, Draining),
            (Draining, 0, 15_000, Left),
            (Left, 0, 0, Left),
            (Up, 60_000, 0, Up), // the clock was set back
        ] {
            assert_eq!(kept.at(at(seen), at(now)), wanted, "{kept:?} {seen} {now}");
        }
    }

    #[test]
    fn what_left_is_listed_for_an_hour_and_not_counted() {
        let (up, left) = (node(NodeState::Up, 0), node(NodeState::Left, 0));
        assert!(up.is_listed(at(i64::from(u32::MAX))));
        assert!(left.is_listed(at(3_599_999)) && !left.is_listed(at(3_600_000)));
        let draining = node(NodeState::Draining, 0);
        assert_eq!(live_count(&[up, left.clone(), draining]), 2);
        assert_eq!(live_count(&[left]), 1, "the one that asks");
    }
}
