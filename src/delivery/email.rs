//! E-mail, by SMTP.
//!
//! Connections are kept and used again. A delivery's `Message-ID` is made from its id, so that an
//! attempt after a crash is the same message to every server that it passes.
//!
//! What a server says decides: 5xx is final, 4xx comes back later, and so does every connection
//! that fails, whatever had been said on it (also between the text and its acknowledgement: the
//! `Message-ID` stays the same). A server that refuses the hub itself (a wrong password, no TLS) is
//! an outage: no recipient's fault.

use std::fmt::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use bellpull_actors::domain::delivery::{Leased, Outcome, Target};
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::port::Sender;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::PoolConfig;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::link::Unsubscribe;
use super::template::Rendered;
use super::words::Words;
use super::{refused, said};
use crate::config::delivery::SmtpConfig;

/// How long a server may take for one answer. The whole attempt has the channel's own limit.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// How long a connection that nobody uses is kept: most servers close theirs after a minute.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Refusals that mean the hub and not the recipient: no or wrong authentication, no encryption.
const ABOUT_US: [u16; 4] = [530, 534, 535, 538];

/// Sends by SMTP.
#[derive(Debug)]
pub struct EmailSender {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// What stands behind the `@` of every `Message-ID`.
    message_domain: String,
    words: Words,
}

/// Why e-mail cannot be set up; the text names what is wrong, never the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmailSetup {
    /// `smtp.url`
    #[error("is no SMTP URL such as smtp://user:password@host:587?tls=required")]
    Url,
    /// `smtp.from`
    #[error("is no address such as Desk <desk@example.com>")]
    From,
}

impl EmailSender {
    /// A sender through the server of the settings (`smtp://user:password@host:port`, `smtps://`,
    /// `?tls=required`), at most `connections` at once. `epoch` names this hub's store.
    ///
    /// # Errors
    /// [`EmailSetup`].
    pub fn new(
        config: &SmtpConfig,
        connections: u32,
        epoch: &str,
        words: Words,
    ) -> Result<Self, EmailSetup> {
        let from: Mailbox = config.from.parse().map_err(|_| EmailSetup::From)?;
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(config.url.reveal());
        let pool = PoolConfig::new().max_size(connections).idle_timeout(IDLE_MAX);
        let transport = builder
            .map_err(|_| EmailSetup::Url)?
            .timeout(Some(ANSWER_MAX))
            .pool_config(pool)
            .build();
        let message_domain = format!("{epoch}.bellpull");
        Ok(Self { transport, from, message_domain, words })
    }

    fn message(&self, leased: &Leased, to: Address) -> Result<Message, lettre::error::Error> {
        let unsubscribe = self.unsubscribe(leased);
        let rendered = self.words.render(leased, Channel::Email, unsubscribe.as_deref());
        let Rendered { subject, text, html, .. } = rendered;
        let mut builder = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(Some(leased.addressee.name.clone()), to))
            .message_id(Some(format!("<delivery-{}@{}>", leased.id, self.message_domain)))
            .subject(subject)
            .header(AutoSubmitted("auto-generated".to_owned()));
        if let Some(link) = unsubscribe {
            builder = builder
                .header(ListUnsubscribe(format!("<{link}>")))
                .header(ListUnsubscribePost("List-Unsubscribe=One-Click".to_owned()));
        }
        match html {
            Some(html) => builder.multipart(MultiPart::alternative_plain_html(text, html)),
            None => builder.body(text),
        }
    }

    /// A digest is of many events: it is ended in the preferences.
    fn unsubscribe(&self, leased: &Leased) -> Option<String> {
        let [letter] = &leased.letters[..] else { return None };
        let event = letter.message.event.as_str().to_owned();
        self.words.links.unsubscribe(&Unsubscribe { user: leased.addressee.id, event })
    }
}

#[async_trait]
impl Sender for EmailSender {
    async fn send(&self, leased: &Leased) -> Outcome {
        let Target::Email(to) = &leased.target else {
            return refused("it is not for an e-mail address");
        };
        let Ok(to) = to.parse::<Address>() else {
            return refused("the recipient's address is none");
        };
        let message = match self.message(leased, to) {
            Ok(message) => message,
            Err(error) => return refused(&format!("no e-mail can be made of it: {error}")),
        };
        match self.transport.send(message).await {
            Ok(response) => {
                let said = response.message().collect::<Vec<_>>().join(" ");
                Outcome::Sent { provider_id: Some(super::said(&said)) }
            }
            Err(error) => judge(&error),
        }
    }
}

/// What an error of SMTP means for a delivery.
fn judge(error: &SmtpError) -> Outcome {
    let mut text = error.to_string();
    // The cause of a failed connection is one level down.
    if let Some(cause) = std::error::Error::source(error)
        && !text.contains(&cause.to_string())
    {
        let _ = write!(text, ": {cause}");
    }
    let error_text = said(&text);
    let is_about_us = error.status().is_some_and(|code| ABOUT_US.contains(&u16::from(code)));
    if error.is_permanent() && !is_about_us {
        return Outcome::Refused { error: error_text };
    }
    // 421 and every connection that fails: the server as a whole. Other 4xx: this recipient.
    let is_recipients =
        error.is_transient() && error.status().is_some_and(|code| u16::from(code) != 421);
    Outcome::Later { error: error_text, after: None, is_outage: !is_recipients }
}

macro_rules! header {
    ($(#[$doc:meta])* $name:ident = $text:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        struct $name(String);

        impl Header for $name {
            fn name() -> HeaderName {
                HeaderName::new_from_ascii_str($text)
            }

            fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
                Ok(Self(text.to_owned()))
            }

            fn display(&self) -> HeaderValue {
                HeaderValue::new(Self::name(), self.0.clone())
            }
        }
    };
}

header! {
    /// So that no automatic reply answers a notification.
    AutoSubmitted = "Auto-Submitted"
}
header! {
    /// RFC 2369: where these e-mails are ended.
    ListUnsubscribe = "List-Unsubscribe"
}
header! {
    /// RFC 8058: by one POST, without a page between.
    ListUnsubscribePost = "List-Unsubscribe-Post"
}
