//! How many HTTP connections each address may have at once.
//!
//! Only connections that HTTP keeps are counted: a connection that begins with a WebSocket
//! handshake never gets here, and one that is upgraded later no longer counts. An IPv6 network of
//! 64 bits counts as one address, because that is what one customer is assigned.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bellpull_port::rate::network;

/// The connections of each address. Cheap to clone.
#[derive(Clone)]
pub struct AddressLimit(Arc<Shared>);

struct Shared {
    /// 0 means no limit.
    connections_max: u32,
    /// Addresses of proxies, which stand for many clients.
    is_exempt: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    open: Mutex<HashMap<u64, u32>>,
}

impl std::fmt::Debug for AddressLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddressLimit").field("max", &self.0.connections_max).finish()
    }
}

/// A counted connection; dropping it releases its place.
#[derive(Debug)]
pub(crate) struct HeldAddress {
    limit: AddressLimit,
    /// `None` if it is not counted.
    network: Option<u64>,
}

impl AddressLimit {
    /// At most that many connections per address (0 means no limit), except exempt ones.
    pub fn new(
        connections_max: u32,
        is_exempt: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        let (is_exempt, open) = (Box::new(is_exempt), Mutex::default());
        Self(Arc::new(Shared { connections_max, is_exempt, open }))
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, u32>> {
        // The lock is never held across code that can panic.
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection; `None` if its address has too many.
    pub(crate) fn try_hold(&self, address: IpAddr) -> Option<HeldAddress> {
        if self.0.connections_max == 0 || (self.0.is_exempt)(address) {
            return Some(HeldAddress { limit: self.clone(), network: None });
        }
        let network = network(address);
        let mut open = self.open();
        let count = open.entry(network).or_default();
        if *count >= self.0.connections_max {
            return None;
        }
        *count += 1;
        drop(open);
        Some(HeldAddress { limit: self.clone(), network: Some(network) })
    }
}

impl Drop for HeldAddress {
    fn drop(&mut self) {
        let Some(network) = self.network else { return };
        let mut open = self.limit.open();
        if let Some(count) = open.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_and_proxies_have_any_number() {
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        let limit = AddressLimit::new(2, move |address| address == proxy);
        let of = |text: &str| limit.try_hold(text.parse().unwrap());
        let first = of("2001:db8::1").unwrap();
        let _second = of("2001:db8::2").unwrap();
        assert!(of("2001:db8::3").is_none(), "one network");
        let _other = (of("2001:db8:0:1::1").unwrap(), of("192.0.2.1").unwrap());
        let many: Vec<_> = (0..10).map(|_| of("10.0.0.1").unwrap()).collect();
        drop((first, many));
        assert!(of("2001:db8::3").is_some());
        drop((_second, _other));
        assert!(limit.open().is_empty(), "nothing is kept of those that have gone");
        assert!(AddressLimit::new(0, |_| false).try_hold(proxy).is_some());
    }
}
