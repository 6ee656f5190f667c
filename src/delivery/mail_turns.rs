//! An SMTP dialogue over one connection, turn by turn.

use std::fmt::{Display, Formatter};
use std::time::Duration;

use bellpull_domain::fault::smtp::SmtpStep;
use lettre::Message;
use lettre::address::Envelope;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter, ServerInfo};
use lettre::transport::smtp::response::Response;
use tokio::time::timeout;

use super::mail_limits::StepLimits;

/// The status of a server that closes the connection.
const GOING_AWAY: u16 = 421;

/// A connection after its greeting.
pub(super) struct Line {
    pub(super) connection: AsyncSmtpConnection,
    /// Whether the server supports pipelining.
    pub(super) pipelines: bool,
}

/// A server's reply to a step.
pub(super) enum Said {
    Yes(Response),
    No(Refused),
}

/// A step that failed: the server's reply, or why there was none.
#[derive(Debug, thiserror::Error)]
#[error("{1}")]
pub(super) struct Refused(pub(super) SmtpStep, #[source] pub(super) SmtpError);

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The server's reply, or why there was no connection.
    #[error(transparent)]
    Smtp(#[from] Refused),
    /// The server did not reply in time.
    #[error("the server did not answer within {0:?}")]
    Silent(Duration),
    /// The server does not support a character of the message.
    #[error("the server takes no letters but ASCII: it has no {0}")]
    OnlyAscii(Extension),
}

impl Line {
    /// Hands over a message. If this returns a reply, no other reply is outstanding on this
    /// connection; after an error the dialogue may be in the middle of a command.
    pub(super) async fn hand_over(
        &mut self,
        message: &Message,
        limits: StepLimits,
    ) -> Result<Said, Failure> {
        let text = message.formatted();
        let text = String::from_utf8_lossy(&text);
        let steps = opening(self.connection.server_info(), message.envelope(), &text)?;
        if self.pipelines {
            let limit = limits.envelope(&steps);
            if let Said::No(refused) = in_time(limit, self.say_at_once(&steps)).await? {
                return Ok(Said::No(refused));
            }
        } else {
            for (at, text) in steps.iter().enumerate() {
                let step = step_of(at, steps.len());
                let limit = if step == SmtpStep::Text { limits.data } else { limits.command };
                if let Said::No(refused) = in_time(limit, self.say(step, text)).await? {
                    return Ok(Said::No(refused));
                }
            }
        }
        in_time(limits.text(text.len()), self.say(SmtpStep::Text, Text(&text))).await
    }

    async fn say(&mut self, step: SmtpStep, text: impl Display) -> Result<Said, Refused> {
        answered(step, self.connection.command(text).await)
    }

    /// Sends all steps in one write and reads the reply to each.
    async fn say_at_once(&mut self, steps: &[String]) -> Result<Said, Refused> {
        let mut said = self.say(SmtpStep::Sender, steps.concat()).await?;
        let mut refused = None;
        for at in 1..steps.len() {
            if let Said::No(error) = said {
                refused.get_or_insert(error);
            }
            let next = self.connection.read_response().await;
            said = match (answered(step_of(at, steps.len()), next), refused.take()) {
                (Err(_), Some(refused)) => return Err(refused),
                (next, earlier) => {
                    refused = earlier;
                    next?
                }
            };
        }
        match (refused, said) {
            (None, said) => Ok(said),
            (Some(refused), Said::No(_)) => Ok(Said::No(refused)),
            // The server waits for a text that has no recipient.
            (Some(refused), Said::Yes(_)) => Err(refused),
        }
    }
}

/// What the command at that place names.
fn step_of(at: usize, count: usize) -> SmtpStep {
    match at {
        0 => SmtpStep::Sender,
        _ if at + 1 == count => SmtpStep::Text,
        _ => SmtpStep::Recipient,
    }
}

/// A step within its time limit.
pub(super) async fn in_time<T>(
    limit: Duration,
    step: impl Future<Output = Result<T, Refused>>,
) -> Result<T, Failure> {
    Ok(timeout(limit, step).await.map_err(|_| Failure::Silent(limit))??)
}

/// A server's reply, unless it announces that it closes the connection.
fn answered(step: SmtpStep, said: Result<Response, SmtpError>) -> Result<Said, Refused> {
    match said {
        Ok(response) => Ok(Said::Yes(response)),
        Err(error) if error.status().is_some_and(|code| u16::from(code) != GOING_AWAY) => {
            Ok(Said::No(Refused(step, error)))
        }
        Err(error) => Err(Refused(step, error)),
    }
}

/// The commands before the text.
fn opening(server: &ServerInfo, envelope: &Envelope, text: &str) -> Result<Vec<String>, Failure> {
    let mut parameters = Vec::new();
    let mut need = |extension: Extension, parameter| {
        parameters.push(parameter);
        match server.supports_feature(extension) {
            true => Ok(()),
            false => Err(Failure::OnlyAscii(extension)),
        }
    };
    let addresses = envelope.from().into_iter().chain(envelope.to());
    if addresses.into_iter().any(|address| !address.to_string().is_ascii()) {
        need(Extension::SmtpUtfEight, MailParameter::SmtpUtfEight)?;
    }
    if !text.is_ascii() {
        let eight_bit = MailParameter::Body(MailBodyParameter::EightBitMime);
        need(Extension::EightBitMime, eight_bit)?;
    }
    let mut steps = vec![Mail::new(envelope.from().cloned(), parameters).to_string()];
    steps.extend(envelope.to().iter().map(|to| Rcpt::new(to.clone(), Vec::new()).to_string()));
    steps.push(Data.to_string());
    Ok(steps)
}

/// A text in wire format: lines that begin with a dot get a second one, and a line with a single
/// dot ends it.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        for (at, part) in self.0.split("\r\n.").enumerate() {
            if at > 0 {
                f.write_str("\r\n..")?;
            } else if part.starts_with('.') {
                f.write_str(".")?;
            }
            f.write_str(part)?;
        }
        f.write_str("\r\n.\r\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_that_begins_a_line_is_not_the_end() {
        for (text, wanted) in [
            ("a\r\n.\r\n..b.\r\n", "a\r\n..\r\n...b.\r\n\r\n.\r\n"),
            (".a", "..a\r\n.\r\n"),
            ("a.\n.b", "a.\n.b\r\n.\r\n"),
            ("", "\r\n.\r\n"),
        ] {
            assert_eq!(Text(text).to_string(), wanted);
        }
    }
}
