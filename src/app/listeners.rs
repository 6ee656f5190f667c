//! The addresses to listen on, and what is served there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::middleware::map_response;
use axum::response::Response;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::StartError;
use bellpull_config::Config;
use bellpull_edge::address_limit::AddressLimit;
use bellpull_edge::listen::{self, Connections, Listener, NoSockets};
use bellpull_edge::tls::Acceptor;
use bellpull_http::{Edge, Readiness};
use bellpull_tls::{BadFiles, Certificate};
use bellpull_ws::WsEdge;

/// The addresses to listen on.
pub(super) struct Listeners {
    pub(super) address: SocketAddr,
    pub(super) clients: Listener,
    pub(super) operator_address: Option<SocketAddr>,
    pub(super) operators: Option<Listener>,
    /// `None`: plain HTTP.
    pub(super) certificate: Option<Arc<Certificate>>,
}

impl Listeners {
    pub(super) fn bind(config: &Config) -> Result<Self, StartError> {
        let certificate = config.tls.clone().map(Certificate::load).transpose()?.map(Arc::new);
        let per_s = config.ws.handshakes_per_s;
        let tls = certificate.clone().map(|certificate| Acceptor::new(certificate, per_s));
        let tls = tls.transpose().map_err(StartError::of("tls.cert"))?;
        let idle = Duration::from_secs(u64::from(config.http.idle_s));
        let bind = |setting, at| {
            let (address, listener) = bind(setting, at, config.ws.max_connections)?;
            let listener = listener.encrypted(tls.as_ref()).idle_for(idle);
            Ok::<_, StartError>((address, listener))
        };
        let (address, clients) = bind("listen", config.listen)?;
        let operator = config.operator_listen.map(|at| bind("operator.listen", at));
        let (operator_address, operators) = operator.transpose()?.unzip();
        Ok(Self { address, clients, operator_address, operators, certificate })
    }

    /// The open connections at each address.
    pub(super) fn connections(&self) -> Vec<Connections> {
        [Some(&self.clients), self.operators.as_ref()]
            .into_iter()
            .flatten()
            .map(Listener::connections)
            .collect()
    }
}

/// Serves clients, and operators if they have an address of their own.
pub(super) fn serve(
    edge: Edge,
    sockets: WsEdge,
    listeners: Listeners,
    connections_per_address_max: u32,
    stopping: &watch::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    let limits = edge.in_flight().clone();
    // A proxy's address stands for many clients.
    let limited = |listener: Listener| {
        let proxies = edge.proxies().clone();
        let is_exempt = move |address| proxies.trusts(address);
        listener.limited(AddressLimit::new(connections_per_address_max, is_exempt), limits.unsent())
    };
    let (clients, operators) = (limited(listeners.clients), listeners.operators.map(limited));
    let readiness = edge.readiness().clone();
    let router = bellpull_http::router(edge.clone())
        .merge(bellpull_ws::router(sockets.clone()))
        .merge(crate::client::router())
        .merge(crate::console::router());
    let router = closing(router, &readiness);
    let serving = listen::serve(clients, router, sockets, stopping.clone());
    let mut servers = vec![tokio::spawn(serving)];
    if let Some(listener) = operators {
        let router = closing(bellpull_http::operator_router(edge), &readiness);
        servers.push(tokio::spawn(listen::serve(listener, router, NoSockets, stopping.clone())));
    }
    servers
}

/// Each answer of a hub that has announced its stop ends its connection: a proxy that keeps
/// connections opens the next one to another node, and none is closed under a request later.
fn closing(router: Router, readiness: &Readiness) -> Router {
    let readiness = readiness.clone();
    router.layer(map_response(move |mut response: Response| {
        if readiness.is_draining() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().entry(CONNECTION).or_insert(close);
        }
        std::future::ready(response)
    }))
}

impl From<BadFiles> for StartError {
    fn from(bad: BadFiles) -> Self {
        Self { setting: bad.setting, text: bad.to_string() }
    }
}

fn bind(
    setting: &'static str,
    listen: SocketAddr,
    connections_max: usize,
) -> Result<(SocketAddr, Listener), StartError> {
    let listener = Listener::bind(listen, connections_max).map_err(|error| StartError {
        setting,
        text: format!("cannot listen on {listen}: {error}"),
    })?;
    Ok((listener.local_addr().map_err(StartError::of(setting))?, listener))
}
