//! Who has sent a message: a node of this cluster, each message once, or a stranger.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bellpull_port::RefusedMessages;
use tracing::warn;

use super::message;
use super::seal::{Cluster, Stranger};

/// How many senders are remembered, each a start of a node's process. If there are more, all are
/// forgotten: then old messages may be repeated once, which shows and stores nothing that is not in
/// the store.
const SENDERS_MAX: usize = 1_024;

/// The last number of each sender.
#[derive(Debug, Default)]
pub(super) struct Senders(HashMap<Box<[u8]>, u64>);

impl Senders {
    /// Admits a message of this cluster, once. The messages of one sender arrive in their order.
    pub(super) fn admit(&mut self, cluster: &Cluster, bytes: &[u8]) -> Result<(), Stranger> {
        let number = cluster.open(bytes)?;
        let sender = message::sender(bytes).unwrap_or_default();
        match self.0.get_mut(sender) {
            Some(last) if number <= *last => return Err(Stranger::Repeated),
            Some(last) => *last = number,
            None => {
                if self.0.len() >= SENDERS_MAX {
                    self.0.clear();
                }
                self.0.insert(sender.into(), number);
            }
        }
        Ok(())
    }
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_counts_once_and_in_the_order_of_its_sender() {
        let cluster = Cluster::new("e", "d", "s");
        let mut senders = Senders::default();
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
