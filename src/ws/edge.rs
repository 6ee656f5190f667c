//! The socket edge: what opening a socket takes.

use std::sync::Arc;

use bellpull_actors::directory::Users;
use bellpull_domain::ids::ProjectId;
use bellpull_port::epoch::Epoch;
use bellpull_port::{StoreError, TicketStore};
use metrics::Counter;
use tokio::sync::watch;

use super::pace::Pace;
use super::reader::ReadRules;
use super::rejection::Rejections;
use bellpull_auth::{Auth, Principal};
use bellpull_config::Config;
use bellpull_edge::{HandshakeLimit, TrustedProxies};
use bellpull_wire::Dialect;

/// The socket edge. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WsEdge {
    pub(super) auth: Auth,
    pub(super) users: Users,
    projects: Arc<dyn TicketStore>,
    pub(super) rules: Arc<Rules>,
    draining: watch::Receiver<bool>,
    pub(super) rejections: Rejections,
}

/// What an edge is built from.
#[derive(Debug)]
pub struct WsParts {
    /// Accounts and tokens.
    pub auth: Auth,
    /// The user actors.
    pub users: Users,
    /// Projects and their members.
    pub projects: Arc<dyn TicketStore>,
    /// The store's identity: sequence numbers of another store mean nothing here.
    pub epoch: Epoch,
    /// The limit on new sessions per address.
    pub handshakes: Arc<HandshakeLimit>,
    /// Proxies whose forwarding headers are trusted.
    pub proxies: TrustedProxies,
    /// Once it is true, no more sockets are opened.
    pub draining: watch::Receiver<bool>,
}

/// What all sockets share.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) dialect: Dialect,
    pub(super) epoch: Epoch,
    pub(super) allowed_origins: Vec<String>,
    pub(super) handshakes: Arc<HandshakeLimit>,
    pub(super) proxies: TrustedProxies,
    pub(super) reading: Arc<ReadRules>,
    /// Handshakes that opened a socket; [`super::upgrade::count_handshake`] counts the others.
    pub(super) opened: Counter,
}

impl WsEdge {
    /// The edge with the configured limits and origins.
    #[must_use]
    pub fn new(parts: WsParts, config: &Config) -> Self {
        let WsParts { auth, users, projects, epoch, handshakes, proxies, draining } = parts;
        let rules = Rules {
            dialect: config.dialect,
            epoch,
            allowed_origins: config.http.origins(),
            handshakes,
            proxies,
            opened: metrics::counter!("bellpull_socket_handshakes_total", "outcome" => "opened"),
            reading: Arc::new(ReadRules {
                message_max: config.ws.max_frame,
                pace: Pace::per_second(config.ws.messages_per_s),
                auth: auth.clone(),
            }),
        };
        let rejections = Rejections::default();
        Self { auth, users, projects, rules: Arc::new(rules), draining, rejections }
    }

    pub(super) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Whether a caller may watch a project's streams: its members and admins may, and every user
    /// an open project's.
    pub(super) async fn may_watch(
        &self,
        who: &Principal,
        project: ProjectId,
    ) -> Result<bool, StoreError> {
        let Some(found) = self.projects.project(project).await? else { return Ok(false) };
        if found.is_open || who.user.role.is_admin() {
            return Ok(true);
        }
        self.projects.is_member(project, who.user.id).await
    }
}
