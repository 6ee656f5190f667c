//! Presence: who is there, what they look at, what they type on, as the others are told of it.

use std::collections::BTreeSet;
use std::time::Duration;

use bellpull_domain::ids::{TicketId, UserId};
use bellpull_domain::stream::{Person, StreamEvent};
use bellpull_port::outlet::Ending;
use bellpull_port::session::{Ask, Heard};
use bellpull_port::testing::{Frame, Probe};
use tokio::time::Instant;

use crate::broker::Nodes;
use crate::project::{PRESENCE, announced, lists};
use crate::{TestClient, TestNode};

fn person(id: i64) -> Person {
    Person { id: UserId(id), username: format!("user{id}").into() }
}

fn viewing(id: i64, ticket: Option<i64>) -> StreamEvent {
    StreamEvent::Viewing { person: person(id), was: None, ticket: ticket.map(TicketId) }
}

fn typing(id: i64, ticket: i64, is_typing: bool) -> StreamEvent {
    StreamEvent::Typing { person: person(id), ticket: TicketId(ticket), is_typing }
}

fn look(ticket: Option<i64>) -> Ask {
    Ask::Viewing { stream: None, ticket: ticket.map(TicketId) }
}

fn type_on(ticket: i64, is_typing: bool) -> Ask {
    Ask::Typing { stream: None, ticket: TicketId(ticket), is_typing }
}

async fn until_told(probe: &Probe, wanted: &[StreamEvent]) {
    probe.until(|_| announced(probe).len() >= wanted.len()).await;
    assert_eq!(announced(probe), wanted);
}

/// The users whom a client shows: the last list, with the events since.
fn present(probe: &Probe) -> Vec<i64> {
    let mut present = BTreeSet::new();
    for frame in &probe.seen().frames {
        if let Frame::Present(_, list) = frame {
            present = list.iter().map(|one| one.person.id.0).collect();
        } else if let Frame::Stream(_, StreamEvent::Joined(person)) = frame {
            present.insert(person.id.0);
        } else if let Frame::Stream(_, StreamEvent::Left(person)) = frame {
            present.remove(&person.id.0);
        }
    }
    present.into_iter().collect()
}

impl TestClient {
    async fn is_there(&self) {
        self.probe.until(|_| !lists(&self.probe).is_empty()).await;
    }

    fn leave(&self) {
        self.session.heard(Heard::Ended(Ending::Closed { code: 1001 }));
    }
}

#[tokio::test(start_paused = true)]
async fn three_tabs_join_once_and_leave_once() {
    let node = TestNode::new().await;
    node.team();
    let other = node.watch(2, PRESENCE).await;
    other.is_there().await;
    let mut tabs = Vec::new();
    for _ in 0..3 {
        let tab = node.watch(1, PRESENCE).await;
        tab.is_there().await;
        tabs.push(tab);
    }
    for tab in &tabs {
        assert_eq!(lists(&tab.probe), [[1, 2]]);
        assert_eq!(tab.probe.seen().frames[0], Frame::Established(UserId(1)));
    }
    until_told(&other.probe, &[StreamEvent::Joined(person(1))]).await;
    tabs[0].leave();
    tabs[2].leave();
    node.until_watched(0, 2).await;
    // Their own user is not told of its other sessions.
    tabs[1].say(look(Some(5)));
    until_told(&other.probe, &[StreamEvent::Joined(person(1)), viewing(1, Some(5))]).await;
    tabs[1].leave();
    let all = [StreamEvent::Joined(person(1)), viewing(1, Some(5)), StreamEvent::Left(person(1))];
    until_told(&other.probe, &all).await;
    assert!(tabs.iter().all(|tab| announced(&tab.probe).is_empty()));
    node.until_watched(0, 1).await;
}

#[tokio::test(start_paused = true)]
async fn the_newest_view_counts_and_a_repeated_one_is_not_sent() {
    let node = TestNode::new().await;
    node.team();
    let other = node.watch(2, PRESENCE).await;
    let (one, two) = (node.watch(1, PRESENCE).await, node.watch(1, PRESENCE).await);
    two.is_there().await;
    // A frame may come before the subscription stands: it is not lost.
    for (tab, ticket) in [(&one, Some(5)), (&one, Some(5)), (&two, Some(6)), (&two, None)] {
        tab.say(look(ticket));
        tab.probe.until(|seen| seen.flushes > 0).await;
        tokio::task::yield_now().await;
    }
    let joined = StreamEvent::Joined(person(1));
    let mut wanted = vec![joined, viewing(1, Some(5)), viewing(1, Some(6)), viewing(1, Some(5))];
    until_told(&other.probe, &wanted).await;
    two.say(look(Some(7)));
    wanted.push(viewing(1, Some(7)));
    until_told(&other.probe, &wanted).await;
    two.leave();
    wanted.push(viewing(1, Some(5)));
    until_told(&other.probe, &wanted).await;
    let newcomer = node.watch(8, PRESENCE).await;
    newcomer.is_there().await;
    let frames = newcomer.probe.seen().frames.clone();
    let Some(Frame::Present(_, people)) = frames.last() else { panic!("{frames:?}") };
    assert_eq!(people[0].viewing, Some(TicketId(5)));
}

#[tokio::test(start_paused = true)]
async fn typing_ends_by_itself_five_seconds_after_it_was_last_renewed() {
    let node = TestNode::new().await;
    node.team();
    let other = node.watch(2, PRESENCE).await;
    let tab = node.watch(1, PRESENCE).await;
    tab.is_there().await;
    tab.say(type_on(5, true));
    let mut wanted = vec![StreamEvent::Joined(person(1)), typing(1, 5, true)];
    until_told(&other.probe, &wanted).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    tab.say(type_on(5, true));
    let renewed = Instant::now();
    wanted.push(typing(1, 5, false));
    until_told(&other.probe, &wanted).await;
    let lasted = renewed.elapsed().as_millis();
    assert!((4_990..5_100).contains(&lasted), "{lasted} ms");
    // Begun anew, and ended by its author.
    for is_typing in [true, false] {
        tab.say(type_on(6, is_typing));
        wanted.push(typing(1, 6, is_typing));
        until_told(&other.probe, &wanted).await;
    }
    let handled = node.find("project/7").await.unwrap().handled;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let more = node.find("project/7").await.unwrap().handled - handled;
    assert!(more <= 3, "a timer without a purpose: {more} messages in four seconds");
}

#[tokio::test(start_paused = true)]
async fn a_users_actor_that_dies_leaves_no_ghost() {
    for is_panic in [true, false] {
        let node = TestNode::new().await;
        node.team();
        let other = node.watch(2, PRESENCE).await;
        other.is_there().await;
        let tab = node.watch(1, PRESENCE).await;
        tab.is_there().await;
        let killed = Instant::now();
        if is_panic {
            node.hub.panic_at("user/1");
        } else {
            node.hub.kill_at("user/1").await.unwrap();
        }
        let mut wanted = vec![StreamEvent::Joined(person(1)), StreamEvent::Left(person(1))];
        until_told(&other.probe, &wanted).await;
        assert!(killed.elapsed() < Duration::from_millis(100), "{:?}", killed.elapsed());
        let again = node.watch(1, PRESENCE).await;
        again.is_there().await;
        wanted.push(StreamEvent::Joined(person(1)));
        until_told(&other.probe, &wanted).await;
        node.until_watched(0, 2).await;
    }
}

/// A lost subscription is requested again after a pause, in which its user's actor may die, too.
#[tokio::test(start_paused = true)]
async fn a_request_of_an_actor_that_died_does_not_end_its_successors_subscription() {
    let node = TestNode::new().await;
    node.team();
    let other = node.watch(2, PRESENCE).await;
    let tab = node.watch(1, PRESENCE).await;
    tab.is_there().await;
    other.is_there().await;
    node.hub.kill_at("project/7").await.unwrap();
    // The actor of user 1 knows it, and waits.
    tokio::time::sleep(Duration::from_millis(20)).await;
    node.hub.kill_at("user/1").await.unwrap();
    tab.probe.ended().await;
    let again = node.watch(1, PRESENCE).await;
    again.is_there().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    node.until_watched(0, 2).await;
    let third = node.watch(3, PRESENCE).await;
    third.is_there().await;
    assert_eq!(present(&third.probe), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_before_its_subscription_stands_leaves_no_ghost() {
    for steps in 0..30 {
        let node = TestNode::new().await;
        node.team();
        let tab = node.watch(1, PRESENCE).await;
        for _ in 0..steps {
            crate::supervisor::step_aside().await;
        }
        tab.leave();
        let other = node.watch(2, PRESENCE).await;
        other.is_there().await;
        node.until_watched(0, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn operators_see_the_roster() {
    let node = TestNode::new().await;
    node.team();
    let tab = node.watch(1, PRESENCE).await;
    tab.is_there().await;
    tab.say(look(Some(5)));
    tab.say(type_on(5, true));
    node.until_watched(0, 1).await;
    let observed = node.find("project/7").await.unwrap().observed;
    assert_eq!(observed["subscribers"], 1);
    assert_eq!(observed["roster"][0]["username"], "user1");
    assert_eq!(observed["roster"][0]["viewing"], 5);
    assert_eq!(observed["roster"][0]["typing"], serde_json::json!([5]));
}

#[tokio::test(start_paused = true)]
async fn a_user_with_sessions_on_two_nodes_is_one_member() {
    let nodes = Nodes::two().await;
    nodes.here.team();
    let other = nodes.here.watch(2, PRESENCE).await;
    other.is_there().await;
    let here = nodes.here.watch(1, PRESENCE).await;
    here.is_there().await;
    let there = nodes.there.watch(1, PRESENCE).await;
    there.is_there().await;
    nodes.there.until_watched(0, 2).await;
    there.say(look(Some(5)));
    let joined = StreamEvent::Joined(person(1));
    until_told(&other.probe, &[joined.clone(), viewing(1, Some(5))]).await;
    here.leave();
    // The user is still there: the last session counts, on whichever node.
    there.say(type_on(5, true));
    let seen = [joined, viewing(1, Some(5)), typing(1, 5, true)];
    until_told(&other.probe, &seen).await;
    there.leave();
    let left = [&seen[..], &[StreamEvent::Left(person(1))]].concat();
    until_told(&other.probe, &left).await;
    nodes.here.until_watched(0, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_is_shown_who_is_on_the_other_node() {
    let nodes = Nodes::two().await;
    nodes.here.team();
    let first = nodes.here.watch(1, PRESENCE).await;
    first.is_there().await;
    first.say(look(Some(6)));
    nodes.here.until_watched(0, 1).await;
    let second = nodes.there.watch(2, PRESENCE).await;
    // In the list, if the answer of the other node came in time; else as an event.
    second.probe.until(|_| present(&second.probe) == [1, 2]).await;
    until_told(&first.probe, &[StreamEvent::Joined(person(2))]).await;
    // The next one there finds a complete list.
    let third = nodes.there.watch(3, PRESENCE).await;
    third.is_there().await;
    assert_eq!(lists(&third.probe), [[1, 2, 3]]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_gone_takes_its_users_with_it_and_brings_them_back() {
    let nodes = Nodes::two().await;
    nodes.here.team();
    let other = nodes.here.watch(2, PRESENCE).await;
    other.is_there().await;
    let there = nodes.there.watch(1, PRESENCE).await;
    let joined = StreamEvent::Joined(person(1));
    until_told(&other.probe, std::slice::from_ref(&joined)).await;
    nodes.net.cut_off(1, true);
    let begun = Instant::now();
    let left = StreamEvent::Left(person(1));
    until_told(&other.probe, &[joined.clone(), left.clone()]).await;
    let silent = begun.elapsed();
    assert!(silent > Duration::from_secs(9) && silent <= Duration::from_secs(15), "{silent:?}");
    nodes.net.cut_off(1, false);
    until_told(&other.probe, &[joined.clone(), left, joined]).await;
    drop(there);
}
