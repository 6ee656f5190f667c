//! The REST edge: one file per resource.
//!
//! A request passes [`guard`] (time limit, panics, metrics, CORS), is routed to its handler here,
//! and is parsed by extractors: [`who`] authenticates, [`query`] and [`page`] parse the URL,
//! [`body`] and [`fields`] the body. The handler calls one handle and returns the answer; [`error`]
//! is the one table of errors.

mod account_fields;
mod account_pages;
mod analytics;
mod audit;
mod audit_log;
mod auth;
mod body;
mod by_hand;
mod channels;
mod choices;
mod comments;
mod deliveries;
mod error;
mod escalations;
mod explain;
mod fields;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod guard;
mod home;
mod hooks;
mod in_flight;
mod mentions;
mod nodes;
mod notifications;
mod once;
mod openapi;
mod operator;
mod page;
mod passwords;
mod preferences;
mod profile;
mod projects;
mod push;
mod query;
mod read_turns;
mod readiness;
mod responses;
mod routes;
mod scheduled;
mod sends;
mod signals;
mod slow;
pub mod sse;
mod stream;
mod strict_json;
mod templates;
mod ticket_actions;
mod tickets;
mod tree;
mod tree_events;
mod try_limit;
mod unknown;
mod unsubscribe;
mod users;
mod webhooks;
mod who;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::routing::any;
use bellpull_actors::directory::{Tickets, Users};
use bellpull_actors::hub::Hub;
use bellpull_actors::sends::Sends;
use bellpull_actors::write_rate::WriteRate;
use bellpull_port::epoch::Epoch;
use bellpull_port::slow::SlowLog;
use bellpull_port::{
    AccountStore, AuditStore, Clock, CommentStore, DeliveryLog, DeliveryStore, EscalationStore,
    InboxStore, PreferenceStore, ProjectStore, PushStore, ReportStore, SendLog, Store, TicketStore,
};

use self::audit::AuditLog;
use self::body::BodyLimit;
pub use self::in_flight::InFlight;
use self::page::LinkBase;
use self::passwords::LinkLimits;
use self::preferences::DigestZone;
use self::push::PushHandles;
use self::read_turns::ReadTurns;
pub use self::readiness::Readiness;
use self::routes::Routes;
use self::try_limit::TryLimit;
use self::webhooks::HookRules;
use bellpull_auth::Auth;
use bellpull_config::Config;
use bellpull_delivery::callers::Callers;
use bellpull_delivery::link::Links;
use bellpull_delivery::reports::Reports;
use bellpull_delivery::sms_reports::SmsReports;
use bellpull_delivery::template_service::TemplateService;
use bellpull_edge::{HandshakeLimit, TrustedProxies};
use bellpull_nodes::Membership;
use bellpull_telemetry::signals::GoldenSignals;
use signals::InForce;

/// The handles that handlers are built from; each takes the one that it needs.
#[derive(Debug, Clone)]
pub struct Edge {
    hub: Hub,
    auth: Auth,
    store: Arc<dyn Store>,
    reports: Reports,
    sms_reports: SmsReports,
    links: Links,
    templates: TemplateService,
    push_handles: PushHandles,
    hook_rules: HookRules,
    tries: TryLimit,
    clock: Arc<dyn Clock>,
    readiness: Readiness,
    body_limit: BodyLimit,
    link_limits: LinkLimits,
    read_turns: ReadTurns,
    writes: WriteRate,
    allowed_origins: Arc<[String]>,
    has_operator_address: bool,
    epoch: Epoch,
    handshakes: Arc<HandshakeLimit>,
    proxies: TrustedProxies,
    link_base: LinkBase,
    nodes: Membership,
    in_flight: InFlight,
    signals: GoldenSignals,
    in_force: InForce,
    digest_zone: DigestZone,
    slow: SlowLog,
}

/// What an edge is built from.
#[derive(Debug, Clone)]
pub struct EdgeParts {
    /// The supervision tree.
    pub hub: Hub,
    /// Accounts and tokens.
    pub auth: Auth,
    /// The store; each handler takes the port that it needs.
    pub store: Arc<dyn Store>,
    /// Checks unsubscribe links.
    pub links: Links,
    /// Message templates.
    pub templates: TemplateService,
    /// Call webhooks and push services.
    pub callers: Callers,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Whether the hub accepts work.
    pub readiness: Readiness,
    /// The store's identity: sequence numbers of another store mean nothing here.
    pub epoch: Epoch,
    /// The write limit per account, shared with the sockets.
    pub writes: WriteRate,
    /// The limit on new sessions per address.
    pub handshakes: Arc<HandshakeLimit>,
    /// Proxies whose forwarding headers are trusted.
    pub proxies: TrustedProxies,
    /// The nodes, this one among them.
    pub nodes: Membership,
    /// The last hour of this node.
    pub signals: GoldenSignals,
    /// What took long on this node.
    pub slow: SlowLog,
}

impl Edge {
    /// An edge with the configured limits and origins.
    #[must_use]
    pub fn new(parts: EdgeParts, config: &Config) -> Self {
        let shared = parts.hub.users.shared_limits();
        Self {
            hub: parts.hub,
            auth: parts.auth,
            store: parts.store,
            reports: Reports::new(config.delivery.whatsapp.as_ref()),
            sms_reports: SmsReports::new(config.delivery.sms.as_ref(), &parts.links),
            links: parts.links,
            templates: parts.templates,
            push_handles: PushHandles::new(config, parts.callers.push),
            hook_rules: HookRules::new(config, parts.callers.webhooks),
            tries: TryLimit::new(shared.clone()),
            clock: parts.clock,
            readiness: parts.readiness,
            body_limit: BodyLimit(config.http.max_body_bytes),
            link_limits: LinkLimits::new(shared.as_ref()),
            read_turns: ReadTurns::default(),
            writes: parts.writes,
            allowed_origins: config.http.origins().into(),
            has_operator_address: config.operator_listen.is_some(),
            epoch: parts.epoch,
            handshakes: parts.handshakes,
            link_base: LinkBase::new(config.http.public_url.as_deref(), &parts.proxies),
            proxies: parts.proxies,
            nodes: parts.nodes,
            in_flight: InFlight::new(&config.http),
            signals: parts.signals,
            slow: parts.slow,
            in_force: InForce(config.effective.as_slice().into()),
            digest_zone: DigestZone(config.delivery.digest_timezone.as_deref().map(Arc::from)),
        }
    }

    /// Proxies whose forwarding headers are trusted.
    pub fn proxies(&self) -> &TrustedProxies {
        &self.proxies
    }

    /// Whether the hub accepts work.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// The requests in progress and their memory.
    pub fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }
}

/// The routes of the clients' address. If operators have an address of their own, their routes are
/// not served here.
///
/// The server must put each connection's `ConnectInfo<SocketAddr>` into its requests' extensions:
/// logins, registrations and sessions are limited by address.
pub fn router(edge: Edge) -> Router {
    let routes = match edge.has_operator_address {
        true => client_routes(),
        false => client_routes().merge(operator_routes()),
    };
    let origins = Arc::clone(&edge.allowed_origins);
    let in_flight = edge.in_flight.clone();
    let routes = routes.merge(operator::health()).with_page("/", any(home::home));
    let routes = routes.with_page("/tickets/{id}/", any(home::ticket)).router;
    let slow = edge.slow.clone();
    guard::guarded(routes, &origins, &in_flight, &slow).with_state(edge)
}

/// The routes of the operators' own address.
pub fn operator_router(edge: Edge) -> Router {
    let routes = operator_routes().merge(operator::health());
    let origins = Arc::clone(&edge.allowed_origins);
    let in_flight = edge.in_flight.clone();
    let slow = edge.slow.clone();
    guard::guarded(routes.router, &origins, &in_flight, &slow).with_state(edge)
}

/// The REST interface as an OpenAPI document in JSON.
#[must_use]
pub fn document() -> String {
    let routes = client_routes().merge(operator_routes()).merge(operator::health());
    // A tree of maps and strings: this cannot fail.
    openapi::document(routes).to_pretty_json().unwrap_or_default()
}

/// The routes that may be served on the operators' own address.
fn operator_routes() -> Routes {
    operator::routes()
        .merge(nodes::routes())
        .merge(tree::routes())
        .merge(tree_events::routes())
        .merge(signals::routes())
        .merge(slow::routes())
        .merge(by_hand::routes())
}

fn client_routes() -> Routes {
    auth::routes()
        .merge(passwords::routes())
        .merge(profile::routes())
        .merge(account_pages::routes())
        .merge(tickets::routes())
        .merge(ticket_actions::routes())
        .merge(comments::routes())
        .merge(mentions::routes())
        .merge(projects::routes())
        .merge(notifications::routes())
        .merge(stream::routes())
        .merge(users::routes())
        .merge(deliveries::routes())
        .merge(channels::routes())
        .merge(preferences::routes())
        .merge(templates::routes())
        .merge(escalations::routes())
        .merge(scheduled::routes())
        .merge(analytics::routes())
        .merge(audit_log::routes())
        .merge(explain::routes())
        .merge(hooks::routes())
        .merge(push::routes())
        .merge(webhooks::routes())
        .merge(unsubscribe::routes())
        .merge(openapi::routes())
}

macro_rules! handles {
    ($($handle:ty = |$edge:ident| $value:expr;)*) => {
        $(impl FromRef<Edge> for $handle {
            fn from_ref($edge: &Edge) -> Self {
                $value
            }
        })*
    };
}

handles! {
    Hub = |edge| edge.hub.clone();
    Membership = |edge| edge.nodes.clone();
    GoldenSignals = |edge| edge.signals.clone();
    SlowLog = |edge| edge.slow.clone();
    InForce = |edge| edge.in_force.clone();
    Users = |edge| edge.hub.users.clone();
    Tickets = |edge| edge.hub.tickets.clone();
    Sends = |edge| edge.hub.sends.clone();
    Auth = |edge| edge.auth.clone();
    Arc<dyn TicketStore> = |edge| edge.store.clone();
    Arc<dyn ProjectStore> = |edge| edge.store.clone();
    Arc<dyn CommentStore> = |edge| edge.store.clone();
    Arc<dyn InboxStore> = |edge| edge.store.clone();
    Arc<dyn AuditStore> = |edge| edge.store.clone();
    AuditLog = |edge| AuditLog {
        store: edge.store.clone(),
        clock: Arc::clone(&edge.clock),
        node: edge.nodes.name().to_string(),
    };
    Arc<dyn AccountStore> = |edge| edge.store.clone();
    Arc<dyn DeliveryStore> = |edge| edge.store.clone();
    Arc<dyn DeliveryLog> = |edge| edge.store.clone();
    Arc<dyn ReportStore> = |edge| edge.store.clone();
    Arc<dyn PreferenceStore> = |edge| edge.store.clone();
    Arc<dyn EscalationStore> = |edge| edge.store.clone();
    Arc<dyn SendLog> = |edge| edge.store.clone();
    Reports = |edge| edge.reports.clone();
    SmsReports = |edge| edge.sms_reports.clone();
    Links = |edge| edge.links.clone();
    TemplateService = |edge| edge.templates.clone();
    Arc<dyn PushStore> = |edge| edge.store.clone();
    Arc<dyn Clock> = |edge| Arc::clone(&edge.clock);
    Readiness = |edge| edge.readiness.clone();
    DigestZone = |edge| edge.digest_zone.clone();
    BodyLimit = |edge| edge.body_limit;
    TrustedProxies = |edge| edge.proxies.clone();
    LinkBase = |edge| edge.link_base.clone();
    LinkLimits = |edge| edge.link_limits.clone();
    TryLimit = |edge| edge.tries.clone();
    ReadTurns = |edge| edge.read_turns.clone();
    WriteRate = |edge| edge.writes.clone();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_routes_contradict_each_other() {
        // Registering a path twice panics.
        let all = client_routes().merge(operator_routes()).merge(operator::health());
        let in_flight = InFlight::new(&Config::default().http);
        let slow = SlowLog::default();
        assert!(guard::guarded(all.router, &["*".to_owned()], &in_flight, &slow).has_routes());
    }
}
