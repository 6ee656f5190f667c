//! Limits that nodes share on a real Redis.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bellpull::broker::{Cluster, RedisBroker};
use bellpull_port::rate::Quota;
use bellpull_port::shared_limits::{RuleTurn, SharedLimits, SharedRule, Verdict};
use bellpull_port::{Broker, BrokerState};

use crate::support::redis::{Private, server};

/// The longest that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

const HOUR: Duration = Duration::from_secs(3_600);

/// One node's broker, and the limits on it.
struct Node {
    broker: RedisBroker,
    limits: Arc<dyn SharedLimits>,
}

impl Node {
    async fn join(url: &str, epoch: &str, name: &str) -> Self {
        Self::join_on(url, &Cluster::new(epoch, "1:2", "a secret"), name).await
    }

    async fn join_on(url: &str, cluster: &Cluster, name: &str) -> Self {
        let broker = RedisBroker::open(url, cluster, name, None).await.unwrap();
        let broker = broker.sharing_limits();
        let limits = broker.shared_limits().unwrap();
        let node = Self { broker, limits };
        node.is(BrokerState::Ok).await;
        node
    }

    async fn is(&self, state: BrokerState) {
        let mut states = self.broker.states();
        let wait = states.wait_for(|now| *now == state);
        tokio::time::timeout(PATIENCE, wait).await.unwrap().unwrap();
    }

    async fn ask(&self, rules: &[SharedRule]) -> Vec<Verdict> {
        self.limits.ask("test", rules).await.expect("Redis answers")
    }

    /// Takes a token, `Some` if there was one.
    async fn take(&self, key: &str) -> Option<()> {
        match self.ask(&[rule(key, RuleTurn::Require)]).await[..] {
            [Verdict::Admitted] => Some(()),
            [Verdict::Refused(_)] => None,
            ref other => panic!("{other:?}"),
        }
    }

    /// Waits until Redis answers again.
    async fn is_answered(&self) {
        let wait = async {
            while self.limits.ask("test", &[rule("any", RuleTurn::Count)]).await.is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("an answer");
    }
}

/// One token an hour and three at once: the time that a test takes does not matter.
fn rule(key: &str, turn: RuleTurn) -> SharedRule {
    let quota = Quota::per_hour(1, 3).unwrap();
    SharedRule { name: "rule", key: key.as_bytes().to_vec(), quota, turn }
}

fn epoch() -> String {
    format!("test-{:016x}", fastrand::u64(..))
}

/// What redis-cli prints.
fn cli(redis: &Private, arguments: &[&str]) -> String {
    let port = redis.port().to_string();
    let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn nodes_take_from_one_bucket_and_other_stores_have_others() {
    let Some(url) = server() else { return };
    let epoch = epoch();
    let (a, b) = tokio::join!(Node::join(&url, &epoch, "a"), Node::join(&url, &epoch, "b"));
    for node in [&a, &b, &a] {
        assert_eq!(node.take("ada").await, Some(()));
    }
    for node in [&a, &b] {
        let verdicts = node.ask(&[rule("ada", RuleTurn::Require)]).await;
        let [Verdict::Refused(wait)] = verdicts[..] else { panic!("{verdicts:?}") };
        assert!(wait <= HOUR && wait > HOUR / 2, "{wait:?}");
        assert_eq!(node.take("bob").await, Some(()), "another key");
    }
    let copy = Cluster::new(&epoch, "1:3", "a secret");
    for other in
        [Node::join(&url, &format!("{epoch}x"), "a").await, Node::join_on(&url, &copy, "a").await]
    {
        assert_eq!(other.take("ada").await, Some(()));
    }
}

#[tokio::test]
async fn rules_are_asked_in_their_order() {
    let Some(url) = server() else { return };
    let node = Node::join(&url, &epoch(), "a").await;
    let first = |turn| [rule("first", turn), rule("second", RuleTurn::Require)];
    let (admitted, skipped) = (Verdict::Admitted, Verdict::NotAsked);
    for _ in 0..3 {
        let verdicts = node.ask(&first(RuleTurn::InsteadOfNext)).await;
        assert_eq!(verdicts, [admitted, skipped]);
    }
    // Now the first has none.
    let verdicts = node.ask(&first(RuleTurn::InsteadOfNext)).await;
    assert!(matches!(verdicts[..], [Verdict::Refused(_), Verdict::Admitted]), "{verdicts:?}");
    let verdicts = node.ask(&first(RuleTurn::Count)).await;
    assert!(matches!(verdicts[..], [Verdict::Refused(_), Verdict::Admitted]), "{verdicts:?}");
    let verdicts = node.ask(&first(RuleTurn::Require)).await;
    assert!(matches!(verdicts[..], [Verdict::Refused(_), Verdict::NotAsked]), "{verdicts:?}");
    // The second has one left: a refusal took none of it.
    assert_eq!(node.take("second").await, Some(()));
    assert_eq!(node.take("second").await, None);
    // What is put back can be taken again, and a full bucket does not get fuller.
    for _ in 0..9 {
        assert_eq!(node.ask(&[rule("second", RuleTurn::GiveBack)]).await, [admitted]);
    }
    for expected in [Some(()), Some(()), Some(()), None] {
        assert_eq!(node.take("second").await, expected);
    }
}

#[tokio::test]
async fn buckets_are_anonymous_and_expire() {
    let Some(redis) = Private::start(&[]).await else { return };
    let node = Node::join(&redis.url(), "epoch", "a").await;
    let mut short = rule("ada@example.com", RuleTurn::Require);
    short.quota = Quota::per_second(20, 1).unwrap();
    node.ask(&[short, rule("bob@example.com", RuleTurn::Require)]).await;
    let keys = || cli(&redis, &["--scan"]).lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let expired = async {
        while keys().len() > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, expired).await.expect("the shorter one expires");
    let key = keys().pop_first().expect("the longer one is there");
    assert!(key.starts_with("bellpull:{epoch:limit:test}:rule:"), "{key}");
    assert!(!key.contains("bob") && key.len() < 64, "{key}");
    let ttl_ms: u64 = cli(&redis, &["PTTL", &key]).parse().unwrap();
    assert!(ttl_ms > 0 && ttl_ms <= 3_600_001, "{ttl_ms}");
    // As after a change to a server whose clock is behind: the bucket is empty, and no more.
    cli(&redis, &["SET", &key, "9000000000000000"]);
    let verdicts = node.ask(&[rule("bob@example.com", RuleTurn::Require)]).await;
    assert_eq!(verdicts, [Verdict::Refused(HOUR)]);
    // What is no number is an error of the script; the node goes on by itself.
    cli(&redis, &["SET", &key, "x"]);
    assert_eq!(node.limits.ask("test", &[rule("bob@example.com", RuleTurn::Require)]).await, None);
    node.is_answered().await;
}

#[tokio::test]
async fn a_redis_that_hangs_forgets_or_ends_is_no_obstacle() {
    let Some(mut redis) = Private::start(&[]).await else { return };
    let node = Node::join(&redis.url(), "epoch", "a").await;
    assert_eq!(node.take("ada").await, Some(()));
    cli(&redis, &["SCRIPT", "FLUSH"]);
    assert_eq!(node.take("ada").await, Some(()), "it is told the script again");

    cli(&redis, &["CLIENT", "PAUSE", "1000", "ALL"]);
    assert_eq!(node.limits.ask("test", &[rule("ada", RuleTurn::Require)]).await, None);
    node.is_answered().await;

    redis.kill();
    node.is(BrokerState::Degraded).await;
    assert_eq!(node.limits.ask("test", &[rule("ada", RuleTurn::Require)]).await, None);
    redis.restart().await;
    node.is(BrokerState::Ok).await;
    node.is_answered().await;
    for expected in [Some(()), Some(()), Some(()), None] {
        assert_eq!(node.take("ada").await, expected, "it begins anew");
    }
}

#[tokio::test]
async fn a_redis_that_allows_no_scripts_is_a_broker_all_the_same() {
    let user = ["--user", "default", "on", "nopass", "~*", "&*", "+@all", "-@scripting"];
    let Some(redis) = Private::start(&user).await else { return };
    let node = Node::join(&redis.url(), "epoch", "a").await;
    assert_eq!(node.limits.ask("test", &[rule("ada", RuleTurn::Require)]).await, None);
    assert_eq!(node.broker.state(), BrokerState::Ok);
}

/// All keys of a script must be in one slot there.
#[tokio::test]
async fn a_cluster_counts_too() {
    let bus = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        ["--cluster-enabled", "yes"],
        ["--cluster-port", &bus],
        ["--cluster-announce-ip", "127.0.0.1"],
        ["--dir", folder.path().to_str().unwrap()],
    ];
    let Some(redis) = Private::start(arguments.as_flattened()).await else { return };
    cli(&redis, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let is_ready = async {
        while !cli(&redis, &["CLUSTER", "INFO"]).contains("cluster_state:ok") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, is_ready).await.expect("the cluster is ready");
    let url = format!("redis-cluster://127.0.0.1:{}", redis.port());
    let node = Node::join(&url, "epoch", "a").await;
    let rules = ["ada", "bob", "carl"].map(|key| rule(key, RuleTurn::Require));
    for _ in 0..3 {
        assert_eq!(node.ask(&rules).await, [Verdict::Admitted; 3]);
    }
    let verdicts = node.ask(&rules).await;
    assert!(matches!(verdicts[..], [Verdict::Refused(_), Verdict::NotAsked, Verdict::NotAsked]));
}
