//! Whether each board shows who is there, on every node.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::client;
use super::family::Family;
use super::finding::{Findings, Wrong};
use super::people::{Person, Shared};
use super::socket::{Ended, Socket};
use super::view::BoardView;

/// How long a board may take to open.
const OPEN: Duration = Duration::from_secs(10);
/// How long a new board may take to show everyone.
const COMPLETE: Duration = Duration::from_secs(2);
/// How often it is looked while clients still come and go.
const LOOKS: usize = 20;
/// The wait between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// Users with an open socket on the board.
fn there(shared: &Shared) -> BTreeSet<u64> {
    let live = shared.live();
    let open = live.values().filter(|client| client.is_open && client.present.is_some());
    open.map(|client| client.user).collect()
}

/// Compares until every board is right, or the time for that is over: the number of watchers, and
/// what is wrong then.
pub(super) async fn settled(
    shared: &Shared,
    checker: &Person,
    patience: Duration,
) -> (usize, Findings) {
    let deadline = Instant::now() + patience;
    loop {
        let mut findings = Findings::default();
        let boards = check(shared, checker, &mut findings).await;
        if findings.is_empty() || Instant::now() > deadline {
            return (boards, findings);
        }
        sleep(LOOK).await;
    }
}

/// Compares what old and new watchers see with who is there; the number of watchers.
async fn check(shared: &Shared, checker: &Person, findings: &mut Findings) -> usize {
    for look in 1..=LOOKS {
        let before = there(shared);
        let watchers = watchers(shared, checker, &before).await;
        // Were clients to come or go meanwhile, nothing could be said of the boards.
        if before == there(shared) || look == LOOKS {
            for (name, user, seen) in &watchers {
                compare(name, *user, seen, &before, findings);
            }
            return watchers.len();
        }
        sleep(LOOK).await;
    }
    0
}

/// What each watcher sees: its name, its own user, and whom.
async fn watchers(
    shared: &Shared,
    checker: &Person,
    there: &BTreeSet<u64>,
) -> Vec<(String, u64, BTreeSet<u64>)> {
    let mut watchers = Vec::new();
    for (n, node) in shared.nodes.iter().enumerate() {
        let mut view = BoardView::of(String::new(), checker.id);
        // A board that does not open shows no one.
        let _ = timeout(OPEN, watch(*node, checker, &mut view, there)).await;
        watchers.push((format!("a new board on node {n}"), checker.id, view.present));
    }
    // The checker's own boards are closed, and it leaves.
    sleep(LOOK).await;
    let live = shared.live();
    let open = live.iter().filter(|(_, client)| client.is_open);
    watchers.extend(open.filter_map(|(number, client)| {
        Some((format!("the board of client {number}"), client.user, client.present.clone()?))
    }));
    for (_, _, seen) in &mut watchers {
        seen.remove(&checker.id);
    }
    watchers
}

/// Opens a board and reads until it shows who is there. The first board of a node is told by the
/// others one after the other.
async fn watch(
    node: SocketAddr,
    checker: &Person,
    view: &mut BoardView,
    there: &BTreeSet<u64>,
) -> Result<(), Ended> {
    let path = format!("{}&token={}", Family::Presence.path(), checker.token);
    let mut socket = Socket::open(node, &path, OPEN).await?;
    let complete = Instant::now() + COMPLETE;
    while view.present != *there {
        let Ok(text) = timeout_at(complete, socket.hear()).await else { return Ok(()) };
        client::board(Family::Presence.read(&text?), view);
    }
    Ok(())
}

fn compare(
    name: &str,
    own: u64,
    seen: &BTreeSet<u64>,
    there: &BTreeSet<u64>,
    findings: &mut Findings,
) {
    for user in there.difference(seen).filter(|user| **user != own) {
        findings.add(Wrong::Lost, || format!("{name} does not show user {user}, who is there"));
    }
    for user in seen.difference(there).filter(|user| **user != own) {
        findings.add(Wrong::Doubled, || format!("{name} shows user {user}, who is not there"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_missing_and_who_is_a_ghost_is_found() {
        let there = BTreeSet::from([1, 2, 3]);
        let found = |seen: &[u64]| {
            let mut findings = Findings::default();
            compare("x", 1, &seen.iter().copied().collect(), &there, &mut findings);
            (findings.count(Wrong::Lost), findings.count(Wrong::Doubled))
        };
        assert_eq!(found(&[2, 3]), (0, 0));
        assert_eq!(found(&[1, 2, 3]), (0, 0));
        assert_eq!(found(&[2, 9]), (1, 1));
    }
}
