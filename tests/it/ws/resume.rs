//! Where a socket begins, and that all of a user's sockets see the same.

use std::time::Duration;

use bellpull_domain::ids::{Seq, UserId};
use serde_json::{Value, json};

use super::{Socket, raise};
use crate::support::{Hub, Person};

async fn raise_many(hub: &Hub, person: &Person, titles: std::ops::RangeInclusive<i64>) {
    for title in titles {
        raise(hub, person, &title.to_string()).await;
    }
}

/// The next notifications are those with these numbers, in this order.
async fn expect(socket: &mut Socket, numbers: impl IntoIterator<Item = i64>) {
    for number in numbers {
        let seen = socket.next().await;
        assert_eq!(seen["seq"], number, "{seen}");
        assert_eq!(seen["ticket"]["title"], number.to_string(), "{seen}");
    }
}

#[tokio::test]
async fn what_was_missed_comes_first_and_then_what_is_live() {
    let hub = Hub::start().await;
    let (ada, carl) = (hub.user("ada", "admin").await, hub.user("carl", "client").await);
    raise_many(&hub, &carl, 1..=5).await;
    let mut socket = Socket::established(&hub, &ada, "").await;
    expect(&mut socket, 1..=5).await;
    raise_many(&hub, &carl, 6..=7).await;
    expect(&mut socket, 6..=7).await;
    socket.expect_nothing().await;
}

#[tokio::test]
async fn what_was_confirmed_is_not_sent_again_unless_it_is_asked_for() {
    let hub = Hub::start_with(|config| config.ws.ping_after_s = 1).await;
    let (ada, carl) = (hub.user("ada", "admin").await, hub.user("carl", "client").await);
    raise_many(&hub, &carl, 1..=4).await;
    let mut first = Socket::established(&hub, &ada, "").await;
    expect(&mut first, 1..=4).await;
    // Beside the first, once that has said something; and after it.
    while hub.store().head(UserId(ada.id)).await.unwrap().delivered_seq < Seq(4) {
        first.expect_nothing().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Socket::established(&hub, &ada, "").await.expect_nothing().await;
    first.close().await;
    let mut next = Socket::established(&hub, &ada, "").await;
    next.expect_nothing().await;
    let mut since = Socket::established(&hub, &ada, "&since=2").await;
    expect(&mut since, 3..=4).await;
    let mut all = Socket::established(&hub, &ada, "&since=0").await;
    expect(&mut all, 1..=4).await;
    let mut ahead = Socket::established(&hub, &ada, "&since=99").await;
    ahead.expect_nothing().await;
    raise_many(&hub, &carl, 5..=5).await;
    for socket in [&mut next, &mut since, &mut all] {
        expect(socket, 5..=5).await;
    }
}

#[tokio::test]
async fn a_client_may_want_no_backlog() {
    let hub = Hub::start().await;
    let (ada, carl) = (hub.user("ada", "admin").await, hub.user("carl", "client").await);
    raise_many(&hub, &carl, 1..=3).await;
    let mut socket = Socket::established(&hub, &ada, "&replay=none").await;
    socket.expect_nothing().await;
    raise_many(&hub, &carl, 4..=4).await;
    expect(&mut socket, 4..=4).await;
}

#[tokio::test]
async fn a_backlog_that_is_too_long_begins_with_what_was_left_out() {
    let hub = Hub::start_with(|config| config.replay_limit = 3).await;
    let (ada, carl) = (hub.user("ada", "admin").await, hub.user("carl", "client").await);
    raise_many(&hub, &carl, 1..=3).await;
    let mut whole = Socket::established(&hub, &ada, "&since=0").await;
    expect(&mut whole, 1..=3).await;
    raise_many(&hub, &carl, 4..=8).await;
    let mut cut = Socket::established(&hub, &ada, "&since=1").await;
    assert_eq!(cut.next().await, json!({"type": "backlog_truncated", "skipped": 4}));
    expect(&mut cut, 6..=8).await;
    cut.expect_nothing().await;
    // What is live is never cut.
    expect(&mut whole, 4..=8).await;
}

#[tokio::test]
async fn all_sockets_of_a_user_see_the_same_in_the_same_order() {
    let hub = Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    let mut clients = Vec::new();
    for index in 0..4 {
        clients.push(hub.user(&format!("client{index}"), "client").await);
    }
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(Socket::established(&hub, &ada, "").await);
    }
    // Four at once, so that the order is for the hub to make.
    let raised = clients.iter().map(|client| async {
        for index in 0..10 {
            raise(&hub, client, &format!("{} {index}", client.username)).await;
        }
    });
    futures_util::future::join_all(raised).await;
    let mut seen: Vec<Vec<Value>> = Vec::new();
    for socket in &mut sockets {
        let mut frames = Vec::new();
        for number in 1..=40 {
            let frame = socket.next().await;
            assert_eq!(frame["seq"], number);
            frames.push(frame);
        }
        socket.expect_nothing().await;
        seen.push(frames);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
}
