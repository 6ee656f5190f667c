//! E-mail over SMTP.
//!
//! Connections are reused. A delivery's `Message-ID` is derived from its id, so an attempt after a
//! crash is the same message to every server on the way.
//!
//! The server's reply decides, by the table of [`bellpull_domain::fault::smtp`]. Every
//! failed connection is retried, whatever had been sent on it (even between the text and its
//! acknowledgement: the `Message-ID` stays the same).

use std::net::{Ipv4Addr, Ipv6Addr};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bellpull_domain::delivery::{Leased, Outcome};
use bellpull_domain::fault::smtp::fault;
use bellpull_domain::routing::Channel;
use bellpull_port::Sender;
use bellpull_port::trace::Trace;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use tokio_rustls::TlsConnector;

use super::link::Unsubscribe;
use super::mail_connection::{Credentials, Tls};
use super::mail_limits::StepLimits;
use super::mail_server::{MailServer, Way};
use super::mail_turns::{Failure, Refused};
use super::renderer::Renderer;
use super::template::Rendered;
use super::{refused, said};
use bellpull_config::delivery::SmtpConfig;
use bellpull_tls::{certificates, outbound_tls};

/// Sends over SMTP.
#[derive(Debug)]
pub struct EmailSender {
    server: MailServer,
    from: Mailbox,
    /// The domain part of every `Message-ID`.
    message_domain: String,
    renderer: Renderer,
}

/// How a recipient ends mails like this one.
struct WayOut {
    link: String,
    /// Whether one request without a login does it (RFC 8058).
    is_one_click: bool,
}

/// Why e-mail cannot be set up; the text names the problem, never the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmailSetup {
    /// `smtp.url`
    #[error("is no SMTP URL such as smtp://user:password@host:587?tls=required")]
    Url,
    /// `smtp.url`
    #[error("has a user without a password")]
    NoPassword,
    /// `smtp.hello`
    #[error("is neither a full name such as hub.example.com nor an address such as [192.0.2.1]")]
    Hello,
    /// `smtp.ca_file`
    #[error("cannot be used: {0}")]
    NoCertificates(String),
    /// `smtp.ca_file`
    #[error("can have no effect: smtp.url has neither smtps:// nor ?tls=required")]
    NoTls,
    /// `smtp.from`
    #[error("is no address such as Desk <desk@example.com>")]
    From,
}

impl EmailSender {
    /// A sender through the configured server (`smtp://user:password@host:port`, `smtps://`,
    /// `?tls=required`). It keeps at most `connections` open connections. `epoch` identifies this
    /// hub's store.
    ///
    /// # Errors
    /// [`EmailSetup`].
    pub fn new(
        config: &SmtpConfig,
        connections: u32,
        limits: StepLimits,
        epoch: &str,
        renderer: Renderer,
    ) -> Result<Self, EmailSetup> {
        let from: Mailbox = config.from.parse().map_err(|_| EmailSetup::From)?;
        let connections = usize::try_from(connections).unwrap_or(usize::MAX);
        let server = MailServer::new(way(config)?, connections, limits);
        let message_domain = format!("{epoch}.bellpull");
        Ok(Self { server, from, message_domain, renderer })
    }

    async fn message(&self, leased: &Leased, to: Address) -> Result<Message, lettre::error::Error> {
        let unsubscribe = self.unsubscribe(leased);
        let way_out = unsubscribe.as_ref().map(|way_out| way_out.link.as_str());
        let rendered = self.renderer.render(leased, Channel::Email, way_out).await;
        let Rendered { subject, text, html, .. } = rendered;
        let mut builder = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(leased.addressee.as_ref().map(|one| one.name.clone()), to))
            .message_id(Some(format!("<delivery-{}@{}>", leased.id, self.message_domain)))
            .header(AutoSubmitted("auto-generated".to_owned()));
        builder = match encoded(&subject) {
            Some(encoded) => builder.raw_header(encoded),
            None => builder.subject(subject),
        };
        if let Some(parent) = Trace::current().traceparent() {
            builder = builder.header(Traceparent(parent));
        }
        if let Some(WayOut { link, is_one_click }) = unsubscribe {
            builder = builder.header(ListUnsubscribe(format!("<{link}>")));
            if is_one_click {
                let one_click = "List-Unsubscribe=One-Click".to_owned();
                builder = builder.header(ListUnsubscribePost(one_click));
            }
        }
        match html {
            Some(html) => builder.multipart(MultiPart::alternative_plain_html(text, html)),
            None => builder.body(text),
        }
    }

    /// A digest covers many events, so its recipient chooses in the preferences. Mails about the
    /// account itself have no unsubscribe link.
    fn unsubscribe(&self, leased: &Leased) -> Option<WayOut> {
        if leased.account_link.is_some() {
            return None;
        }
        let links = &self.renderer.links;
        let [content] = &leased.contents[..] else {
            return links.preferences().map(|link| WayOut { link, is_one_click: false });
        };
        let event = content.message.event.as_str().to_owned();
        let user = leased.addressee.as_ref()?.id;
        let link = links.unsubscribe(&Unsubscribe { user, event })?;
        Some(WayOut { link, is_one_click: true })
    }
}

#[async_trait]
impl Sender for EmailSender {
    async fn send(&self, leased: &Leased) -> Outcome {
        let Some(to) = leased.target.account_address(Channel::Email) else {
            return refused("it is not for an e-mail address");
        };
        let Some(to) = address(to) else {
            return refused("the recipient's address is none");
        };
        let message = match self.message(leased, to).await {
            Ok(message) => message,
            Err(error) => return refused(&format!("no e-mail can be made of it: {error}")),
        };
        match self.server.send(&message).await {
            Ok(reply) => Outcome::Sent { provider_id: Some(said(&reply.text())) },
            Err(error) => judge(&error),
        }
    }
}

/// The route to the server, with the configured certificate authority.
pub(super) fn way(config: &SmtpConfig) -> Result<Way, EmailSetup> {
    let url: Url = config.url.reveal().parse().map_err(|_| EmailSetup::Url)?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(EmailSetup::Url)?;
    // An IPv6 address stands in brackets in a URL, and nowhere else.
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let connector = || connector(config);
    let wish = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value);
    let (tls, port) = match (url.scheme(), wish.as_deref()) {
        ("smtps", None) => (Tls::Wrapper(connector()?), 465),
        ("smtp", Some("required")) => (Tls::Required(connector()?), 587),
        ("smtp", Some("opportunistic")) => (Tls::Opportunistic(connector()?), 587),
        ("smtp", None) if config.ca_file.is_some() => return Err(EmailSetup::NoTls),
        ("smtp", None) => (Tls::Never, 25),
        _ => return Err(EmailSetup::Url),
    };
    let plain = |text: &str| percent_decode_str(text).decode_utf8().map(String::from);
    let credentials = match (url.username(), url.password()) {
        ("", _) => None,
        (_, None) => return Err(EmailSetup::NoPassword),
        (user, Some(password)) => {
            let both = plain(user).and_then(|user| Ok((user, plain(password)?)));
            let (user, password) = both.map_err(|_| EmailSetup::Url)?;
            Some(Credentials { user, password })
        }
    };
    // A name in the path is the older way to give it.
    let path = Some(url.path().trim_matches('/')).filter(|name| !name.is_empty());
    let hello = match config.hello.as_deref().or(path) {
        Some(name) => Some(hello(name).ok_or(EmailSetup::Hello)?),
        None => own_name(),
    };
    Ok(Way { host, port: url.port().unwrap_or(port), tls, credentials, hello })
}

/// A name for `EHLO`: a domain with a dot, or an address in brackets.
fn hello(name: &str) -> Option<String> {
    if let Some(address) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        let is_address = match address.strip_prefix("IPv6:") {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => address.parse::<Ipv4Addr>().is_ok(),
        };
        return is_address.then(|| name.to_owned());
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_domain = name.len() <= 253 && name.contains('.') && name.split('.').all(is_label);
    is_domain.then(|| name.to_owned())
}

/// The host's name, if it is fully qualified: servers refuse a bare one.
fn own_name() -> Option<String> {
    let name = hostname::get().ok()?.into_string().ok()?;
    // A host that is called by a number is no address literal.
    hello(&name).filter(|_| name.parse::<std::net::IpAddr>().is_err())
}

/// Trusts the configured certificate authority besides the public ones.
fn connector(config: &SmtpConfig) -> Result<TlsConnector, EmailSetup> {
    let pem = config.ca_file.as_deref().map(certificates).transpose();
    let tls = pem.and_then(|pem| outbound_tls(&pem.unwrap_or_default()));
    Ok(TlsConnector::from(tls.map_err(EmailSetup::NoCertificates)?))
}

/// A subject that contains what looks like an encoded word (RFC 2047): the library would send it as
/// it is, and readers would decode it, line breaks and all.
fn encoded(subject: &str) -> Option<HeaderValue> {
    /// An encoded word has at most 75 characters: 45 bytes make 60.
    const WORD_BYTES_MAX: usize = 45;
    if !subject.contains("=?") {
        return None;
    }
    let mut words = vec![String::new()];
    for c in subject.chars() {
        match words.last_mut() {
            Some(word) if word.len() + c.len_utf8() <= WORD_BYTES_MAX => word.push(c),
            _ => words.push(c.into()),
        }
    }
    let words = words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word)));
    let encoded = words.collect::<Vec<_>>().join("\r\n ");
    let name = HeaderName::new_from_ascii_str("Subject");
    Some(HeaderValue::dangerous_new_pre_encoded(name, subject.to_owned(), encoded))
}

/// An address whose domain is in the form that every server takes: `bücher.example` is
/// `xn--bcher-kva.example` (RFC 5891).
fn address(text: &str) -> Option<Address> {
    let (local, domain) = text.rsplit_once('@')?;
    if domain.is_ascii() {
        return text.parse().ok();
    }
    let url = Url::parse(&format!("http://{domain}/")).ok()?;
    Address::new(local, url.host_str()?).ok()
}

/// What an SMTP error means for a delivery.
fn judge(failure: &Failure) -> Outcome {
    let Refused(step, problem) = match failure {
        Failure::Smtp(refused) => refused,
        Failure::OnlyAscii(_) => return refused(&failure.to_string()),
        Failure::Silent(_) => {
            return Outcome::Later { error: failure.to_string(), after: None, is_outage: true };
        }
    };
    let text = problem.to_string();
    match problem.code() {
        Some(code) => fault(*step, code, &text).outcome(said(&text), None),
        None => Outcome::Later { error: said(&text), after: None, is_outage: true },
    }
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
    /// The trace that the e-mail belongs to.
    Traceparent = "Traceparent"
}
header! {
    /// Prevents automatic replies to a notification.
    AutoSubmitted = "Auto-Submitted"
}
header! {
    /// RFC 2369: where to unsubscribe.
    ListUnsubscribe = "List-Unsubscribe"
}
header! {
    /// RFC 8058: unsubscribe with one POST.
    ListUnsubscribePost = "List-Unsubscribe-Post"
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use bellpull_domain::delivery::Target;
    use bellpull_port::trace::TraceSpan;
    use opentelemetry::trace::SpanKind;

    use super::super::testing::{leased, renderer};
    use super::*;
    use bellpull_config::Secret;

    /// The time limit of a step in these tests.
    const SOON: Duration = Duration::from_millis(300);

    fn sender(url: &str) -> Result<EmailSender, EmailSetup> {
        let config = SmtpConfig {
            url: Secret::new(url.to_owned()),
            from: "desk@example.com".to_owned(),
            hello: None,
            ca_file: None,
            per_s: 0,
        };
        EmailSender::new(&config, 1, StepLimits::all(SOON), "e", renderer())
    }

    #[tokio::test]
    async fn a_traced_e_mail_says_which_trace_it_belongs_to() {
        let sender = sender("smtp://127.0.0.1:1").unwrap();
        let to = Target::Account(Channel::Email, "ada@example.com".to_owned());
        let leased = leased(to, "Title", "x");
        let message = || sender.message(&leased, "ada@example.com".parse().unwrap());
        let text = |message: Message| String::from_utf8(message.formatted()).unwrap();
        assert!(!text(message().await.unwrap()).contains("Traceparent"));
        let span = TraceSpan::root("attempt", SpanKind::Client, None);
        let traced = text(span.trace().within(message()).await.unwrap());
        let wanted = format!("Traceparent: {}\r\n", span.trace().traceparent().unwrap());
        assert!(traced.contains(&wanted), "{traced}");
    }

    #[tokio::test]
    async fn a_title_like_an_encoded_word_is_shown_as_it_was_typed() {
        let sender = sender("smtp://127.0.0.1:1").unwrap();
        let long = "ü".repeat(40);
        for title in [
            "=?utf-8?q?Your_account_is_closed=0A=E2=80=AE?=",
            "a =?utf-8?q?b?= c",
            &format!("{long} =?"),
        ] {
            let to = Target::Account(Channel::Email, "ada@example.com".to_owned());
            let leased = leased(to, title, "x");
            let message =
                sender.message(&leased, "ada@example.com".parse().unwrap()).await.unwrap();
            let text = String::from_utf8(message.formatted()).unwrap().replace("\r\n ", "");
            let subject = text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap();
            let words = subject.split_terminator("?=").map(|word| {
                let word = word.strip_prefix("=?utf-8?B?").expect("an encoded word");
                String::from_utf8(STANDARD.decode(word).unwrap()).unwrap()
            });
            assert_eq!(words.collect::<String>(), title, "{subject}");
        }
    }

    #[tokio::test]
    async fn a_digest_leads_to_the_preferences() {
        let sender = sender("smtp://127.0.0.1:1").unwrap();
        let to = Target::Account(Channel::Email, "ada@example.com".to_owned());
        let mut leased = leased(to, "One", "x");
        leased.contents.push(leased.contents[0].clone());
        let message = sender.message(&leased, "ada@example.com".parse().unwrap()).await.unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        let link = sender.renderer.links.preferences().unwrap();
        assert!(text.contains(&format!("List-Unsubscribe: <{link}>\r\n")), "{text}");
        assert!(!text.contains("List-Unsubscribe-Post"), "{text}");
        assert!(text.contains(&format!("how often: {link}")), "{text}");
    }

    #[test]
    fn a_domain_of_other_letters_is_sent_in_its_ascii_form() {
        for (text, wanted) in [
            ("x@bücher.example", Some("x@xn--bcher-kva.example")),
            ("x@example.com", Some("x@example.com")),
            ("ü@example.com", Some("ü@example.com")),
            ("x", None),
        ] {
            assert_eq!(address(text).map(|found| found.to_string()).as_deref(), wanted);
        }
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_since_its_last_mail_costs_no_attempt() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sender = sender(&format!("smtp://{}", listener.local_addr().unwrap())).unwrap();
        let server = tokio::spawn(async move {
            for _ in 0..3 {
                let (stream, _) = listener.accept().await.unwrap();
                let (read, mut write) = stream.into_split();
                write.write_all(b"220 mail.example\r\n").await.unwrap();
                let mut lines = tokio::io::BufReader::new(read).lines();
                let mut is_text = false;
                while let Some(line) = lines.next_line().await.unwrap() {
                    let has_ended = is_text && line == ".";
                    if is_text && !has_ended {
                        continue;
                    }
                    is_text = !is_text && line == "DATA";
                    let answer: &[u8] = if is_text { b"354 go on\r\n" } else { b"250 ok\r\n" };
                    write.write_all(answer).await.unwrap();
                    if has_ended {
                        break; // and closes without a word
                    }
                }
            }
        });
        for _ in 0..3 {
            let to = Target::Account(Channel::Email, "ada@example.com".to_owned());
            let outcome = sender.send(&leased(to, "Title", "x")).await;
            assert!(matches!(outcome, Outcome::Sent { .. }), "{outcome:?}");
        }
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_more_ends_the_attempt() {
        for greeting in ["", "220 mail.example ESM", "220 mail.example ESMTP\r\n"] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let sender = sender(&format!("smtp://{}", listener.local_addr().unwrap())).unwrap();
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(greeting.as_bytes()).await.unwrap();
                let mut heard = Vec::new();
                let _ = stream.read_to_end(&mut heard).await; // until the hub has had enough
            });
            let begun = Instant::now();
            let to = Target::Account(Channel::Email, "ada@example.com".to_owned());
            let outcome = sender.send(&leased(to, "Title", "x")).await;
            assert!(
                matches!(outcome, Outcome::Later { is_outage: true, .. }),
                "{greeting}: {outcome:?}"
            );
            assert!(begun.elapsed() >= SOON, "{greeting}: {outcome:?}");
            assert!(begun.elapsed() < SOON * 20, "{:?}", begun.elapsed());
            server.await.unwrap();
        }
    }

    /// A pipelining server that answers envelopes with `answers`; returns what it reads on each
    /// connection from the first envelope on, one or more lines at a time.
    async fn at_once(answers: &'static [&'static str]) -> (String, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"220 mail.example\r\n").await.unwrap();
            let (mut heard, mut buffer) = (Vec::new(), [0; 64 * 1024]);
            let greeting: &str = "250-mail.example\r\n250-8BITMIME\r\n250 PIPELINING\r\n";
            for answer in [greeting].into_iter().chain(answers.iter().copied()) {
                let read = stream.read(&mut buffer).await.unwrap();
                heard.push(String::from_utf8(buffer[..read].to_vec()).unwrap());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            let mut rest = String::new();
            let _ = stream.read_to_string(&mut rest).await;
            heard.push(rest);
            heard.split_off(1)
        });
        (url, server)
    }

    const ENVELOPE: &str = "MAIL FROM:<desk@example.com>\r\nRCPT TO:<ada@example.com>\r\nDATA\r\n";

    #[tokio::test]
    async fn a_server_that_takes_steps_at_once_is_sent_a_mail_in_two_writes() {
        const TAKEN: &str = "250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n";
        let (url, server) = at_once(&[TAKEN, "250 one\r\n", TAKEN, "250 two\r\n"]).await;
        let sender = sender(&url).unwrap();
        for said in ["one", "two"] {
            let to = Target::Account(Channel::Email, "ada@example.com".to_owned());
            let outcome = sender.send(&leased(to, "Title", ".\r\n.x")).await;
            assert_eq!(outcome, Outcome::Sent { provider_id: Some(said.to_owned()) });
        }
        drop(sender);
        let heard = server.await.unwrap();
        assert_eq!([&*heard[0], &*heard[2]], [ENVELOPE; 2]);
        for text in [&heard[1], &heard[3]] {
            assert!(text.contains("Subject: Title\r\n") && text.ends_with("\r\n.\r\n"), "{text}");
            assert!(text.contains("\r\n..x") && text.matches("\r\n.\r\n").count() == 1, "{text}");
        }
        assert_eq!(heard.len(), 5);
    }

    #[tokio::test]
    async fn an_envelope_that_is_refused_at_once_sends_no_text() {
        for (answers, is_refused, after) in [
            ("250 ok\r\n550 no such mailbox\r\n503 no valid recipients\r\n", true, "QUIT\r\n"),
            ("250 ok\r\n451 later\r\n503 no valid recipients\r\n", false, "QUIT\r\n"),
            // The server waits for a text: the next command would be taken for one.
            ("250 ok\r\n550 no such mailbox\r\n354 go on\r\n", true, ""),
            ("550 not from you\r\n503 what?\r\n503 what?\r\n", false, "QUIT\r\n"),
            ("421 going away\r\n", false, ""),
            ("250 ok\r\n421 going away\r\n", false, ""),
        ] {
            let answers: &'static [&'static str] = Box::leak(Box::new([answers]));
            let (url, server) = at_once(answers).await;
            let sender = sender(&url).unwrap();
            let to = Target::Account(Channel::Email, "ada@example.com".to_owned());
            let outcome = sender.send(&leased(to, "Title", "x")).await;
            let found = matches!(outcome, Outcome::Refused { .. });
            assert_eq!(found, is_refused, "{answers:?}: {outcome:?}");
            let is_outage = matches!(outcome, Outcome::Later { is_outage: true, .. });
            assert_eq!(is_outage, answers[0].contains("421"), "{answers:?}: {outcome:?}");
            let is_about_us = matches!(outcome, Outcome::AboutUs { .. });
            assert_eq!(is_about_us, answers[0].starts_with("550 not"), "{answers:?}: {outcome:?}");
            drop(sender);
            assert_eq!(server.await.unwrap(), [ENVELOPE, after], "{answers:?}");
        }
    }

    #[tokio::test]
    async fn an_address_that_a_server_cannot_take_is_no_outage() {
        let (url, server) = at_once(&[]).await;
        let sender = sender(&url).unwrap();
        let to = Target::Account(Channel::Email, "ädä@example.com".to_owned());
        let outcome = sender.send(&leased(to, "Title", "x")).await;
        assert!(
            matches!(&outcome, Outcome::Refused { error } if error.contains("SMTPUTF8")),
            "{outcome:?}"
        );
        drop(sender);
        assert_eq!(server.await.unwrap(), [""]);
    }

    #[test]
    fn a_greeting_is_a_fully_qualified_name_or_an_address() {
        for (name, shown) in [
            ("hub.example.com", "hub.example.com"),
            ("[192.0.2.1]", "[192.0.2.1]"),
            ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
        ] {
            assert_eq!(hello(name).unwrap(), shown);
        }
        for bad in ["vm", "", "hub..example", "-a.b", "a b.c", "[hub]", "[::1]", "hub.example."] {
            assert!(hello(bad).is_none(), "{bad}");
        }
    }

    #[tokio::test]
    async fn without_a_name_the_server_is_greeted_by_the_connections_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"220 mail.example\r\n").await.unwrap();
            let mut buffer = [0; 1_024];
            let read = stream.read(&mut buffer).await.unwrap();
            String::from_utf8(buffer[..read].to_vec()).unwrap()
        });
        let config = SmtpConfig {
            url: Secret::new(url),
            from: "desk@example.com".to_owned(),
            hello: Some("hub.example.com".to_owned()),
            ca_file: None,
            per_s: 0,
        };
        let named = way(&config).unwrap().hello.unwrap();
        assert_eq!(named, "hub.example.com");
        let way = Way { hello: None, ..way(&config).unwrap() };
        let reached = MailServer::new(way, 0, StepLimits::all(SOON)).reach().await;
        assert!(reached.is_err(), "it closes the connection");
        assert_eq!(server.await.unwrap(), "EHLO [127.0.0.1]\r\n");
    }

    #[tokio::test]
    async fn a_url_that_cannot_be_meant_is_refused() {
        for (url, wanted) in [
            ("mail.example", EmailSetup::Url),
            ("http://mail.example", EmailSetup::Url),
            ("smtp://mail.example?tls=maybe", EmailSetup::Url),
            ("smtp://desk@mail.example", EmailSetup::NoPassword),
        ] {
            assert_eq!(sender(url).unwrap_err(), wanted, "{url}");
        }
    }
}
