//! How often one network may open sessions, sockets or event streams.

use std::net::IpAddr;

use bellpull_port::rate::{Quota, RateLimit, network, retry_after_s};

/// The burst, in seconds of the average: a page that opens a few sockets at once, and an office
/// whose clients reconnect together.
const BURST_S: u32 = 5;

/// How many networks are held: some 2 MiB. An evicted one has a full burst again.
const NETWORKS_MAX: usize = 16_384;

/// The limit. Takes some 0.2 µs of the 60 µs of a handshake.
#[derive(Debug)]
pub struct HandshakeLimit(RateLimit<u64>);

impl HandshakeLimit {
    /// That many per second on average, five times as many at once; 0 means no limit.
    #[must_use]
    pub fn per_second(count: u32) -> Self {
        let quota = Quota::per_second(count, count.saturating_mul(BURST_S));
        Self(RateLimit::new(quota, NETWORKS_MAX))
    }

    /// Counts one.
    ///
    /// # Errors
    /// The seconds until the next one is admitted; this one was not counted.
    pub fn admit(&self, client: IpAddr) -> Result<(), u32> {
        self.0.admit(&network(client)).map_err(retry_after_s)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_has_its_burst_and_an_ipv6_network_has_one() {
        let limit = HandshakeLimit::per_second(1);
        let admitted = |address: &str| limit.admit(address.parse().unwrap());
        for _ in 0..5 {
            assert_eq!(admitted("192.0.2.1"), Ok(()));
        }
        assert_eq!(admitted("192.0.2.1"), Err(1));
        assert_eq!(admitted("::ffff:192.0.2.1"), Err(1));
        assert_eq!(admitted("192.0.2.2"), Ok(()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(admitted("192.0.2.1"), Ok(()));
        for host in 1..=5 {
            assert_eq!(admitted(&format!("2001:db8::{host}")), Ok(()));
        }
        assert_eq!(admitted("2001:db8::ffff:1"), Err(1));
    }

    #[test]
    fn zero_is_no_limit() {
        let limit = HandshakeLimit::per_second(0);
        assert!((0..10_000).all(|_| limit.admit(IpAddr::from([192, 0, 2, 1])).is_ok()));
    }
}
