//! Ports on which a process listens, and listens again after a restart.
//!
//! The system gives ports from a range of its own to outgoing connections. A port of that range
//! may be taken while its process is away, so these are below it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::LoadError;

/// Below are the ports of well-known services.
const FROM: u16 = 10_000;
/// The system's range, where it cannot be read: Linux' default.
const USUAL_END: u16 = 32_768;
/// A range that is narrower than this leaves too few: any free port must do.
const LEAST: u16 = 1_000;
/// How many ports are tried.
const TRIES: usize = 200;

/// A free loopback address for a server that is started next.
pub(super) fn free() -> Result<SocketAddr, LoadError> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let first = range.ok().and_then(|range| range.split_whitespace().next()?.parse().ok());
    let count = first.unwrap_or(USUAL_END).saturating_sub(FROM);
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.local_addr();
    for _ in 0..TRIES {
        if count < LEAST {
            break;
        }
        let random = getrandom::u32().map_err(|error| LoadError::failed(error.to_string()))?;
        let offset = u16::try_from(random % u32::from(count)).unwrap_or_default();
        if let Ok(address) = bind(FROM + offset) {
            return Ok(address);
        }
    }
    bind(0).map_err(|error| LoadError::failed(format!("no free port: {error}")))
}
