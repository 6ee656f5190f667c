//! How often something may happen: so many a second on average, and bursts.
//!
//! One number holds the state of a bucket: when it will be full again. Whoever keeps the number
//! (a socket's reader, a slot of a table) asks here whether one more may pass.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// A burst is what so many seconds allow on average.
const BURST_S: u64 = 5;

/// A rate. Times are in nanoseconds since any fixed moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    interval_ns: u64,
}

impl Pace {
    /// So many a second on average, five times as many at once; 0 is no limit.
    pub(super) fn per_second(count: u32) -> Self {
        Self { interval_ns: 1_000_000_000_u64.checked_div(u64::from(count)).unwrap_or(0) }
    }

    /// Lets one more pass and answers when the bucket will be full again; or how long to wait.
    pub(super) fn admit(self, full_at_ns: u64, now_ns: u64) -> Result<u64, u64> {
        if self.interval_ns == 0 {
            return Ok(0); // threads see clocks of their own: one may be ahead of another's slot
        }
        let after = full_at_ns.max(now_ns) + self.interval_ns;
        match (after - now_ns).checked_sub(BURST_S * 1_000_000_000) {
            Some(wait @ 1..) => Err(wait),
            _ => Ok(after),
        }
    }
}

/// How often each address may try to open a session, be it a socket or an event stream, in memory
/// that does not grow: addresses that fall into the same of [`SLOTS`] slots share a bucket. Nobody
/// can choose whose slot to share.
#[derive(Debug)]
pub struct AddressPace {
    pace: Pace,
    slots: Box<[AtomicU64]>,
    hasher: RandomState,
}

/// 64 KiB of buckets.
const SLOTS: usize = 8_192;

impl AddressPace {
    /// So many a second on average, five times as many at once; 0 is no limit.
    #[must_use]
    pub fn per_second(count: u32) -> Self {
        Self::new(Pace::per_second(count))
    }

    fn new(pace: Pace) -> Self {
        let slots = std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect();
        Self { pace, slots, hasher: RandomState::new() }
    }

    /// Whether one more from there may pass now, or after how many whole seconds it may.
    pub(crate) fn admit_now(&self, address: IpAddr) -> Result<(), u64> {
        self.admit(address, super::shared::now_ns())
    }

    fn admit(&self, address: IpAddr, now_ns: u64) -> Result<(), u64> {
        let hash = self.hasher.hash_one(network(address));
        let index = usize::try_from(hash % SLOTS as u64).unwrap_or(0);
        let Some(slot) = self.slots.get(index) else { return Ok(()) };
        let mut full_at_ns = slot.load(Ordering::Relaxed);
        loop {
            let after = self
                .pace
                .admit(full_at_ns, now_ns)
                .map_err(|wait_ns| wait_ns.div_ceil(1_000_000_000))?;
            match slot.compare_exchange_weak(
                full_at_ns,
                after,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(current) => full_at_ns = current,
            }
        }
    }
}

/// Whoever has one IPv6 address has its whole /64.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_passes_and_then_the_average() {
        let pace = Pace::per_second(20);
        let mut full_at = 0;
        for _ in 0..100 {
            full_at = pace.admit(full_at, SECOND).unwrap();
        }
        assert_eq!(pace.admit(full_at, SECOND), Err(SECOND / 20));
        full_at = pace.admit(full_at, SECOND + SECOND / 20).unwrap();
        assert!(pace.admit(full_at, SECOND + SECOND / 20).is_err());
        // After a long time there is a burst again, and no more.
        let later = 100 * SECOND;
        for _ in 0..100 {
            full_at = pace.admit(full_at, later).unwrap();
        }
        assert!(pace.admit(full_at, later).is_err());
    }

    #[test]
    fn none_is_no_limit() {
        let pace = Pace::per_second(0);
        let mut full_at = 0;
        for turn in 0..10_000 {
            // Threads take turns whose clocks are not read in the same order.
            full_at = pace.admit(full_at, 5 + turn % 2).unwrap();
        }
    }

    #[test]
    fn addresses_have_a_bucket_each_and_an_ipv6_network_has_one() {
        let pace = AddressPace::new(Pace::per_second(1));
        let [one, other]: [IpAddr; 2] =
            ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        for _ in 0..5 {
            assert_eq!(pace.admit(one, SECOND), Ok(()));
        }
        assert_eq!(pace.admit(one, SECOND), Err(1));
        assert_eq!(pace.admit("::ffff:192.0.2.1".parse().unwrap(), SECOND), Err(1));
        assert_eq!(pace.admit(one, 2 * SECOND), Ok(()));
        // One slot in 8,192 would be shared.
        let _ = pace.admit(other, SECOND);
        for host in 1..=5 {
            let address = format!("2001:db8::{host}").parse().unwrap();
            assert_eq!(pace.admit(address, SECOND), Ok(()));
        }
        assert_eq!(pace.admit("2001:db8::ffff:1".parse().unwrap(), SECOND), Err(1));
    }
}
