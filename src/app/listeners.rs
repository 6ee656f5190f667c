//! The addresses to listen on.

use std::net::SocketAddr;

use super::StartError;
use crate::config::Config;
use crate::edge::listen::{Connections, Listener};

/// The addresses to listen on.
pub(super) struct Listeners {
    pub(super) address: SocketAddr,
    pub(super) clients: Listener,
    pub(super) operator_address: Option<SocketAddr>,
    pub(super) operators: Option<Listener>,
}

impl Listeners {
    pub(super) fn bind(config: &Config) -> Result<Self, StartError> {
        let (address, clients) = bind("listen", config.listen, config)?;
        let operator = config.operator_listen.map(|at| bind("operator.listen", at, config));
        let (operator_address, operators) = operator.transpose()?.unzip();
        Ok(Self { address, clients, operator_address, operators })
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

fn bind(
    setting: &'static str,
    listen: SocketAddr,
    config: &Config,
) -> Result<(SocketAddr, Listener), StartError> {
    let listener = Listener::bind(listen, config.ws.max_connections).map_err(|error| {
        StartError { setting, text: format!("cannot listen on {listen}: {error}") }
    })?;
    Ok((listener.local_addr().map_err(StartError::of(setting))?, listener))
}
