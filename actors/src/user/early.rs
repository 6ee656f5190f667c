//! What a client says before it was greeted: it waits, for nothing is said before the greeting.
//!
//! A client need not wait for its greeting to send: what it sends may come with its handshake,
//! while the store is still asked where its session begins. Nor is it known before that what it
//! can acknowledge.

use crate::port::outlet::Ending;
use crate::session::Heard;

/// How much may wait; a client that says more to a hub that has said nothing yet is too fast.
const EARLY_MAX: usize = 32;

/// What waits; nothing is allocated before anything does.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "a word in every open session, and mostly empty")]
pub(super) struct Early(Option<Box<Vec<Heard>>>);

impl Early {
    /// Keeps what may come to an answer; gives back what does not.
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

    /// What was kept, in its order.
    pub(super) fn take(&mut self) -> Vec<Heard> {
        self.0.take().map_or_else(Vec::new, |waiting| *waiting)
    }
}
