//! The broker on Redis: one connection that publishes, one that is subscribed, and the tasks that
//! keep and use them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use bellpull_port::{
    Broker, BrokerMessage, BrokerState, NodeStore, RefusedMessages, SharedLimits, Subscriber,
};
use redis::{ErrorKind, RedisError};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, sleep, timeout};
use tracing::{info, warn};

use super::connection::{ANSWER_MAX, Current, Inbound, Link, NoBroker, Server};
use super::health::{BEAT_EVERY, Health, Turn};
use super::limits::RedisLimits;
use super::message::{self, Received};
use super::seal::{Cluster, Stranger};
use super::strangers::{Refused, Senders};

/// How many messages wait to be sent; more are dropped.
const QUEUE_MAX: usize = 8_192;

/// How many bytes they have together.
const QUEUE_BYTES_MAX: usize = 16 << 20;

/// How many messages are sent at once, without waiting for each other's answers.
const BATCH_MAX: usize = 256;

/// How many received messages wait to be handled; if there are more, they are lost, and the node
/// compares with the store.
const RECEIVED_MAX: usize = 16_384;

/// How long the first connection may take at the start of the node.
const FIRST_MAX: Duration = Duration::from_secs(3);

/// How often the connection that publishes is asked whether it leads to a replica. This and the
/// silence that follows bound how long a failover is unnoticed.
const ROLE_EVERY: Duration = Duration::from_secs(1);

/// The pause between attempts to connect begins with this, doubles, …
const RECONNECT_MIN: Duration = Duration::from_millis(50);
/// … and ends here.
const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// The other nodes, on a Redis.
#[derive(Debug)]
pub struct RedisBroker {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Vec<u8>>,
    tasks: Vec<JoinHandle<()>>,
    limits: Option<Arc<RedisLimits>>,
}

#[derive(Debug)]
struct Shared {
    server: Arc<Server>,
    /// The sender of this node's messages: the node and the start of its process.
    node: Box<str>,
    topic: Box<str>,
    cluster: Cluster,
    refused: Refused,
    subscribers: RwLock<Vec<Weak<dyn Subscriber>>>,
    state: watch::Sender<BrokerState>,
    queued_bytes: AtomicUsize,
    /// Whether messages were dropped of which the other nodes have not been told.
    has_lost: AtomicBool,
    current: Current,
    /// Asks for new connections in place of those that do not work and have not ended.
    is_broken: Notify,
}

/// The pauses between attempts.
struct Pauses(Duration);

impl Pauses {
    fn new() -> Self {
        Self(RECONNECT_MIN)
    }

    /// Waits; nodes that were cut off together come back one by one.
    async fn pause(&mut self) {
        let most = u64::try_from(RECONNECT_MIN.as_millis()).unwrap_or(u64::MAX);
        let jitter = getrandom::u64().unwrap_or_default() % most;
        sleep(self.0 + Duration::from_millis(jitter)).await;
        self.0 = (self.0 * 2).min(RECONNECT_MAX);
    }
}

impl RedisBroker {
    /// Connects. A Redis that does not answer is no error: the broker begins degraded, and connects
    /// as soon as it can.
    ///
    /// `node` identifies this process among all of the cluster. `nodes` lists those whose messages
    /// are believed; without it, all that have the cluster's seal are.
    ///
    /// # Errors
    /// The URL cannot be used, or Redis refuses the credentials or the topic.
    pub async fn open(
        url: &str,
        cluster: &Cluster,
        node: &str,
        nodes: Option<Arc<dyn NodeStore>>,
    ) -> Result<Self, NoBroker> {
        let server = Arc::new(Server::parse(url)?);
        let topic = cluster.topic();
        let mut beat = message::beat(node, 0);
        cluster.seal(&mut beat, 0);
        let is_there = check(&server, &topic, beat).await?;
        let shared = Arc::new(Shared {
            server,
            node: node.into(),
            topic,
            cluster: cluster.clone(),
            refused: Refused::default(),
            subscribers: RwLock::default(),
            state: watch::Sender::new(BrokerState::Degraded),
            queued_bytes: AtomicUsize::new(0),
            has_lost: AtomicBool::new(false),
            current: Current::default(),
            is_broken: Notify::new(),
        });
        metrics::gauge!("bellpull_broker_up").set(0.0);
        let (queue, queued) = mpsc::channel(QUEUE_MAX);
        let (messages, arrived) = mpsc::channel(RECEIVED_MAX);
        let (changes, changed) = mpsc::channel(1);
        let has_lost = Arc::new(AtomicBool::new(false));
        let inbound = Inbound { messages, has_lost, ended: Arc::new(Notify::new()) };
        let receiving = Receiving { arrived, changed, has_lost: Arc::clone(&inbound.has_lost) };
        let tasks = vec![
            tokio::spawn(Arc::clone(&shared).keep_publishing()),
            tokio::spawn(Arc::clone(&shared).keep_subscribed(inbound, changes)),
            tokio::spawn(Arc::clone(&shared).send(queued)),
            tokio::spawn(Arc::clone(&shared).receive(receiving, nodes, queue.clone())),
        ];
        let broker = Self { shared, queue, tasks, limits: None };
        if is_there {
            // The node's first notifications reach the others at once, too.
            let mut states = broker.states();
            let connected = states.wait_for(|state| *state == BrokerState::Ok);
            let _ = timeout(FIRST_MAX, connected).await;
        }
        Ok(broker)
    }

    /// Connects and publishes once.
    ///
    /// # Errors
    /// What Redis refuses, or that it does not answer.
    pub async fn reach(url: &str) -> Result<(), NoBroker> {
        match check(&Server::parse(url)?, "bellpull:check", b"check".to_vec()).await? {
            true => Ok(()),
            false => Err(NoBroker("Redis does not answer".to_owned())),
        }
    }

    /// The same, and it counts limits for all nodes of the cluster.
    #[must_use]
    pub fn sharing_limits(mut self) -> Self {
        let Shared { cluster, server, current, .. } = &*self.shared;
        let reached = (Arc::clone(server), current.clone());
        self.limits = Some(Arc::new(RedisLimits::new(reached, self.states(), cluster)));
        self
    }

    /// The state and its changes.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<BrokerState> {
        self.shared.state.subscribe()
    }
}

impl Drop for RedisBroker {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Broker for RedisBroker {
    fn has_peers(&self) -> bool {
        true
    }

    fn state(&self) -> BrokerState {
        *self.shared.state.borrow()
    }

    fn publish(&self, message: BrokerMessage<'_>) {
        for bytes in message::encode(&self.shared.node, message) {
            self.shared.enqueue(&self.queue, bytes);
        }
    }

    fn refused(&self) -> RefusedMessages {
        self.shared.refused.read()
    }

    fn shared_limits(&self) -> Option<Arc<dyn SharedLimits>> {
        let limits = self.limits.clone()?;
        Some(limits)
    }

    fn subscribe(&self, subscriber: Weak<dyn Subscriber>) {
        let mut subscribers =
            self.shared.subscribers.write().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|known| known.strong_count() > 0);
        subscribers.push(subscriber);
    }
}

/// What the task that receives has.
struct Receiving {
    arrived: mpsc::Receiver<Vec<u8>>,
    /// The subscribed connection was made, or has ended.
    changed: mpsc::Receiver<Subscription>,
    /// Whether there was no room for some messages.
    has_lost: Arc<AtomicBool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subscription {
    Begun,
    Ended,
}

impl Shared {
    /// Adds a message to the queue, or drops it.
    fn enqueue(&self, queue: &mpsc::Sender<Vec<u8>>, bytes: Vec<u8>) {
        let size = bytes.len();
        let is_room = self.queued_bytes.fetch_add(size, Relaxed) + size <= QUEUE_BYTES_MAX;
        if !is_room || queue.try_send(bytes).is_err() {
            self.queued_bytes.fetch_sub(size, Relaxed);
            self.dropped(1);
        }
    }

    fn dropped(&self, count: usize) {
        self.has_lost.store(true, Relaxed);
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        metrics::counter!("bellpull_broker_dropped_total").increment(count);
    }

    /// Keeps a connection that publishes; ends with the broker.
    async fn keep_publishing(self: Arc<Self>) {
        let mut pauses = Pauses::new();
        loop {
            match self.server.connect().await {
                Ok(link) => {
                    if self.hold(link).await {
                        pauses = Pauses::new();
                    }
                    self.current.set(None);
                }
                Err(error) => refused("a connection", &error),
            }
            pauses.pause().await;
        }
    }

    /// Until it breaks, or leads to a replica: another member is the primary then, and what is
    /// published here does not reach those that are connected to it. Returns whether it was of use.
    async fn hold(&self, link: Link) -> bool {
        let mut was_used = false;
        loop {
            match link.is_replica().await {
                Ok(is_replica) if self.server.is_cluster() || !is_replica => {}
                Ok(_) => {
                    warn!("Redis is a replica: what this node publishes does not reach the others");
                    // Since it became one.
                    self.has_lost.store(true, Relaxed);
                    return was_used;
                }
                Err(_) => return was_used,
            }
            if !was_used {
                self.current.set(Some(link.clone()));
                was_used = true;
            }
            tokio::select! {
                () = sleep(ROLE_EVERY) => {}
                () = self.is_broken.notified() => return was_used,
            }
        }
    }

    /// Keeps a connection that is subscribed; ends with the broker.
    async fn keep_subscribed(
        self: Arc<Self>,
        inbound: Inbound,
        changes: mpsc::Sender<Subscription>,
    ) {
        let mut pauses = Pauses::new();
        loop {
            // Each has its own: an earlier one may end late.
            let ended = Arc::new(Notify::new());
            let inbound = Inbound { ended: Arc::clone(&ended), ..inbound.clone() };
            match self.server.subscribe(&self.topic, inbound).await {
                Ok(_link) => {
                    pauses = Pauses::new();
                    let _ = changes.send(Subscription::Begun).await;
                    tokio::select! {
                        () = ended.notified() => {}
                        () = self.is_broken.notified() => {}
                    }
                    let _ = changes.send(Subscription::Ended).await;
                }
                Err(error) => refused("the topic of the nodes", &error),
            }
            pauses.pause().await;
        }
    }

    /// Sends what is queued; ends with the broker.
    async fn send(self: Arc<Self>, mut queue: mpsc::Receiver<Vec<u8>>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        // The first has been sent to find out whether Redis takes it.
        let mut number = 0;
        while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let size: usize = batch.iter().map(Vec::len).sum();
            self.queued_bytes.fetch_sub(size, Relaxed);
            // Read before it is sent: what is dropped meanwhile is told of next time.
            let has_lost = self.has_lost.swap(false, Relaxed);
            if has_lost {
                batch.push(message::lost(&self.node));
            }
            let count = batch.len();
            // Here, where their order is known.
            for bytes in &mut batch {
                number += 1;
                self.cluster.seal(bytes, number);
            }
            let is_sent = self.send_batch(&batch).await;
            batch.clear();
            if is_sent {
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                metrics::counter!("bellpull_broker_published_total").increment(count);
            } else {
                self.dropped(count);
            }
        }
    }

    async fn send_batch(&self, batch: &[Vec<u8>]) -> bool {
        let Some(link) = self.current.get() else { return false };
        matches!(timeout(ANSWER_MAX, link.publish(&self.topic, batch)).await, Ok(Ok(())))
    }

    /// Receives other nodes' messages and this node's beats; ends with the broker.
    async fn receive(
        self: Arc<Self>,
        receiving: Receiving,
        nodes: Option<Arc<dyn NodeStore>>,
        queue: mpsc::Sender<Vec<u8>>,
    ) {
        let Receiving { mut arrived, mut changed, has_lost } = receiving;
        let mut senders = Senders::new(nodes);
        let mut health = Health::new(Instant::now());
        let mut beats = tokio::time::interval(BEAT_EVERY);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let turn = tokio::select! {
                message = arrived.recv() => match message {
                    Some(bytes) => {
                        senders.learn(&self.cluster, &bytes).await;
                        self.received(&bytes, &mut senders, &mut health)
                    }
                    None => return,
                },
                Some(subscription) = changed.recv() => {
                    if subscription == Subscription::Begun {
                        // Not the next beat: the sooner it arrives, the sooner the state is known.
                        let turn = health.interrupted(Instant::now());
                        self.enqueue(&queue, message::beat(&self.node, health.beat()));
                        turn
                    } else {
                        health.interrupted(Instant::now())
                    }
                }
                _ = beats.tick() => {
                    if has_lost.swap(false, Relaxed) {
                        warn!("messages of other nodes were lost: they came too fast");
                        self.deliver(BrokerMessage::Missed);
                    }
                    self.enqueue(&queue, message::beat(&self.node, health.beat()));
                    let turn = health.tick(Instant::now());
                    if turn != Turn::None && health.is_cut_off() {
                        self.is_broken.notify_waiters();
                    }
                    turn
                }
            };
            self.turn(turn);
        }
    }

    fn received(&self, bytes: &[u8], senders: &mut Senders, health: &mut Health) -> Turn {
        if let Err(why) = senders.admit(&self.cluster, bytes) {
            self.refused.count(why);
            let may_be_a_nodes = match why {
                Stranger::Unsealed | Stranger::Forged | Stranger::Unlisted => true,
                Stranger::OtherDatabase | Stranger::Repeated => false,
            };
            return match may_be_a_nodes && !message::is_beat(bytes) {
                true => health.unread(Instant::now()),
                false => Turn::None,
            };
        }
        let received = message::decode(&self.node, bytes);
        match received {
            Received::Own { beat: Some(number) } => return health.heard(number, Instant::now()),
            Received::Own { beat: None } | Received::Beat => return Turn::None,
            Received::Announced(announced) => self.deliver(BrokerMessage::Announced(&announced)),
            Received::Changed(user, change) => {
                self.deliver(BrokerMessage::Changed { user, change: &change });
            }
            Received::Moved(heads, channels) => {
                self.deliver(BrokerMessage::Moved(&heads));
                self.deliver(BrokerMessage::ChannelsDue(channels));
            }
            Received::News(project, news) => {
                self.deliver(BrokerMessage::ProjectNews { project, news: &news });
            }
            Received::Presence(project, news) => {
                self.deliver(BrokerMessage::Presence { project, news: &news });
            }
            Received::Plain(message) => self.deliver(message),
            Received::Unknown => self.deliver(BrokerMessage::Compare),
        }
        metrics::counter!("bellpull_broker_received_total").increment(1);
        Turn::None
    }

    fn turn(&self, turn: Turn) {
        match turn {
            Turn::None => {}
            Turn::Compare => self.deliver(BrokerMessage::Compare),
            Turn::CutOff => {
                warn!("Redis is away: other nodes' notifications come up to some seconds later");
                metrics::gauge!("bellpull_broker_up").set(0.0);
                self.state.send_replace(BrokerState::Degraded);
                self.deliver(BrokerMessage::Compare);
            }
            Turn::Connected => {
                info!("connected to the other nodes through Redis");
                metrics::gauge!("bellpull_broker_up").set(1.0);
                self.state.send_replace(BrokerState::Ok);
                self.deliver(BrokerMessage::Missed);
            }
        }
    }

    fn deliver(&self, message: BrokerMessage<'_>) {
        let subscribers = self.subscribers.read().unwrap_or_else(PoisonError::into_inner);
        for subscriber in subscribers.iter().filter_map(Weak::upgrade) {
            subscriber.receive(message);
        }
    }
}

/// Finds out what no waiting would repair: wrong credentials, a wrong database, no right to
/// publish. Returns whether Redis answers.
async fn check(server: &Server, topic: &str, message: Vec<u8>) -> Result<bool, NoBroker> {
    let attempt = async { server.connect().await?.publish(topic, &[message]).await };
    match timeout(FIRST_MAX, attempt).await {
        Ok(Ok(())) => Ok(true),
        Ok(Err(error)) if is_refusal(&error) => Err(NoBroker(error.to_string())),
        Ok(Err(error)) => {
            warn!(%error, "Redis is away: the node begins without the others");
            Ok(false)
        }
        Err(_) => {
            warn!("Redis does not answer: the node begins without the others");
            Ok(false)
        }
    }
}

/// Whether the same attempt would be refused for ever.
fn is_refusal(error: &RedisError) -> bool {
    let said = ["ERR", "NOPERM", "NOAUTH", "WRONGPASS"];
    matches!(error.kind(), ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig)
        || error.code().is_some_and(|code| said.contains(&code))
        // Of several commands at once each may be refused.
        || error.clone().into_server_errors().is_some_and(|errors| {
            errors.iter().any(|(_, error)| said.contains(&error.code()))
        })
}

/// Redis answers, and refuses something that an operator may repair.
fn refused(what: &str, error: &RedisError) {
    if is_refusal(error) {
        warn!(%error, "Redis refuses {what}");
    }
}
