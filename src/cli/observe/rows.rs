//! The tree as rows: what is shown of it, in which order.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::cli::tree::Actor;

/// An actor of one of the nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Id {
    pub(super) node: String,
    pub(super) path: String,
}

impl Id {
    fn of(actor: &Actor) -> Self {
        Self { node: actor.node.clone(), path: actor.path.clone() }
    }
}

/// An actor in the tree, without what is below it.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) id: Id,
    pub(super) actor: Actor,
    pub(super) depth: usize,
    pub(super) has_children: bool,
    /// How many of its children the hub did not list.
    pub(super) hidden: usize,
    /// Messages a second.
    pub(super) rate: f64,
    /// The text that a search looks at, in lower case: made by the tree's first search, and kept
    /// for each further key and frame until the next tree.
    searched: OnceCell<String>,
}

impl Entry {
    /// Whether a search for these words, which are in lower case, finds it.
    fn matches(&self, words: &str) -> bool {
        self.searched.get_or_init(|| searched(&self.actor)).contains(words)
    }
}

/// What is searched: the path, the node, and the state that the actor shows, with names and titles.
/// Words have no line break, so none are found across two of them.
fn searched(actor: &Actor) -> String {
    let node = if actor.path == "hub" { actor.node.as_str() } else { "" };
    let mut text = format!("{}\n{node}\n", actor.path);
    if !actor.observed.is_null() {
        text += &actor.observed.to_string();
    }
    text.to_lowercase()
}

/// What rows are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Tree,
    Mailbox,
    Rate,
    Slowest,
    Restarts,
}

impl Order {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Tree => Self::Mailbox,
            Self::Mailbox => Self::Rate,
            Self::Rate => Self::Slowest,
            Self::Slowest => Self::Restarts,
            Self::Restarts => Self::Tree,
        }
    }

    /// The column that it sorts by.
    pub(super) fn column(self) -> &'static str {
        match self {
            Self::Tree => "actor",
            Self::Mailbox => "mailbox",
            Self::Rate => "msg/s",
            Self::Slowest => "p99",
            Self::Restarts => "restarts",
        }
    }
}

/// The actors of the tree that the hub answered last, parents before their children.
#[derive(Debug, Default)]
pub(super) struct Rows {
    entries: Vec<Entry>,
}

impl Rows {
    /// The rows of a tree that came so long after these.
    pub(super) fn followed_by(&self, tree: Actor, passed: Duration) -> Self {
        let earlier = self.entries.iter().map(|entry| (&entry.id, &entry.actor)).collect();
        let mut rows = Self::default();
        rows.gather(tree, 0, &earlier, passed.as_secs_f64());
        rows
    }

    fn gather(
        &mut self,
        mut actor: Actor,
        depth: usize,
        earlier: &HashMap<&Id, &Actor>,
        passed: f64,
    ) {
        let children = std::mem::take(&mut actor.children);
        let id = Id::of(&actor);
        let hidden = actor.children_total.saturating_sub(children.len());
        let has_children = !children.is_empty() || hidden > 0;
        // A restart begins to count anew.
        let handled = earlier.get(&id).and_then(|then| actor.handled.checked_sub(then.handled));
        let rate = handled.map_or(0.0, |handled| number(handled) / passed.max(0.001));
        let searched = OnceCell::new();
        self.entries.push(Entry { id, actor, depth, has_children, hidden, rate, searched });
        for child in children {
            self.gather(child, depth + 1, earlier, passed);
        }
    }

    /// The entries that are shown: those whose text has the words, in tree order without what is
    /// below a closed one.
    pub(super) fn shown(&self, order: Order, words: &str, closed: &HashSet<Id>) -> Vec<&Entry> {
        let words = words.to_lowercase();
        let mut shown: Vec<&Entry> = Vec::new();
        let mut closed_at: Option<usize> = None;
        for entry in &self.entries {
            if !words.is_empty() {
                if entry.matches(&words) {
                    shown.push(entry);
                }
                continue;
            }
            if order == Order::Tree {
                if closed_at.is_some_and(|depth| entry.depth > depth) {
                    continue;
                }
                closed_at = closed.contains(&entry.id).then_some(entry.depth);
            }
            shown.push(entry);
        }
        let by = |key: fn(&Entry) -> u64| move |entry: &&Entry| Reverse(key(entry));
        match order {
            Order::Tree => {}
            Order::Mailbox => shown.sort_by_key(by(|entry| entry.actor.mailbox_depth.into())),
            Order::Rate => shown.sort_by(|a, b| b.rate.total_cmp(&a.rate)),
            Order::Slowest => shown.sort_by_key(by(|entry| entry.actor.handle_p99_us)),
            Order::Restarts => shown.sort_by_key(by(|entry| entry.actor.restarts.into())),
        }
        shown
    }

    pub(super) fn find(&self, id: &Id) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == *id)
    }

    /// The entry above, in the tree.
    pub(super) fn parent(&self, id: &Id) -> Option<&Entry> {
        let at = self.entries.iter().position(|entry| entry.id == *id)?;
        let depth = self.entries.get(at)?.depth;
        self.entries.get(..at)?.iter().rev().find(|entry| entry.depth < depth)
    }

    /// How many nodes the tree has, and how many actors are listed.
    pub(super) fn counts(&self) -> (usize, usize) {
        let nodes = self.entries.iter().filter(|entry| entry.actor.path == "hub").count();
        (nodes, self.entries.len())
    }
}

/// A count for a rate.
#[expect(clippy::cast_precision_loss, reason = "a rate is shown with two digits")]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tree(handled: u64) -> Actor {
        let json = json!({"node": "a", "path": "hub", "children_total": 2, "children": [
            {"node": "a", "path": "users/0", "children_total": 12, "handle_p99_us": 5, "children": [
                {"node": "a", "path": "user/42", "handled": handled, "handle_p99_us": 9,
                 "observed": {"username": "Ada"}},
                {"node": "a", "path": "user/43", "restarts": 1}]},
            {"node": "a", "path": "tickets/0", "mailbox_depth": 7},
        ]});
        serde_json::from_value(json).unwrap()
    }

    fn rows() -> Rows {
        Rows::default()
            .followed_by(tree(10), Duration::ZERO)
            .followed_by(tree(30), Duration::from_secs(2))
    }

    fn paths(rows: &Rows, order: Order, words: &str, closed: &[&str]) -> String {
        let id = |path: &&str| Id { node: "a".into(), path: (*path).into() };
        let closed = closed.iter().map(id).collect();
        let shown = rows.shown(order, words, &closed);
        shown.iter().map(|entry| entry.id.path.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn rows_are_in_tree_order_or_by_a_column() {
        let rows = rows();
        let all = "hub users/0 user/42 user/43 tickets/0";
        assert_eq!(paths(&rows, Order::Tree, "", &[]), all);
        assert_eq!(paths(&rows, Order::Tree, "", &["users/0"]), "hub users/0 tickets/0");
        assert_eq!(paths(&rows, Order::Tree, "", &["hub"]), "hub");
        assert!(paths(&rows, Order::Mailbox, "", &["hub"]).starts_with("tickets/0 "));
        assert!(paths(&rows, Order::Rate, "", &[]).starts_with("user/42 "));
        assert!(paths(&rows, Order::Slowest, "", &[]).starts_with("user/42 users/0 "));
        assert!(paths(&rows, Order::Restarts, "", &[]).starts_with("user/43 "));
    }

    #[test]
    fn a_search_finds_paths_and_what_actors_show() {
        let rows = rows();
        assert_eq!(paths(&rows, Order::Tree, "TICKET", &["hub"]), "tickets/0");
        assert_eq!(paths(&rows, Order::Tree, "ada", &["hub"]), "user/42");
        assert_eq!(paths(&rows, Order::Tree, "zoe", &[]), "");
    }

    #[test]
    fn a_search_looks_at_the_tree_that_came_last() {
        let rows = rows();
        assert_eq!(paths(&rows, Order::Tree, "ada", &[]), "user/42");
        let mut renamed = tree(30);
        renamed.node = "Node-B".to_owned();
        renamed.children[0].children[0].observed = json!({"username": "Zoe"});
        let rows = rows.followed_by(renamed, Duration::from_secs(1));
        assert_eq!(paths(&rows, Order::Tree, "ada", &[]), "");
        assert_eq!(paths(&rows, Order::Tree, "zoe", &[]), "user/42");
        assert_eq!(rows.shown(Order::Tree, "node-b", &HashSet::new()).len(), 1, "of the hub only");
    }

    #[test]
    fn rates_and_hidden_children_come_from_two_trees() {
        let rows = rows();
        let find = |path: &str| rows.find(&Id { node: "a".into(), path: path.into() }).unwrap();
        assert!((find("user/42").rate - 10.0).abs() < 0.01);
        assert_eq!((find("users/0").hidden, find("users/0").depth), (10, 1));
        assert_eq!(rows.parent(&find("user/43").id).unwrap().id.path, "users/0");
        assert!(rows.parent(&find("hub").id).is_none());
        let begun_anew = rows.followed_by(tree(5), Duration::from_secs(1));
        assert!(begun_anew.find(&find("user/42").id).unwrap().rate.abs() < 0.01);
        assert_eq!(rows.counts(), (1, 5));
    }
}
