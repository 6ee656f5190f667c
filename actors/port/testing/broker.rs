//! A broker in memory, which joins hubs of one process and remembers what was published.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::broker::{Broker, BrokerMessage, BrokerState, Subscriber};

/// The connection of the fake nodes.
#[derive(Debug, Clone, Default)]
pub struct FakeNet(Arc<Mutex<Net>>);

#[derive(Debug, Default)]
struct Net {
    nodes: usize,
    subscribers: Vec<(usize, Weak<dyn Subscriber>)>,
    published: Vec<(usize, String)>,
    /// The nodes that no message reaches or leaves.
    cut_off: BTreeSet<usize>,
}

/// One node's broker.
#[derive(Debug)]
pub struct FakeBroker {
    net: FakeNet,
    node: usize,
}

impl FakeNet {
    /// The broker of another node; nodes count from 0.
    #[must_use]
    pub fn join(&self) -> Arc<FakeBroker> {
        let mut net = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        net.nodes += 1;
        let (net, node) = (self.clone(), net.nodes - 1);
        Arc::new(FakeBroker { net, node })
    }

    /// Cuts a node off from the others, as while it is suspended or dead, or connects it again.
    pub fn cut_off(&self, node: usize, is_cut_off: bool) {
        let mut net = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match is_cut_off {
            true => net.cut_off.insert(node),
            false => net.cut_off.remove(&node),
        };
    }

    /// The published messages: the node, and the message as text.
    #[must_use]
    pub fn published(&self) -> Vec<(usize, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).published.clone()
    }
}

impl Broker for FakeBroker {
    fn has_peers(&self) -> bool {
        true
    }

    fn state(&self) -> BrokerState {
        BrokerState::Ok
    }

    fn publish(&self, message: BrokerMessage<'_>) {
        let others: Vec<Arc<dyn Subscriber>> = {
            let mut net = self.net.0.lock().unwrap_or_else(PoisonError::into_inner);
            net.published.push((self.node, format!("{message:?}")));
            let is_cut_off = |node: usize| net.cut_off.contains(&node);
            let others = net.subscribers.iter().filter(|(node, _)| {
                *node != self.node && !is_cut_off(*node) && !is_cut_off(self.node)
            });
            others.filter_map(|(_, subscriber)| subscriber.upgrade()).collect()
        };
        for other in others {
            other.receive(message);
        }
    }

    fn subscribe(&self, subscriber: Weak<dyn Subscriber>) {
        let mut net = self.net.0.lock().unwrap_or_else(PoisonError::into_inner);
        net.subscribers.push((self.node, subscriber));
    }
}
