//! The clients' formats: bytes to what was heard, what happened to bytes. Pure.
//!
//! A dialect is a variant and a file of functions. A notification is encoded in two parts: a *stem*
//! that all its recipients share (made once per letter and dialect) and a short *tail* that is each
//! recipient's own. [`envelope`] reads what a client sent, [`frames`] writes what all have.

mod envelope;
mod frames;
mod incident;

use bellpull_actors::domain::inbox::Birth;
use bellpull_actors::domain::notification::Message;
use bellpull_actors::port::outlet::Outgoing;
use bellpull_actors::session::Heard;

pub use envelope::BadFrame;

/// A family of clients, each with frames of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Ticket alerts: flat frames with a `notification_type`.
    Incident,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Incident];

    /// The dialect's name in URLs, subprotocols and settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incident => "incident",
        }
    }

    /// The dialect of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == name)
    }

    /// Which of a letter's encodings is this dialect's.
    #[must_use]
    pub fn slot(self) -> usize {
        match self {
            Self::Incident => 0,
        }
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a client's text message says.
///
/// # Errors
/// [`BadFrame`]: what the client is told, while its session stays open.
pub fn decode(dialect: Dialect, text: &str) -> Result<Heard, BadFrame> {
    match dialect {
        Dialect::Incident => incident::decode(text),
    }
}

/// Puts a message for the client behind what is in `out`; nothing where the dialect has no words
/// for it. `now_ms` is the time since the epoch, for a pong to a ping without a timestamp.
pub fn encode(dialect: Dialect, frame: Outgoing<'_>, now_ms: i64, out: &mut Vec<u8>) {
    match frame {
        Outgoing::Established { user } => frames::established(user, out),
        Outgoing::Truncated { skipped } => frames::truncated(skipped, out),
        Outgoing::Notification { birth, .. } => notification(dialect, birth, out),
        Outgoing::Pong(timestamp) => frames::pong(timestamp, now_ms, out),
        Outgoing::Error { code, message, .. } => frames::error(code, message, out),
        // Clients of this dialect learn what was read over REST.
        Outgoing::Marked(_) => match dialect {
            Dialect::Incident => {}
        },
        Outgoing::Welcome(_)
        | Outgoing::Reset
        | Outgoing::Row { .. }
        | Outgoing::Answer { .. }
        | Outgoing::Stream(_)
        | Outgoing::Present { .. }
        | Outgoing::StreamEnded { .. }
        | Outgoing::TokenExpiring { .. } => {}
        // Not messages: the transport has frames of its own for them.
        Outgoing::Ping | Outgoing::ProtocolPong(_) => {}
    }
}

fn notification(dialect: Dialect, birth: &Birth, out: &mut Vec<u8>) {
    let stem = birth.message.encoded(dialect.slot(), |message| stem(dialect, message));
    out.reserve(stem.len() + TAIL_LEN);
    out.extend_from_slice(stem);
    match dialect {
        Dialect::Incident => incident::tail(birth, out),
    }
}

/// Room for two numbers of 20 digits and their keys.
const TAIL_LEN: usize = 64;

fn stem(dialect: Dialect, message: &Message) -> Box<[u8]> {
    match dialect {
        Dialect::Incident => incident::stem(message),
    }
}

#[cfg(test)]
mod tests {
    use bellpull_actors::domain::inbox::Letter;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_dialect_survives_its_name_and_has_room_in_a_letter() {
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::from_name(dialect.as_str()), Some(dialect));
            assert!(dialect.slot() < Letter::DIALECTS);
        }
        assert_eq!(Dialect::from_name("Incident"), None);
        assert_eq!(Dialect::from_name(""), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_a_decoder_panic(text in "\\PC*") {
            for dialect in Dialect::ALL {
                let _ = decode(dialect, &text);
            }
        }

        #[test]
        fn no_text_like_json_makes_a_decoder_panic(text in r#"[\[\]{}":,\\u0-9a-f \ntypeping]{0,80}"#) {
            for dialect in Dialect::ALL {
                let _ = decode(dialect, &text);
            }
        }
    }
}
