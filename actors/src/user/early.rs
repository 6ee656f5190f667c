//! A client's messages before its greeting: they wait, for nothing is sent before the greeting.
//!
//! A client need not wait for its greeting: its messages may arrive with its handshake, while the
//! store is still asked where its session begins. Before that it is also unknown what it can
//! acknowledge.

use bellpull_port::outlet::Ending;
use bellpull_port::session::Heard;

/// How much may wait; a client that sends more before its greeting is too fast.
const EARLY_MAX: usize = 32;

/// The waiting messages; nothing is allocated without any.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "a word in every open session, and mostly empty")]
pub(super) struct Early(Option<Box<Vec<Heard>>>);

impl Early {
    /// Keeps a message that may need an answer; returns any other.
    pub(super) fn keep(&mut self, heard: Heard) -> Result<Option<Heard>, Ending> {
        match heard {
            Heard::Ping(_) | Heard::Asked(_) | Heard::Renewed { .. } | Heard::Bad { .. } => {
                let waiting = self.0.get_or_insert_default();
                if waiting.len() >= EARLY_MAX {
                    return Err(Ending::TooMany { reason: "too many messages at once" });
                }
                waiting.push(heard);
                Ok(None)
            }
            // The answer to the protocol's own ping is no message, and no page sees it.
            Heard::ProtocolPing(_) | Heard::Writable | Heard::Ended(_) => Ok(Some(heard)),
        }
    }

    /// The kept messages, in order.
    pub(super) fn take(&mut self) -> Vec<Heard> {
        self.0.take().map_or_else(Vec::new, |waiting| *waiting)
    }
}
