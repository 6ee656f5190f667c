//! Two nodes on one store: what one of them has committed reaches the clients of the other through
//! the broker alone, long before a session compares its position with the store.

use std::sync::Arc;
use std::time::Duration;

use bellpull_actors::channel::ChannelActor;
use bellpull_actors::hub::HubLimits;
use bellpull_domain::ids::{LoginId, Seq, UserId};
use bellpull_domain::inbox::Mark;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::send::Recipients;
use bellpull_port::inbox::Selection;
use bellpull_port::outlet::{Ending, Revoked, TokenEnd};
use bellpull_port::session::Begin;
use bellpull_port::testing::{FakeClock, FakeNet, FakeStore, Frame};
use bellpull_port::{Broker, BrokerMessage};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::TestNode;
use crate::channels::{Desk, sends};
use crate::project::{SEC, TICKETS, announced};
use crate::sends::to;
use crate::ticket::new_ticket;

/// Sooner than anything that heals by itself: sessions are compared every 30 s.
const BY_THE_BROKER: Duration = Duration::from_secs(5);

pub(crate) struct Nodes {
    pub(crate) here: TestNode,
    pub(crate) there: TestNode,
    pub(crate) net: FakeNet,
    begun: Instant,
}

impl Nodes {
    pub(crate) async fn two() -> Self {
        Self::with(Vec::new(), Arc::new(FakeClock::default())).await
    }

    /// The second node has these channels.
    async fn with(channels: Vec<ChannelActor>, clock: Arc<FakeClock>) -> Self {
        let (store, net) = (FakeStore::new(), FakeNet::default());
        let node = async |channels| {
            let (clock, store) = (Arc::clone(&clock), store.clone());
            TestNode::with_parts(HubLimits::default(), clock, channels, store, net.join()).await
        };
        let (here, there) = (node(Vec::new()).await, node(channels).await);
        Self { here, there, net, begun: Instant::now() }
    }

    /// What was waited for came through the broker.
    fn in_time(&self) {
        assert!(self.begun.elapsed() < BY_THE_BROKER, "{:?}", self.begun.elapsed());
    }

    /// How many messages of that kind the first node has published.
    fn published(&self, kind: &str) -> usize {
        let own = |(node, text): &(usize, String)| *node == 0 && text.starts_with(kind);
        self.net.published().iter().filter(|one| own(one)).count()
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_an_inbox_reaches_its_user_on_the_other_node() {
    let nodes = Nodes::two().await;
    let conn = nodes.there.attach(1, Begin::Undelivered).await;
    nodes.here.tell(1);
    assert_eq!(conn.probe.shown(1).await, [1]);
    let all = Selection::up_to(Seq(1));
    let marked = nodes.here.hub.users.mark(UserId(1), all, Mark::Read, Timestamp::UNIX_EPOCH);
    assert_eq!(marked.await.unwrap(), 1);
    let is_marked = |frame: &Frame| matches!(frame, Frame::Marked(_));
    conn.probe.until(|seen| seen.frames.iter().any(is_marked)).await;
    assert_eq!(nodes.published("Changed"), 2);
    nodes.in_time();
}

#[tokio::test(start_paused = true)]
async fn a_ticket_and_a_comment_reach_recipients_and_watchers_on_the_other_node() {
    let nodes = Nodes::two().await;
    let team = nodes.here.team();
    let admin = nodes.there.attach(8, Begin::Undelivered).await;
    let watcher = nodes.there.watch(2, TICKETS).await;
    nodes.there.until_watched(1, 0).await;
    let raised = nodes.here.hub.tickets.create(SEC, new_ticket(), team.client.clone());
    let raised = raised.await.unwrap();
    admin.probe.shown(1).await;
    watcher.probe.until(|_| announced(&watcher.probe).len() == 1).await;
    let body = "@user8 please look".to_owned();
    nodes.here.hub.tickets.comment(raised.id, body, team.client).await.unwrap();
    admin.probe.shown(2).await;
    watcher.probe.until(|_| announced(&watcher.probe).len() == 2).await;
    assert_eq!((nodes.published("Announced"), nodes.published("ProjectNews")), (2, 2));
    nodes.in_time();
}

#[tokio::test(start_paused = true)]
async fn an_announcement_to_many_is_one_message_a_chunk_and_each_node_shows_its_own_users() {
    let nodes = Nodes::two().await;
    for id in 1..=1_300 {
        let _ = nodes.here.store.add_user(id, "student".parse().unwrap());
    }
    let first = nodes.there.attach(1, Begin::Undelivered).await;
    let last = nodes.there.attach(1_300, Begin::Undelivered).await;
    let own = nodes.here.attach(1_300, Begin::Undelivered).await;
    nodes.here.hub.sends.send(to(Recipients::Role("student".parse().unwrap()))).await.unwrap();
    for conn in [&first, &last, &own] {
        assert_eq!(conn.probe.shown(1).await, [1]);
    }
    assert!((2..=10).contains(&nodes.published("Announced")));
    nodes.in_time();
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_right_and_an_ended_login_close_sessions_on_the_other_node() {
    let nodes = Nodes::two().await;
    nodes.here.team();
    let member = nodes.there.watch(1, TICKETS).await;
    nodes.there.until_watched(1, 0).await;
    nodes.here.store.remove_member_now(SEC, UserId(1));
    nodes.here.hub.projects.withdraw(SEC, UserId(1));
    assert_eq!(member.probe.ended().await, Ending::RightWithdrawn);
    let day = Duration::from_secs(86_400);
    let (session, one) = nodes.there.try_attach(2, Begin::Undelivered, Some(7), day).await;
    session.unwrap();
    let (session, other) = nodes.there.try_attach(2, Begin::Undelivered, Some(8), day).await;
    session.unwrap();
    let why = Revoked::Token(TokenEnd::LoggedOut);
    nodes.here.hub.users.end_sessions(UserId(2), Some(LoginId(7)), why);
    assert_eq!(one.ended().await, why.into());
    assert!(other.seen().closed.is_none(), "of another login");
    nodes.here.hub.users.end_sessions(UserId(2), None, Revoked::Right);
    assert_eq!(other.ended().await, Ending::RightWithdrawn);
    nodes.in_time();
}

#[tokio::test(start_paused = true)]
async fn the_other_nodes_channels_look_for_deliveries_at_once() {
    let clock = Arc::new(FakeClock::default());
    let email = Desk::open(&clock, sends);
    let nodes = Nodes::with(vec![email.actor(Channel::Email, &clock)], clock).await;
    email.until_sent(0).await;
    email.put(1..=3);
    nodes.here.hub.users.nudge(Channels::of(&[Channel::Email]));
    email.until_sent(3).await;
    nodes.in_time();
}

/// What a node receives it does not pass on, and what is not about actors goes by them.
#[tokio::test(start_paused = true)]
async fn a_message_is_published_once_however_many_nodes_receive_it() {
    let nodes = Nodes::two().await;
    let until = Timestamp::UNIX_EPOCH;
    for message in [
        BrokerMessage::LoginEnded { login: LoginId(7), until },
        BrokerMessage::AccountChanged(UserId(1)),
        BrokerMessage::TemplatesChanged,
    ] {
        nodes.here.hub.users.publish(message);
    }
    nodes.here.tell(1);
    let published: Vec<usize> = nodes.net.published().iter().map(|(node, _)| *node).collect();
    assert_eq!(published, [0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_no_message_contains_is_read_from_the_store() {
    let nodes = Nodes::two().await;
    let conn = nodes.there.attach(1, Begin::Undelivered).await;
    let broker = nodes.net.join();
    nodes.net.cut_off(0, true);
    nodes.here.tell(1);
    broker.publish(BrokerMessage::Compare);
    assert_eq!(conn.probe.shown(1).await, [1]);
    nodes.here.tell(1);
    broker.publish(BrokerMessage::Moved(&[(UserId(1), Seq(2)), (UserId(2), Seq(9))]));
    assert_eq!(conn.probe.shown(2).await, [1, 2]);
    nodes.here.tell(1);
    broker.publish(BrokerMessage::Missed);
    assert_eq!(conn.probe.shown(3).await, [1, 2, 3]);
    nodes.in_time();
}

#[tokio::test(start_paused = true)]
async fn watchers_of_tickets_begin_anew_after_lost_messages_and_others_stay() {
    let nodes = Nodes::two().await;
    let _ = nodes.here.team();
    let watcher = nodes.there.watch(2, TICKETS).await;
    nodes.there.until_watched(1, 0).await;
    let other = nodes.there.attach(3, Begin::Undelivered).await;
    nodes.net.join().publish(BrokerMessage::Missed);
    assert!(matches!(watcher.probe.ended().await, Ending::Restarting { .. }));
    nodes.here.tell(3);
    other.probe.shown(1).await;
    nodes.in_time();
}
