//! Readers that are slow, or gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bellpull_actors::hub::HubLimits;
use bellpull_domain::ids::{TicketId, UserId};
use bellpull_domain::inbox::{Change, MessageContent};
use bellpull_domain::stream::{StreamEvent, TicketAction};
use bellpull_domain::ticket::{Caller, Command, Edit};
use bellpull_domain::user::Role;
use bellpull_port::outlet::{Broken, Ending, Revoked};
use bellpull_port::session::{Ask, Begin, Feed, Heard};
use bellpull_port::testing::{Mode, Op, Probe};

use crate::project::{SEC, TICKETS, announced};
use crate::ticket::new_ticket;
use crate::{TestClient, TestNode, since, upto};

/// The connection takes so many more frames, and says so.
fn take(conn: &TestClient, frames: usize) {
    conn.probe.set(|seen| seen.room = seen.room.map(|room| room + frames));
    conn.session.heard(Heard::Writable);
}

/// A user with a backlog whose connection takes only the greeting and a few more.
async fn slow(node: &TestNode, backlog: usize) -> TestClient {
    node.born(1, backlog);
    let (outlet, probe) = bellpull_port::testing::FakeOutlet::new();
    probe.set(|seen| seen.room = Some(3));
    let start = bellpull_port::session::SessionStart {
        outlet: Box::new(outlet),
        feed: Feed::Entries(since(0)),
        stream: None,
        login: None,
        expires_at: jiff::Timestamp::MAX,
        client: bellpull_port::session::Client::default(),
    };
    let session = node.hub.users.attach(node.account(1), start).await.unwrap();
    probe.until(|seen| !seen.waiting.is_empty()).await;
    TestClient { session, probe }
}

#[tokio::test(start_paused = true)]
async fn a_backlog_goes_out_in_portions_however_little_the_line_takes() {
    let node = TestNode::new().await;
    let conn = slow(&node, 400).await;
    assert!(conn.probe.seen().waiting.len() <= 64, "a portion waits, not the backlog");
    node.tell(1);
    // It takes a little at a time and says so each time: never taken for a slow reader.
    while !conn.probe.numbers().contains(&401) {
        let taken = conn.probe.seen().frames.len();
        take(&conn, 1);
        conn.probe.until(|seen| seen.frames.len() > taken || seen.closed.is_some()).await;
        assert!(conn.probe.seen().waiting.len() <= 64);
        assert_eq!(conn.probe.seen().closed, None);
    }
    assert_eq!(conn.probe.numbers(), upto(401));
}

#[tokio::test(start_paused = true)]
async fn a_backlog_goes_on_when_another_frame_finds_the_line_free_again() {
    let node = TestNode::new().await;
    let conn = slow(&node, 400).await;
    // An outlet reports a free line only if no flush has found it free before.
    conn.probe.set(|seen| seen.room = None);
    conn.session.heard(Heard::Ping(None));
    assert_eq!(conn.probe.shown(400).await, upto(400));
    node.tell(1);
    assert_eq!(conn.probe.shown(401).await, upto(401));
}

#[tokio::test(start_paused = true)]
async fn the_texts_of_a_long_backlog_are_in_memory_only_when_it_is_their_turn() {
    let node = TestNode::new().await;
    let text = "x".repeat(25_000);
    let contents: Vec<Arc<MessageContent>> = (0..500)
        .filter_map(|_| match node.store.append(UserId(1), &text) {
            Change::Added { entry, .. } => Some(entry.message),
            Change::Marked(_) => None,
        })
        .collect();
    // The store has each of them, and so has this test.
    let held = || contents.iter().filter(|content| Arc::strong_count(content) > 2).count();
    let conn = slow(&node, 0).await;
    assert!(held() <= 20, "{} of {} texts are in memory", held(), contents.len());
    node.tell(1);
    while !conn.probe.numbers().contains(&501) {
        let taken = conn.probe.seen().frames.len();
        take(&conn, 1);
        conn.probe.until(|seen| seen.frames.len() > taken || seen.closed.is_some()).await;
        assert!(held() <= 20, "{} of {} texts are in memory", held(), contents.len());
        assert_eq!(conn.probe.seen().closed, None);
    }
    assert_eq!(conn.probe.numbers(), upto(501));
}

#[tokio::test(start_paused = true)]
async fn of_a_user_whose_sessions_hold_too_much_the_one_that_holds_most_is_closed() {
    let node = TestNode::new().await;
    let guests = [
        node.attach(1, Begin::Undelivered).await,
        node.attach(1, Begin::Undelivered).await,
        node.attach(1, Begin::Undelivered).await,
    ];
    node.tell(1);
    for conn in &guests {
        conn.probe.shown(1).await;
    }
    // The third takes everything; what the others do not take is as much as a MiB a frame.
    guests[0].probe.set(|seen| (seen.room, seen.frame_weight) = (Some(1), 1 << 20));
    guests[1].probe.set(|seen| (seen.room, seen.frame_weight) = (Some(0), 1 << 20));
    for last in 2..=4 {
        node.tell(1);
        guests[2].probe.shown(last).await;
    }
    assert_eq!(guests[1].probe.ended().await, Ending::TooSlow);
    assert_eq!(guests[0].probe.seen().closed, None);
    node.tell(1);
    assert_eq!(guests[2].probe.shown(5).await, upto(5));
}

#[tokio::test(start_paused = true)]
async fn more_than_may_wait_behind_a_backlog_is_read_again_with_nothing_left_out() {
    let limits = HubLimits { replay_max: 100, ..HubLimits::default() };
    let node = TestNode::with(limits).await;
    let conn = slow(&node, 100).await;
    let other = node.attach(1, Begin::Live).await;
    node.store.until_asked(Op::Head, 2).await;
    tokio::task::yield_now().await;
    for n in 1..=40 {
        for _ in 0..100 {
            node.tell(1);
        }
        other.probe.shown(100 + n * 100).await;
    }
    // Its pages are read slowly, while the line stays slow, and while more comes.
    node.store.set(Op::Entries, Mode::Delay(Duration::from_millis(30)));
    let mut last = 4_100;
    while !conn.probe.numbers().contains(&last) {
        let taken = conn.probe.seen().frames.len();
        if taken < 4_500 {
            node.tell(1);
            last += 1;
        }
        take(&conn, 50);
        let wait = conn.probe.until(|seen| seen.frames.len() > taken || seen.closed.is_some());
        // While a page is read nothing is taken, and what comes must not get lost.
        let _ = tokio::time::timeout(Duration::from_millis(10), wait).await;
        assert_eq!(conn.probe.seen().closed, None);
    }
    assert_eq!(conn.probe.numbers(), upto(last));
}

#[tokio::test(start_paused = true)]
async fn a_live_reader_that_takes_nothing_is_closed_as_slow_and_told_all_when_it_is_back() {
    let node = TestNode::new().await;
    let conn = node.attach(1, Begin::Undelivered).await;
    node.tell(1);
    conn.probe.shown(1).await;
    conn.probe.set(|seen| seen.room = Some(2));
    for _ in 0..300 {
        node.tell(1);
        tokio::task::yield_now().await;
    }
    assert_eq!(conn.probe.ended().await, Ending::TooSlow);
    assert_eq!(conn.probe.numbers(), upto(3));
    let again = node.attach(1, Begin::Undelivered).await;
    let all = again.probe.shown(301).await;
    assert!(all[0] <= 4, "what the slow line never took is told again: from {}", all[0]);
    assert_eq!(all, (all[0]..=301).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_ends_its_session_alone() {
    for (broken, wanted) in
        [(Broken::Gone, Ending::Closed { code: 1006 }), (Broken::TooSlow, Ending::TooSlow)]
    {
        let node = TestNode::new().await;
        let conn = node.attach(1, Begin::Undelivered).await;
        let other = node.attach(1, Begin::Undelivered).await;
        conn.probe.set(|seen| seen.broken = Some(broken));
        node.tell(1);
        assert_eq!(conn.probe.ended().await, wanted);
        node.tell(1);
        assert_eq!(other.probe.shown(2).await, upto(2));
        assert_eq!(node.hub.users.sessions(), 1);
        // What its reader still sends has no session.
        conn.session.heard(Heard::Ping(None));
        conn.session.heard(Heard::Ended(Ending::TooBig));
        node.tell(1);
        assert_eq!(other.probe.shown(3).await, upto(3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_breaks_in_its_backlog_ends() {
    let node = TestNode::new().await;
    let conn = slow(&node, 200).await;
    conn.probe.set(|seen| seen.broken = Some(Broken::Gone));
    take(&conn, 1);
    assert_eq!(conn.probe.ended().await, Ending::Closed { code: 1006 });
    node.hub.users.end_sessions(UserId(1), None, Revoked::Right);
    node.until_listed("user/1", false).await;
}

/// The project without tickets, a developer (1), a client (3) and an admin (8).
fn project(node: &TestNode) -> Caller {
    node.store.add_project(SEC, "SEC", false);
    let _ = (node.store.add_user(1, Role::Developer), node.store.add_user(8, Role::Admin));
    for id in [1, 3] {
        node.store.add_member(SEC, UserId(id));
    }
    node.store.add_user(3, Role::Client)
}

/// Changes a ticket's title.
async fn rename(node: &TestNode, ticket: TicketId, title: String, by: &Caller) {
    let edit = Edit { title: Some(title), ..Edit::default() };
    node.command(ticket, Command::Edit(edit), by).await.unwrap();
}

/// The last line that was shown of each ticket; versions must never decrease.
fn last_lines(probe: &Probe) -> BTreeMap<TicketId, (i64, String)> {
    let mut last = BTreeMap::new();
    for event in announced(probe) {
        let StreamEvent::Ticket { action, line } = event else { continue };
        let known = last.insert(line.id, (line.version, line.title));
        assert_eq!(known.is_none(), action == TicketAction::Created, "{:?}", line.id);
        assert!(known.is_none_or(|(version, _)| version < line.version), "{:?}", line.id);
    }
    last
}

#[tokio::test(start_paused = true)]
async fn of_a_stream_a_slow_reader_is_shown_the_latest_and_of_its_inbox_everything() {
    let node = TestNode::new().await;
    let client = project(&node);
    let (fast, slow) = (node.watch(1, TICKETS).await, node.socket(8).await);
    slow.ask("s", Ask::Subscribe(TICKETS));
    node.until_watched(2, 0).await;
    slow.probe.until(|seen| seen.frames.len() == 2).await; // the greeting and the answer
    slow.probe.set(|seen| seen.room = Some(0));
    let mut tickets = Vec::new();
    for _ in 0..20 {
        let raise = node.hub.tickets.create(SEC, new_ticket(), client.clone());
        tickets.push(raise.await.unwrap().id);
    }
    for n in 0..40 {
        for ticket in &tickets {
            rename(&node, *ticket, format!("title {n}"), &client).await;
        }
    }
    fast.probe.until(|seen| seen.frames.len() == 1 + 20 * 41).await;
    // In two parts, with more changes between them.
    take(&slow, 25);
    slow.probe.until(|seen| seen.frames.len() == 27).await;
    for ticket in &tickets {
        rename(&node, *ticket, "the last".to_owned(), &client).await;
    }
    fast.probe.until(|seen| seen.frames.len() == 1 + 20 * 42).await;
    let all = last_lines(&fast.probe);
    assert!(all.len() == 20 && all.values().all(|(version, _)| *version == 42));
    slow.probe.set(|seen| seen.room = Some(1_000));
    slow.session.heard(Heard::Writable);
    slow.probe.until(|seen| seen.waiting.is_empty() && seen.frames.len() >= 2 + 40).await;
    assert_eq!(last_lines(&slow.probe), all);
    let events = announced(&slow.probe).len();
    assert!((20..=60).contains(&events), "{events} events, of 840");
    // Each of the 20 notifications, in order.
    assert_eq!(slow.probe.numbers(), upto(20));
    assert_eq!(slow.probe.seen().closed, None);
}

#[tokio::test(start_paused = true)]
async fn what_waits_of_a_stream_ends_with_the_subscription() {
    let node = TestNode::new().await;
    let team = node.team();
    let slow = node.socket(1).await;
    slow.ask("s", Ask::Subscribe(TICKETS));
    node.until_watched(1, 0).await;
    slow.probe.until(|seen| seen.frames.len() == 2).await;
    slow.probe.set(|seen| seen.room = Some(0));
    // One more frame than the connection accepts: from then on, events wait.
    slow.session.heard(Heard::Ping(None));
    slow.probe.until(|seen| seen.waiting.len() == 1).await;
    for id in 5..=40 {
        rename(&node, TicketId(id), "new".to_owned(), &team.admin).await;
    }
    slow.ask("u", Ask::Unsubscribe(TICKETS));
    slow.probe.until(|seen| seen.waiting.len() == 2).await;
    take(&slow, 100);
    slow.probe.until(|seen| seen.waiting.is_empty()).await;
    slow.session.heard(Heard::Ping(None));
    slow.probe.until(|seen| seen.frames.len() == 5).await;
    assert_eq!(announced(&slow.probe), []);
}

#[tokio::test(start_paused = true)]
async fn a_reader_for_whom_too_many_events_wait_is_closed_as_slow() {
    let node = TestNode::new().await;
    let client = project(&node);
    let slow = node.watch(1, TICKETS).await;
    slow.probe.until(|seen| seen.frames.len() == 1).await;
    slow.probe.set(|seen| seen.room = Some(0));
    slow.session.heard(Heard::Ping(None));
    slow.probe.until(|seen| seen.waiting.len() == 1).await;
    for _ in 0..1_024 {
        let raise = node.hub.tickets.create(SEC, new_ticket(), client.clone());
        raise.await.unwrap();
    }
    assert_eq!(slow.probe.seen().closed, None);
    let raise = node.hub.tickets.create(SEC, new_ticket(), client.clone());
    raise.await.unwrap();
    assert_eq!(slow.probe.ended().await, Ending::TooSlow);
}
