//! Connections to Redis, a single one or a cluster.
//!
//! The client's parser bounds how deep answers may be nested (100 levels, then the connection
//! ends), so a hostile Redis cannot overflow a stack.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    Pipeline, ProtocolVersion, PushInfo, PushKind, RedisError, RedisResult, Value,
};
use tokio::sync::{Notify, mpsc};

/// How long Redis may take for a command, and for a connection.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(1);

/// The most nodes of a cluster that are remembered.
const NODES_MAX: usize = 64;

/// Where Redis is. Of a cluster, any node takes and passes on messages.
#[derive(Debug)]
pub(super) struct Server {
    info: ConnectionInfo,
    /// The nodes of a cluster, those of the setting first; others are added as they are learned of.
    nodes: Mutex<Vec<(String, u16)>>,
    is_cluster: bool,
}

/// A connection that publishes, counts limits, or is subscribed.
#[derive(Debug, Clone)]
pub(super) struct Link(MultiplexedConnection);

/// The connection that publishes, while there is one.
#[derive(Debug, Clone, Default)]
pub(super) struct Current(Arc<Mutex<Option<Link>>>);

impl Current {
    pub(super) fn get(&self) -> Option<Link> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, link: Option<Link>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = link;
    }
}

/// Where a subscribed connection puts what arrives.
#[derive(Debug, Clone)]
pub(super) struct Inbound {
    pub(super) messages: mpsc::Sender<Vec<u8>>,
    /// Whether there was no room for some.
    pub(super) has_lost: Arc<AtomicBool>,
    /// The connection has ended.
    pub(super) ended: Arc<Notify>,
}

impl Inbound {
    /// Called by the connection, which must not wait.
    fn take(&self, push: PushInfo) {
        if push.kind == PushKind::Disconnection {
            self.ended.notify_one();
        } else if push.kind == PushKind::Message
            && let Some(Value::BulkString(bytes)) = push.data.into_iter().nth(1)
            && self.messages.try_send(bytes).is_err()
        {
            self.has_lost.store(true, Relaxed);
        }
    }
}

/// Redis refuses this node, or cannot be addressed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoBroker(pub(super) String);

impl Server {
    /// Reads the setting.
    pub(super) fn parse(url: &str) -> Result<Self, NoBroker> {
        let bad = || NoBroker("not a URL such as redis://USER:PASSWORD@HOST:6379".to_owned());
        let mut url = reqwest::Url::parse(url).map_err(|_| bad())?;
        let (is_cluster, scheme) = match url.scheme() {
            "redis" | "valkey" => (false, "redis"),
            "rediss" | "valkeys" => (false, "rediss"),
            "redis-cluster" => (true, "redis"),
            "rediss-cluster" => (true, "rediss"),
            _ => return Err(bad()),
        };
        let mut nodes = Vec::new();
        for (name, value) in url.query_pairs().filter(|_| is_cluster) {
            if name == "node" {
                nodes.push(host_and_port(&value).ok_or_else(bad)?);
            }
        }
        if is_cluster {
            url.set_query(None);
        }
        let rest = url.as_str().split_once(':').map_or("", |(_, rest)| rest);
        let info = format!("{scheme}:{rest}").into_connection_info().map_err(|_| bad())?;
        if let ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } =
            info.addr()
        {
            nodes.insert(0, (host.clone(), *port));
        }
        let settings = info.redis_settings().clone().set_skip_set_lib_name();
        let info = info.set_redis_settings(settings);
        Ok(Self { info, nodes: Mutex::new(nodes), is_cluster })
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.is_cluster
    }

    /// A connection for commands.
    pub(super) async fn connect(&self) -> RedisResult<Link> {
        self.open(self.info.clone(), &AsyncConnectionConfig::new()).await
    }

    /// A connection that is subscribed.
    pub(super) async fn subscribe(&self, topic: &str, inbound: Inbound) -> RedisResult<Link> {
        let take = move |push| {
            inbound.take(push);
            Ok::<(), RedisError>(())
        };
        let config = AsyncConnectionConfig::new().set_push_sender(take);
        let settings = self.info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let info = self.info.clone().set_redis_settings(settings);
        let mut link = self.open(info, &config).await?;
        link.0.subscribe(topic).await?;
        Ok(link)
    }

    /// The node of a cluster that an answer names.
    pub(super) async fn connect_to(&self, address: &str) -> RedisResult<Link> {
        let none = || RedisError::from((redis::ErrorKind::Client, "an answer names no node"));
        let info = self.at(self.info.clone(), host_and_port(address).ok_or_else(none)?);
        open(info, &AsyncConnectionConfig::new()).await
    }

    /// The first node that answers; of a single Redis, there is one.
    async fn open(
        &self,
        info: ConnectionInfo,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<Link> {
        if !self.is_cluster {
            return open(info, config).await;
        }
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut outcome =
            Err(RedisError::from((redis::ErrorKind::Io, "no node of the cluster answers")));
        for node in nodes {
            outcome = open(self.at(info.clone(), node), config).await;
            if let Ok(link) = &outcome {
                self.learn(link.clone()).await;
                return outcome;
            }
        }
        outcome
    }

    fn at(&self, info: ConnectionInfo, (host, port): (String, u16)) -> ConnectionInfo {
        let known = info.addr().clone();
        let address = if let ConnectionAddr::TcpTls { insecure, tls_params, .. } = known {
            ConnectionAddr::TcpTls { host, port, insecure, tls_params }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        info.set_addr(address)
    }

    /// Remembers the cluster's other nodes, for the time when this one is gone.
    async fn learn(&self, mut link: Link) {
        let Ok(text) = link.0.send_packed_command(redis::cmd("CLUSTER").arg("NODES")).await else {
            return;
        };
        let Ok(text) = redis::from_redis_value::<String>(text) else { return };
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        // ID HOST:PORT@BUS[,NAME] …
        let addresses =
            text.lines().filter_map(|line| line.split(' ').nth(1)?.split(['@', ',']).next());
        for node in addresses.filter_map(host_and_port) {
            if !node.0.is_empty() && nodes.len() < NODES_MAX && !nodes.contains(&node) {
                nodes.push(node);
            }
        }
    }
}

impl Link {
    pub(super) async fn run(&self, command: &Cmd) -> RedisResult<Value> {
        self.0.clone().send_packed_command(command).await?.extract_error()
    }

    /// Publishes all, without waiting for each answer.
    pub(super) async fn publish(&self, topic: &str, messages: &[Vec<u8>]) -> RedisResult<()> {
        let mut pipeline = Pipeline::with_capacity(messages.len());
        for message in messages {
            pipeline.cmd("PUBLISH").arg(topic).arg(message.as_slice()).ignore();
        }
        pipeline.query_async(&mut self.0.clone()).await
    }

    /// Whether it leads to a replica, where what is published reaches no client of its primary.
    /// `false` if Redis does not say.
    pub(super) async fn is_replica(&self) -> RedisResult<bool> {
        match self.run(&redis::cmd("ROLE")).await {
            Ok(Value::Array(role)) => {
                Ok(matches!(role.first(), Some(Value::BulkString(name)) if name == b"slave"))
            }
            Ok(_) => Ok(false),
            // A user without the right to ask.
            Err(error) if error.code().is_some() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

async fn open(info: ConnectionInfo, config: &AsyncConnectionConfig) -> RedisResult<Link> {
    let config = config
        .clone()
        .set_connection_timeout(Some(ANSWER_MAX))
        .set_response_timeout(Some(ANSWER_MAX));
    let client = Client::open(info)?;
    client.get_multiplexed_async_connection_with_config(&config).await.map(Link)
}

/// `HOST:PORT`, also of IPv6 without brackets, as Redis names it.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
}
