//! The client of a request: the peer of its connection or, if that is a trusted proxy
//! (`http.trusted_proxies`), the client that the proxy names.
//!
//! Every limit by address uses this. A client may send the same headers itself, so they count only
//! from a trusted peer and only up to the first untrusted address.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

use super::forwarded::{Malformed, forwarded, is_https, x_forwarded_for};

/// The peer of a request's connection; `None` if the server does not provide it.
#[must_use]
pub fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip())
}

/// The networks of trusted proxies. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Proxies in these networks.
    #[must_use]
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    /// The client of a request from `peer`: the first address, starting with the peer, that is not
    /// a trusted proxy. The peer itself if the headers cannot be parsed, or if both are present and
    /// differ: a proxy that writes one of them may pass on the other unchecked.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusts(peer) {
            return peer;
        }
        let named = [x_forwarded_for(headers), forwarded(headers)];
        let clients = named.map(|entries| entries.map(|entries| self.first_client(&entries)));
        match clients {
            [Some(Ok(one)), Some(Ok(other))] if one == other => one,
            [Some(Ok(client)), None] | [None, Some(Ok(client))] => client,
            [_, _] => peer,
        }
    }

    /// Whether the client of a request from `peer` used HTTPS, as reported by a trusted proxy.
    #[must_use]
    pub fn is_https(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> bool {
        peer.is_some_and(|peer| self.trusts(peer)) && is_https(headers)
    }

    /// Whether an address belongs to a trusted proxy.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The first untrusted address; the farthest if all are trusted.
    fn first_client(&self, entries: &[Result<IpAddr, Malformed>]) -> Result<IpAddr, Malformed> {
        let mut client = Err(Malformed);
        for entry in entries {
            client = *entry;
            if !self.trusts(client?) {
                break;
            }
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn client(peer: &str, lines: &[(&'static str, &str)]) -> String {
        let networks = ["10.0.0.0/8", "192.0.2.100/32", "2001:db8:1::/48"];
        let proxies = TrustedProxies::new(&networks.map(|network| network.parse().unwrap()));
        let line = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        let headers = lines.iter().map(line).collect();
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn headers_count_from_a_trusted_peer_alone() {
        let line = [("x-forwarded-for", "203.0.113.1")];
        assert_eq!(client("192.0.2.1", &line), "192.0.2.1");
        for proxy in [PROXY, "192.0.2.100", "::ffff:10.0.0.1", "2001:db8:1::5"] {
            assert_eq!(client(proxy, &line), "203.0.113.1", "{proxy}");
            assert_eq!(client(proxy, &[]), proxy);
        }
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_not_trusted() {
        let named = |value: &str| client(PROXY, &[("x-forwarded-for", value)]);
        assert_eq!(named("198.51.100.7, 203.0.113.1"), "203.0.113.1", "the left is the client's");
        assert_eq!(named("198.51.100.7, 203.0.113.1, 10.0.0.2, 192.0.2.100"), "203.0.113.1");
        assert_eq!(named("10.0.0.3, 10.0.0.2"), "10.0.0.3", "a client within");
        assert_eq!(named("garbage, 203.0.113.1"), "203.0.113.1");
        for malformed in ["garbage", "203.0.113.1, garbage", "203.0.113.1, unknown, 10.0.0.2", ""] {
            assert_eq!(named(malformed), PROXY, "{malformed}");
        }
    }

    #[test]
    fn both_headers_must_agree() {
        let both = |one: &str, other: &str| {
            client(PROXY, &[("x-forwarded-for", one), ("forwarded", other)])
        };
        assert_eq!(client(PROXY, &[("forwarded", "for=\"[2001:db8::1]\"")]), "2001:db8::1");
        assert_eq!(both("203.0.113.1", "for=203.0.113.1"), "203.0.113.1");
        assert_eq!(both("203.0.113.1", "for=203.0.113.2"), PROXY);
        assert_eq!(both("203.0.113.1", "for=unknown"), PROXY);
    }

    #[test]
    fn https_counts_from_a_trusted_peer_alone() {
        let proxies = TrustedProxies::new(&["10.0.0.1/32".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        assert!(proxies.is_https(PROXY.parse().ok(), &headers));
        assert!(!proxies.is_https("10.0.0.2".parse().ok(), &headers));
        assert!(!proxies.is_https(None, &headers));
        assert!(!TrustedProxies::default().is_https(PROXY.parse().ok(), &headers));
    }
}
