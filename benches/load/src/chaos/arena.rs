//! The nodes of a schedule, their services, and what happens to them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::people::People;
use super::schedule::{Action, Fault, LANES};
use crate::LoadError;
use crate::cluster::{NodeOptions, Nodes, Proxy, Services, ServicesOptions};
use crate::spawn::{UNLIMITED, accounts, own_binary};

/// How long a node may take to end after SIGTERM.
const DRAIN: Duration = Duration::from_secs(30);
/// Over how long a terminated node spreads its clients' return, in milliseconds.
const DRAIN_WINDOW_MS: &str = "1000";
/// The most connections of a node: a hub warns of more than the files that it may open.
const CONNECTIONS_MAX: &str = "10000";
/// The length of the secret that signs tokens, in bytes.
const SECRET_BYTES: usize = 32;

/// The nodes and their services. The fields end in this order.
#[derive(Debug)]
pub(super) struct Arena {
    nodes: Nodes,
    /// Between the nodes and PostgreSQL.
    proxy: Proxy,
    services: Services,
    /// The frozen nodes, and when they are woken.
    frozen: Vec<(usize, Instant)>,
    /// When Redis, which is away, is started again.
    redis_back: Option<Instant>,
    /// Nodes that ended otherwise than they should.
    pub(super) surprises: Vec<String>,
}

impl Arena {
    /// Starts everything, with accounts for so many clients.
    ///
    /// # Errors
    /// A service or a node does not start.
    pub(super) async fn start(
        program: Option<PathBuf>,
        count: usize,
        clients: usize,
    ) -> Result<(Self, People), LoadError> {
        let services = Services::start(ServicesOptions { is_durable: false }).await?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let direct = services.postgres.address();
        let proxy = Proxy::start(any, &[direct; LANES]).await?;
        let url = services.postgres.url();
        let through = url.replace(&direct.to_string(), &proxy.address().to_string());
        let mut random = [0; SECRET_BYTES];
        getrandom::fill(&mut random).map_err(|error| LoadError::failed(error.to_string()))?;
        let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut settings: Vec<(String, String)> = UNLIMITED.into_iter().map(own).collect();
        settings.push(own(("BELLPULL_JWT_SECRET", &secret)));
        settings.push(own(("BELLPULL_WS_MAX_CONNECTIONS", CONNECTIONS_MAX)));
        settings.push(own(("BELLPULL_DRAIN_WINDOW_MS", DRAIN_WINDOW_MS)));
        let redis = services.redis.url();
        let program = program.map_or_else(own_binary, Ok)?;
        let options = NodeOptions {
            program: Some(program.clone()),
            database: through,
            redis,
            settings,
            directory: None,
        };
        let nodes = Nodes::start(&options, count).await?;
        let roster = People::roster(clients);
        let made = accounts(&program, &url, &secret, &roster).await?;
        let people = People::of(&roster, &made)?;
        let (frozen, redis_back, surprises) = (Vec::new(), None, Vec::new());
        Ok((Self { nodes, proxy, services, frozen, redis_back, surprises }, people))
    }

    /// The nodes' addresses.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.addresses()
    }

    /// Lets a fault happen, after its pause.
    ///
    /// # Errors
    /// What was stopped does not start again.
    pub(super) async fn suffer(&mut self, fault: &Fault) -> Result<(), LoadError> {
        self.pass(fault.after).await?;
        match fault.action {
            Action::Kill { node, away } => {
                let node = self.free(node).await?;
                self.nodes[node].kill().await?;
                self.pass(away).await?;
                self.nodes[node].start().await?;
            }
            Action::Freeze { node, time } => {
                let node = self.free(node).await?;
                self.nodes[node].freeze()?;
                self.frozen.push((node, Instant::now() + time));
            }
            Action::Rolling => {
                for node in 0..self.nodes.len() {
                    if !self.is_frozen(node) {
                        self.restart(node).await?;
                    }
                }
            }
            Action::Redis { away } => {
                self.services.redis.kill().await?;
                self.redis_back = Some(Instant::now() + away);
            }
            Action::Postgres => self.services.postgres.restart().await?,
            Action::Cut { lane } => self.proxy.cut(lane),
        }
        Ok(())
    }

    async fn restart(&mut self, node: usize) -> Result<(), LoadError> {
        self.nodes[node].terminate()?;
        let status = self.nodes[node].exited(DRAIN).await?;
        if !status.success() {
            let text = format!("node {node} ended with {status} after SIGTERM");
            self.surprises.push(text);
        }
        self.nodes[node].start().await
    }

    /// Waits until nothing is frozen, Redis is back and all nodes are ready.
    ///
    /// # Errors
    /// A node does not become ready.
    pub(super) async fn recover(&mut self) -> Result<(), LoadError> {
        while let Some(end) = self.ends().max() {
            sleep_until(end).await;
            self.end_due().await?;
        }
        for node in self.nodes.iter_mut() {
            node.until_ready().await?;
        }
        Ok(())
    }

    /// That node, or the next one that is not frozen; a node must be left for the clients.
    async fn free(&mut self, node: usize) -> Result<usize, LoadError> {
        while self.frozen.len() + 1 >= self.nodes.len().max(2) {
            self.pass(Duration::from_millis(200)).await?;
        }
        let count = self.nodes.len();
        let next = (0..count).map(|n| (node + n) % count).find(|node| !self.is_frozen(*node));
        next.ok_or_else(|| LoadError::failed("all nodes are frozen"))
    }

    fn is_frozen(&self, node: usize) -> bool {
        self.frozen.iter().any(|(frozen, _)| *frozen == node)
    }

    /// When what is frozen or away comes back.
    fn ends(&self) -> impl Iterator<Item = Instant> {
        self.frozen.iter().map(|(_, wake)| *wake).chain(self.redis_back)
    }

    /// Lets time pass, in which what is frozen or away comes back.
    async fn pass(&mut self, time: Duration) -> Result<(), LoadError> {
        let end = Instant::now() + time;
        loop {
            self.end_due().await?;
            match self.ends().min().filter(|next| *next < end) {
                Some(next) => sleep_until(next).await,
                None => {
                    sleep(end.saturating_duration_since(Instant::now())).await;
                    return self.end_due().await;
                }
            }
        }
    }

    async fn end_due(&mut self) -> Result<(), LoadError> {
        let now = Instant::now();
        if self.redis_back.is_some_and(|back| back <= now) {
            self.services.redis.resume().await?;
            self.redis_back = None;
        }
        for (node, wake) in &self.frozen {
            if *wake <= now {
                self.nodes[*node].wake()?;
            }
        }
        self.frozen.retain(|(_, wake)| *wake > now);
        Ok(())
    }

    /// The last lines of all nodes' logs.
    pub(super) fn logs(&self) -> String {
        let logs = self.nodes.iter().map(|node| format!("{}:\n{}\n", node.name(), node.log_tail()));
        logs.collect()
    }
}
