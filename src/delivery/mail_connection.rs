//! A connection to a mail server: commands go out, replies come in (RFC 5321, section 4).
//!
//! A reply is read as tolerantly as the standard asks of clients: a code without a text counts
//! (4.2), of several lines the last one's code decides, and a text may be in any character set.

use std::fmt::{Display, Formatter};
use std::io;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// A line has at most 512 bytes (4.5.3.1.5); some servers write longer ones.
const LINE_MAX: usize = 8 * 1024;

/// How much of a reply is read, in bytes.
const REPLY_MAX: usize = 64 * 1024;

/// Whether a connection is encrypted.
#[derive(Clone)]
pub(super) enum Tls {
    Never,
    /// If the server offers it.
    Opportunistic(TlsConnector),
    /// By `STARTTLS`, which the server must offer.
    Required(TlsConnector),
    /// From the first byte on.
    Wrapper(TlsConnector),
}

/// A user and its password.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: u16,
    lines: Vec<String>,
}

/// A rejection, or why there was no reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("{0}")]
    Rejected(Reply),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the server has closed the connection")]
    Closed,
    #[error("no reply of a mail server: {0}")]
    NoReply(String),
    #[error("the server offers no STARTTLS")]
    NoStartTls,
    #[error("the server takes neither AUTH PLAIN nor AUTH LOGIN")]
    NoMechanism,
}

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// See the module.
pub(super) struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    /// The lines of the reply to `EHLO`, in capitals.
    offers: Vec<String>,
}

impl Reply {
    /// Its text.
    pub(super) fn text(&self) -> String {
        self.lines.join(" ")
    }
}

impl Display for Reply {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code, self.text())
    }
}

impl Problem {
    /// The code of a rejection.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Rejected(reply) => Some(reply.code),
            Self::Io(_) | Self::Closed | Self::NoReply(_) => None,
            Self::NoStartTls | Self::NoMechanism => None,
        }
    }
}

impl Connection {
    /// Connects to the first address of the server that accepts within `limit`, and reads the
    /// greeting.
    pub(super) async fn open(
        (host, port): (&str, u16),
        tls: &Tls,
        limit: Duration,
    ) -> Result<Self, Problem> {
        let mut stream = Err(io::Error::new(io::ErrorKind::NotFound, "the server has no address"));
        for address in lookup_host((host, port)).await? {
            let late = || io::Error::new(io::ErrorKind::TimedOut, "connection timed out");
            stream =
                timeout(limit, TcpStream::connect(address)).await.unwrap_or_else(|_| Err(late()));
            if stream.is_ok() {
                break;
            }
        }
        let mut stream: Box<dyn Stream> = Box::new(stream?);
        if let Tls::Wrapper(connector) = tls {
            stream = encrypted(stream, connector, host).await?;
        }
        let mut connection = Self { stream: BufReader::new(stream), offers: Vec::new() };
        connection.reply().await?;
        Ok(connection)
    }

    /// Greets the server, and learns what it offers.
    pub(super) async fn greet(&mut self, hello: &str) -> Result<(), Problem> {
        self.offers = match self.command(&format!("EHLO {hello}\r\n")).await {
            Ok(reply) => reply.lines.iter().map(|line| line.to_ascii_uppercase()).collect(),
            // A server without extensions does not know the command (3.2).
            Err(Problem::Rejected(Reply { code: 500 | 502, .. })) => {
                self.command(&format!("HELO {hello}\r\n")).await?;
                Vec::new()
            }
            Err(problem) => return Err(problem),
        };
        Ok(())
    }

    /// Whether the server offers an extension.
    pub(super) fn offers(&self, keyword: &str) -> bool {
        self.offers.iter().any(|offer| offer.split_whitespace().next() == Some(keyword))
    }

    /// Encrypts the connection by `STARTTLS`, and greets the server again.
    pub(super) async fn start_tls(
        mut self,
        connector: &TlsConnector,
        host: &str,
        hello: &str,
    ) -> Result<Self, Problem> {
        if !self.offers("STARTTLS") {
            return Err(Problem::NoStartTls);
        }
        self.command("STARTTLS\r\n").await?;
        // What came in plain text after the reply may be another's.
        if !self.stream.buffer().is_empty() {
            return Err(Problem::NoReply("more than the one to STARTTLS".to_owned()));
        }
        let stream = encrypted(self.stream.into_inner(), connector, host).await?;
        self = Self { stream: BufReader::new(stream), offers: Vec::new() };
        self.greet(hello).await?;
        Ok(self)
    }

    /// Logs in.
    pub(super) async fn log_in(&mut self, credentials: &Credentials) -> Result<(), Problem> {
        let Credentials { user, password } = credentials;
        let plain = STANDARD.encode(format!("\0{user}\0{password}"));
        // Old servers write `AUTH=`.
        let offer = self.offers.iter().find_map(|offer| offer.strip_prefix("AUTH"));
        let mut mechanisms = offer.unwrap_or_default().split([' ', '=']);
        let (mut said, answers) = if mechanisms.clone().any(|name| name == "PLAIN") {
            (self.command(&format!("AUTH PLAIN {plain}\r\n")).await?, vec![plain])
        } else if mechanisms.any(|name| name == "LOGIN") {
            let answers = vec![STANDARD.encode(user), STANDARD.encode(password)];
            (self.command("AUTH LOGIN\r\n").await?, answers)
        } else {
            return Err(Problem::NoMechanism);
        };
        for answer in answers {
            if said.code != 334 {
                break;
            }
            said = self.command(&format!("{answer}\r\n")).await?;
        }
        match said.code {
            // The server asks for something else.
            334 => Err(Problem::Rejected(said)),
            _ => Ok(()),
        }
    }

    /// Sends commands, or a text, and reads the reply to the first.
    pub(super) async fn command(&mut self, text: &str) -> Result<Reply, Problem> {
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await?;
        self.reply().await
    }

    /// Reads the next reply.
    pub(super) async fn reply(&mut self) -> Result<Reply, Problem> {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        loop {
            let mut line = Vec::new();
            let limit = u64::try_from(LINE_MAX).unwrap_or(u64::MAX);
            (&mut self.stream).take(limit).read_until(b'\n', &mut line).await?;
            bytes += line.len();
            if line.is_empty() {
                return Err(Problem::Closed);
            }
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            let Some(read) = parsed(&text).filter(|_| line.ends_with(b"\n") && bytes <= REPLY_MAX)
            else {
                return Err(Problem::NoReply(text));
            };
            lines.push(read.text.to_owned());
            if read.is_last {
                let reply = Reply { code: read.code, lines };
                return if reply.code < 400 { Ok(reply) } else { Err(Problem::Rejected(reply)) };
            }
        }
    }
}

async fn encrypted(
    stream: Box<dyn Stream>,
    connector: &TlsConnector,
    host: &str,
) -> Result<Box<dyn Stream>, io::Error> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    Ok(Box::new(connector.connect(name, stream).await?))
}

/// A line of a reply.
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    code: u16,
    is_last: bool,
    text: &'a str,
}

fn parsed(line: &str) -> Option<Line<'_>> {
    let (code, rest) = line.split_at_checked(3)?;
    let code = code.parse().ok().filter(|code| (200..600).contains(code))?;
    let is_last = !rest.starts_with('-');
    let text = match rest.chars().next() {
        None => "",
        Some('-' | ' ' | '\t') => &rest[1..],
        Some(_) => return None,
    };
    Some(Line { code, is_last, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_code_and_perhaps_a_text() {
        for (line, wanted) in [
            ("250 ok", Some((250, true, "ok"))),
            ("250", Some((250, true, ""))),
            ("250 ", Some((250, true, ""))),
            ("250-", Some((250, false, ""))),
            ("550-5.1.1 none", Some((550, false, "5.1.1 none"))),
            ("2500", None),
            ("25", None),
            ("ok", None),
            ("+50 x", None),
            ("199 x", None),
            ("€50", None),
        ] {
            let wanted = wanted.map(|(code, is_last, text)| Line { code, is_last, text });
            assert_eq!(parsed(line), wanted, "{line}");
        }
    }
}
