//! Who is at fault when a provider refuses a message: a table for each provider, and what follows
//! for the delivery. Pure.
//!
//! A refusal of this hub (its credentials, sender, name, address, quota) is no fault of the
//! recipient whose message happened to be first. It concerns all messages until an operator does
//! something, so it opens the channel's circuit and costs no attempt.

pub mod meta;
pub mod push;
pub mod smtp;
pub mod twilio;

use std::time::Duration;

use super::delivery::Outcome;

/// Who is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This message or its recipient: the same would be answered again.
    Message,
    /// This recipient, for a while.
    Busy,
    /// The provider as a whole, for a while.
    Provider,
    /// This hub.
    Hub,
}

impl Fault {
    /// What it means for the delivery. `after` is the provider's wish when to be asked again.
    #[must_use]
    pub fn outcome(self, error: String, after: Option<Duration>) -> Outcome {
        match self {
            Self::Message => Outcome::Refused { error },
            Self::Busy => Outcome::Later { error, after, is_outage: false },
            Self::Provider => Outcome::Later { error, after, is_outage: true },
            Self::Hub => Outcome::AboutUs { error, after },
        }
    }

    /// By the status of an HTTP answer alone, where its body is not the provider's own. Paths and
    /// credentials are ours, so a provider that does not know them refuses this hub.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            401..=404 | 407 => Self::Hub,
            408 | 425 | 429 => Self::Busy,
            500.. => Self::Provider,
            _ => Self::Message,
        }
    }
}
