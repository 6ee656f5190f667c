//! Connections to a mail server: opened, reused, closed.
//!
//! Only connections on which every command has been answered are kept: on one whose message was
//! aborted in the middle, the next message would take late replies for its own, and a rejected mail
//! would count as sent. Each step has a time limit, because a server may accept a connection and
//! then stay silent.
//!
//! A turn is one write. If the server accepts pipelining (`PIPELINING`), a mail takes two turns
//! instead of four.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bellpull_domain::fault::smtp::SmtpStep;
use lettre::Message;
use tokio::time::timeout;

use super::mail_connection::{Connection, Credentials, Problem, Reply, Tls};
use super::mail_limits::StepLimits;
use super::mail_turns::{Failure, Line, Refused, Said, in_time};

/// How long an unused connection is kept: most servers close theirs after a minute.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// A connection that has been idle for longer is checked with a command before it is used.
const FRESH: Duration = Duration::from_secs(1);

/// The time limit of that check: a server that does not answer it gets another connection.
const CHECK_MAX: Duration = Duration::from_secs(15);

/// The time limit for `QUIT`.
const QUIT_MAX: Duration = Duration::from_secs(2);

/// Where the server is, and how to connect.
pub(super) struct Way {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) credentials: Option<Credentials>,
    /// The hub's name in `EHLO`; `None`: its address.
    pub(super) hello: Option<String>,
}

/// A server and the idle connections to it.
pub(super) struct MailServer {
    way: Way,
    kept_max: usize,
    limits: StepLimits,
    idle: Arc<Mutex<Idle>>,
}

#[derive(Default)]
struct Idle {
    connections: Vec<(Instant, Line)>,
    /// Whether a task will close those that are too old.
    is_swept: bool,
}

impl std::fmt::Debug for MailServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MailServer").field("host", &self.way.host).finish_non_exhaustive()
    }
}

impl MailServer {
    /// A server to which at most `kept_max` idle connections are kept.
    pub(super) fn new(way: Way, kept_max: usize, limits: StepLimits) -> Self {
        Self { way, kept_max, limits, idle: Arc::default() }
    }

    /// Sends a message. If the caller drops the future, its connection is closed.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn send(&self, message: &Message) -> Result<Reply, Failure> {
        loop {
            let (mut line, is_used) = self.line().await?;
            match line.hand_over(message, self.limits).await {
                Ok(Said::Yes(response)) => {
                    self.keep(line);
                    return Ok(response);
                }
                Ok(Said::No(error)) => {
                    leave(line);
                    return Err(error.into());
                }
                // The server has closed it since it was used: it has taken nothing.
                Err(Failure::Smtp(Refused(SmtpStep::Sender, _))) if is_used => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Opens a connection, logs in, and leaves.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn reach(&self) -> Result<(), Failure> {
        leave(self.line().await?.0);
        Ok(())
    }

    /// A connection, and whether it was used before.
    async fn line(&self) -> Result<(Line, bool), Failure> {
        while let Some((since, mut line)) = self.take() {
            let age = since.elapsed();
            let is_there = age < FRESH
                || (age < IDLE_MAX && is_answered(line.connection.command("NOOP\r\n")).await);
            if is_there {
                return Ok((line, true));
            }
        }
        let limit = self.limits.opening();
        let opened = Box::pin(timeout(limit, self.open())).await;
        let line = opened.map_err(|_| Failure::Silent(limit))??;
        Ok((line, false))
    }

    async fn open(&self) -> Result<Line, Failure> {
        let Way { host, port, tls, credentials, hello } = &self.way;
        let limits = self.limits;
        let at = (host.as_str(), *port);
        let hello = &match hello {
            Some(hello) => hello.clone(),
            None => own_address(at).await,
        };
        let opening = Connection::open(at, tls, limits.connect);
        let mut connection = in_time(limits.connect + limits.command, opened(opening)).await?;
        in_time(2 * limits.command, opened(connection.greet(hello))).await?;
        let starttls = match tls {
            Tls::Required(connector) => Some(connector),
            Tls::Opportunistic(connector) if connection.offers("STARTTLS") => Some(connector),
            Tls::Never | Tls::Opportunistic(_) | Tls::Wrapper(_) => None,
        };
        if let Some(connector) = starttls {
            let encrypting = connection.start_tls(connector, host, hello);
            connection = in_time(2 * limits.command, opened(encrypting)).await?;
        }
        if let Some(credentials) = credentials {
            in_time(3 * limits.command, opened(connection.log_in(credentials))).await?;
        }
        Ok(Line { connection })
    }

    fn keep(&self, line: Line) {
        let mut idle = self.idle();
        if idle.connections.len() >= self.kept_max {
            return leave(line);
        }
        idle.connections.push((Instant::now(), line));
        if !std::mem::replace(&mut idle.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(&self.idle)));
        }
    }

    fn take(&self) -> Option<(Instant, Line)> {
        self.idle().connections.pop()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address from which a connection to the server comes, as a name for `EHLO`.
async fn own_address(server: (&str, u16)) -> String {
    let found = async {
        let server = tokio::net::lookup_host(server).await?.next().ok_or(ErrorKind::NotFound)?;
        let any: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // Nothing is sent: the system chooses the route.
        let socket = tokio::net::UdpSocket::bind((any, 0)).await?;
        socket.connect(server).await?;
        socket.local_addr()
    };
    match found.await.map(|address| address.ip().to_canonical()) {
        Ok(IpAddr::V4(address)) => format!("[{address}]"),
        Ok(IpAddr::V6(address)) => format!("[IPv6:{address}]"),
        // The connection fails too, and says why.
        Err(_) => "[127.0.0.1]".to_owned(),
    }
}

/// Whether a kept connection still is one.
async fn is_answered(step: impl Future<Output = Result<Reply, Problem>>) -> bool {
    timeout(CHECK_MAX, step).await.is_ok_and(|said| said.is_ok())
}

/// A step before any mail.
async fn opened<T>(step: impl Future<Output = Result<T, Problem>>) -> Result<T, Refused> {
    step.await.map_err(|error| Refused(SmtpStep::Opening, error))
}

/// Closes connections that have been idle for too long, until none are left.
async fn sweep(idle: Weak<Mutex<Idle>>) {
    loop {
        tokio::time::sleep(IDLE_MAX).await;
        let Some(idle) = idle.upgrade() else { return };
        let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
        let old = |(since, _): &mut (Instant, _)| since.elapsed() >= IDLE_MAX;
        idle.connections.extract_if(.., old).for_each(|(_, line)| leave(line));
        if idle.connections.is_empty() {
            idle.is_swept = false;
            return;
        }
    }
}

/// Sends `QUIT` in a task of its own, so that no caller waits for it.
fn leave(mut line: Line) {
    tokio::spawn(async move {
        let _ = timeout(QUIT_MAX, line.connection.command("QUIT\r\n")).await;
    });
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::email::way;
    use bellpull_config::Secret;
    use bellpull_config::delivery::SmtpConfig;

    /// A server on that address that answers each line, or the end of a text, by `answer`; it
    /// returns the commands that it was sent on one connection.
    async fn server(address: &str, answer: fn(&str) -> Vec<u8>) -> (u16, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            converse(stream, answer).await
        });
        (port, server)
    }

    async fn converse(stream: TcpStream, answer: fn(&str) -> Vec<u8>) -> Vec<String> {
        let (read, mut write) = stream.into_split();
        write.write_all(&answer("")).await.unwrap();
        let (mut lines, mut heard, mut is_text) = (BufReader::new(read).lines(), vec![], false);
        while let Ok(Some(line)) = lines.next_line().await {
            if is_text && line != "." {
                continue;
            }
            is_text = !is_text && line == "DATA";
            write.write_all(&answer(&line)).await.unwrap();
            heard.push(line);
        }
        heard
    }

    fn at(url: String) -> MailServer {
        let config = SmtpConfig {
            url: Secret::new(url),
            from: "desk@example.com".to_owned(),
            hello: Some("hub.example.com".to_owned()),
            ca_file: None,
            per_s: 0,
        };
        MailServer::new(way(&config).unwrap(), 0, StepLimits::all(Duration::from_secs(5)))
    }

    fn mail() -> Message {
        let to = "ada@example.com".parse().unwrap();
        Message::builder()
            .from("desk@example.com".parse().unwrap())
            .to(to)
            .body("x".to_owned())
            .unwrap()
    }

    #[tokio::test]
    async fn a_reply_is_a_code_whatever_stands_around_it() {
        type Answer = fn(&str) -> Vec<u8>;
        fn code(line: &str) -> &'static str {
            match line {
                "" => "220",
                "DATA" => "354",
                "QUIT" => "221",
                _ => "250",
            }
        }
        let forms: [Answer; 6] = [
            |line| format!("{}\r\n", code(line)).into(),
            |line| format!("{0}-\r\n{0}\r\n", code(line)).into(),
            |line| format!("{} ok\n", code(line)).into(),
            |line| [code(line).as_bytes(), b" gr\xfc\xdfe\r\n"].concat(),
            |line| format!("{0}-a\r\n{0}- b\r\n{0} \r\n", code(line)).into(),
            |line| format!("{}\t{}\r\n", code(line), "x".repeat(4_000)).into(),
        ];
        for (at_form, answer) in forms.into_iter().enumerate() {
            let (port, server) = server("127.0.0.1", answer).await;
            let said = at(format!("smtp://127.0.0.1:{port}")).send(&mail()).await;
            assert_eq!(said.unwrap().code, 250, "{at_form}");
            let heard = server.await.unwrap();
            assert_eq!(heard.last().unwrap(), "QUIT", "{at_form}: {heard:?}");
        }
    }

    /// RFC 5321, 4.5.3.2.1: a greeting may take five minutes.
    #[tokio::test(start_paused = true)]
    async fn a_late_greeting_is_waited_for() {
        // While a task runs, the clock moves by the test's hand alone.
        let busy = tokio::spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
        for (late_s, is_sent) in [(20, true), (299, true), (400, false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let mut server = at(format!("smtp://127.0.0.1:{port}"));
            server.limits = StepLimits::STANDARD;
            let sending = tokio::spawn(async move { server.send(&mail()).await });
            let (stream, _) = listener.accept().await.unwrap();
            tokio::time::advance(Duration::from_secs(late_s)).await;
            let answering = tokio::spawn(converse(stream, |line| match line {
                "DATA" => b"354\r\n".to_vec(),
                _ => b"250\r\n".to_vec(),
            }));
            let said = sending.await.unwrap();
            assert_eq!(said.is_ok(), is_sent, "{late_s}: {said:?}");
            answering.abort();
        }
        busy.abort();
    }

    #[tokio::test]
    async fn a_server_that_closes_after_each_mail_costs_none_an_attempt() {
        for last in [b"".as_slice(), b"421 4.4.2 bye\r\n"] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let (closed, mut has_closed) = tokio::sync::mpsc::channel(1);
            let serving = tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    stream.write_all(b"220\r\n").await.unwrap();
                    let (read, mut write) = stream.into_split();
                    let (mut lines, mut is_text) = (BufReader::new(read).lines(), false);
                    while let Ok(Some(line)) = lines.next_line().await {
                        if is_text && line == "." {
                            write.write_all(&[b"250\r\n", last].concat()).await.unwrap();
                            break;
                        }
                        if !is_text {
                            is_text = line == "DATA";
                            let answer = if is_text { "354\r\n" } else { "250\r\n" };
                            write.write_all(answer.as_bytes()).await.unwrap();
                        }
                    }
                    drop(lines);
                    drop(write);
                    closed.send(()).await.unwrap();
                }
            });
            let mut server = at(format!("smtp://127.0.0.1:{port}"));
            server.kept_max = 1;
            for n in 0..4 {
                let said = server.send(&mail()).await;
                assert!(said.is_ok(), "{n}: {said:?}");
                has_closed.recv().await.unwrap();
            }
            serving.abort();
        }
    }

    #[tokio::test]
    async fn what_is_no_reply_ends_the_connection() {
        for answer in [
            (|_| b"hello\r\n".to_vec()) as fn(&str) -> Vec<u8>,
            |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            |_| [&b"220 "[..], &[b'x'; 20_000]].concat(),
            |_| b"220-x\r\n".repeat(20_000),
        ] {
            let (port, server) = server("127.0.0.1", answer).await;
            let failure = at(format!("smtp://127.0.0.1:{port}")).send(&mail()).await.unwrap_err();
            assert!(failure.to_string().contains("no reply of a mail server"), "{failure}");
            server.abort();
        }
    }

    #[tokio::test]
    async fn a_server_without_extensions_is_greeted_the_old_way() {
        let (port, server) = server("127.0.0.1", |line| match line.get(..4) {
            None if line.is_empty() => b"220 old\r\n".to_vec(),
            Some("EHLO") => b"502 5.5.1 what?\r\n".to_vec(),
            Some("DATA") => b"354 go on\r\n".to_vec(),
            _ => b"250 ok\r\n".to_vec(),
        })
        .await;
        at(format!("smtp://127.0.0.1:{port}")).send(&mail()).await.unwrap();
        let heard = server.await.unwrap();
        assert_eq!(heard[..2], ["EHLO hub.example.com", "HELO hub.example.com"]);
    }

    #[tokio::test]
    async fn what_was_said_before_the_encryption_is_not_heard_after_it() {
        let (port, server) = server("127.0.0.1", |line| match line {
            "" => b"220 x\r\n".to_vec(),
            "STARTTLS" => b"220 go on\r\n250 AUTH PLAIN\r\n".to_vec(),
            _ => b"250 STARTTLS\r\n".to_vec(),
        })
        .await;
        let url = format!("smtp://127.0.0.1:{port}?tls=required");
        let failure = at(url).send(&mail()).await.unwrap_err();
        assert!(failure.to_string().contains("STARTTLS"), "{failure}");
        assert_eq!(server.await.unwrap(), ["EHLO hub.example.com", "STARTTLS"]);
    }

    #[tokio::test]
    async fn a_server_may_be_named_by_an_address_of_either_family() {
        for (address, host) in [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")] {
            let (port, server) = server(address, |_| b"250 ok\r\n".to_vec()).await;
            at(format!("smtp://{host}:{port}")).reach().await.unwrap();
            assert_eq!(server.await.unwrap(), ["EHLO hub.example.com", "QUIT"]);
        }
    }
}
