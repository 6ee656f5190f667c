//! Actors of a node that are killed from outside, as an operator restarts them.
//!
//! A killed actor loses its state and what it was doing, as one that panics; its supervisor does
//! not count it as a failure. That path is in the actors' own tests.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use super::super::request::{Outcome, Request, shown};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most actors that are killed at once.
const ACTORS_MAX: usize = 3;

/// Kills some actors of a node, of any kind; what was not expected.
pub(super) async fn kill(node: SocketAddr, name: &str, token: &str, rng: &mut Rng) -> Vec<String> {
    let path = format!("/api/operator/tree/?children=200&node={name}");
    let tree = match Request::get(&path, token).send(node, PATIENCE).await {
        Outcome::Answered(200, tree) => tree,
        Outcome::Answered(status, body) => {
            return vec![format!("{path}: {}", shown(status, &body))];
        }
        // Its database is away.
        Outcome::NotDone(_) | Outcome::Unknown(_) => return Vec::new(),
    };
    let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    gather(&tree, &mut kinds);
    let kinds: Vec<Vec<String>> = kinds.into_values().collect();
    let mut surprises = Vec::new();
    for _ in 0..rng.usize(1..=ACTORS_MAX) {
        let Some(actor) = rng.choice(&kinds).and_then(|actors| rng.choice(actors)) else { break };
        let path = format!("/api/operator/actors/{actor}/restart/?node={name}");
        let body = json!({});
        match Request::post(&path, token, &body).send(node, PATIENCE).await {
            // An idle actor may have left meanwhile.
            Outcome::Answered(200 | 404, _) | Outcome::NotDone(_) | Outcome::Unknown(_) => {}
            Outcome::Answered(status, body) => {
                surprises.push(format!("{path}: {}", shown(status, &body)));
            }
        }
    }
    surprises
}

/// The paths of all actors below the root, by kind: so that each kind is killed as often as the
/// one of which there are most.
fn gather(actor: &Value, kinds: &mut BTreeMap<String, Vec<String>>) {
    for child in actor["children"].as_array().into_iter().flatten() {
        if let (Some(path), Some(kind)) = (child["path"].as_str(), child["kind"].as_str()) {
            kinds.entry(kind.to_owned()).or_default().push(path.to_owned());
        }
        gather(child, kinds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_are_gathered_by_kind_without_the_root() {
        let tree = json!({"path": "hub", "kind": "hub", "children": [
            {"path": "users/0", "kind": "users", "children": [
                {"path": "user/4", "kind": "user", "children": []},
                {"path": "user/5", "kind": "user", "children": []},
            ]},
            {"path": "scheduler", "kind": "scheduler", "children": []},
        ]});
        let mut kinds = BTreeMap::new();
        gather(&tree, &mut kinds);
        assert_eq!(kinds.len(), 3);
        assert_eq!(kinds["user"], ["user/4", "user/5"]);
    }
}
