//! The nodes of a demo, their services and their proxy.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bellpull_load::cluster::{NodeOptions, Nodes, Proxy, Services, ServicesOptions};

use super::super::super::{CliError, SettingFlags};
use super::super::act::{Owed, Site, Sites};
use bellpull_config::Config;
use bellpull_config::table::find;

/// How long the nodes may take to stop.
const STOP: Duration = Duration::from_secs(15);

/// What is started.
pub(super) struct Plan {
    count: usize,
    /// The running services, if they are given: the database and the Redis.
    services: Option<(String, String)>,
    /// The settings of all nodes, as variables.
    settings: Vec<(String, String)>,
}

impl Plan {
    /// What the flags say.
    ///
    /// # Errors
    /// A flag that does not go with several nodes, or without another one.
    pub(super) fn of(flags: &SettingFlags<true>, count: usize) -> Result<Self, CliError> {
        if flags.given("node").is_some() {
            return Err(CliError::wrong("--node: the nodes of --nodes have names of their own"));
        }
        let services = match (flags.given("database_url"), flags.given("redis_url")) {
            (None, None) => None,
            (Some(database), Some(_)) if !database.starts_with("postgres") => {
                return Err(CliError::wrong("--database: several nodes need PostgreSQL"));
            }
            (Some(database), Some(redis)) => Some((database.to_owned(), redis.to_owned())),
            (Some(_), None) => return Err(CliError::wrong(ONE_OF_TWO.replace("{}", "--redis"))),
            (None, Some(_)) => return Err(CliError::wrong(ONE_OF_TWO.replace("{}", "--database"))),
        };
        Ok(Self { count, services, settings: flags.variables() })
    }

    /// Whether the services are started too.
    pub(super) fn has_own_services(&self) -> bool {
        self.services.is_none()
    }

    /// Nodes on one machine share no port: one that is set for operators is any free one.
    ///
    /// # Errors
    /// A setting that names one node.
    pub(super) fn with_own_ports(mut self, config: &Config) -> Result<Self, CliError> {
        if config.node_url.is_some() {
            return Err(CliError::wrong("node_url: it names one node, and --nodes starts several"));
        }
        if config.operator_listen.is_some() {
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).to_string();
            let variable = find("operator.listen").map(|setting| setting.env());
            self.settings.extend(variable.map(|variable| (variable, any)));
        }
        Ok(self)
    }
}

/// The error if only one of the services is given.
const ONE_OF_TWO: &str = "{}: missing: --nodes needs --database and --redis together, or neither: \
    then it starts both";

/// All processes of the demo. They end in the order of these fields.
pub(super) struct Cluster {
    pub(super) proxy: Proxy,
    pub(super) nodes: Nodes,
    database: String,
    _services: Option<Services>,
}

impl Cluster {
    /// Starts everything; returns once all nodes are ready.
    ///
    /// # Errors
    /// What does not start, with the last lines of its log.
    pub(super) async fn start(plan: Plan, listen: SocketAddr) -> Result<Self, CliError> {
        let (database, redis, services) = match plan.services {
            Some((database, redis)) => (database, redis, None),
            None => {
                let services = Services::start(ServicesOptions::default()).await?;
                (services.postgres.url(), services.redis.url(), Some(services))
            }
        };
        let directory = std::env::current_dir().ok(); // bellpull.toml, and files that settings name
        let options = NodeOptions {
            database: database.clone(),
            redis: Some(redis),
            settings: plan.settings,
            directory,
            ..NodeOptions::default()
        };
        let nodes = Nodes::start(&options, plan.count).await?;
        let proxy = Proxy::start(listen, &nodes.addresses()).await?;
        Ok(Self { proxy, nodes, database, _services: services })
    }

    /// The URL of the proxy.
    pub(super) fn url(&self) -> String {
        self.proxy.url()
    }

    /// The URL of the database; it may contain a password.
    pub(super) fn database(&self) -> &str {
        &self.database
    }

    /// The URL of a node that runs.
    pub(super) fn any_node(&self) -> Result<String, String> {
        let mut running = self.nodes.iter().filter(|node| node.pid().is_some());
        running.next().map(|node| node.url()).ok_or_else(|| "no node runs".to_owned())
    }

    /// The number of a node.
    pub(super) fn node(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name() == name)
    }

    /// Stops the nodes: they drain, and their rows say that they have left.
    pub(super) async fn stop(&mut self) {
        for node in self.nodes.iter() {
            let _ = node.terminate(); // it has ended, and says so below
        }
        for node in self.nodes.iter_mut().filter(|node| node.pid().is_some()) {
            let _ = node.exited(STOP).await; // it is killed with its owner
        }
    }
}

impl Sites for Cluster {
    /// The node with the fewest of the recipients' sockets.
    fn site(&self, owed: &[Owed<'_>]) -> Site {
        let sockets = |name: &str| {
            owed.iter().filter(|(person, _)| person.node.as_deref() == Some(name)).count()
        };
        let running = self.nodes.iter().filter(|node| node.pid().is_some());
        match running.min_by_key(|node| sockets(node.name())) {
            Some(node) => Site { url: node.url(), node: Some(node.name().to_owned()) },
            None => Site { url: self.url(), node: None },
        }
    }
}
