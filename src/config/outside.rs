//! URLs that users name: they may lead to public addresses, not into the operator's own network.
//!
//! A name is checked when it is resolved for the connection itself, so it cannot resolve to one
//! address for the check and to another for the connection. Literal addresses are not resolved, so
//! they are checked before. Redirects are off in every client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A user's URL does not lead to a public address: its name is unknown, or it is in the operator's
/// own network. Users are not told which: they could map that network by its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its name leads to no address of the public internet")]
pub struct NotOutside;

/// Which URLs users may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// `https` to public addresses.
    Public,
    /// Any address (`webhook.allow_private`), without TLS too.
    Any,
}

impl Outside {
    /// Whether a URL may be named at all. A host name is only checked when it is resolved.
    ///
    /// # Errors
    /// A text for the user who named it.
    pub fn check(self, url: &Url) -> Result<(), &'static str> {
        let is_http = match self {
            Self::Public => url.scheme() == "https",
            Self::Any => matches!(url.scheme(), "https" | "http"),
        };
        if !is_http || url.host_str().is_none_or(str::is_empty) {
            return Err("Enter a URL that begins with https://.");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("The URL must not contain a password.");
        }
        match literal(url) {
            Some(address) if self == Self::Public && !is_public(address) => {
                Err("This address is not one of the public internet's.")
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The lane of a URL that may be named.
    ///
    /// # Errors
    /// A text for the user who named it.
    pub fn lane(self, url: &str) -> Result<String, &'static str> {
        let url: Url = url.parse().map_err(|_| "Enter a valid URL.")?;
        self.check(&url)?;
        Ok(lane(&url))
    }
}

/// The literal address in a URL. The URL parser has already converted forms such as `0x7f.1` and
/// `2130706433`.
fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

/// The URL's host and port: requests to the same host are slow together.
fn lane(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Resolves names to public addresses only.
#[derive(Debug, Clone, Copy)]
pub struct PublicResolver;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(|error| {
                tracing::debug!(%error, "a name that a user gave could not be resolved");
                NotOutside
            })?;
            let public: Vec<SocketAddr> = found.filter(|at| is_public(at.ip())).collect();
            if public.is_empty() {
                return Err(NotOutside.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address belongs to the public internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// By IANA's registry of special-purpose addresses.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_special = match address.octets() {
        [0, ..] | [192, 0, 0, _] | [192, 88, 99, _] => true, // this network, protocols, 6to4 relays
        [100, second, ..] => (64..128).contains(&second),    // carriers' NAT
        [198, second, ..] => second == 18 || second == 19 || address.is_documentation(),
        [first, ..] => first >= 224, // multicast, reserved, broadcast
    };
    let is_inside = address.is_private() || address.is_loopback() || address.is_link_local();
    !(is_special || is_inside || address.is_documentation())
}

/// Only global unicast is public, except the ranges that embed IPv4 or are reserved for tests.
fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(v4) = address.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))) // NAT64
        }
        // Teredo, ORCHID and others of 2001::/23; documentation; 6to4.
        [0x2001, second, ..] => second >= 0x200 && second != 0xdb8,
        [0x2002, ..] => false,
        [0x3fff, second, ..] => second >= 0x1000, // documentation
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(outside: Outside, url: &str) -> Result<(), &'static str> {
        outside.check(&url.parse().unwrap())
    }

    #[test]
    fn only_the_public_internets_addresses_are_public() {
        for inside in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "100::1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.169.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.254",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_literal_address_is_seen_in_every_spelling() {
        for inside in [
            "https://127.0.0.1/x",
            "https://127.1/",
            "https://0x7f.0.0.1/",
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://[::1]:8443/",
            "https://[::ffff:127.0.0.1]/",
            "https://169.254.169.254/latest/",
            "https://10.0.0.8:9200/",
        ] {
            assert!(check(Outside::Public, inside).is_err(), "{inside}");
            assert!(check(Outside::Any, inside).is_ok(), "{inside}");
        }
        for bad in [
            "http://push.example/",
            "ftp://push.example/",
            "https://u:p@push.example/",
            "data:text/plain,x",
            "https://u@push.example/",
        ] {
            assert!(check(Outside::Public, bad).is_err(), "{bad}");
        }
        assert!(check(Outside::Any, "ftp://push.example/").is_err());
        assert!(check(Outside::Public, "https://push.example/a?b=c").is_ok());
        assert!(check(Outside::Public, "https://8.8.8.8/").is_ok());
    }

    #[test]
    fn a_lane_is_a_host_and_its_port() {
        for (url, wanted) in [
            ("https://Push.example/a?b=c", "push.example"),
            ("https://push.example:443/b", "push.example"),
            ("https://push.example:8443/", "push.example:8443"),
            ("http://[::1]:80/", "[::1]"),
        ] {
            assert_eq!(lane(&url.parse().unwrap()), wanted);
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_resolved() {
        let error = PublicResolver.resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert!(error.is::<NotOutside>(), "{error}");
    }
}
