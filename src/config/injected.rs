//! Variables that no user has set: container platforms tell every container of the services beside
//! it, by variables that begin with the service's name. A service called `bellpull`, or
//! `bellpull-metrics`, has the prefix of our settings.
//!
//! Only what has the name *and* the value of such a variable is one: `BELLPULL_PORT=8000` is a
//! mistake for `BELLPULL_LISTEN`.

use std::net::{IpAddr, SocketAddr};

/// Whether a container platform has set it: Kubernetes for a service, Docker for a linked
/// container. The name is without our prefix.
pub(super) fn is_injected(name: &str, value: &str) -> bool {
    let parts: Vec<&str> = name.split('_').collect();
    match parts[..] {
        [.., "SERVICE", "HOST"] => is_ip(value),
        [.., "PORT", number, protocol, "PROTO"] if is_port(number) => {
            value.eq_ignore_ascii_case(protocol) && is_protocol(value)
        }
        [.., "PORT", number, protocol, "PORT"] if is_port(number) && is_protocol(protocol) => {
            value == number
        }
        [.., "PORT", number, protocol, "ADDR"] if is_port(number) && is_protocol(protocol) => {
            is_ip(value)
        }
        [.., "PORT", number, protocol] if is_port(number) && is_protocol(protocol) => {
            is_address(value)
        }
        // A port of a service, and one that has a name: SERVICE_PORT_HTTP_METRICS.
        _ if parts.windows(2).any(|two| two == ["SERVICE", "PORT"]) => is_port(value),
        [.., "PORT"] => is_address(value),
        ["NAME"] => value.starts_with('/'),
        ["ENV", ..] => true,
        _ => false,
    }
}

fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

fn is_protocol(text: &str) -> bool {
    ["tcp", "udp", "sctp"].iter().any(|one| text.eq_ignore_ascii_case(one))
}

/// `tcp://10.0.0.1:8000`.
fn is_address(text: &str) -> bool {
    let Some((protocol, at)) = text.split_once("://") else { return false };
    is_protocol(protocol) && at.parse::<SocketAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_platforms_inject_is_told_by_name_and_value() {
        for (name, value) in [
            ("SERVICE_HOST", "10.0.0.1"),
            ("SERVICE_HOST", "fd00::1"),
            ("SERVICE_PORT", "8000"),
            ("SERVICE_PORT_HTTP", "8000"),
            ("SERVICE_PORT_HTTP_METRICS", "9000"),
            ("PORT", "tcp://10.0.0.1:8000"),
            ("PORT", "udp://[fd00::1]:8000"),
            ("PORT_8000_TCP", "tcp://10.0.0.1:8000"),
            ("PORT_8000_TCP_PROTO", "tcp"),
            ("PORT_8000_TCP_PORT", "8000"),
            ("PORT_8000_TCP_ADDR", "10.0.0.1"),
            ("PORT_53_UDP_PROTO", "udp"),
            ("METRICS_SERVICE_HOST", "10.0.0.2"),
            ("NODE_A_PORT_9000_SCTP_ADDR", "10.0.0.2"),
            ("DATABASE_PORT", "tcp://10.0.0.3:5432"),
            ("NAME", "/web/bellpull"),
            ("ENV_PATH", "/usr/bin"),
        ] {
            assert!(is_injected(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("PORT", "8000"),
            ("PORT", "http://10.0.0.1:8000"),
            ("SERVICE_HOST", "hub.example"),
            ("SERVICE_PORT", "eighty"),
            ("PORT_8000_TCP_PORT", "8001"),
            ("PORT_X_TCP", "tcp://10.0.0.1:8000"),
            ("PORT_8000_HTTP", "tcp://10.0.0.1:8000"),
            ("LISTNE", "127.0.0.1:8000"),
            ("NAME", "hub"),
        ] {
            assert!(!is_injected(name, value), "{name}={value}");
        }
    }
}
