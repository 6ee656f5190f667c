//! An SMTP dialogue over one connection, turn by turn.

use std::fmt::{Display, Formatter};
use std::time::Duration;

use bellpull_domain::fault::smtp::SmtpStep;
use lettre::Message;
use lettre::address::Envelope;
use tokio::time::timeout;

use super::mail_connection::{Connection, Problem, Reply};
use super::mail_limits::StepLimits;

/// The status of a server that closes the connection.
const GOING_AWAY: u16 = 421;

/// A connection after its greeting.
pub(super) struct Line {
    pub(super) connection: Connection,
}

/// A server's reply to a step.
pub(super) enum Said {
    Yes(Reply),
    No(Refused),
}

/// A step that failed: the server's reply, or why there was none.
#[derive(Debug, thiserror::Error)]
#[error("{1}")]
pub(super) struct Refused(pub(super) SmtpStep, #[source] pub(super) Problem);

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
    OnlyAscii(&'static str),
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
        let steps = opening(&self.connection, message.envelope(), &text)?;
        if self.connection.offers("PIPELINING") {
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
        in_time(limits.text(text.len()), self.say(SmtpStep::Text, &Text(&text).to_string())).await
    }

    async fn say(&mut self, step: SmtpStep, text: &str) -> Result<Said, Refused> {
        answered(step, self.connection.command(text).await)
    }

    /// Sends all steps in one write and reads the reply to each.
    async fn say_at_once(&mut self, steps: &[String]) -> Result<Said, Refused> {
        let mut said = self.say(SmtpStep::Sender, &steps.concat()).await?;
        let mut refused = None;
        for at in 1..steps.len() {
            if let Said::No(error) = said {
                refused.get_or_insert(error);
            }
            let next = self.connection.reply().await;
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
fn answered(step: SmtpStep, said: Result<Reply, Problem>) -> Result<Said, Refused> {
    match said {
        Ok(reply) => Ok(Said::Yes(reply)),
        Err(problem) if problem.code().is_some_and(|code| code != GOING_AWAY) => {
            Ok(Said::No(Refused(step, problem)))
        }
        Err(problem) => Err(Refused(step, problem)),
    }
}

/// The commands before the text.
fn opening(server: &Connection, envelope: &Envelope, text: &str) -> Result<Vec<String>, Failure> {
    let needed = |extension| match server.offers(extension) {
        true => Ok(()),
        false => Err(Failure::OnlyAscii(extension)),
    };
    let mut parameters = String::new();
    let mut addresses = envelope.from().into_iter().chain(envelope.to());
    if addresses.any(|address| !address.to_string().is_ascii()) {
        needed("SMTPUTF8")?;
        parameters.push_str(" SMTPUTF8");
    }
    if !text.is_ascii() {
        needed("8BITMIME")?;
        parameters.push_str(" BODY=8BITMIME");
    }
    let from = envelope.from().map(ToString::to_string).unwrap_or_default();
    let mut steps = vec![format!("MAIL FROM:<{from}>{parameters}\r\n")];
    steps.extend(envelope.to().iter().map(|to| format!("RCPT TO:<{to}>\r\n")));
    steps.push("DATA\r\n".to_owned());
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
