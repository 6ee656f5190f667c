//! What a client asks of its user's actor: in order, answered in the place of what was done.

use std::time::Duration;

use bellpull_domain::ids::{LoginId, NotificationId, Seq, UserId};
use bellpull_domain::inbox::{Change, Mark};
use bellpull_port::inbox::Selection;
use bellpull_port::outlet::{Ending, Revoked};
use bellpull_port::session::{Answer, Ask, Begin, Feed, Heard, NotRenewed, Renewal, Resume, Tag};
use bellpull_port::testing::{Frame, Mode, Op};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::{TestClient, TestNode, since};

const USER: UserId = UserId(1);
const CHANGES: Feed = Feed::Changes(Resume::After(Seq(0)));

fn tag(name: impl ToString) -> Tag {
    Some(name.to_string().into())
}

fn read(ids: &[i64]) -> Ask {
    let ids = ids.iter().map(|id| NotificationId(*id)).collect();
    Ask::Mark { selection: Selection::ids(ids), mark: Mark::Read }
}

fn read_all() -> Ask {
    Ask::Mark { selection: Selection::all(), mark: Mark::Read }
}

fn marked(count: usize, is_found: bool, unread_count: i64, seq: i64) -> Answer {
    Answer::Marked { count, is_found, unread_count, seq: Seq(seq) }
}

impl TestClient {
    fn answers(&self) -> Vec<(String, Answer)> {
        let answer = |frame: &Frame| {
            let Frame::Answer(tag, answer) = frame else { return None };
            Some((tag.as_deref().unwrap_or_default().to_owned(), answer.clone()))
        };
        self.probe.seen().frames.iter().filter_map(answer).collect()
    }

    /// The frames behind the greeting.
    fn tail(&self, from: usize) -> Vec<Frame> {
        self.probe.seen().frames[from..].to_vec()
    }
}

fn refusal(answer: &Answer) -> &'static str {
    let Answer::Refused { code, .. } = answer else { panic!("{answer:?}") };
    code
}

#[tokio::test(start_paused = true)]
async fn a_mark_is_answered_to_its_session_and_told_to_all_others() {
    let node = TestNode::new().await;
    node.born(1, 3);
    let asker = node.follow(1, CHANGES).await;
    let device = node.follow(1, CHANGES).await;
    let family = node.attach(1, since(0)).await;
    family.probe.shown(3).await;
    asker.ask("r1", read(&[1, 3]));
    assert_eq!(asker.answer("r1").await, marked(2, true, 1, 5));
    let is_marked = |frame: &Frame| {
        let Frame::Marked(marked) = frame else { return false };
        (marked.first, marked.last, marked.unread_count) == (Seq(4), Seq(5), 1)
    };
    device.probe.until(|seen| seen.frames.iter().any(is_marked)).await;
    family.probe.until(|seen| seen.frames.iter().any(is_marked)).await;
    assert!(!asker.probe.seen().frames.iter().any(is_marked), "it has its answer");
    node.tell(1);
    let is_last = |frame: &Frame| matches!(frame, Frame::Notification { unread_count: 2, .. });
    asker.probe.until(|seen| seen.frames.last().is_some_and(is_last)).await;
}

#[tokio::test(start_paused = true)]
async fn a_mark_over_rest_is_told_to_all_sessions() {
    let node = TestNode::new().await;
    node.born(1, 1);
    let device = node.follow(1, CHANGES).await;
    let all = Selection::all();
    node.hub.users.mark(USER, all, Mark::Read, Timestamp::UNIX_EPOCH).await.unwrap();
    device.probe.until(|seen| matches!(seen.frames.last(), Some(Frame::Marked(_)))).await;
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_changes_nothing_says_so_and_whether_its_row_is_there() {
    let node = TestNode::new().await;
    node.born(1, 1);
    node.born(2, 1);
    let asker = node.follow(1, CHANGES).await;
    for (name, ask, wanted) in [
        ("first", read(&[1]), marked(1, true, 0, 2)),
        ("again", read(&[1]), marked(0, true, 0, 2)),
        ("another's", read(&[2]), marked(0, false, 0, 2)),
        ("several", read(&[2, 77]), marked(0, true, 0, 2)),
        ("all", read_all(), marked(0, true, 0, 2)),
    ] {
        asker.ask(name, ask);
        assert_eq!(asker.answer(name).await, wanted, "{name}");
    }
}

/// Between the mark that changes nothing and its answer another device marks the same row.
#[tokio::test(start_paused = true)]
async fn a_mark_that_changed_nothing_does_not_hold_against_what_came_after_it() {
    let node = TestNode::new().await;
    node.born(1, 1);
    let asker = node.follow(1, CHANGES).await;
    asker.probe.until(|seen| seen.frames.len() == 2).await;
    node.store.set(Op::Head, Mode::Hang);
    let asked = node.store.asked(Op::Head);
    let selection = Selection::ids(vec![NotificationId(1)]);
    asker.ask("unread", Ask::Mark { selection: selection.clone(), mark: Mark::Unread });
    node.store.until_asked(Op::Head, asked + 1).await;
    node.hub.users.mark(USER, selection, Mark::Read, Timestamp::UNIX_EPOCH).await.unwrap();
    let is_read = |frame: &Frame| matches!(frame, Frame::Marked(marked) if marked.last == Seq(2));
    asker.probe.until(|seen| seen.frames.last().is_some_and(is_read)).await;
    node.store.set(Op::Head, Mode::Good);
    // It is told the count as it is now, and keeps to the row as the other device left it.
    assert_eq!(asker.answer("unread").await, marked(0, true, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_for_its_place_behind_a_gap() {
    let node = TestNode::new().await;
    node.born(1, 1);
    let asker = node.follow(1, CHANGES).await;
    asker.probe.until(|seen| seen.frames.len() == 2).await;
    // The second is on its way while both are read, the third comes behind.
    let late = node.born(1, 1);
    asker.ask("all", read_all());
    node.store.until_asked(Op::Mark, 1).await;
    tokio::task::yield_now().await;
    node.tell(1);
    assert_eq!(asker.answers(), []);
    for hint in late {
        node.hub.users.tell(USER, hint);
    }
    assert_eq!(asker.answer("all").await, marked(2, true, 0, 4));
    let counts: Vec<i64> = asker.tail(2).iter().filter_map(count).collect();
    assert_eq!(counts, [2, 0, 1]);
}

fn count(frame: &Frame) -> Option<i64> {
    if let Frame::Answer(_, Answer::Marked { unread_count, .. }) = frame {
        return Some(*unread_count);
    }
    if let Frame::Row { unread_count, .. } = frame {
        return Some(*unread_count);
    }
    let Frame::Notification { unread_count, .. } = frame else { return None };
    Some(*unread_count)
}

#[tokio::test(start_paused = true)]
async fn an_answer_keeps_its_place_when_the_gap_is_read_from_the_store() {
    let node = TestNode::new().await;
    node.born(1, 1);
    let asker = node.follow(1, CHANGES).await;
    asker.probe.until(|seen| seen.frames.len() == 2).await;
    drop(node.born(1, 1));
    asker.ask("one", read(&[1]));
    node.store.until_asked(Op::Mark, 1).await;
    tokio::task::yield_now().await;
    node.tell(1);
    assert_eq!(asker.answer("one").await, marked(1, true, 2, 3));
    let rows = |frame: &Frame| {
        let Frame::Row { changed_seq, .. } = frame else { return None };
        Some(changed_seq.0)
    };
    asker.probe.until(|seen| seen.frames.iter().filter_map(rows).any(|seq| seq == 4)).await;
    let shown: Vec<i64> = asker.tail(2).iter().filter_map(rows).collect();
    // Its own mark too: the connection could have ended between it and the answer.
    assert_eq!(shown, [2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_list_shows_any_part_of_the_inbox_newest_first() {
    let node = TestNode::new().await;
    node.born(1, 7);
    let asker = node.attach(1, since(7)).await;
    asker.ask("read", read(&[4]));
    asker.ask("part", Ask::List { limit: 3, offset: 2 });
    let Answer::Listed { notifications, total, unread_count } = asker.answer("part").await else {
        panic!()
    };
    let rows: Vec<(i64, bool)> =
        notifications.iter().map(|row| (row.id.0, row.read_at.is_some())).collect();
    assert_eq!(rows, [(5, false), (4, true), (3, false)]);
    assert_eq!((total, unread_count), (7, 6));
}

#[tokio::test(start_paused = true)]
async fn requests_are_answered_in_their_order_and_too_many_are_refused() {
    let node = TestNode::new().await;
    node.born(1, 50);
    let asker = node.follow(1, CHANGES).await;
    asker.probe.until(|seen| seen.frames.len() == 51).await;
    node.store.set(Op::Mark, Mode::Hang);
    for n in 1..=40 {
        asker.ask(n, read(&[n]));
    }
    // One is under way and 32 wait.
    let busy = asker.answer(34).await;
    assert!(matches!(busy, Answer::Refused { code: "busy", retry_after_ms: Some(_), .. }));
    asker.probe.until(|seen| seen.frames.len() == 51 + 7).await;
    node.store.set(Op::Mark, Mode::Good);
    asker.answer(33).await;
    let names: Vec<String> = asker.answers().into_iter().map(|(name, _)| name).collect();
    let wanted: Vec<String> = (34..=40).chain(1..=33).map(|n| n.to_string()).collect();
    assert_eq!(names, wanted);
    asker.ask("later", read(&[40]));
    assert_eq!(asker.answer("later").await, marked(1, true, 16, 84));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_before_the_welcome_is_answered_behind_the_backlog() {
    let node = TestNode::new().await;
    node.born(1, 3);
    node.store.set(Op::Head, Mode::Delay(Duration::from_millis(100)));
    let asker = node.follow(1, CHANGES).await;
    asker.ask("all", read_all());
    asker.ask("list", Ask::List { limit: 1, offset: 0 });
    asker.answer("list").await;
    let frames = asker.probe.seen().frames.clone();
    // It is carried out once the session is greeted: the greeting does not know of it.
    assert!(matches!(frames[0], Frame::Welcome { unread_count: 3, .. }), "{frames:?}");
    assert!(matches!(frames[4], Frame::Answer(_, Answer::Marked { .. })), "{frames:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_refuses_with_a_hint_and_the_next_request_is_tried() {
    let node = TestNode::new().await;
    node.born(1, 1);
    let asker = node.attach(1, since(1)).await;
    for mode in [Mode::Fail, Mode::Hang] {
        node.store.set(Op::Mark, mode);
        asker.ask(format!("{mode:?}"), read_all());
        let answer = asker.answer(format!("{mode:?}")).await;
        let is_hinted = matches!(answer, Answer::Refused { retry_after_ms: Some(_), .. });
        assert_eq!((refusal(&answer), is_hinted), ("unavailable", true));
    }
    node.store.set(Op::Mark, Mode::Good);
    asker.ask("good", read_all());
    assert_eq!(asker.answer("good").await, marked(1, true, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn what_a_session_asked_for_is_told_although_it_or_its_actor_goes_away() {
    for is_killed in [false, true] {
        let node = TestNode::new().await;
        node.born(1, 1);
        let asker = node.follow(1, CHANGES).await;
        let before = node.attach(1, since(1)).await;
        node.store.set(Op::Mark, Mode::Hang);
        asker.ask("all", read_all());
        node.store.until_asked(Op::Mark, 1).await;
        if is_killed {
            node.hub.kill_at("user/1").await.unwrap();
            before.probe.ended().await;
        } else {
            asker.session.heard(Heard::Ended(Ending::Closed { code: 1000 }));
        }
        asker.probe.ended().await;
        let other = node.attach(1, since(1)).await;
        node.store.until_asked(Op::Head, 3).await;
        tokio::task::yield_now().await;
        node.store.set(Op::Mark, Mode::Good);
        other.probe.until(|seen| matches!(seen.frames.last(), Some(Frame::Marked(_)))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_of_nothing_is_answered_at_once() {
    let node = TestNode::new().await;
    node.born(1, 2);
    let asker = node.follow(1, Feed::Nothing).await;
    asker.ask("all", read_all());
    assert_eq!(asker.answer("all").await, marked(2, true, 0, 4));
    asker.ask("again", read_all());
    assert_eq!(asker.answer("again").await, marked(0, true, 0, 4));
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_with_a_name_is_answered_at_once() {
    let node = TestNode::new().await;
    node.born(1, 1);
    let asker = node.follow(1, CHANGES).await;
    node.store.set(Op::Mark, Mode::Hang);
    asker.ask("all", read_all());
    asker.ask("ack", Ask::Ack(Seq(1)));
    assert_eq!(asker.answer("ack").await, Answer::Done);
}

impl TestClient {
    fn renew(&self, name: &str, user: i64, expires_at: Timestamp) {
        let renewal = Renewal { user: UserId(user), login: Some(LoginId(9)), expires_at };
        self.session.heard(Heard::Renewed { tag: tag(name), renewal: Ok(renewal) });
    }

    fn warnings(&self) -> Vec<Timestamp> {
        let warning = |frame: &Frame| {
            let Frame::TokenExpiring(at) = frame else { return None };
            Some(*at)
        };
        self.probe.seen().frames.iter().filter_map(warning).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_told_once_that_its_token_ends_soon() {
    for feed in [CHANGES, Feed::Entries(Begin::Undelivered), Feed::Nothing] {
        let node = TestNode::new().await;
        let begun = Instant::now();
        let lasts = Duration::from_secs(150);
        let (session, probe) = node.try_follow(1, feed, None, lasts).await;
        let conn = TestClient { session: session.unwrap(), probe };
        conn.probe.until(|_| !conn.warnings().is_empty()).await;
        let left = lasts - begun.elapsed();
        assert!(left <= Duration::from_secs(50) && left > Duration::from_secs(48), "{left:?}");
        assert!(matches!(conn.probe.ended().await, Ending::TokenEnded(_)));
        assert_eq!(conn.warnings().len(), 1);
    }
}

/// Renews at each warning, like a page. So many seconds after the one before it was each.
async fn renew_at_warnings(node: &TestNode, life: Duration, until: Duration) -> Vec<u64> {
    let (session, probe) = node.try_follow(1, CHANGES, Some(9), life).await;
    let conn = TestClient { session: session.unwrap(), probe };
    conn.probe.until(|seen| !seen.frames.is_empty()).await;
    let (begun, mut last, mut waits) = (Instant::now(), Instant::now(), Vec::new());
    while begun.elapsed() < until && waits.len() < 100 {
        let renewals = waits.len();
        if conn.warnings().len() > renewals {
            waits.push(last.elapsed().as_secs());
            last = Instant::now();
            conn.renew(&format!("t{renewals}"), 1, node.clock_in(life));
            conn.answer(&format!("t{renewals}")).await;
        } else {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    waits
}

#[tokio::test(start_paused = true)]
async fn a_client_that_renews_at_each_warning_renews_once_in_two_thirds_of_a_life() {
    for (life, between) in [(30, 20), (60, 40), (180, 120), (600, 540)] {
        let node = TestNode::new().await;
        let (life, until) = (Duration::from_secs(life), Duration::from_secs(life * 10 + 1));
        let waits = renew_at_warnings(&node, life, until).await;
        assert!(waits.len() <= 15, "{} renewals of a token of {life:?}: {waits:?}", waits.len());
        assert!(waits.len() >= 11, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait == between), "{life:?}: {waits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_brings_no_time_is_not_warned_of_again() {
    let node = TestNode::new().await;
    let (begun, lasts) = (Instant::now(), Duration::from_secs(60));
    let ends_at = node.clock_in(lasts);
    let (session, probe) = node.try_follow(1, CHANGES, Some(9), lasts).await;
    let conn = TestClient { session: session.unwrap(), probe };
    tokio::time::sleep(Duration::from_secs(30)).await;
    conn.probe.until(|_| !conn.warnings().is_empty()).await;
    for renewal in ["a", "b", "c"] {
        conn.renew(renewal, 1, ends_at);
        assert_eq!(conn.answer(renewal).await, Answer::Done);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert!(matches!(conn.probe.ended().await, Ending::TokenEnded(_)));
    assert_eq!(conn.warnings(), [ends_at]);
    let lasted = begun.elapsed();
    assert!(lasted >= lasts && lasted < lasts + Duration::from_secs(2), "{lasted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_on_with_another_token_of_its_user_and_no_other() {
    let node = TestNode::new().await;
    let at = |seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
    let begun = Instant::now();
    let (session, probe) = node.try_follow(1, CHANGES, Some(8), Duration::from_secs(70)).await;
    let conn = TestClient { session: session.unwrap(), probe };
    conn.renew("another's", 2, at(500));
    conn.renew("expired", 1, at(0));
    let not_renewed = |name, why| {
        conn.session.heard(Heard::Renewed { tag: tag(name), renewal: Err(why) });
    };
    not_renewed("bad", NotRenewed::BadToken("It was tampered with.".to_owned()));
    // A token that was not verified is not invalid: it may be tried again.
    for (name, why, code) in
        [("busy", NotRenewed::Busy, "busy"), ("away", NotRenewed::Unavailable, "unavailable")]
    {
        not_renewed(name, why);
        let answer = conn.answer(name).await;
        let Answer::Refused { code: found, retry_after_ms, .. } = &answer else { panic!() };
        assert_eq!((*found, *retry_after_ms), (code, Some(1_000)));
    }
    for name in ["another's", "expired", "bad"] {
        assert_eq!(refusal(&conn.answer(name).await), "token_not_valid", "{name}");
    }
    conn.probe.until(|_| !conn.warnings().is_empty()).await;
    conn.renew("good", 1, at(150));
    assert_eq!(conn.answer("good").await, Answer::Done);
    node.hub.users.end_sessions(USER, Some(LoginId(8)), Revoked::Right);
    conn.probe.until(|_| conn.warnings() == [at(70), at(150)]).await;
    conn.renew("shorter", 1, at(140));
    assert!(matches!(conn.probe.ended().await, Ending::TokenEnded(_)));
    let lasted = begun.elapsed();
    assert!(lasted >= Duration::from_secs(140) && lasted < Duration::from_secs(142), "{lasted:?}");
    assert_eq!(conn.warnings(), [at(70), at(150), at(140)]);

    let (session, probe) = node.try_follow(1, CHANGES, Some(8), Duration::from_secs(70)).await;
    let conn = TestClient { session: session.unwrap(), probe };
    conn.renew("good", 1, at(100_000));
    conn.answer("good").await;
    node.hub.users.end_sessions(USER, Some(LoginId(9)), Revoked::Right);
    assert_eq!(conn.probe.ended().await, Ending::RightWithdrawn, "its login is the new one");
}

#[tokio::test(start_paused = true)]
async fn a_mark_whose_hint_is_doubled_is_told_once() {
    let node = TestNode::new().await;
    node.born(1, 1);
    let asker = node.follow(1, CHANGES).await;
    let device = node.follow(1, CHANGES).await;
    asker.ask("all", read_all());
    asker.answer("all").await;
    device.probe.until(|seen| matches!(seen.frames.last(), Some(Frame::Marked(_)))).await;
    let Some(Frame::Marked(marked)) = device.probe.seen().frames.last().cloned() else { panic!() };
    node.hub.users.tell(USER, Change::Marked(marked));
    node.tell(1);
    let is_new = |frame: &Frame| matches!(frame, Frame::Notification { .. });
    for conn in [&asker, &device] {
        conn.probe.until(|seen| seen.frames.last().is_some_and(is_new)).await;
        assert_eq!(conn.tail(0).len(), 4);
    }
}

/// The rows of every change, with the count behind it; they follow each other from `after` on.
fn changes(frames: &[Frame], after: i64) -> (Vec<usize>, i64) {
    let (mut sizes, mut at) = (Vec::new(), after);
    for frame in frames {
        let Frame::Marked(marked) = frame else { continue };
        assert_eq!(marked.first.0, at + 1);
        at = marked.last.0;
        sizes.push(marked.ids.len());
        assert_eq!(marked.unread_count, 2 * after - at, "each row is one less");
    }
    (sizes, at)
}

#[tokio::test(start_paused = true)]
async fn a_mark_of_many_rows_is_several_changes_and_one_exact_answer() {
    const COUNT: usize = 7_300;
    const ROWS: i64 = 7_300;
    let node = TestNode::new().await;
    node.born(1, COUNT);
    let (asker, device) = (node.follow(1, CHANGES).await, node.follow(1, CHANGES).await);
    device.probe.until(|seen| seen.frames.len() > 300).await;
    let marks = node.store.asked(Op::Mark);
    asker.ask("all", read_all());
    assert_eq!(asker.answer("all").await, marked(COUNT, true, 0, 2 * ROWS));
    assert_eq!(node.store.asked(Op::Mark) - marks, 3, "1,000, 5,000 and the rest");
    let is_last = |frame: &Frame| matches!(frame, Frame::Marked(last) if last.last.0 == 2 * ROWS);
    device.probe.until(|seen| seen.frames.iter().any(is_last)).await;
    let (sizes, at) = changes(&device.tail(0), ROWS);
    assert!(sizes.iter().all(|size| *size <= 500), "{sizes:?}");
    assert_eq!((sizes.iter().sum::<usize>(), at), (COUNT, 2 * ROWS));
    // The answer takes the place of the last change.
    let (own, at) = changes(&asker.tail(0), ROWS);
    let last = i64::try_from(*sizes.last().unwrap()).unwrap();
    assert_eq!((own.len(), at), (sizes.len() - 1, 2 * ROWS - last));
}

#[tokio::test(start_paused = true)]
async fn a_mark_of_many_rows_that_fails_on_its_way_says_so_and_the_next_one_does_the_rest() {
    const COUNT: usize = 2_300;
    let node = TestNode::new().await;
    node.born(1, COUNT);
    let asker = node.follow(1, CHANGES).await;
    asker.probe.until(|seen| !seen.frames.is_empty()).await;
    let marks = node.store.asked(Op::Mark);
    node.store.set(Op::Mark, Mode::Delay(Duration::from_secs(1)));
    asker.ask("all", read_all());
    node.store.until_asked(Op::Mark, marks + 1).await;
    node.store.set(Op::Mark, Mode::Hang); // the next portion
    node.store.until_asked(Op::Mark, marks + 2).await;
    node.store.set(Op::Mark, Mode::Fail);
    assert_eq!(refusal(&asker.answer("all").await), "unavailable");
    node.store.set(Op::Mark, Mode::Good);
    let left = usize::try_from(node.store.head_now(USER).unread_count).unwrap();
    assert!(left > 0 && left < COUNT, "{left}");
    asker.ask("again", read_all());
    assert_eq!(asker.answer("again").await, marked(left, true, 0, 4_600));
}
