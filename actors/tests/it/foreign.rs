//! Messages of the broker that are not what the store has: of another history of an inbox, as a
//! server has it that was restored or failed over, or a copy. What they took the place of is shown
//! and is never counted as delivered before it was.

use std::time::Duration;

use bellpull_domain::ids::{NotificationId, Seq, UserId};
use bellpull_domain::inbox::{Change, Entry, Mark, Marked};
use bellpull_port::outlet::Ending;
use bellpull_port::session::{Begin, Feed, Heard, Resume};
use bellpull_port::testing::{Frame, Op, content};
use bellpull_port::{Broker, BrokerMessage};

use crate::broker::Nodes;
use crate::{TestClient, until};

const USER: i64 = 1;

fn added(seq: i64) -> Change {
    let id = NotificationId(9_000 + seq);
    let entry = Entry { id, seq: Seq(seq), is_read: false, message: content("foreign") };
    Change::Added { entry, unread_count: 77 }
}

fn marked(first: i64, last: i64) -> Change {
    let ids = (first..=last).map(NotificationId).collect();
    let (first, last) = (Seq(first), Seq(last));
    Change::Marked(Marked { mark: Mark::Read, ids, first, last, unread_count: 0 })
}

/// How often each of the store's rows was shown as a notification.
fn shown(client: &TestClient, of: &[Change]) -> Vec<usize> {
    let seen = client.probe.seen();
    let frames = &seen.frames;
    let ids = |frame: &Frame| {
        if let Frame::Notification { id, .. } = frame { Some(*id) } else { None }
    };
    let count = |change: &Change| {
        let Change::Added { entry, .. } = change else { panic!("{change:?}") };
        frames.iter().filter_map(ids).filter(|id| *id == entry.id).count()
    };
    of.iter().map(count).collect()
}

#[tokio::test(start_paused = true)]
async fn what_a_foreign_message_took_the_place_of_is_shown_and_not_counted_before() {
    for foreign in [added(1), marked(1, 1), marked(1, 40)] {
        for is_announced in [true, false] {
            let nodes = Nodes::two().await;
            let client = nodes.there.attach(USER, Begin::Undelivered).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let net = nodes.net.join();
            net.publish(BrokerMessage::Changed { user: UserId(USER), change: &foreign });
            tokio::time::sleep(Duration::from_secs(25)).await;
            assert_eq!(nodes.there.delivered(USER), 0, "{foreign:?}");
            let real = nodes.there.born(USER, 3);
            if is_announced {
                for change in &real {
                    nodes.here.hub.users.tell(UserId(USER), change.clone());
                }
            }
            // Those that were shown before the store was asked are shown again.
            let has_all = || shown(&client, &real).iter().all(|times| *times >= 1);
            until("they are shown", has_all).await;
            until("and saved", || nodes.there.delivered(USER) == 3).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_before_the_comparison_leaves_the_real_one_to_the_next() {
    for foreign in [added(1), marked(1, 40)] {
        let nodes = Nodes::two().await;
        let client = nodes.there.attach(USER, Begin::Undelivered).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let net = nodes.net.join();
        net.publish(BrokerMessage::Changed { user: UserId(USER), change: &foreign });
        let real = nodes.here.born(USER, 1);
        nodes.here.hub.users.tell(UserId(USER), real[0].clone());
        client.session.heard(Heard::Ended(Ending::Closed { code: 1000 }));
        tokio::time::sleep(Duration::from_secs(3)).await;
        let next = nodes.here.attach(USER, Begin::Undelivered).await;
        until("it is shown", || shown(&next, &real) == [1]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_of_changes_is_reset_and_told_all_again() {
    let nodes = Nodes::two().await;
    let client = nodes.there.follow(USER, Feed::Changes(Resume::Live)).await;
    client.probe.until(|seen| !seen.frames.is_empty()).await;
    let net = nodes.net.join();
    net.publish(BrokerMessage::Changed { user: UserId(USER), change: &added(1) });
    let real = nodes.here.born(USER, 1);
    nodes.here.hub.users.tell(UserId(USER), real[0].clone());
    let is_reset = |frame: &Frame| matches!(frame, Frame::Reset);
    client.probe.until(|seen| seen.frames.iter().any(is_reset)).await;
    let Change::Added { entry, .. } = &real[0] else { panic!() };
    let is_row =
        |frame: &Frame| format!("{frame:?}").contains(&format!("NotificationId({})", entry.id.0));
    client
        .probe
        .until(|seen| {
            let reset = seen.frames.iter().position(is_reset).unwrap_or(usize::MAX);
            seen.frames.iter().skip(reset).any(is_row)
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_has_gone_back_is_followed_anew() {
    let nodes = Nodes::two().await;
    let client = nodes.there.attach(USER, Begin::Undelivered).await;
    nodes.there.tell(USER);
    client.probe.shown(1).await;
    // What the server has lost by a failover: three numbers, which this node has shown.
    for seq in 2..=4 {
        nodes.there.hub.users.tell(UserId(USER), added(seq));
    }
    client.probe.shown(4).await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    let real = nodes.here.born(USER, 2);
    for change in &real {
        nodes.here.hub.users.tell(UserId(USER), change.clone());
    }
    until("they are shown", || shown(&client, &real) == [1, 1]).await;
}

#[tokio::test(start_paused = true)]
async fn an_inbox_that_is_said_to_be_far_ahead_is_read_once() {
    let nodes = Nodes::two().await;
    let _client = nodes.there.attach(USER, Begin::Undelivered).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let net = nodes.net.join();
    net.publish(BrokerMessage::Moved(&[(UserId(USER), Seq(i64::MAX))]));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = nodes.there.store.asked(Op::Entries);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(nodes.there.store.asked(Op::Entries), before);
}
