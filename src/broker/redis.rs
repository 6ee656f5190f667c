//! The broker on Redis: one connection that publishes, one that is subscribed, and a task for each.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use bellpull_actors::port::{
    Broker, BrokerMessage, BrokerState, RefusedMessages, SharedLimits, Subscriber,
};
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::config::{Config, ReconnectPolicy};
use fred::types::{Builder, Message, Value};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{info, warn};

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

/// How many received messages wait to be handled; if there are more, the oldest are lost, and the
/// node compares with the store.
const RECEIVED_MAX: usize = 16_384;

/// How long Redis may take for a command.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// How long the first connection may take at the start of the node.
const FIRST_MAX: Duration = Duration::from_secs(3);

/// The pause between attempts to connect begins with this many milliseconds, doubles, …
const RECONNECT_MIN_MS: u32 = 50;
/// … and ends here.
const RECONNECT_MAX_MS: u32 = 1_000;

/// Redis refuses this node, or cannot be addressed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoBroker(String);

/// The other nodes, on a Redis.
#[derive(Debug)]
pub struct RedisBroker {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Vec<u8>>,
    tasks: Vec<JoinHandle<()>>,
    /// The connection that publishes.
    client: Client,
    limits: Option<Arc<RedisLimits>>,
}

#[derive(Debug)]
struct Shared {
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
}

impl RedisBroker {
    /// Connects. A Redis that does not answer is no error: the broker begins degraded, and connects
    /// as soon as it can.
    ///
    /// `node` identifies this process among all of the cluster.
    ///
    /// # Errors
    /// The URL cannot be used, or Redis refuses the credentials or the topic.
    pub async fn open(url: &str, cluster: &Cluster, node: &str) -> Result<Self, NoBroker> {
        let config = config(url)?;
        let topic = cluster.topic();
        let mut beat = message::beat(node, 0);
        cluster.seal(&mut beat, 0);
        let is_there = check(&config, &topic, &beat).await?;
        let shared = Arc::new(Shared {
            node: node.into(),
            topic,
            cluster: cluster.clone(),
            refused: Refused::default(),
            subscribers: RwLock::default(),
            state: watch::Sender::new(BrokerState::Degraded),
            queued_bytes: AtomicUsize::new(0),
            has_lost: AtomicBool::new(false),
        });
        metrics::gauge!("bellpull_broker_up").set(0.0);
        let (queue, queued) = mpsc::channel(QUEUE_MAX);
        let (sending, receiving) = (client(&config)?, client(&config)?);
        let client = sending.clone();
        let tasks = vec![
            tokio::spawn(keep_connected(sending.clone())),
            tokio::spawn(Arc::clone(&shared).send(sending, queued)),
            tokio::spawn(Arc::clone(&shared).receive(receiving.clone(), queue.clone())),
            tokio::spawn(keep_connected(receiving)),
        ];
        let broker = Self { shared, queue, tasks, client, limits: None };
        if is_there {
            // The node's first notifications reach the others at once, too.
            let mut states = broker.states();
            let connected = states.wait_for(|state| *state == BrokerState::Ok);
            let _ = tokio::time::timeout(FIRST_MAX, connected).await;
        }
        Ok(broker)
    }

    /// Connects and publishes once.
    ///
    /// # Errors
    /// What Redis refuses, or that it does not answer.
    pub async fn reach(url: &str) -> Result<(), NoBroker> {
        match check(&config(url)?, "bellpull:check", b"check").await? {
            true => Ok(()),
            false => Err(NoBroker("Redis does not answer".to_owned())),
        }
    }

    /// The same, and it counts limits for all nodes of the cluster.
    #[must_use]
    pub fn sharing_limits(mut self) -> Self {
        let cluster = &self.shared.cluster;
        let limits = RedisLimits::new(self.client.clone(), self.states(), cluster);
        self.limits = Some(Arc::new(limits));
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

    /// Sends what is queued; ends with the broker.
    async fn send(self: Arc<Self>, client: Client, mut queue: mpsc::Receiver<Vec<u8>>) {
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
            // A client without a connection would keep them, and send them when they are old.
            let is_sent = client.is_connected() && self.send_batch(&client, &mut batch).await;
            batch.clear();
            if is_sent {
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                metrics::counter!("bellpull_broker_published_total").increment(count);
            } else {
                self.dropped(count);
            }
        }
    }

    async fn send_batch(&self, client: &Client, batch: &mut Vec<Vec<u8>>) -> bool {
        let pipeline = client.pipeline();
        for bytes in batch.drain(..) {
            // Only adds it to the pipeline.
            let added: Result<(), Error> = pipeline.publish(&*self.topic, bytes.as_slice()).await;
            if added.is_err() {
                return false;
            }
        }
        let sent = tokio::time::timeout(ANSWER_MAX, pipeline.all::<Vec<Value>>()).await;
        matches!(sent, Ok(Ok(_)))
    }

    /// Receives other nodes' messages and this node's beats; ends with the broker.
    async fn receive(self: Arc<Self>, client: Client, queue: mpsc::Sender<Vec<u8>>) {
        let (mut messages, mut connects) = (client.message_rx(), client.reconnect_rx());
        let mut errors = client.error_rx();
        let mut senders = Senders::default();
        let mut health = Health::new(Instant::now());
        let mut beats = tokio::time::interval(BEAT_EVERY);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let turn = tokio::select! {
                received = messages.recv() => match received {
                    Ok(message) => self.received(&message, &mut senders, &mut health),
                    Err(RecvError::Lagged(count)) => {
                        warn!(count, "messages of other nodes were lost: they came too fast");
                        self.deliver(BrokerMessage::Missed);
                        Turn::None
                    }
                    Err(RecvError::Closed) => return,
                },
                connected = connects.recv() => {
                    let turn = health.interrupted(Instant::now());
                    if connected.is_ok() {
                        self.subscribe_again(&client).await;
                        // Not the next beat: the sooner it arrives, the sooner the state is known.
                        self.enqueue(&queue, message::beat(&self.node, health.beat()));
                    }
                    turn
                }
                _ = errors.recv() => health.interrupted(Instant::now()),
                _ = beats.tick() => {
                    self.enqueue(&queue, message::beat(&self.node, health.beat()));
                    health.tick(Instant::now())
                }
            };
            self.turn(turn);
        }
    }

    /// If it fails, no beat arrives, and the next connection tries again.
    async fn subscribe_again(&self, client: &Client) {
        let subscribing = client.subscribe(&*self.topic);
        match tokio::time::timeout(ANSWER_MAX, subscribing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(%error, "Redis refuses the topic of the nodes");
                let _ = client.force_reconnection().await;
            }
            Err(_) => {
                let _ = client.force_reconnection().await;
            }
        }
    }

    fn received(&self, message: &Message, senders: &mut Senders, health: &mut Health) -> Turn {
        let Some(bytes) = message.value.as_bytes() else { return Turn::None };
        if let Err(why) = senders.admit(&self.cluster, bytes) {
            self.refused.count(why);
            return match why {
                Stranger::Unsealed | Stranger::Forged if !message::is_beat(bytes) => {
                    health.unread(Instant::now())
                }
                Stranger::Unsealed
                | Stranger::Forged
                | Stranger::OtherDatabase
                | Stranger::Repeated => Turn::None,
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

fn config(url: &str) -> Result<Config, NoBroker> {
    let mut config = Config::from_url(url)
        .map_err(|_| NoBroker("not a URL such as redis://USER:PASSWORD@HOST:6379".to_owned()))?;
    config.fail_fast = false;
    Ok(config)
}

fn builder(config: &Config) -> Builder {
    let mut builder = Builder::from_config(config.clone());
    builder.with_connection_config(|connection| {
        connection.connection_timeout = ANSWER_MAX;
        connection.internal_command_timeout = ANSWER_MAX;
        connection.max_command_attempts = 1;
        connection.max_command_buffer_len = 4 * BATCH_MAX;
    });
    builder.with_performance_config(|performance| {
        performance.default_command_timeout = ANSWER_MAX;
        performance.broadcast_channel_capacity = RECEIVED_MAX;
    });
    builder
}

fn client(config: &Config) -> Result<Client, NoBroker> {
    let mut builder = builder(config);
    let mut policy = ReconnectPolicy::new_exponential(0, RECONNECT_MIN_MS, RECONNECT_MAX_MS, 2);
    policy.set_jitter(RECONNECT_MIN_MS);
    builder.set_policy(policy);
    builder.build().map_err(|error| NoBroker(error.details().to_owned()))
}

/// Finds out what no waiting would repair: wrong credentials, a wrong database, no right to
/// publish. Returns whether Redis answers.
async fn check(config: &Config, topic: &str, message: &[u8]) -> Result<bool, NoBroker> {
    let mut config = config.clone();
    config.fail_fast = true;
    let client = builder(&config).build().map_err(|error| NoBroker(error.details().to_owned()))?;
    let attempt = async {
        client.init().await?;
        client.publish::<(), _, _>(topic, message).await
    };
    let outcome = tokio::time::timeout(FIRST_MAX, attempt).await;
    let _ = tokio::time::timeout(ANSWER_MAX, client.quit()).await;
    match outcome {
        Ok(Ok(())) => Ok(true),
        Ok(Err(error)) if is_refusal(&error) => Err(NoBroker(error.details().to_owned())),
        Ok(Err(error)) => {
            warn!(error = error.details(), "Redis is away: the node begins without the others");
            Ok(false)
        }
        Err(_) => {
            warn!("Redis does not answer: the node begins without the others");
            Ok(false)
        }
    }
}

/// Whether the same attempt would be refused for ever.
fn is_refusal(error: &Error) -> bool {
    let said = ["ERR", "NOPERM", "NOAUTH", "WRONGPASS"];
    matches!(error.kind(), ErrorKind::Auth | ErrorKind::Config | ErrorKind::Url)
        || said.iter().any(|word| error.details().starts_with(word))
}

/// Connects, and again if the client gives up: it does after some errors, credentials among them,
/// that an operator may repair.
async fn keep_connected(client: Client) {
    loop {
        let ended = client.connect().await;
        if let Ok(Err(error)) = ended {
            warn!(error = error.details(), "the connection to Redis has ended");
        }
        tokio::time::sleep(Duration::from_millis(u64::from(RECONNECT_MAX_MS))).await;
    }
}
