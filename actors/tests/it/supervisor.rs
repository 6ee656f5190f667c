//! Supervision: who is started again, who is kept down, and what operators see of it.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bellpull_actors::directory::AttachError;
use bellpull_actors::hub::RestartError;
use bellpull_actors::observe::ActorReport;
use bellpull_domain::ids::{TicketId, UserId};
use bellpull_domain::ticket::{Command, Edit};
use bellpull_domain::user::Role;
use bellpull_port::outlet::{Ending, Revoked};
use bellpull_port::session::Begin;
use bellpull_port::testing::{Mode, Op};
use tokio::time::Instant;

use crate::{TestNode, until, upto};

const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_is_killed_takes_its_children_along_and_comes_back() {
    for shard in 0..4 {
        let node = TestNode::new().await;
        let (own, other) = (i64::from(shard) + 4, i64::from(shard) + 5);
        let conn = node.attach(own, Begin::Undelivered).await;
        let neighbour = node.attach(other, Begin::Undelivered).await;
        node.hub.kill_at(&format!("users/{shard}")).await.unwrap();
        assert!(matches!(conn.probe.ended().await, Ending::Restarting { .. }));
        node.tell(own);
        let again = node.attach(own, Begin::Undelivered).await;
        assert_eq!(again.probe.shown(1).await, [1]);
        node.tell(other);
        assert_eq!(neighbour.probe.shown(1).await, [1]);
        until("the tree is ready again", || node.hub.is_ready()).await;
        let report = node.find(&format!("users/{shard}")).await.unwrap();
        assert_eq!((report.restarts, report.state), (1, "running"));
        assert_eq!(report.last_failure.unwrap().text, "killed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_panics_takes_its_children_along_and_comes_back() {
    for path in ["users/0", "tickets/1", "projects/0", "scheduler"] {
        let node = TestNode::new().await;
        let creator = node.store.add_user(1, Role::Client);
        let id = node.raise(&creator).await.id;
        let conn = node.attach(4, Begin::Undelivered).await;
        node.hub.panic_at(path);
        // Each of them may be the one that has just ended.
        node.tell(4);
        match path {
            "users/0" => {
                assert!(matches!(conn.probe.ended().await, Ending::Restarting { .. }));
                let again = node.attach(4, Begin::Undelivered).await;
                assert_eq!(again.probe.shown(1).await, [1]);
            }
            _ => assert_eq!(conn.probe.shown(1).await, [1], "{path}"),
        }
        assert_eq!(node.command(id, Command::Delete, &creator).await.unwrap().version, 2);
        until("it is up again", || node.hub.is_ready()).await;
        node.until_state(path, "running").await;
        let report = node.find(path).await.unwrap();
        assert_eq!((report.restarts, report.state), (1, "running"), "{path}");
        assert_eq!(report.last_failure.unwrap().text, "told to panic", "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attach_or_a_command_that_meets_a_dying_supervisor_waits_for_its_successor() {
    let node = TestNode::new().await;
    let creator = node.caller(1);
    let id = node.raise(&creator).await.id;
    // Nothing yields between the kill and the calls.
    node.hub.kill_at("users/2").await.unwrap();
    node.hub.kill_at("tickets/1").await.unwrap();
    let conn = node.attach(2, Begin::Undelivered).await;
    let command = node.command(id, Command::Delete, &creator).await;
    assert_eq!(command.unwrap().version, 2);
    node.tell(2);
    assert_eq!(conn.probe.shown(1).await, [1]);
}

/// Lets each task that is ready run once (the runtime's own yielding lets all run until none is).
pub(crate) async fn step_aside() {
    let mut is_over = false;
    let turn = std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut is_over, true) { Poll::Ready(()) } else { Poll::Pending }
    });
    turn.await;
}

/// Whatever the moment in which its supervisor dies, a command is carried out, or was lost with the
/// actor that had begun it; it is never turned away.
#[tokio::test(start_paused = true)]
async fn a_command_at_any_moment_of_a_supervisors_death_finds_the_successor() {
    for yields in 0..60 {
        let node = TestNode::new().await;
        let creator = node.caller(1);
        let id = node.raise(&creator).await.id;
        // One that is up, and one that must be spawned first.
        let id = if yields % 2 == 0 { id } else { TicketId(id.0 + 2) };
        let hub = node.hub.clone();
        tokio::spawn(async move { hub.kill_at("tickets/1").await });
        let command = tokio::spawn(async move {
            for _ in 0..yields / 2 {
                step_aside().await;
            }
            node.command(id, Command::Delete, &creator).await
        });
        if let Err(error) = command.await.unwrap() {
            let text = error.to_string();
            assert!(!text.contains("down"), "after {yields}: {text}");
        }
    }
}

/// The same of an actor's own death, on several threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_command_at_any_moment_of_an_actors_death_finds_the_successor() {
    let node = Arc::new(TestNode::new().await);
    let creator = node.caller(1);
    let mut asks = Vec::new();
    // Few enough for their supervisors' budgets, each once: every actor is restarted.
    for _ in 0..90 {
        let id = node.raise(&creator).await.id;
        node.hub.kill_at(&format!("ticket/{id}")).await.unwrap();
        for _ in 0..8 {
            let (node, creator) = (Arc::clone(&node), creator.clone());
            let edit = Edit { title: Some("Next".to_owned()), ..Edit::default() };
            asks.push(tokio::spawn(async move {
                node.command(id, Command::Edit(edit), &creator).await
            }));
        }
    }
    for ask in asks {
        if let Err(error) = ask.await.unwrap() {
            assert!(error.to_string().contains("did not answer"), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_hub_gives_up_when_its_supervisors_fail_too_often() {
    let node = TestNode::new().await;
    let conn = node.attach(1, Begin::Undelivered).await;
    let mut events = node.hub.events(None).live;
    assert!(node.hub.is_ready());
    for path in ["users/0", "users/1", "users/2", "users/3", "tickets/0", "tickets/1"] {
        node.hub.kill_at(path).await.unwrap();
    }
    tokio::time::timeout(LONG, node.hub.escalated()).await.unwrap();
    assert!(!node.hub.is_ready());
    conn.probe.ended().await;
    until("the hub is gone", || node.hub.users.sessions() == 0).await;
    let seen: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
    assert!(seen.iter().any(|event| event.path == "hub" && event.what == "escalated"));
    assert_eq!(node.hub.tree(1).await.unwrap_err(), RestartError::Unavailable);
    let (attached, probe) = node.try_attach(1, Begin::Live, None, LONG).await;
    assert_eq!(attached.unwrap_err(), AttachError::Unavailable);
    assert!(matches!(probe.ended().await, Ending::Restarting { .. }));
}

#[tokio::test(start_paused = true)]
async fn too_many_failures_of_children_are_their_supervisors_failure() {
    let node = TestNode::new().await;
    let mut guests = Vec::new();
    for n in 1..=101 {
        guests.push(node.attach(n * 4, Begin::Undelivered).await);
    }
    let witness = node.attach(1, Begin::Undelivered).await;
    for n in 1..=101 {
        node.hub.kill_at(&format!("user/{}", n * 4)).await.unwrap();
    }
    for conn in &guests {
        conn.probe.ended().await;
    }
    let again = node.attach(4, Begin::Undelivered).await;
    node.tell(4);
    again.probe.shown(1).await;
    let report = node.find("users/0").await.unwrap();
    assert_eq!(report.restarts, 1);
    assert!(report.last_failure.unwrap().text.starts_with("more than 100 failures in 10 s"));
    node.tell(1);
    assert_eq!(witness.probe.shown(1).await, [1]);
    assert!(node.hub.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_child_that_keeps_panicking_is_kept_down_for_a_growing_while() {
    let node = TestNode::new().await;
    for wait_ms in [0, 100, 200, 400] {
        let conn = node.attach(1, Begin::Undelivered).await;
        node.hub.panic_at("user/1");
        conn.probe.ended().await;
        if wait_ms > 0 {
            let (attached, probe) = node.try_attach(1, Begin::Live, None, LONG).await;
            assert_eq!(attached.unwrap_err(), AttachError::Unavailable, "{wait_ms}");
            assert!(matches!(probe.ended().await, Ending::Restarting { .. }));
            let report = node.find("user/1").await.unwrap();
            assert_eq!(report.state, "backing_off");
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
    }
    let conn = node.attach(1, Begin::Undelivered).await;
    node.tell(1);
    assert_eq!(conn.probe.shown(1).await, upto(1));
    let report = node.find("user/1").await.unwrap();
    assert_eq!((report.restarts, report.state), (4, "running"));
    assert_eq!(report.last_failure.unwrap().text, "told to panic");
}

fn depths(report: &ActorReport) -> Vec<u32> {
    let below = report.children.iter().flat_map(depths);
    std::iter::once(report.mailbox_depth).chain(below).collect()
}

#[tokio::test(start_paused = true)]
async fn the_tree_shows_all_actors_and_a_busy_child_does_not_delay_it() {
    let node = TestNode::new().await;
    let creator = node.store.add_user(1, Role::Client);
    let conn = node.attach(1, Begin::Undelivered).await;
    let id = node.raise(&creator).await.id;
    node.tell(1);
    conn.probe.shown(1).await;
    let user = node.find("user/1").await.unwrap();
    assert_eq!((user.kind, user.observed["username"].as_str()), ("user", Some("user1")));
    assert_eq!(user.observed["seq"], 1);
    assert_eq!(user.observed["sessions"][0]["phase"], "live");
    assert_eq!(node.find("ticket/1").await.unwrap().observed["status"], "NEW");
    // At rest nothing waits anywhere, and no gauge went below nothing.
    let tree = node.hub.tree(10).await.unwrap();
    assert_eq!((tree.kind, tree.children_total, tree.children.len()), ("hub", 9, 9));
    assert!(depths(&tree).iter().all(|depth| *depth == 0), "{tree:?}");

    node.store.set(Op::Commit, Mode::Hang);
    let commits = node.store.asked(Op::Commit);
    for _ in 0..3 {
        let (hub, creator) = (node.hub.clone(), creator.clone());
        tokio::spawn(async move { hub.tickets.command(id, Command::Delete, creator).await });
    }
    node.store.until_asked(Op::Commit, commits + 1).await;
    let begun = Instant::now();
    let busy = node.find("ticket/1").await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!((busy.state, busy.mailbox_depth), ("busy", 2));
    assert_eq!(node.find("user/1").await.unwrap().state, "running");
}

#[tokio::test(start_paused = true)]
async fn events_tell_what_happens_to_whom() {
    let node = TestNode::new().await;
    let mut events = node.hub.events(None).live;
    let conn = node.attach(1, Begin::Undelivered).await;
    node.hub.panic_at("user/1");
    conn.probe.ended().await;
    let conn = node.attach(1, Begin::Undelivered).await;
    node.hub.users.end_sessions(UserId(1), None, Revoked::Right);
    conn.probe.ended().await;
    let mut seen = Vec::new();
    while seen.last().map(|(_, what, _)| *what) != Some("stopped") {
        let event = tokio::time::timeout(LONG, events.recv()).await.unwrap().unwrap();
        seen.push((event.path.clone(), event.what, event.detail.clone()));
    }
    let wanted = [
        ("spawned", ""),
        ("failed", "told to panic"),
        ("restarted", "restarted after a failure"),
        ("stopped", "idle"),
    ];
    let wanted = wanted.map(|(what, detail)| ("user/1".to_owned(), what, detail.to_owned()));
    assert_eq!(seen, wanted);
}

#[tokio::test(start_paused = true)]
async fn operators_restart_what_there_is_and_nothing_else() {
    let node = TestNode::new().await;
    let creator = node.caller(1);
    let conn = node.attach(1, Begin::Undelivered).await;
    node.raise(&creator).await;
    for path in ["user/1", "ticket/1", "users/3", "tickets/0", "scheduler"] {
        assert_eq!(node.hub.restart(path, "root").await, Ok(()), "{path}");
    }
    conn.probe.ended().await;
    for path in [
        "hub",
        "user/2",
        "user/x",
        "ticket/2",
        "users/9",
        "users/-1",
        "project/1",
        "projects/9",
        "scheduler/1",
        "",
        "/",
        "user/",
    ] {
        assert_eq!(node.hub.restart(path, "root").await, Err(RestartError::NotFound), "{path}");
    }
    node.attach(1, Begin::Undelivered).await;
    node.raise(&creator).await;
}

#[tokio::test(start_paused = true)]
async fn restarts_that_operators_ask_for_spend_no_budget_and_name_who_asked() {
    let node = TestNode::new().await;
    let mut events = node.hub.events(None).live;
    let permanent = ["users/0", "users/1", "users/2", "users/3", "tickets/0", "scheduler"];
    for round in 1..=4 {
        for path in permanent {
            assert_eq!(node.hub.restart(path, "root").await, Ok(()), "{path}");
        }
        until("the tree is ready again", || node.hub.is_ready()).await;
        for path in permanent {
            let report = node.find(path).await.unwrap();
            assert_eq!((report.restarts, report.state), (round, "running"), "{path}");
            assert!(report.last_failure.is_none(), "{report:?}");
            assert_eq!(report.last_restart.unwrap().to_string(), "restarted by operator root");
        }
    }
    let seen: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
    let of_users: Vec<_> = seen.iter().filter(|event| event.path == "users/0").collect();
    assert_eq!(of_users.len(), 8);
    for (event, what) in of_users.iter().zip(["stopped", "restarted"].iter().cycle()) {
        let announced = (event.what, event.detail.as_str());
        assert_eq!(announced, (*what, "restarted by operator root"));
    }
    assert!(seen.iter().all(|event| !["failed", "escalated"].contains(&event.what)));
}

#[tokio::test(start_paused = true)]
async fn an_operator_starts_at_once_what_is_kept_down() {
    let node = TestNode::new().await;
    for _ in 0..2 {
        // The first of a row comes back by itself, at once.
        node.hub.kill_at("scheduler").await.unwrap();
        node.until_state("scheduler", "running").await;
        node.hub.kill_at("scheduler").await.unwrap();
        node.until_state("scheduler", "backing_off").await;
        let begun = Instant::now();
        assert_eq!(node.hub.restart("scheduler", "root").await, Ok(()));
        node.until_state("scheduler", "running").await;
        assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
    }
    for path in ["user/1", "user/1"] {
        let conn = node.attach(1, Begin::Undelivered).await;
        node.hub.panic_at(path);
        conn.probe.ended().await;
    }
    node.until_state("user/1", "backing_off").await;
    assert_eq!(node.hub.restart("user/1", "root").await, Ok(()));
    node.attach(1, Begin::Undelivered).await;
    let report = node.find("user/1").await.unwrap();
    assert_eq!(report.last_restart.unwrap().to_string(), "restarted by operator root");
    assert_eq!(report.last_failure.unwrap().text, "told to panic");
}

#[tokio::test(start_paused = true)]
async fn a_loop_of_restarts_is_slowed_down_to_one_a_second() {
    let node = TestNode::new().await;
    for _ in 0..60 {
        assert_eq!(node.hub.restart("users/0", "root").await, Ok(()));
    }
    let refused = node.hub.restart("users/0", "root").await;
    assert_eq!(refused, Err(RestartError::TooMany { retry_after_s: 1 }));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(node.hub.restart("users/0", "root").await, Ok(()));
    until("the tree is ready again", || node.hub.is_ready()).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_events_are_kept_for_those_who_come_later() {
    let node = TestNode::new().await;
    let all = node.hub.events(Some(0));
    assert_eq!(
        all.kept.iter().map(|event| event.id).collect::<Vec<_>>(),
        (1..=9).collect::<Vec<_>>()
    );
    for _ in 0..60 {
        node.hub.restart("scheduler", "root").await.unwrap();
        until("it is up again", || node.hub.is_ready()).await;
    }
    let last = node.hub.events(None).kept;
    assert_eq!(last.len(), 100);
    let newest = last.back().unwrap().id;
    assert_eq!(newest, 9 + 2 * 60);
    let after: Vec<u64> = node.hub.events(Some(newest - 3)).kept.iter().map(|e| e.id).collect();
    assert_eq!(after, [newest - 2, newest - 1, newest]);
    assert!(node.hub.events(Some(newest)).kept.is_empty());
    assert_eq!(node.hub.events(Some(newest + 1)).kept.len(), 100, "another process's number");
}
