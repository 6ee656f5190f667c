//! The ways out of the house: one adapter a channel, each a [`Sender`] of one provider's protocol.
//!
//! In reading order: [`template`] (what is said), [`link`] (where it leads), [`email`].
//!
//! [`Sender`]: bellpull_actors::port::Sender

pub mod email;
pub mod link;
pub mod template;

/// How much of a provider's own words is kept of an attempt, in characters.
const SAID_MAX: usize = 500;

/// A provider's words as they are kept: one line, bounded.
fn said(text: &str) -> String {
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(SAID_MAX).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_words_become_one_bounded_line() {
        assert_eq!(said("550 no such\r\nmailbox\n"), "550 no such  mailbox");
        assert_eq!(said(&"ä".repeat(1_000)).chars().count(), SAID_MAX);
    }
}
