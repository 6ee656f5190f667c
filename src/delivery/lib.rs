//! External delivery: one adapter per channel, each a [`Sender`] for one provider's protocol.
//!
//! In reading order: [`template`] with [`defaults`], [`proof`] and [`template_service`] (message
//! texts, including those that admins wrote), [`link`] and [`account_link`] (links in them),
//! [`renderer`] (both for one delivery); [`email`] with its [`mail_server`], [`mail_limits`],
//! [`mail_turns`] and [`mail_connection`]; [`provider`] (what the HTTP adapters share),
//! [`whatsapp`] with its [`reports`], [`sms`] with its [`sms_reports`], and, for addresses that
//! users name ([`bellpull_config::outside`]), [`push`] with [`push_crypt`] and [`webhook`], and
//! [`callers`] (the clients of both, also for a user's test, [`called`]); [`channels`] (which
//! channels are on, and their senders) and [`runtime`] (the runtime they run on).
//!
//! [`Sender`]: bellpull_port::Sender

pub mod account_link;
pub mod bad_channel;
pub mod called;
pub mod callers;
pub mod channels;
pub mod defaults;
pub mod email;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
pub mod link;
mod mail_connection;
pub mod mail_limits;
mod mail_server;
mod mail_turns;
pub mod proof;
mod provider;
pub mod push;
pub mod push_crypt;
pub mod reach;
pub mod renderer;
pub mod reports;
pub mod runtime;
pub mod sms;
pub mod sms_reports;
pub mod template;
pub mod template_service;
#[cfg(test)]
mod testing;
pub mod webhook;
pub mod whatsapp;

use bellpull_domain::delivery::Outcome;

/// How much of a provider's error text is stored with an attempt, in characters.
const SAID_MAX: usize = 500;

/// A provider's text as it is stored: one line of bounded length.
fn said(text: &str) -> String {
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(SAID_MAX).collect::<String>().trim().to_owned()
}

/// A permanent failure with its reason.
fn refused(error: &str) -> Outcome {
    Outcome::Refused { error: said(error) }
}

/// A telephone number in E.164 form (a plus and digits), or `None` if it is not one. Spaces,
/// dashes and brackets are accepted. A number without a plus, which an account may have from
/// earlier, may be a national one, and would reach a stranger in another country.
fn telephone(text: &str) -> Option<String> {
    let is_filler = |c: char| c.is_whitespace() || "-./()".contains(c);
    let bare: String = text.chars().filter(|c| !is_filler(*c)).collect();
    let digits = bare.strip_prefix('+')?;
    // E.164: at most 15 digits, and no leading zero.
    let is_number = (6..=15).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0');
    is_number.then(|| format!("+{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_words_become_one_bounded_line() {
        assert_eq!(said("550 no such\r\nmailbox\n"), "550 no such  mailbox");
        assert_eq!(said(&"ä".repeat(1_000)).chars().count(), SAID_MAX);
    }

    #[test]
    fn telephone_numbers_are_taken_as_people_write_them() {
        for (written, wanted) in [
            ("+49 30 123-456", Some("+4930123456")),
            ("+49 (30) 123456", Some("+4930123456")),
            ("0049 (30) 123456", None),
            ("4930123456", None),
            ("5551234567", None),
            ("030 123456", None),
            ("+49", None),
            ("", None),
            ("+49 30 12345x", None),
            ("+1234567890123456", None),
            ("++4930123456", None),
        ] {
            assert_eq!(telephone(written).as_deref(), wanted, "{written}");
        }
    }
}
