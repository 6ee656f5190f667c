//! Sessions of changes, and sessions of nothing: how they begin, what they are shown, and what of
//! it counts as delivered.

use std::time::Duration;

use bellpull_actors::hub::HubLimits;
use bellpull_domain::ids::{NotificationId, Seq, UserId};
use bellpull_domain::inbox::{Change, Mark};
use bellpull_port::InboxStore;
use bellpull_port::inbox::{MarkPortion, Selection};
use bellpull_port::outlet::{Ending, Revoked};
use bellpull_port::session::{Ask, Asked, Begin, Feed, Heard, NotRenewed, Resume};
use bellpull_port::testing::{FakeOutlet, Frame, Mode, Op};

use crate::{TestClient, TestNode, since, upto};

const USER: UserId = UserId(1);

fn after(seq: i64) -> Feed {
    Feed::Changes(Resume::After(Seq(seq)))
}

const UNACKNOWLEDGED: Feed = Feed::Changes(Resume::Unacknowledged);

impl TestNode {
    /// Marks a row without telling any session.
    async fn mark(&self, id: i64, mark: Mark) -> Option<Change> {
        let ids = Selection::ids(vec![NotificationId(id)]);
        let portion = MarkPortion::first(USER, ids, mark, jiff::Timestamp::UNIX_EPOCH);
        let marked = self.store.mark_portion(portion).await.unwrap();
        marked.changes.into_iter().next().map(Change::Marked)
    }
}

impl TestClient {
    fn ack(&self, seq: i64) {
        let ack = Asked { tag: None, ask: Ask::Ack(Seq(seq)) };
        self.session.heard(Heard::Asked(Box::new(ack)));
    }

    /// The rows and notifications that it was shown: position, row, whether as news.
    fn rows(&self) -> Vec<(i64, i64, bool)> {
        let row = |frame: &Frame| {
            if let Frame::Row { changed_seq, id, is_news, .. } = frame {
                return Some((changed_seq.0, id.0, *is_news));
            }
            let Frame::Notification { seq, id, .. } = frame else { return None };
            Some((seq.0, id.0, true))
        };
        self.probe.seen().frames.iter().filter_map(row).collect()
    }

    async fn reached(&self, seq: i64) -> Vec<(i64, i64, bool)> {
        let is_it = |frame: &Frame| {
            if let Frame::Row { changed_seq, .. } = frame {
                return changed_seq.0 == seq;
            }
            matches!(frame, Frame::Notification { seq: at, .. } if at.0 == seq)
        };
        self.probe.until(|seen| seen.frames.iter().any(is_it)).await;
        self.rows()
    }

    async fn until_frame(&self, wanted: &Frame) {
        self.probe.until(|seen| seen.frames.contains(wanted)).await;
    }

    async fn close(self, node: &TestNode) {
        self.session.heard(Heard::Ended(Ending::Closed { code: 1000 }));
        self.probe.ended().await;
        node.until_listed("user/1", false).await;
    }
}

fn welcome(last: i64, unread_count: i64, is_resumed: bool) -> Frame {
    Frame::Welcome { last_seq: Seq(last), unread_count, is_resumed }
}

#[tokio::test(start_paused = true)]
async fn the_welcome_is_first_then_what_changed_in_its_latest_state_then_what_comes_live() {
    let node = TestNode::new().await;
    node.born(1, 4);
    node.mark(2, Mark::Read).await;
    node.mark(4, Mark::Read).await;
    node.mark(3, Mark::Delete).await;
    let conn = node.follow(1, after(2)).await;
    conn.reached(7).await;
    let row = |changed_seq, id, is_read, is_deleted, is_news| Frame::Row {
        changed_seq: Seq(changed_seq),
        id: NotificationId(id),
        is_read,
        is_deleted,
        is_news,
        unread_count: 1,
    };
    let shown = [
        welcome(7, 1, true),
        row(5, 2, true, false, false),
        row(6, 4, true, false, true),
        row(7, 3, false, true, false),
    ];
    assert_eq!(conn.probe.seen().frames, shown);
    node.tell(1);
    assert_eq!(conn.reached(8).await.last(), Some(&(8, 5, true)));
    let change = node.mark(5, Mark::Read).await.unwrap();
    node.hub.users.tell(USER, change.clone());
    let Change::Marked(marked) = change else { panic!() };
    conn.until_frame(&Frame::Marked(marked)).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_takes_up_where_it_says_or_is_told_to_start_over() {
    for (feed, is_resumed, wanted) in [
        (after(0), true, vec![1, 2, 3, 4, 5, 6]),
        (after(3), true, vec![4, 5, 6]),
        (after(5), true, vec![6]),
        (after(6), false, vec![1, 2, 3, 4, 5, 6]),
        (after(i64::MAX), false, vec![1, 2, 3, 4, 5, 6]),
        (Feed::Changes(Resume::Reset), false, vec![1, 2, 3, 4, 5, 6]),
        (UNACKNOWLEDGED, true, vec![3, 4, 5, 6]),
        (Feed::Changes(Resume::Live), true, vec![6]),
    ] {
        let node = TestNode::new().await;
        node.born(1, 5);
        node.store.set_delivered(USER, 2);
        let conn = node.follow(1, feed).await;
        conn.until_frame(&welcome(5, 5, is_resumed)).await;
        node.tell(1);
        let shown: Vec<i64> = conn.reached(6).await.iter().map(|row| row.0).collect();
        assert_eq!(shown, wanted, "{feed:?}");
        let is_reset = conn.probe.seen().frames[1] == Frame::Reset;
        assert_eq!(is_reset, !is_resumed, "{feed:?}");
    }
}

/// Five rows; the first was deleted (change 6), the second too (change 7), and both are forgotten.
#[tokio::test(start_paused = true)]
async fn who_may_hold_a_row_that_was_forgotten_begins_anew() {
    for (since, is_resumed, wanted) in [
        (0, true, vec![3, 4, 5, 8]), // has seen nothing, and so holds nothing
        (1, false, vec![3, 4, 5, 8]),
        (5, false, vec![3, 4, 5, 8]),
        (6, false, vec![3, 4, 5, 8]), // knows of the first only
        (7, true, vec![8]),
    ] {
        let node = TestNode::new().await;
        node.born(1, 5);
        for seq in [1, 2] {
            node.mark(seq, Mark::Delete).await;
        }
        for seq in [1, 2] {
            node.store.forget_row_now(USER, Seq(seq));
        }
        let conn = node.follow(1, after(since)).await;
        conn.until_frame(&welcome(7, 3, is_resumed)).await;
        node.tell(1);
        let shown: Vec<i64> = conn.reached(8).await.iter().map(|row| row.0).collect();
        assert_eq!(shown, wanted, "since {since}");
        assert_eq!(conn.probe.seen().frames[1] == Frame::Reset, !is_resumed, "since {since}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_between_two_looks_is_noticed() {
    let node = TestNode::new().await;
    node.born(1, 5);
    node.mark(1, Mark::Delete).await;
    node.store.set(Op::Entries, Mode::Hang);
    let following = node.follow(1, after(3)).await;
    node.store.until_asked(Op::Entries, 1).await;
    node.store.forget_row_now(USER, Seq(1));
    node.store.set(Op::Entries, Mode::Good);
    following.until_frame(&welcome(6, 4, false)).await;
    let shown: Vec<i64> = following.reached(5).await.iter().map(|row| row.0).collect();
    assert_eq!(shown, [2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn more_than_the_limit_leaves_out_what_is_longest_unchanged() {
    let node = TestNode::with(HubLimits { replay_max: 3, ..HubLimits::default() }).await;
    node.born(1, 6);
    node.mark(1, Mark::Read).await;
    for feed in [after(0), Feed::Changes(Resume::Reset)] {
        let conn = node.follow(1, feed).await;
        assert_eq!(conn.reached(7).await, [(5, 5, true), (6, 6, true), (7, 1, true)]);
        conn.until_frame(&Frame::Truncated(3)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_acknowledged_is_shown_again_and_what_was_is_not() {
    let node = TestNode::new().await;
    node.born(1, 5);
    let conn = node.follow(1, UNACKNOWLEDGED).await;
    conn.reached(5).await;
    conn.close(&node).await;
    assert_eq!(node.delivered(1), 0, "shown is not acknowledged");

    let conn = node.follow(1, UNACKNOWLEDGED).await;
    conn.reached(5).await;
    conn.ack(3);
    conn.ack(2);
    conn.close(&node).await;
    assert_eq!(node.delivered(1), 3, "going back says nothing");

    let conn = node.follow(1, UNACKNOWLEDGED).await;
    assert_eq!(conn.reached(5).await, [(4, 4, true), (5, 5, true)]);
    conn.ack(99);
    node.tell(1);
    conn.reached(6).await;
    conn.close(&node).await;
    assert_eq!(node.delivered(1), 5, "an unshown entry counts as delivered by no session");
    let families = node.attach(1, Begin::Undelivered).await;
    assert_eq!(families.probe.shown(6).await, [6]);
}

#[tokio::test(start_paused = true)]
async fn a_birth_that_is_shown_late_counts_only_when_that_is_acknowledged() {
    let node = TestNode::new().await;
    node.born(1, 5);
    node.mark(2, Mark::Read).await;
    let conn = node.follow(1, UNACKNOWLEDGED).await;
    assert_eq!(conn.reached(6).await.last(), Some(&(6, 2, true)));
    conn.ack(4);
    conn.close(&node).await;
    assert_eq!(node.delivered(1), 1, "the second was shown behind the fifth");
    let conn = node.follow(1, UNACKNOWLEDGED).await;
    assert_eq!(conn.reached(6).await.last(), Some(&(6, 2, true)));
    conn.ack(6);
    conn.close(&node).await;
    assert_eq!(node.delivered(1), 6);
}

#[tokio::test(start_paused = true)]
async fn a_session_of_changes_that_is_live_alone_does_not_swallow_what_was_never_delivered() {
    let node = TestNode::new().await;
    node.born(1, 2);
    let conn = node.follow(1, Feed::Changes(Resume::Live)).await;
    conn.until_frame(&welcome(2, 2, true)).await;
    node.tell(1);
    conn.reached(3).await;
    conn.ack(3);
    conn.close(&node).await;
    assert_eq!(node.delivered(1), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_of_nothing_is_greeted_and_shown_nothing_and_counts_for_nothing() {
    let node = TestNode::new().await;
    node.born(1, 2);
    let conn = node.follow(1, Feed::Nothing).await;
    node.tell(1);
    let other = node.attach(1, since(0)).await;
    other.probe.shown(3).await;
    node.tell(1);
    other.probe.shown(4).await;
    assert_eq!(conn.probe.seen().frames, [Frame::Established(USER)]);
    assert_eq!(node.hub.users.sessions(), 2);
    node.hub.users.end_sessions(USER, None, Revoked::Right);
    assert_eq!(conn.probe.ended().await, Ending::RightWithdrawn);
    let alone = TestNode::new().await;
    let conn = alone.follow(1, Feed::Nothing).await;
    alone.tell(1);
    conn.close(&alone).await;
    assert_eq!((alone.delivered(1), alone.store.asked(Op::Head)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_sends_a_session_of_changes_back_unwelcomed() {
    let node = TestNode::new().await;
    node.store.set(Op::Head, Mode::Fail);
    let conn = node.follow(1, after(0)).await;
    assert!(matches!(conn.probe.ended().await, Ending::Restarting { .. }));
    assert_eq!(conn.probe.seen().frames, []);
}

#[tokio::test(start_paused = true)]
async fn a_lost_mark_is_shown_to_every_session_that_follows() {
    let node = TestNode::new().await;
    node.born(1, 3);
    let entries = node.attach(1, since(0)).await;
    let changes = node.follow(1, after(0)).await;
    entries.probe.shown(3).await;
    changes.reached(3).await;
    node.mark(1, Mark::Read).await;
    node.mark(2, Mark::Delete).await;
    let lost = node.born(1, 1);
    node.mark(4, Mark::Read).await;
    drop(lost);
    node.tell(1);
    // The fourth was born and read in the gap: it is one thing, at its birth for the families and
    // at its last change for those who follow the changes.
    let known = [(4, 1, false), (5, 2, false)];
    assert_eq!(entries.reached(8).await[3..], [known[0], known[1], (6, 4, true), (8, 5, true)]);
    assert_eq!(changes.reached(8).await[3..], [known[0], known[1], (7, 4, true), (8, 5, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_is_too_wide_sends_who_follows_back_for_a_backlog() {
    let node = TestNode::new().await;
    node.born(1, 1);
    let entries = node.attach(1, since(0)).await;
    let changes = node.follow(1, after(0)).await;
    let nothing = node.follow(1, Feed::Nothing).await;
    entries.probe.shown(1).await;
    changes.reached(1).await;
    drop(node.born(1, 5_001));
    node.tell(1);
    assert!(matches!(entries.probe.ended().await, Ending::Restarting { .. }));
    assert!(matches!(changes.probe.ended().await, Ending::Restarting { .. }));
    let again = node.follow(1, after(1)).await;
    assert_eq!(again.reached(5_003).await.len(), 500);
    again.until_frame(&Frame::Truncated(4_502)).await;
    node.tell(1);
    again.reached(5_004).await;
    assert_eq!(nothing.probe.seen().closed, None);
}

/// A session of changes whose connection takes only the welcome and a few more.
async fn slow(node: &TestNode) -> TestClient {
    let (outlet, probe) = FakeOutlet::new();
    probe.set(|seen| seen.room = Some(3));
    let start = bellpull_port::session::SessionStart {
        outlet: Box::new(outlet),
        feed: after(0),
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
async fn more_than_may_wait_behind_a_backlog_of_changes_is_read_again() {
    let node = TestNode::with(HubLimits { replay_max: 100, ..HubLimits::default() }).await;
    node.born(1, 100);
    let conn = slow(&node).await;
    let other = node.attach(1, Begin::Live).await;
    other.probe.until(|seen| !seen.frames.is_empty()).await;
    for n in 1..=25 {
        for _ in 0..100 {
            node.tell(1);
        }
        other.probe.shown(100 + n * 100).await;
    }
    node.store.set(Op::Entries, Mode::Delay(Duration::from_millis(30)));
    while !conn.rows().iter().any(|row| row.0 == 2_600) {
        let taken = conn.probe.seen().frames.len();
        conn.probe.set(|seen| seen.room = seen.room.map(|room| room + 50));
        conn.session.heard(Heard::Writable);
        let wait = conn.probe.until(|seen| seen.frames.len() > taken || seen.closed.is_some());
        let _ = tokio::time::timeout(Duration::from_millis(10), wait).await;
        assert_eq!(conn.probe.seen().closed, None);
    }
    assert_eq!(conn.rows().iter().map(|row| row.0).collect::<Vec<_>>(), upto(2_600));
}

#[tokio::test(start_paused = true)]
async fn sessions_of_every_feed_come_back_from_the_death_of_their_actor() {
    for is_panic in [true, false] {
        let node = TestNode::new().await;
        let entries = node.attach(1, Begin::Undelivered).await;
        let changes = node.follow(1, UNACKNOWLEDGED).await;
        let nothing = node.follow(1, Feed::Nothing).await;
        node.tell(1);
        entries.probe.shown(1).await;
        changes.reached(1).await;
        if is_panic {
            node.hub.panic_at("user/1");
        } else {
            node.hub.kill_at("user/1").await.unwrap();
        }
        for probe in [&entries.probe, &changes.probe, &nothing.probe] {
            assert!(matches!(probe.ended().await, Ending::Restarting { .. }));
        }
        node.mark(1, Mark::Read).await;
        node.tell(1);
        let again = node.follow(1, after(1)).await;
        assert_eq!(again.reached(3).await, [(2, 1, false), (3, 2, true)]);
        crate::until("one session is left", || node.hub.users.sessions() == 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_before_the_greeting_whatever_came_with_the_handshake() {
    for feed in [UNACKNOWLEDGED, after(2), Feed::Entries(Begin::Live)] {
        let node = TestNode::new().await;
        node.born(1, 2);
        node.store.set(Op::Head, Mode::Hang);
        let conn = node.follow(1, feed).await;
        conn.session.heard(Heard::Ping(None));
        let (code, message) = ("unknown_type", "No.".to_owned());
        conn.session.heard(Heard::Bad { tag: None, code, message });
        conn.ask("ack", Ask::Ack(Seq(2)));
        let renewal = Err(NotRenewed::Busy);
        conn.session.heard(Heard::Renewed { tag: Some("token".into()), renewal });
        node.store.until_asked(Op::Head, 1).await;
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(conn.probe.seen().frames, [], "{feed:?}");
        node.store.set(Op::Head, Mode::Good);
        conn.answer("token").await;
        let frames = conn.probe.seen().frames.clone();
        assert!(matches!(frames[0], Frame::Welcome { .. } | Frame::Established(_)), "{feed:?}");
        let answers =
            |frame: &&Frame| matches!(frame, Frame::Pong(_) | Frame::Error(_) | Frame::Answer(..));
        let answers: Vec<_> = frames.iter().filter(answers).collect();
        assert!(matches!(answers[..2], [Frame::Pong(None), Frame::Error("unknown_type")]));
        assert_eq!(answers.len(), 4, "{feed:?}: {answers:?}");
        node.hub.users.end_sessions(USER, None, Revoked::Right);
        node.until_listed("user/1", false).await;
        // What a client says that it has, it has, as soon as it is known what it was shown.
        let wanted = if matches!(feed, Feed::Changes(_)) { 2 } else { 0 };
        assert_eq!(node.delivered(1), wanted, "{feed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_says_too_much_before_its_greeting_is_too_fast() {
    let node = TestNode::new().await;
    node.store.set(Op::Head, Mode::Hang);
    let conn = node.follow(1, UNACKNOWLEDGED).await;
    for _ in 0..33 {
        conn.session.heard(Heard::Ping(None));
    }
    assert!(matches!(conn.probe.ended().await, Ending::TooMany { .. }));
    assert_eq!(conn.probe.seen().frames, []);
}
