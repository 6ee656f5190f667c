//! The addresses to listen on.

use std::net::SocketAddr;
use std::sync::Arc;

use super::StartError;
use crate::config::Config;
use crate::edge::listen::{Connections, Listener};
use crate::edge::tls::Acceptor;
use crate::tls::{BadFiles, Certificate};

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
        let bind = |setting, at| {
            let (address, listener) = bind(setting, at, config.ws.max_connections)?;
            Ok::<_, StartError>((address, listener.encrypted(tls.as_ref())))
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
