//! Who has sent a message: a node of this cluster, each message once, or a stranger.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bellpull_port::{NodeStore, RefusedMessages};
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::connection::ANSWER_MAX;
use super::message;
use super::seal::{Cluster, Stranger};

/// How many senders are remembered, each a start of a node's process. If there are more, all are
/// forgotten: then old messages may be repeated once, which shows and stores nothing that is not in
/// the store.
const SENDERS_MAX: usize = 1_024;

/// How often a second the database is asked who its nodes are, for senders that are not known yet.
const ASKED_PER_S: u32 = 8;

/// The last number of each sender, and whom the database lists.
#[derive(Debug)]
pub(super) struct Senders {
    last: HashMap<Box<[u8]>, u64>,
    /// `None`: each sender with the seal is a node.
    nodes: Option<Arc<dyn NodeStore>>,
    listed: HashSet<Box<[u8]>>,
    /// Since when, and how often it was asked.
    asked: (Instant, u32),
}

impl Senders {
    pub(super) fn new(nodes: Option<Arc<dyn NodeStore>>) -> Self {
        let asked = (Instant::now(), 0);
        Self { last: HashMap::new(), nodes, listed: HashSet::new(), asked }
    }

    /// Asks the database for its nodes if the sender of a message with the cluster's seal is none
    /// of those that are known. A node registers itself before it sends anything.
    pub(super) async fn learn(&mut self, cluster: &Cluster, bytes: &[u8]) {
        let Some(nodes) = &self.nodes else { return };
        let sender = message::sender(bytes).unwrap_or_default();
        let is_known = self.last.contains_key(sender) || self.listed.contains(name(sender));
        if is_known || cluster.open(bytes).is_err() {
            return;
        }
        if self.asked.0.elapsed() >= Duration::from_secs(1) {
            self.asked = (Instant::now(), 0);
        }
        self.asked.1 += 1;
        if self.asked.1 > ASKED_PER_S {
            return;
        }
        if let Ok(Ok(nodes)) = timeout(ANSWER_MAX, nodes.nodes()).await {
            let live = nodes.into_iter().filter(|node| node.state.is_live());
            self.listed = live.map(|node| node.name.as_str().as_bytes().into()).collect();
        }
    }

    /// Admits a message of this cluster, once. The messages of one sender arrive in their order.
    pub(super) fn admit(&mut self, cluster: &Cluster, bytes: &[u8]) -> Result<(), Stranger> {
        let number = cluster.open(bytes)?;
        let sender = message::sender(bytes).unwrap_or_default();
        match self.last.get_mut(sender) {
            Some(last) if number <= *last => return Err(Stranger::Repeated),
            Some(last) => *last = number,
            None if self.nodes.is_some() && !self.listed.contains(name(sender)) => {
                return Err(Stranger::Unlisted);
            }
            None => {
                if self.last.len() >= SENDERS_MAX {
                    self.last.clear();
                }
                self.last.insert(sender.into(), number);
            }
        }
        Ok(())
    }
}

/// The node of a sender: what is before the start of its process.
fn name(sender: &[u8]) -> &[u8] {
    let end = sender.iter().rposition(|byte| *byte == b'/');
    sender.get(..end.unwrap_or(sender.len())).unwrap_or(sender)
}

/// How many messages were refused, by reason.
#[derive(Debug, Default)]
pub(super) struct Refused([AtomicU64; Stranger::ALL.len()]);

impl Refused {
    /// Counts one.
    pub(super) fn note(&self, why: Stranger) -> u64 {
        let place = Stranger::ALL.iter().position(|one| *one == why);
        place.and_then(|place| self.0.get(place)).map_or(0, |count| count.fetch_add(1, Relaxed))
    }

    /// The same for operators; the first of each reason is logged.
    pub(super) fn count(&self, why: Stranger) {
        metrics::counter!("bellpull_broker_refused_total", "why" => why.as_str()).increment(1);
        if self.note(why) == 0 {
            warn!(
                why = why.as_str(),
                "messages of other nodes are refused: {}; this is logged once",
                why.advice()
            );
        }
    }

    /// For operators.
    pub(super) fn read(&self) -> RefusedMessages {
        let of = |why| {
            let place = Stranger::ALL.iter().position(|one| *one == why);
            place.and_then(|place| self.0.get(place)).map_or(0, |count| count.load(Relaxed))
        };
        RefusedMessages {
            unsealed: of(Stranger::Unsealed),
            other_database: of(Stranger::OtherDatabase),
            forged: of(Stranger::Forged),
            repeated: of(Stranger::Repeated),
            unlisted: of(Stranger::Unlisted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_counts_once_and_in_the_order_of_its_sender() {
        let cluster = Cluster::new("e", "d", "s");
        let mut senders = Senders::new(None);
        let mut admit = |sender: &str, number| {
            let mut bytes = format!("1\n{sender}\n{{\"kind\":\"lost\"}}").into_bytes();
            cluster.seal(&mut bytes, number);
            senders.admit(&cluster, &bytes)
        };
        assert_eq!(admit("a", 0), Ok(()));
        assert_eq!(admit("a", 3), Ok(()));
        for old in [0, 2, 3] {
            assert_eq!(admit("a", old), Err(Stranger::Repeated));
        }
        assert_eq!(admit("b", 2), Ok(()), "each sender has its own");
        assert_eq!(admit("a", 4), Ok(()));
        for nth in 0..2 * SENDERS_MAX {
            assert_eq!(admit(&format!("node-{nth}"), 1), Ok(()));
        }
        assert_eq!(admit(&format!("node-{}", 2 * SENDERS_MAX - 1), 1), Err(Stranger::Repeated));
    }
}
