//! Messages from node to node, and what happens while Redis is away.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bellpull::broker::{Cluster, RedisBroker};
use bellpull_domain::ids::{LoginId, ProjectId, Seq, UserId};
use bellpull_domain::node::NodeName;
use bellpull_domain::presence::{PresenceNews, PresenceReport};
use bellpull_domain::routing::{Channel, Channels};
use bellpull_port::nodes::NewNode;
use bellpull_port::outlet::Revoked;
use bellpull_port::{Broker, BrokerMessage, BrokerState, NodeStore, Subscriber};
use bellpull_storage::StoreOptions;
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::support::redis::{Private, server};

/// The longest that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// Remembers what it received, as text.
#[derive(Debug, Default)]
struct Ear {
    heard: Mutex<Vec<String>>,
    news: Notify,
}

impl Subscriber for Ear {
    fn receive(&self, message: BrokerMessage<'_>) {
        self.heard.lock().unwrap().push(format!("{message:?}"));
        self.news.notify_one();
    }
}

impl Ear {
    /// Waits for a message that contains the text.
    async fn hears(&self, text: &str) {
        let wait = async {
            while !self.heard.lock().unwrap().iter().any(|heard| heard.contains(text)) {
                self.news.notified().await;
            }
        };
        let heard = tokio::time::timeout(PATIENCE, wait).await;
        assert!(heard.is_ok(), "{text} is not in {:?}", self.heard.lock().unwrap());
    }

    fn has_heard(&self, text: &str) -> bool {
        self.heard.lock().unwrap().iter().any(|heard| heard.contains(text))
    }

    fn forget(&self) {
        self.heard.lock().unwrap().clear();
    }
}

struct Node {
    broker: RedisBroker,
    ear: Arc<Ear>,
}

impl Node {
    async fn join(url: &str, epoch: &str, name: &str) -> Self {
        Self::join_listed(url, epoch, name, None).await
    }

    async fn join_listed(
        url: &str,
        epoch: &str,
        name: &str,
        nodes: Option<Arc<dyn NodeStore>>,
    ) -> Self {
        let broker = RedisBroker::open(url, &cluster(epoch), name, nodes).await.unwrap();
        let ear = Arc::new(Ear::default());
        let weak: Weak<Ear> = Arc::downgrade(&ear);
        broker.subscribe(weak);
        Self { broker, ear }
    }

    async fn is(&self, state: BrokerState) {
        let mut states = self.broker.states();
        let wait = states.wait_for(|now| *now == state);
        tokio::time::timeout(PATIENCE, wait).await.unwrap().unwrap();
    }
}

fn cluster(epoch: &str) -> Cluster {
    Cluster::new(epoch, "1:2", "a secret")
}

/// An epoch that no other test has.
fn epoch() -> String {
    format!("test-{:016x}", fastrand::u64(..))
}

async fn pair(url: &str) -> (Node, Node) {
    let epoch = epoch();
    let (a, b) = tokio::join!(Node::join(url, &epoch, "a/1"), Node::join(url, &epoch, "b/1"));
    tokio::join!(a.is(BrokerState::Ok), b.is(BrokerState::Ok));
    (a, b)
}

#[tokio::test]
async fn a_message_reaches_the_other_node_and_not_its_sender() {
    let Some(url) = server() else { return };
    let (a, b) = pair(&url).await;
    let user = UserId(1);
    let news = PresenceNews { node: "a".into(), version: 3, report: PresenceReport::Alive };
    for message in [
        BrokerMessage::Moved(&[(user, Seq(2))]),
        BrokerMessage::Presence { project: ProjectId(9), news: &news },
        BrokerMessage::MemberRemoved { project: ProjectId(9), user },
        BrokerMessage::SessionsEnded { user, login: Some(LoginId(4)), why: Revoked::Right },
        BrokerMessage::LoginEnded { login: LoginId(4), until: Timestamp::UNIX_EPOCH },
        BrokerMessage::AccountChanged(user),
        BrokerMessage::TemplatesChanged,
        BrokerMessage::ChannelsDue(Channels::of(&[Channel::Email])),
    ] {
        a.broker.publish(message);
        b.ear.hears(&format!("{message:?}")).await;
        b.broker.publish(BrokerMessage::AccountChanged(UserId(77)));
        a.ear.hears("AccountChanged(UserId(77))").await;
        assert!(!a.ear.has_heard(&format!("{message:?}")), "{message:?}");
        a.ear.forget();
    }
}

#[tokio::test]
async fn a_node_that_the_database_does_not_list_is_not_believed() {
    let Some(url) = server() else { return };
    let store = bellpull::storage::open("sqlite::memory:", StoreOptions::default()).await.unwrap();
    let register = async |name: &str| {
        let url = "http://127.0.0.1:1".to_owned();
        let (name, version) = (NodeName::parse(name).unwrap(), "1".to_owned());
        let new = NewNode { name, operator_url: url.clone(), url, version };
        store.register_node(new).await.unwrap();
    };
    register("own").await;
    let (epoch, nodes): (_, Arc<dyn NodeStore>) = (epoch(), store.clone());
    let own = Node::join_listed(&url, &epoch, "own/1", Some(nodes)).await;
    own.is(BrokerState::Ok).await;
    // It has the seal: its server is a copy of this one's files.
    let copy = Node::join(&url, &epoch, "copy/1").await;
    copy.is(BrokerState::Ok).await;
    copy.broker.publish(BrokerMessage::AccountChanged(UserId(1)));
    own.ear.hears("Compare").await;
    assert!(own.broker.refused().unlisted > 0);
    // One that has just registered is believed at once.
    register("late").await;
    let late = Node::join(&url, &epoch, "late/1").await;
    late.is(BrokerState::Ok).await;
    late.broker.publish(BrokerMessage::AccountChanged(UserId(2)));
    own.ear.hears("AccountChanged(UserId(2))").await;
    assert!(!own.ear.has_heard("UserId(1)"));
}

#[tokio::test]
async fn two_clusters_on_one_redis_do_not_receive_each_others_messages() {
    let Some(url) = server() else { return };
    let (a, b) = pair(&url).await;
    let (c, d) = pair(&url).await;
    a.broker.publish(BrokerMessage::AccountChanged(UserId(1)));
    b.ear.hears("AccountChanged(UserId(1))").await;
    c.broker.publish(BrokerMessage::AccountChanged(UserId(2)));
    d.ear.hears("AccountChanged(UserId(2))").await;
    assert!(!c.ear.has_heard("UserId(1)") && !d.ear.has_heard("UserId(1)"));
}

#[tokio::test]
async fn a_redis_that_restarts_is_a_pause_after_which_all_is_compared() {
    let Some(mut redis) = Private::start(&[]).await else { return };
    let (a, b) = pair(&redis.url()).await;
    b.ear.forget();
    redis.kill();
    tokio::join!(a.is(BrokerState::Degraded), b.is(BrokerState::Degraded));
    b.ear.hears("Compare").await;
    b.ear.forget();
    b.ear.hears("Compare").await; // again and again
    redis.restart().await;
    tokio::join!(a.is(BrokerState::Ok), b.is(BrokerState::Ok));
    b.ear.hears("Missed").await;
    a.broker.publish(BrokerMessage::AccountChanged(UserId(2)));
    b.ear.hears("AccountChanged(UserId(2))").await;
}

#[tokio::test]
async fn a_redis_that_is_away_at_the_start_is_joined_when_it_comes() {
    let Some(mut redis) = Private::start(&[]).await else { return };
    redis.kill();
    let node = Node::join(&redis.url(), &epoch(), "a/1").await;
    assert_eq!(node.broker.state(), BrokerState::Degraded);
    redis.restart().await;
    node.is(BrokerState::Ok).await;
}

#[tokio::test]
async fn a_wrong_password_is_an_error() {
    let Some(redis) = Private::start(&["--requirepass", "hunter2"]).await else { return };
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}", redis.port());
    let open = async |url: String| {
        RedisBroker::open(&url, &cluster(&epoch()), "a/1", None).await.map(|_| ())
    };
    for wrong in [url("x"), redis.url(), format!("{}/99", url("hunter2")), "redis".to_owned()] {
        let error = open(wrong).await.unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
    open(url("hunter2")).await.unwrap();
    // Passes the reading of the URL; nothing there understands TLS.
    open(format!("rediss://:hunter2@127.0.0.1:{}", redis.port())).await.unwrap();
}

/// What is published on a replica does not reach the clients of its primary, so a node that was
/// left on one by a failover is cut off, although it hears itself.
#[tokio::test]
async fn a_node_whose_redis_has_become_a_replica_is_degraded() {
    // A replica would leave a file otherwise.
    let in_memory = ["--repl-diskless-load", "swapdb"];
    let Some(here) = Private::start(&in_memory).await else { return };
    let Some(there) = Private::start(&in_memory).await else { return };
    let follow = |redis: &Private, host: &str, port: &str| {
        let own = redis.port().to_string();
        let sent = std::process::Command::new("redis-cli")
            .args(["-p", &own, "replicaof", host, port])
            .output();
        assert!(sent.unwrap().status.success());
    };
    let node = Node::join(&here.url(), &epoch(), "a/1").await;
    node.is(BrokerState::Ok).await;
    node.ear.forget();
    follow(&here, "127.0.0.1", &there.port().to_string());
    let begun = std::time::Instant::now();
    node.is(BrokerState::Degraded).await;
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(node.broker.state(), BrokerState::Degraded, "it stays so");
    let late = Node::join(&here.url(), &epoch(), "b/1").await;
    assert_eq!(late.broker.state(), BrokerState::Degraded, "also one that starts");
    follow(&here, "no", "one");
    node.is(BrokerState::Ok).await;
    late.is(BrokerState::Ok).await;
    node.ear.hears("Missed").await;
}

#[tokio::test]
async fn more_than_the_queue_takes_is_dropped_and_later_told_as_a_loss() {
    let Some(url) = server() else { return };
    let (a, b) = pair(&url).await;
    b.ear.forget();
    // The test's only thread does not let the sending task run meanwhile.
    for user in 0..20_000 {
        a.broker.publish(BrokerMessage::AccountChanged(UserId(user)));
    }
    b.ear.hears("AccountChanged(UserId(0))").await;
    b.ear.hears("Missed").await;
    assert!(!b.ear.has_heard("AccountChanged(UserId(19999))"));
}

#[tokio::test]
async fn a_message_of_another_version_has_all_compared() {
    let Some(mut redis) = Private::start(&[]).await else { return };
    let epoch = epoch();
    let node = Node::join(&redis.url(), &epoch, "a/1").await;
    node.is(BrokerState::Ok).await;
    node.ear.forget();
    let sent = std::process::Command::new("redis-cli")
        .args(["-p", &redis.port().to_string(), "publish", &format!("bellpull:{epoch}")])
        .arg("2\nb/1\n{\"kind\":\"something\"}")
        .output();
    assert!(sent.unwrap().status.success());
    node.ear.hears("Compare").await;
    redis.kill();
}
