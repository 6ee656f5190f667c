//! The ways out of the house: one adapter a channel, each a [`Sender`] of one provider's protocol.
//!
//! In reading order: [`template`] with [`defaults`], [`proof`] and [`desk`] (what is said, and what
//! admins have written), [`link`] and [`account_link`] (where it leads), [`words`] (both for one
//! delivery); [`email`] with its [`mail_server`] and [`mail_turns`]; [`provider`] (what all that
//! speak HTTP share), [`whatsapp`] with its [`reports`], [`sms`] with its [`sms_reports`], and, to
//! where users say ([`outside`]), [`push`] with [`push_crypt`] and [`webhook`]; [`channels`] (which
//! are on, and what each sends by) and [`hands`] (the thread on which they run).
//!
//! [`Sender`]: bellpull_actors::port::Sender

pub mod account_link;
pub mod channels;
pub mod defaults;
pub mod desk;
pub mod email;
pub mod hands;
pub mod link;
mod mail_server;
mod mail_turns;
pub mod outside;
pub mod proof;
mod provider;
pub mod push;
pub mod push_crypt;
pub mod reports;
pub mod sms;
pub mod sms_reports;
pub mod template;
#[cfg(test)]
mod testing;
pub mod webhook;
pub mod whatsapp;
pub mod words;

use bellpull_actors::domain::delivery::Outcome;

/// How much of a provider's own words is kept of an attempt, in characters.
const SAID_MAX: usize = 500;

/// A provider's words as they are kept: one line, bounded.
fn said(text: &str) -> String {
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(SAID_MAX).collect::<String>().trim().to_owned()
}

/// It will never be sent, and why.
fn refused(error: &str) -> Outcome {
    Outcome::Refused { error: said(error) }
}

/// At most so many characters, with a mark where some are missing.
fn shortened(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// A telephone number as providers take it: a plus and digits, or `None` for one that is none.
/// People write spaces, dashes and brackets between, and 00 for the plus.
fn telephone(text: &str) -> Option<String> {
    let is_filler = |c: char| c.is_whitespace() || "-./()".contains(c);
    let bare: String = text.chars().filter(|c| !is_filler(*c)).collect();
    let digits = bare.strip_prefix('+').or_else(|| bare.strip_prefix("00")).unwrap_or(&bare);
    // E.164: at most 15 digits, of which the first is none of the national prefixes' 0.
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
    fn what_is_too_long_ends_with_a_mark() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äö…");
    }

    #[test]
    fn telephone_numbers_are_taken_as_people_write_them() {
        for (written, wanted) in [
            ("+49 30 123-456", Some("+4930123456")),
            ("0049 (30) 123456", Some("+4930123456")),
            ("4930123456", Some("+4930123456")),
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
