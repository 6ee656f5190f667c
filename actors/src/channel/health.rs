//! Whether a channel sends, for those who wait for its deliveries.

use bellpull_domain::routing::Channel;

/// A channel on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelHealth {
    /// Which.
    pub channel: Channel,
    /// `closed`: it sends; `half_open`: it tries one; `open`: it sends nothing; `down`: its actor
    /// does not answer.
    pub circuit: &'static str,
    /// Why it is not closed, as a text for users.
    pub cause: Option<String>,
    /// Deliveries that are with the provider.
    pub in_flight: usize,
}

impl ChannelHealth {
    /// The text for a delivery that waits because nothing is sent.
    #[must_use]
    pub fn waits_because(&self) -> Option<String> {
        let cause = self.cause.as_deref();
        match self.circuit {
            "closed" => None,
            "down" => Some("Nothing is sent at the moment: the channel restarts.".to_owned()),
            _ => Some(match cause {
                Some(cause) => format!("Nothing is sent at the moment: {cause}."),
                None => "Nothing is sent at the moment: the provider has failed.".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_channel_that_does_not_send_has_a_reason() {
        let of = |circuit, cause: Option<&str>| {
            let cause = cause.map(str::to_owned);
            let health = ChannelHealth { channel: Channel::Email, circuit, cause, in_flight: 0 };
            health.waits_because()
        };
        assert_eq!(of("closed", Some("an old failure")), None);
        assert!(of("open", Some("HTTP 500")).unwrap().ends_with("moment: HTTP 500."));
        assert!(of("half_open", None).unwrap().ends_with("the provider has failed."));
        assert!(of("down", None).unwrap().ends_with("the channel restarts."));
    }
}
