//! The composition root: store, supervision tree, accounts, edges; and how they stop.
//!
//! `serve`, `demo`, the tests and the benches all start a hub here, so they all use the same one.

mod broker;
mod hooks_off;
mod identity;
mod listeners;
mod reload;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bellpull_actors::channel::ChannelActor;
use bellpull_actors::hub::{Hub, HubLimits, HubNames, HubParts};
use bellpull_actors::write_rate::WriteRate;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_port::clock::SystemClock;
use bellpull_port::epoch::Epoch;
use bellpull_port::slow::SlowLog;
use bellpull_port::{AccountStore, Broker, Clock, LeaseOwner, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use bellpull_auth::issue::hub_secret;
use bellpull_auth::{Auth, AuthStartError, Signing, follow};
use bellpull_config::Config;
use bellpull_delivery::account_link::AccountLinks;
use bellpull_delivery::bad_channel::BadChannel;
use bellpull_delivery::callers::Callers;
use bellpull_delivery::channels::{ChannelParts, channels};
use bellpull_delivery::link::Links;
use bellpull_delivery::renderer::Renderer;
use bellpull_delivery::runtime::DeliveryRuntime;
use bellpull_delivery::template_service::{FOLLOW_EVERY, TemplateService};
use bellpull_edge::{HandshakeLimit, TrustedProxies};
use bellpull_http::{Edge, EdgeParts, Readiness};
use bellpull_nodes::{JoinError, Membership};
use bellpull_storage::{self, StoreOptions};
use bellpull_telemetry::signals::GoldenSignals;
use bellpull_tls::{self, Certificate};
use bellpull_ws::{WsEdge, WsParts};
use broker::broker;
use hooks_off::tell_owners;
use identity::{follow_epoch, join, names, stored_secret};
use listeners::{Listeners, serve};

/// The setting with the secret for links in external messages.
const LINK_SETTING: &str = "link_secret";

/// How long requests in progress may take to finish when the hub stops.
const FINISH_MAX: Duration = Duration::from_secs(5);

/// A running hub.
#[derive(Debug)]
pub struct App {
    address: SocketAddr,
    scheme: &'static str,
    certificate: Option<Arc<Certificate>>,
    store: Arc<dyn Store>,
    auth: Auth,
    hub: Hub,
    nodes: Membership,
    readiness: Readiness,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
    upkeep: Vec<JoinHandle<()>>,
    drain_notice: Duration,
    drain_window: Duration,
    /// Dropped last: channels run there.
    _hands: DeliveryRuntime,
}

/// Why a hub did not start; the text names the setting.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {text}")]
pub struct StartError {
    /// The setting's key.
    pub setting: &'static str,
    /// What is wrong with it.
    pub text: String,
}

impl StartError {
    fn of<E: std::fmt::Display>(setting: &'static str) -> impl Fn(E) -> Self {
        move |error| Self { setting, text: error.to_string() }
    }
}

impl From<BadChannel> for StartError {
    fn from(BadChannel { setting, problem }: BadChannel) -> Self {
        Self { setting, text: problem }
    }
}

impl From<JoinError> for StartError {
    fn from(error: JoinError) -> Self {
        let setting = match error {
            JoinError::Taken(_) | JoinError::Client(_) => "node",
            JoinError::Store(_) => "database_url",
        };
        Self { setting, text: error.to_string() }
    }
}

impl From<AuthStartError> for StartError {
    fn from(error: AuthStartError) -> Self {
        match error {
            AuthStartError::Setting { setting, problem } => Self { setting, text: problem },
            AuthStartError::Store(error) => Self::of("database_url")(error),
        }
    }
}

/// Everything behind the edges.
struct Inside {
    store: Arc<dyn Store>,
    hub: Hub,
    auth: Auth,
    readiness: Readiness,
    clock: Arc<dyn Clock>,
    links: Links,
    callers: Callers,
    templates: TemplateService,
    epoch: Epoch,
    writes: WriteRate,
    nodes: Membership,
    signals: GoldenSignals,
    slow: SlowLog,
}

impl Inside {
    /// The edges, which share the limits per address: an event stream is opened like a socket.
    fn edges(self, config: &Config, draining: watch::Receiver<bool>) -> (Edge, WsEdge) {
        let handshakes = Arc::new(HandshakeLimit::per_second(config.ws.handshakes_per_s));
        let proxies = TrustedProxies::new(&config.http.trusted_proxies);
        let sockets = WsParts {
            auth: self.auth.clone(),
            users: self.hub.users.clone(),
            projects: self.store.clone(),
            epoch: self.epoch.clone(),
            handshakes: Arc::clone(&handshakes),
            proxies: proxies.clone(),
            draining,
        };
        let parts = EdgeParts {
            hub: self.hub,
            auth: self.auth,
            store: self.store,
            links: self.links,
            templates: self.templates,
            callers: self.callers,
            clock: self.clock,
            readiness: self.readiness,
            epoch: self.epoch,
            handshakes,
            proxies,
            writes: self.writes,
            nodes: self.nodes,
            signals: self.signals,
            slow: self.slow,
        };
        (Edge::new(parts, config), WsEdge::new(sockets, config))
    }
}

impl App {
    /// Opens the store, starts the supervision tree, and serves.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, StoreOptions { exclusive: true, ..StoreOptions::default() }).await
    }

    /// The same with other store options.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start_with(config: Config, options: StoreOptions) -> Result<Self, StartError> {
        // A test may enable deliveries for a channel that is not configured.
        let mut options = options;
        options.channels = options.channels.or(config.delivery.channels());
        options.verify_email = config.auth.verify_email;
        options.check_max_bytes = config.database_check_max_bytes;
        options.connections = config.database_connections;
        options.wait = config.database_wait;
        let channels = options.channels;
        let slow = SlowLog::new(config.slow);
        options.slow = slow.clone();
        // Addresses first: they are the most likely problem, and a start that fails over one must
        // not leave a new database behind.
        let listeners = Listeners::bind(&config)?;
        let store = bellpull_storage::open(config.database_url.reveal(), options)
            .await
            .map_err(StartError::of("database_url"))?;
        Self::start_listening(&config, store, channels, (listeners, slow)).await
    }

    /// The same on a store that the caller has opened. The hub closes it.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start_on_store(
        config: &Config,
        store: Arc<dyn Store>,
    ) -> Result<Self, StartError> {
        let channels = config.delivery.channels();
        let slow = SlowLog::new(config.slow);
        let listeners = Listeners::bind(config)?;
        Self::start_listening(config, store, channels, (listeners, slow)).await
    }

    async fn start_listening(
        config: &Config,
        store: Arc<dyn Store>,
        channels: Channels,
        (listeners, slow): (Listeners, SlowLog),
    ) -> Result<Self, StartError> {
        let started = match join(config, &store, &listeners).await {
            Ok(nodes) => {
                let started =
                    Self::start_on(config, Arc::clone(&store), (listeners, slow), nodes.clone())
                        .await;
                if started.is_err() {
                    nodes.leave().await;
                }
                started
            }
            Err(error) => Err(error),
        };
        match &started {
            Ok(_) => announce_disabled(channels),
            Err(_) => store.close().await, // or its log and its lock stay behind
        }
        started
    }

    #[expect(clippy::too_many_lines, reason = "a list of parts in the order of their dependencies")]
    async fn start_on(
        config: &Config,
        store: Arc<dyn Store>,
        (listeners, slow): (Listeners, SlowLog),
        nodes: Membership,
    ) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let names = names(&*store, nodes.name()).await.map_err(StartError::of("database_url"))?;
        let signing = Signing::read(config, &*store, clock.now()).await?;
        let templates = TemplateService::open(store.clone()).await;
        let templates = templates.map_err(StartError::of("database_url"))?;
        let links = links(config, &*store, listeners.address).await?;
        let renderer = Renderer { templates: templates.templates().clone(), links: links.clone() };
        let callers = Callers::new(&config.delivery)?;
        let runtime =
            DeliveryRuntime::start().map_err(StartError::of("a thread for deliveries"))?;
        let owner = nodes.lease_owner().clone();
        let channels = channels(
            &config.delivery,
            &ChannelParts {
                store: store.clone(),
                owner: owner.clone(),
                clock: Arc::clone(&clock),
                epoch: names.epoch.name(),
                renderer,
                callers: callers.clone(),
                nodes: nodes.live(),
                runtime: runtime.runtime().clone(),
            },
        )?;
        let writes = WriteRate::per_second(config.http.writes_per_s);
        let broker = broker(config, &store, &names, &owner).await?;
        let (node, ways) = ((names.clone(), owner), (&store, &broker));
        let parts =
            parts(config, ways, clock.clone(), node, (writes.clone(), slow.clone()), channels);
        let hub = Hub::start(parts).await;
        let hub = hub.map_err(StartError::of("the supervision tree"))?;
        let (accounts, users) = (store.clone(), Some(hub.users.clone()));
        let auth = Auth::new(signing, config, accounts, users, clock.clone());
        let templates = templates.with_broker(&broker);
        auth.subscribe(&*broker);
        let readiness = Readiness::new(hub.clone(), store.clone(), broker);
        let (stop, stopping) = watch::channel(false);
        let signals = GoldenSignals::default();
        let inside = Inside {
            store: Arc::clone(&store),
            hub: hub.clone(),
            auth: auth.clone(),
            readiness: readiness.clone(),
            clock,
            links,
            callers,
            templates: templates.clone(),
            epoch: names.epoch,
            writes,
            nodes: nodes.clone(),
            signals: signals.clone(),
            slow,
        };
        let (edge, sockets) = inside.edges(config, stopping.clone());
        let (address, listening) = (listeners.address, listeners.connections());
        let certificate = listeners.certificate.clone();
        let per_address = config.http.max_connections_per_address;
        let servers = serve(edge, sockets, listeners, per_address, &stopping);
        let drain_notice = Duration::from_millis(u64::from(config.drain_notice_ms));
        let drain_window = Duration::from_millis(u64::from(config.drain_window_ms));
        let users = hub.users.clone();
        let mut upkeep = vec![
            tokio::spawn(nodes.clone().keep(move || users.sessions())),
            tokio::spawn(follow_epoch(store.clone())),
            tokio::spawn(tell_owners(store.clone(), hub.sends.clone(), Arc::new(SystemClock))),
            tokio::spawn(bellpull_telemetry::upkeep()),
            tokio::spawn(signals.keep(hub.clone(), Arc::clone(&store), listening)),
            tokio::spawn(templates.follow(FOLLOW_EVERY)),
            tokio::spawn(auth.clone().follow(hub.projects.clone(), follow::FOLLOW_EVERY)),
            tokio::spawn(auth.clone().follow_keys()),
        ];
        upkeep.extend(
            certificate.clone().map(|certificate| tokio::spawn(bellpull_tls::follow(certificate))),
        );
        Ok(Self {
            address,
            certificate,
            scheme: config.scheme(),
            store,
            auth,
            hub,
            nodes,
            readiness,
            stop,
            servers,
            upkeep,
            drain_notice,
            drain_window,
            _hands: runtime,
        })
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a URL without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Its store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Its accounts.
    #[must_use]
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Its supervision tree.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// It among the nodes.
    #[must_use]
    pub fn nodes(&self) -> &Membership {
        &self.nodes
    }

    /// Stops without losing anything: readiness becomes false, and where another node can take over
    /// everything is served until load balancers have had time to notice; then nothing new is
    /// accepted, requests in progress finish, sessions are told when to come back, attempts in
    /// progress are recorded, and the store's last commit is on disk.
    pub async fn stop(mut self) {
        self.readiness.announce_drain();
        self.nodes.begin_drain();
        if self.nodes.has_others().await {
            tokio::time::sleep(self.drain_notice).await;
        }
        self.readiness.begin_drain();
        self.stop.send_replace(true);
        let servers = std::mem::take(&mut self.servers);
        let finish = async {
            for server in servers {
                let _ = server.await; // it was aborted, or panicked: stopped in any case
            }
        };
        let finished = tokio::time::timeout(FINISH_MAX, finish);
        let ended = self.hub.end_sessions(self.drain_window);
        // What a request commits now is sent after the next start, or by another node.
        let ((), (), finished) = tokio::join!(ended, self.hub.end_sending(), finished);
        if finished.is_err() {
            warn!("requests that took longer than {} s were cut off", FINISH_MAX.as_secs());
        }
        self.upkeep.iter().for_each(JoinHandle::abort);
        self.hub.stop().await;
        // Last: until then its leases are its own.
        self.nodes.leave().await;
        self.store.close().await;
    }
}

/// Logs which channels are not configured.
fn announce_disabled(channels: Channels) {
    let off: Vec<&str> = Channels::of(&Channel::ALL)
        .outgoing()
        .filter(|channel| !channels.contains(*channel))
        .map(Channel::display)
        .collect();
    if !off.is_empty() {
        info!("channels disabled (not configured): {}", off.join(", "));
    }
}

/// The parts of the supervision tree.
fn parts(
    config: &Config,
    (store, broker): (&Arc<dyn Store>, &Arc<dyn Broker>),
    clock: Arc<dyn Clock>,
    (names, owner): (HubNames, LeaseOwner),
    (writes, slow): (WriteRate, SlowLog),
    channels: Vec<ChannelActor>,
) -> HubParts {
    HubParts {
        tickets: store.clone(),
        inboxes: store.clone(),
        sends: store.clone(),
        retention: store.clone(),
        comments: store.clone(),
        broker: Arc::clone(broker),
        clock,
        names,
        owner,
        limits: limits(config),
        writes,
        channels,
        slow,
    }
}

/// The links in messages, signed with a secret of their own: if another issuer signs the tokens,
/// the hub has no other secret.
///
/// Links that change an account are signed with the secret of the hub's own tokens: if that comes
/// from the environment, access to the database alone opens no account.
async fn links(
    config: &Config,
    accounts: &dyn AccountStore,
    address: SocketAddr,
) -> Result<Links, StartError> {
    let secret = stored_secret(accounts, LINK_SETTING).await?;
    let links = Links::new(config.http.public_url.clone(), secret);
    if config.auth.public_key_file.is_some() || config.auth.jwks_file.is_some() {
        return Ok(links);
    }
    let secret = hub_secret(config, accounts).await.map_err(StartError::of("database_url"))?;
    let base =
        config.http.public_url.clone().unwrap_or_else(|| reached_at(config.scheme(), address));
    Ok(links.with_accounts(AccountLinks::new(base, secret)))
}

/// A URL at which a browser on this machine reaches the hub.
fn reached_at(scheme: &str, address: SocketAddr) -> String {
    match address.ip().is_unspecified() {
        true => format!("{scheme}://localhost:{}", address.port()),
        false => format!("{scheme}://{address}"),
    }
}

fn limits(config: &Config) -> HubLimits {
    let ws = &config.ws;
    HubLimits {
        replay_max: config.replay_limit,
        sessions_per_user_max: ws.max_sessions_per_user,
        ping_after: Duration::from_secs(u64::from(ws.ping_after_s)),
        silent_max: Duration::from_secs(u64::from(ws.silent_max_s)),
        unsent_bytes_max: ws.max_unsent_bytes,
        retention: config.retention,
        ..HubLimits::default()
    }
}
