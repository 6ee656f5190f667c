//! Web push (RFC 8030): to the browser's push service, which cannot read the message.
//!
//! Users name the push services, and there are many: one that is down is no outage of the channel.

use std::time::Duration;

use async_trait::async_trait;
use bellpull_domain::delivery::{Leased, Outcome, PushTarget, Target};
use bellpull_domain::fault::push::has_ended;
use bellpull_domain::routing::Channel;
use bellpull_domain::text::shortened;
use bellpull_domain::ticket::Priority;
use bellpull_port::Sender;
use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::json;

use super::called::Called;
use super::provider::{Answer, Provider};
use super::push_crypt::{BadKey, BrowserKeys, TEXT_MAX};
use super::refused;
use super::renderer::Renderer;
use bellpull_config::outside::Outside;
use bellpull_config::vapid::Vapid;

/// How long a push service keeps a message for a browser that is offline, in seconds. A user who
/// returns after a day looks at the inbox.
const TTL_S: &str = "86400";
/// How much of a title is sent, in characters; operating systems show no more.
const TITLE_MAX: usize = 120;
/// The same for the text.
const BODY_MAX: usize = 500;

/// How long a push service keeps a test message, in seconds: its user waits for it.
const TEST_TTL_S: &str = "60";

/// Calls push services. Clones share their connections.
#[derive(Debug, Clone)]
pub struct PushCaller {
    provider: Provider,
    vapid: Vapid,
    outside: Outside,
}

/// The headers of a message, beside those that encryption and signing need.
struct Handling<'a> {
    ttl_s: &'static str,
    urgency: &'static str,
    /// The service keeps only the latest message of a topic: a repeated one is shown once.
    topic: Option<&'a str>,
}

impl PushCaller {
    /// A caller whose attempts may take `attempt_max`.
    ///
    /// # Errors
    /// A text, if no HTTP client can be created.
    pub fn new(vapid: Vapid, outside: Outside, attempt_max: Duration) -> Result<Self, String> {
        let provider = Provider::to(outside, attempt_max).map_err(|error| error.to_string())?;
        Ok(Self { provider, vapid, outside })
    }

    /// Sends a browser a test message, which its service worker shows.
    pub async fn ping(&self, target: &PushTarget) -> Called {
        let text = json!({
            "title": "Bellpull",
            "body": "This is a test. Notifications arrive on this device.",
            "url": null,
            "notification_id": null,
            "event": "test",
            "tag": "test",
        });
        let handling = Handling { ttl_s: TEST_TTL_S, urgency: "high", topic: None };
        let text = text.to_string();
        let call = self.call(target, text.as_bytes(), &handling);
        Called::make(self.outside, call, judge).await
    }

    /// The answer, or the outcome if there was none.
    async fn call(
        &self,
        target: &PushTarget,
        text: &[u8],
        handling: &Handling<'_>,
    ) -> Result<Answer, Outcome> {
        let url: Url = target.endpoint.parse().map_err(|_| refused("the endpoint is no URL"))?;
        self.outside.check(&url).map_err(refused)?;
        let bad_key = |bad: BadKey| refused(&bad.to_string());
        let body = BrowserKeys::of(target).map_err(bad_key)?;
        let body = body.encrypt(text).map_err(|bad| refused(&bad.to_string()))?;
        let origin = url.origin().ascii_serialization();
        let request = self
            .provider
            .post_to(url)
            .header(AUTHORIZATION, self.vapid.authorization(&origin, Timestamp::now()))
            .header(CONTENT_ENCODING, "aes128gcm")
            .header(CONTENT_TYPE, "application/octet-stream")
            .header("TTL", handling.ttl_s)
            .header("Urgency", handling.urgency)
            .body(body);
        let request = match handling.topic {
            Some(topic) => request.header("Topic", topic),
            None => request,
        };
        self.provider.ask(request).await
    }
}

/// Sends notifications to push services.
#[derive(Debug)]
pub struct PushSender {
    caller: PushCaller,
    renderer: Renderer,
}

impl PushSender {
    /// A sender that calls with `caller`.
    #[must_use]
    pub fn new(caller: PushCaller, renderer: Renderer) -> Self {
        Self { caller, renderer }
    }

    /// The JSON for the page's service worker.
    async fn text(&self, leased: &Leased) -> Vec<u8> {
        let rendered = self.renderer.render(leased, Channel::Push, None).await;
        let message = leased.contents.first().map(|content| &content.message);
        let link = message.and_then(|message| self.renderer.links.action(&message.action_url));
        // A browser shows only the latest of several notifications with the same tag.
        let tag = leased.notification.map(|id| format!("notification-{id}"));
        let text = |body_max: usize, link: Option<&str>| {
            let text = json!({
                "title": shortened(&rendered.subject, TITLE_MAX),
                "body": shortened(rendered.text.trim(), body_max),
                "url": link,
                "notification_id": leased.notification,
                "event": message.map(|message| message.event.as_str()),
                "tag": tag,
            });
            text.to_string().into_bytes()
        };
        // A sender's link may be longer than everything else here.
        let candidates = [(BODY_MAX, link.as_deref()), (BODY_MAX, None), (BODY_MAX / 5, None)];
        let fits = |text: &Vec<u8>| text.len() <= TEXT_MAX;
        let mut texts = candidates.into_iter().map(|(body_max, link)| text(body_max, link));
        texts.find(fits).unwrap_or_else(|| text(0, None))
    }
}

#[async_trait]
impl Sender for PushSender {
    async fn send(&self, leased: &Leased) -> Outcome {
        let Target::Push(target) = &leased.target else {
            return refused("it is not for a browser");
        };
        let (text, topic) = (self.text(leased).await, format!("delivery-{}", leased.id));
        let handling = Handling { ttl_s: TTL_S, urgency: urgency(leased), topic: Some(&topic) };
        let answer = self.caller.call(target, &text, &handling).await;
        match answer.map_or_else(|outcome| outcome, |answer| judge(&answer)) {
            Outcome::Later { error, after, .. } => {
                Outcome::Later { error, after, is_outage: false }
            }
            outcome @ (Outcome::Sent { .. }
            | Outcome::AboutUs { .. }
            | Outcome::Refused { .. }
            | Outcome::Gone { .. }) => outcome,
        }
    }
}

/// A phone in battery-saver mode fetches only urgent messages.
fn urgency(leased: &Leased) -> &'static str {
    let is_urgent = |priority| matches!(priority, Priority::High | Priority::Critical);
    match leased.contents.iter().any(|content| is_urgent(content.message.priority)) {
        true => "high",
        false => "normal",
    }
}

/// The service's error text is left out: some services repeat the endpoint, which is a secret.
fn judge(answer: &Answer) -> Outcome {
    let status = answer.status.as_u16();
    match status {
        200..300 => Outcome::Sent { provider_id: None },
        _ if has_ended(status, &answer.text()) => {
            Outcome::Gone { error: format!("HTTP {status}: the browser's subscription has ended") }
        }
        _ => answer.judge(None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reply, Server, leased, renderer};
    use super::*;

    const KEY: &str = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";

    fn sender(outside: Outside) -> PushSender {
        let vapid = Vapid::new(KEY, "mailto:desk@example.com").unwrap();
        let caller = PushCaller::new(vapid, outside, Duration::from_millis(700)).unwrap();
        PushSender::new(caller, renderer())
    }

    fn to(endpoint: String) -> Leased {
        let p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZ\
                      GH6SRpkNtoIAiw4";
        let auth = "BTBZMqHH6r4Tts7J_aSIgg".to_owned();
        let target = PushTarget { id: 1, endpoint, p256dh: p256dh.to_owned(), auth };
        leased(Target::Push(target), "Title", "Body")
    }

    async fn outcome(reply: Reply) -> Outcome {
        let server = Server::start(vec![reply]).await;
        sender(Outside::Any).send(&to(format!("{}/push/a", server.url))).await
    }

    #[tokio::test]
    async fn a_push_has_the_exact_form() {
        let server = Server::start(vec![Reply::json(201, "")]).await;
        let outcome = sender(Outside::Any).send(&to(format!("{}/p/a?b=c", server.url))).await;
        assert_eq!(outcome, Outcome::Sent { provider_id: None });
        let request = server.request(0);
        assert_eq!(request.line, "POST /p/a?b=c HTTP/1.1");
        for (name, value) in [
            ("content-encoding", "aes128gcm"),
            ("ttl", "86400"),
            ("topic", "delivery-7"),
            ("content-type", "application/octet-stream"),
        ] {
            assert_eq!(request.header(name), Some(value), "{name}");
        }
        let authorization = request.header("authorization").unwrap();
        assert!(authorization.starts_with("vapid t=eyJ"), "{authorization}");
        assert!(authorization.contains(", k=BP4z9KsN6nGR"), "{authorization}");
        assert!(!request.body.windows(5).any(|part| part == b"Title"), "it can be read");
    }

    #[tokio::test]
    async fn each_answer_means_what_it_should() {
        for status in [404, 410] {
            let is_gone = matches!(outcome(Reply::json(status, "x")).await, Outcome::Gone { .. });
            assert!(is_gone, "{status}");
        }
        let other_key = Reply::json(400, r#"{"reason":"VapidPkHashMismatch"}"#);
        assert!(matches!(outcome(other_key).await, Outcome::Gone { .. }));
        let error = "HTTP 403".to_owned();
        assert_eq!(outcome(Reply::json(403, "x")).await, Outcome::Refused { error });
        let busy = Outcome::Later {
            error: "HTTP 429".to_owned(),
            after: Some(Duration::from_secs(3)),
            is_outage: false,
        };
        assert_eq!(outcome(Reply::json(429, "").with("Retry-After: 3")).await, busy);
        for reply in [Reply::json(500, ""), Reply::Hang, Reply::Drop, Reply::Garbage] {
            let name = format!("{reply:?}");
            let outcome = outcome(reply).await;
            let is_later = matches!(outcome, Outcome::Later { is_outage: false, .. });
            assert!(is_later, "{name}: {outcome:?}");
        }
        let redirect = outcome(Reply::json(307, "").with("Location: http://127.0.0.1:9/")).await;
        assert_eq!(redirect, Outcome::Refused { error: "HTTP 307".to_owned() });
    }

    #[tokio::test]
    async fn nothing_is_sent_into_the_operators_own_network() {
        let server = Server::start(vec![]).await;
        let port = server.url.rsplit(':').next().unwrap().to_owned();
        for host in ["127.0.0.1", "[::ffff:127.0.0.1]"] {
            let outcome =
                sender(Outside::Public).send(&to(format!("https://{host}:{port}/"))).await;
            assert!(matches!(outcome, Outcome::Refused { .. }), "{host}: {outcome:?}");
        }
        let named = sender(Outside::Public).send(&to(format!("https://localhost:{port}/"))).await;
        assert!(matches!(named, Outcome::Later { is_outage: false, .. }), "{named:?}");
        assert_eq!(server.count(), 0);
    }

    #[tokio::test]
    async fn whatever_is_said_fits() {
        let sender = sender(Outside::Public);
        let long = "\u{1f514}\u{7}".repeat(2_000);
        let mut leased = leased(to(String::new()).target, &long, &long);
        let mut message = leased.contents[0].message.clone();
        message.action_url = format!("https://a.example/{}", "x".repeat(5_000));
        leased.contents = vec![bellpull_domain::inbox::MessageContent::new(message)];
        let text = sender.text(&leased).await;
        assert!(text.len() <= TEXT_MAX, "{}", text.len());
        let text: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(text["tag"], "notification-3");
    }
}
