//! Mail servers: RFC 5321, the enhanced codes of RFC 3463 and its registry, and what Postfix, Exim,
//! Exchange Online, Gmail and Amazon SES say beyond them.
//!
//! Before a recipient is named, whatever a server refuses is about this hub, but for the size and
//! the letters of a mail that its sender's command announces. Afterwards it may still be: Postfix,
//! for one, refuses clients, names and senders only when it is told the recipient.

use super::Fault;

/// What a server refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpStep {
    /// The connection: greeting, `EHLO`, `STARTTLS`, `AUTH`.
    Opening,
    /// `MAIL`: the sender.
    Sender,
    /// `RCPT`: the recipient.
    Recipient,
    /// `DATA`, or the text.
    Text,
}

/// The server closes the connection.
const GOING_AWAY: u16 = 421;

/// Authentication is missing or wrong, or encryption is missing.
const ABOUT_US: [u16; 5] = [432, 530, 534, 535, 538];

/// What servers say about the client, its name, its sender or its quota in words alone. Each is
/// looked for in the text without addresses and host names.
const WORDS_ABOUT_US: [&str; 24] = [
    "access denied, bad helo",
    "authentication required",
    "banned send",
    "blacklist",
    "blocked using",
    "blocklist",
    "client host",
    "daily message quota",
    "helo command rejected",
    "ehlo command rejected",
    "mail from command rejected",
    "maximum credits",
    "maximum sending rate",
    "not owned by user",
    "permissions to send as",
    "relay",
    "send as this sender",
    "sendasdenied",
    "sender address rejected",
    "sender verify failed",
    "sending limit",
    "sending quota",
    "sending rate",
    "user sending",
];

/// Who is at fault for a refusal with that reply code and text.
#[must_use]
pub fn fault(step: SmtpStep, code: u16, text: &str) -> Fault {
    if code == GOING_AWAY {
        return Fault::Provider;
    }
    let is_final = code >= 500;
    let detail = enhanced(text);
    // RFC 1870 and RFC 6531: the mail is too large, or has letters that the server does not take.
    let is_of_one_mail = matches!(detail, Some((3, 4) | (6, _))) || (code, detail) == (552, None);
    match step {
        SmtpStep::Sender if is_of_one_mail => return own(is_final),
        SmtpStep::Opening | SmtpStep::Sender => return Fault::Hub,
        SmtpStep::Recipient | SmtpStep::Text if ABOUT_US.contains(&code) => return Fault::Hub,
        SmtpStep::Recipient | SmtpStep::Text => {}
    }
    match detail {
        Some(detail) if is_about_us(detail) => return Fault::Hub,
        // The server's own state.
        Some((3, 0..=3 | 5..)) if !is_final => return Fault::Provider,
        // The address or the mailbox, whatever words come with it.
        Some((1, 1..=6 | 9..) | (2, _)) => return own(is_final),
        Some(_) | None => {}
    }
    let text = without_names(text);
    match WORDS_ABOUT_US.iter().any(|words| text.contains(words)) {
        true => Fault::Hub,
        false => own(is_final),
    }
}

fn own(is_final: bool) -> Fault {
    if is_final { Fault::Message } else { Fault::Busy }
}

/// Whether an enhanced code (its subject and detail) is about the client or the sender.
fn is_about_us((subject, detail): (u16, u16)) -> bool {
    match subject {
        // The sender's address: bad syntax, bad system.
        1 => matches!(detail, 7 | 8),
        // Exchange Online: no right to send as this sender.
        2 => matches!(detail, 252 | 254),
        // The system accepts nothing, or is configured wrongly.
        3 => matches!(detail, 2 | 5),
        // Gmail: the limit of a sender's mails.
        4 => detail == 5,
        // The command or its order.
        5 => detail == 1,
        7 => matches!(
            detail,
            // Credentials and encryption; DKIM, SPF, reverse DNS and DMARC of our domain; floods.
            3 | 8..=12 | 14 | 18..=30
            // Exchange Online: not authenticated, no right to send as, no relay, quotas, banned.
            | 57 | 60 | 64 | 232 | 233 | 236 | 501..=503 | 506 | 508 | 509 | 511 | 513
            | 606..=649 | 700..=799
        ),
        _ => false,
    }
}

/// Subject and detail of the first enhanced code: `5.7.1`.
fn enhanced(text: &str) -> Option<(u16, u16)> {
    text.split(|c: char| c.is_whitespace() || ":;()<>[]".contains(c)).find_map(|word| {
        let mut parts = word.trim_end_matches(['.', ',']).split('.');
        let class = parts.next()?;
        let (subject, detail) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        (matches!(class, "4" | "5") && parts.next().is_none()).then_some((subject, detail))
    })
}

/// The words of a text, without those that may be addresses or names of hosts.
fn without_names(text: &str) -> String {
    let is_name = |word: &&str| {
        let inner = word.trim_matches(|c: char| !c.is_alphanumeric());
        word.contains('@') || inner.contains('.') || inner.contains('-')
    };
    let words: Vec<&str> = text.split_whitespace().filter(|word| !is_name(word)).collect();
    words.join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fault::{Busy, Hub, Message, Provider};
    use SmtpStep::{Opening, Recipient, Sender, Text};

    #[test]
    fn each_refusal_is_its_ones_fault() {
        for (step, code, text, wanted) in [
            (Opening, 554, "5.7.1 mail.example: blocked", Hub),
            (Opening, 450, "4.7.0 try later", Hub),
            (Opening, 454, "4.7.0 Temporary authentication failure", Hub),
            (Opening, 535, "5.7.8 Error: authentication failed", Hub),
            (Opening, 504, "5.5.2 <vm>: Helo command rejected: need fully-qualified hostname", Hub),
            (Opening, 421, "4.3.2 too many connections", Provider),
            (Sender, 553, "5.7.1 <a@b.example>: Sender address rejected: not owned by user", Hub),
            (Sender, 550, "not from you", Hub),
            (Sender, 552, "5.3.4 Message size exceeds fixed limit", Message),
            (Sender, 552, "message size exceeds fixed maximum message size", Message),
            (Sender, 552, "5.7.1 quota of the sender", Hub),
            (Sender, 553, "5.6.7 SMTPUTF8 is not supported", Message),
            (Sender, 452, "4.3.4 too large at the moment", Busy),
            (Sender, 452, "4.3.1 Insufficient system storage", Hub),
            (Sender, 432, "4.3.2 Concurrent connections limit exceeded", Hub),
            // Postfix delays its refusals of clients until the recipient.
            (Recipient, 504, "5.5.2 <vm>: Helo command rejected: need fully-qualified name", Hub),
            (Recipient, 504, "5.5.2 <ada>: Recipient address rejected: need an FQDN", Message),
            (Recipient, 554, "5.7.1 <ada@x.example>: Relay access denied", Hub),
            (Recipient, 550, "5.7.1 relaying denied", Hub),
            (Recipient, 550, "relay not permitted", Hub),
            (Recipient, 454, "4.7.1 <ada@x.example>: Relay access denied", Hub),
            (Recipient, 554, "5.7.1 Service unavailable; Client host [1.2.3.4] blocked", Hub),
            (Recipient, 553, "5.7.1 <d@x.example>: Sender address rejected: not owned", Hub),
            (Recipient, 550, "5.1.1 <ada@relay.example>: Recipient address rejected", Message),
            (Recipient, 550, "no such mailbox on relay.example", Message),
            (Recipient, 550, "5.7.1 recipient does not accept mail from strangers", Message),
            (Recipient, 552, "5.2.2 mailbox full: quota exceeded", Message),
            (Recipient, 452, "4.2.2 mailbox full", Busy),
            (Recipient, 451, "4.7.1 Greylisted, try again in 300 seconds", Busy),
            (Recipient, 450, "try later", Busy),
            (Recipient, 451, "4.3.0 Temporary lookup failure", Provider),
            (Recipient, 452, "4.3.1 Insufficient system storage", Provider),
            (Recipient, 530, "5.7.0 Must issue a STARTTLS command first", Hub),
            (Text, 550, "5.4.5 Daily user sending limit exceeded", Hub),
            (Text, 454, "Throttling failure: Daily message quota exceeded", Hub),
            (Text, 550, "5.7.26 This mail is unauthenticated", Hub),
            (Text, 554, "5.2.252 SendAsDenied; d@x.example not allowed to send as", Hub),
            (Text, 550, "5.7.708 Service unavailable. Traffic not accepted from this IP", Hub),
            (Text, 552, "5.3.4 message size exceeds fixed limit", Message),
            (Text, 554, "5.7.1 spam message rejected", Message),
            (Text, 554, "5.6.0 no", Message),
            (Text, 451, "4.7.1 try again later", Busy),
            (Text, 451, "4.3.5 server configuration problem", Hub),
            (Text, 421, "4.7.0 going away", Provider),
        ] {
            assert_eq!(fault(step, code, text), wanted, "{step:?} {code} {text}");
        }
    }

    #[test]
    fn the_first_enhanced_code_counts() {
        assert_eq!(enhanced("permanent error (550): 5.7.1 no"), Some((7, 1)));
        assert_eq!(enhanced("550-5.7.26 x"), None);
        assert_eq!(enhanced("5.7.26: x 5.1.1"), Some((7, 26)));
        for text in ["", "1.2.3", "5.7", "5.7.1.2", "10.0.0.1 is no host", "5.x.1"] {
            assert_eq!(enhanced(text), None, "{text}");
        }
    }
}
