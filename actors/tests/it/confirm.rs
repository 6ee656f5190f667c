//! What counts as delivered to a client that acknowledges nothing.

use std::time::Duration;

use bellpull_port::outlet::Ending;
use bellpull_port::session::{Begin, Heard};
use bellpull_port::testing::Frame;

use crate::{TestNode, until};

/// More than two turns of the wheel: one notes what was sent, one confirms it.
const TURNS: Duration = Duration::from_secs(16);

#[tokio::test(start_paused = true)]
async fn what_a_dead_line_has_taken_comes_again() {
    let node = TestNode::new().await;
    let conn = node.attach(1, Begin::Undelivered).await;
    conn.probe.until(|seen| !seen.frames.is_empty()).await;
    // The line dies: its kernel takes everything, the client says nothing.
    conn.probe.set(|seen| seen.silent_s = 30);
    node.tell(1);
    assert_eq!(conn.probe.shown(1).await, [1]);
    tokio::time::sleep(TURNS).await;
    assert_eq!(node.delivered(1), 0, "no sign of life since");
    conn.probe.set(|seen| seen.silent_s = 75);
    assert_eq!(conn.probe.ended().await, Ending::Silent);

    let again = node.attach(1, Begin::Undelivered).await;
    assert_eq!(again.probe.shown(1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_a_sign_of_life_does_not_come_again() {
    let node = TestNode::new().await;
    let conn = node.attach(1, Begin::Undelivered).await;
    node.tell(1);
    assert_eq!(conn.probe.shown(1).await, [1]);
    conn.probe.until(|seen| seen.frames.contains(&Frame::Ping)).await;
    until("the answer to the ping confirms it", || node.delivered(1) == 1).await;
    // What is sent from now on is lost.
    conn.probe.set(|seen| seen.silent_s = 30);
    node.tell(1);
    assert_eq!(conn.probe.shown(2).await, [1, 2]);
    conn.probe.set(|seen| seen.silent_s = 75);
    conn.probe.ended().await;

    let again = node.attach(1, Begin::Undelivered).await;
    assert_eq!(again.probe.shown(2).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn an_end_confirms_what_the_other_side_has_acknowledged() {
    let closed = Ending::Closed { code: 1000 };
    let reset = Ending::Closed { code: 1006 };
    for (why, is_lost, wanted) in
        [(closed, false, 1), (closed, true, 0), (reset, false, 0), (reset, true, 0)]
    {
        let node = TestNode::new().await;
        let conn = node.attach(1, Begin::Undelivered).await;
        conn.probe.set(|seen| seen.is_lost = is_lost);
        node.tell(1);
        conn.probe.shown(1).await;
        conn.session.heard(Heard::Ended(why));
        conn.probe.ended().await;
        tokio::time::sleep(TURNS).await;
        assert_eq!(node.delivered(1), wanted, "{why:?}, lost: {is_lost}");
    }
}
