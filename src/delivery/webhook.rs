//! Webhooks: an event as JSON, posted to a user's server and signed with a shared secret.
//!
//! The body of a delivery has the same bytes in every attempt, and the same `Idempotency-Key`. The
//! signature is computed for each attempt: `X-Bellpull-Signature: t=SECONDS,v1=HEX`, the
//! HMAC-SHA256 of `SECONDS.BODY`; while a replaced secret is still valid, a second `v1=` is
//! computed with it.
//!
//! Users name the servers, and there are many: one that is down is no outage of the channel. Only
//! the answer's status says whether a call was accepted; its body is not read.

use std::fmt::Write;
use std::time::Duration;

use async_trait::async_trait;
use bellpull_domain::delivery::{Leased, Outcome, Target, WebhookTarget};
use bellpull_domain::ids::{ProjectId, WebhookId};
use bellpull_domain::inbox::MessageContent;
use bellpull_domain::notification::TicketSnapshot;
use bellpull_domain::webhook::HookSecret;
use bellpull_port::Sender;
use bellpull_port::trace::Trace;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderName};
use serde_json::{Value, json};
use sha2::Sha256;

use super::called::Called;
use super::provider::{Answer, Provider};
use super::refused;
use bellpull_config::outside::Outside;

/// The time limit of a call. A server that needs longer answers 202 and works afterwards.
pub const CALL_MAX: Duration = Duration::from_secs(10);

const SIGNATURE: HeaderName = HeaderName::from_static("x-bellpull-signature");
/// W3C Trace Context: the receiver may go on with the trace.
const TRACE: HeaderName = HeaderName::from_static("traceparent");
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Calls webhooks. Clones share their connections.
#[derive(Debug, Clone)]
pub struct WebhookCaller {
    provider: Provider,
    outside: Outside,
}

impl WebhookCaller {
    /// A caller whose calls may take `call_max`.
    ///
    /// # Errors
    /// A text, if no HTTP client can be created.
    pub fn new(outside: Outside, call_max: Duration) -> Result<Self, String> {
        let provider = Provider::to(outside, call_max).map_err(|error| error.to_string())?;
        Ok(Self { provider, outside })
    }

    /// Sends a test call. `name` is the call's key.
    pub async fn ping(&self, target: &WebhookTarget, name: &str, now: Timestamp) -> Called {
        let key = format!("ping-{name}");
        let body = ping_json(&key, target, now).to_string();
        Called::make(self.outside, self.call(target, &key, body, now), judge).await
    }

    /// The answer, or the outcome if there was none.
    async fn call(
        &self,
        target: &WebhookTarget,
        key: &str,
        body: String,
        now: Timestamp,
    ) -> Result<Answer, Outcome> {
        let url: Url = target.url.parse().map_err(|_| refused("the webhook's URL is none"))?;
        // The setting may have changed since the webhook was created.
        self.outside.check(&url).map_err(refused)?;
        let signature = signature(&target.secrets, now, body.as_bytes());
        let request = self
            .provider
            .post_to(url)
            .header(CONTENT_TYPE, "application/json")
            .header(SIGNATURE, signature)
            .header(KEY, key)
            .body(body);
        let request = match Trace::current().traceparent() {
            Some(parent) => request.header(TRACE, parent),
            None => request,
        };
        self.provider.knock(request).await
    }
}

#[async_trait]
impl Sender for WebhookCaller {
    async fn send(&self, leased: &Leased) -> Outcome {
        let (Target::Webhook(target), Some(content)) = (&leased.target, leased.contents.first())
        else {
            return refused("it is not for a webhook");
        };
        let key = format!("delivery-{}", leased.id);
        let body = event_json(&key, target, leased, content).to_string();
        let answer = self.call(target, &key, body, Timestamp::now()).await;
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

/// The server's error text is left out: it is not meant for users of the hub.
fn judge(answer: &Answer) -> Outcome {
    match answer.status.as_u16() {
        200..300 => Outcome::Sent { provider_id: None },
        410 => Outcome::Gone { error: "HTTP 410: it wants no more calls".to_owned() },
        _ => answer.judge(None),
    }
}

/// The signature header, which proves who called and when.
fn signature(secrets: &[HookSecret], now: Timestamp, body: &[u8]) -> String {
    let seconds = now.as_second();
    let mut text = format!("t={seconds}");
    for secret in secrets {
        let said = mac(secret, seconds, body).finalize().into_bytes();
        text.push_str(",v1=");
        for byte in said {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

fn mac(secret: &HookSecret, seconds: i64, body: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes())
        .expect("HMAC takes keys of every length");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    mac
}

/// The JSON for a webhook. Nothing in it changes after the event, neither names nor read states, so
/// a retry sends the same.
fn event_json(
    key: &str,
    target: &WebhookTarget,
    leased: &Leased,
    content: &MessageContent,
) -> Value {
    let message = &content.message;
    json!({
        "id": key,
        "event": message.event.as_str(),
        "occurred_at": stored(message.created_at),
        "webhook": target.id,
        "project": target.project,
        "recipient": leased.addressee.as_ref().map(|addressee| addressee.id),
        "notification": leased.notification,
        "type": message.kind.as_str(),
        "title": message.title,
        "message": message.body,
        "action_url": message.action_url,
        "metadata": message.metadata,
        "sender": message.sender,
        "priority": message.priority.as_str(),
        "ticket": message.ticket.as_ref().map(ticket_json),
    })
}

/// A time as the stores hold it: in milliseconds.
fn stored(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// The ticket as it was at the time of the event.
fn ticket_json(ticket: &TicketSnapshot) -> Value {
    json!({
        "id": ticket.id,
        "key": ticket.key,
        "title": ticket.title,
        "status": ticket.status.as_str(),
        "priority": ticket.priority.as_str(),
        "priority_display": ticket.priority.display(),
        "category": ticket.category.as_str(),
        "created_by": ticket.created_by_name,
        "project_name": ticket.project_name,
        "created_at": ticket.created_at,
    })
}

/// The same structure for a test call.
fn ping_json(key: &str, target: &WebhookTarget, now: Timestamp) -> Value {
    let (webhook, project): (WebhookId, Option<ProjectId>) = (target.id, target.project);
    json!({
        "id": key,
        "event": "ping",
        "occurred_at": stored(now),
        "webhook": webhook,
        "project": project,
        "recipient": null,
        "notification": null,
        "type": "SYSTEM",
        "title": "Ping",
        "message": "Test of this webhook.",
        "action_url": "",
        "metadata": {},
        "sender": null,
        "priority": "LOW",
        "ticket": null,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reply, Server, leased};
    use super::*;

    fn caller(outside: Outside) -> WebhookCaller {
        WebhookCaller::new(outside, Duration::from_millis(700)).unwrap()
    }

    fn target(url: String, secrets: &[&str]) -> WebhookTarget {
        let secrets = secrets.iter().map(|one| HookSecret::new((*one).to_owned())).collect();
        WebhookTarget { id: WebhookId(3), project: None, url, secrets }
    }

    fn to(url: String) -> Leased {
        leased(Target::Webhook(target(url, &["whsec_test"])), "Title", "Größe <1>")
    }

    async fn outcome(reply: Reply) -> Outcome {
        let server = Server::start(vec![reply]).await;
        caller(Outside::Any).send(&to(format!("{}/hook?a=b", server.url))).await
    }

    #[test]
    fn the_signature_is_hmac_sha256_of_time_and_body() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac whsec_test
        let wanted = "38877139021993b830af32feea6e18a8";
        let secrets = [HookSecret::new("whsec_test".to_owned())];
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let text = signature(&secrets, at, br#"{"a":1}"#);
        assert!(text.starts_with(&format!("t=1700000000,v1={wanted}")), "{text}");
        assert_eq!(text.len(), "t=1700000000,v1=".len() + 64);
        let secrets = ["whsec_new", "whsec_test"].map(|one| HookSecret::new(one.to_owned()));
        let both = signature(&secrets, at, br#"{"a":1}"#);
        assert_eq!(both.matches("v1=").count(), 2);
        assert!(both.ends_with(text.strip_prefix("t=1700000000").unwrap()), "{both}");
    }

    #[tokio::test]
    async fn a_call_has_the_exact_form() {
        let server = Server::start(vec![Reply::json(500, ""), Reply::json(204, "")]).await;
        let to = to(format!("{}/hook?a=b", server.url));
        let caller = caller(Outside::Any);
        assert!(matches!(caller.send(&to).await, Outcome::Later { .. }));
        let again = Leased { attempt: 2, failures: 1, ..to };
        assert_eq!(caller.send(&again).await, Outcome::Sent { provider_id: None });
        let (first, second) = (server.request(0), server.request(1));
        assert_eq!(first.line, "POST /hook?a=b HTTP/1.1");
        assert_eq!(first.body, second.body, "the same bytes");
        for request in [&first, &second] {
            assert_eq!(request.header("content-type"), Some("application/json"));
            assert_eq!(request.header("idempotency-key"), Some("delivery-7"));
            let signature = request.header("x-bellpull-signature").unwrap();
            assert!(signature.starts_with("t=") && signature.contains(",v1="), "{signature}");
        }
        let body = first.json();
        for (key, value) in [
            ("id", json!("delivery-7")),
            ("webhook", json!(3)),
            ("project", json!(null)),
            ("recipient", json!(1)),
            ("notification", json!(3)),
            ("title", json!("Title")),
            ("message", json!("Größe <1>")),
            ("action_url", json!("/tickets/5/")),
        ] {
            assert_eq!(body[key], value, "{key}");
        }
    }

    #[tokio::test]
    async fn each_answer_means_what_it_should() {
        for status in [200, 201, 202, 204, 299] {
            let sent = Outcome::Sent { provider_id: None };
            assert_eq!(outcome(Reply::json(status, "whatever")).await, sent, "{status}");
        }
        assert!(matches!(outcome(Reply::json(410, "")).await, Outcome::Gone { .. }));
        for status in [400, 401, 404, 405, 301, 307] {
            let error = format!("HTTP {status}");
            let reply = Reply::json(status, "").with("Location: http://127.0.0.1:9/");
            assert_eq!(outcome(reply).await, Outcome::Refused { error }, "{status}");
        }
        let busy = Outcome::Later {
            error: "HTTP 429".to_owned(),
            after: Some(Duration::from_secs(3)),
            is_outage: false,
        };
        assert_eq!(outcome(Reply::json(429, "").with("Retry-After: 3")).await, busy);
        for reply in
            [Reply::json(500, ""), Reply::json(408, ""), Reply::Hang, Reply::Drop, Reply::Garbage]
        {
            let name = format!("{reply:?}");
            let outcome = outcome(reply).await;
            assert!(matches!(outcome, Outcome::Later { is_outage: false, .. }), "{name}");
        }
    }

    #[tokio::test]
    async fn the_rest_of_an_answer_is_not_read() {
        let endless = "x".repeat(8 * 1024 * 1024);
        for reply in [Reply::json(200, &endless), Reply::SlowBody, Reply::HalfBody] {
            assert_eq!(outcome(reply).await, Outcome::Sent { provider_id: None });
        }
    }

    #[tokio::test]
    async fn nothing_is_posted_into_the_operators_own_network() {
        let server = Server::start(vec![]).await;
        let port = server.url.rsplit(':').next().unwrap().to_owned();
        for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "[::1]", "2130706433"] {
            let outcome =
                caller(Outside::Public).send(&to(format!("https://{host}:{port}/"))).await;
            assert!(matches!(outcome, Outcome::Refused { .. }), "{host}: {outcome:?}");
        }
        let named = caller(Outside::Public).send(&to(format!("https://localhost:{port}/"))).await;
        let error = "cannot be reached: its name leads to no address of the public internet";
        let wanted = Outcome::Later { error: error.to_owned(), after: None, is_outage: false };
        assert_eq!(named, wanted);
        let plain = caller(Outside::Public).send(&to(server.url.clone())).await;
        assert!(matches!(plain, Outcome::Refused { .. }), "{plain:?}");
        assert_eq!(server.count(), 0);
    }

    #[tokio::test]
    async fn a_ping_says_what_came_of_it() {
        let server = Server::start(vec![Reply::json(200, "ok"), Reply::json(500, "no")]).await;
        let (caller, at) = (caller(Outside::Any), Timestamp::UNIX_EPOCH);
        let target = target(server.url.clone(), &["whsec_test"]);
        let called = caller.ping(&target, "a", at).await;
        assert_eq!((called.status, called.error), (Some(200), None));
        let called = caller.ping(&target, "b", at).await;
        assert_eq!((called.status, called.error.as_deref()), (Some(500), Some("HTTP 500")));
        assert_eq!(server.request(0).json()["event"], "ping");
        assert_eq!(server.request(0).header("idempotency-key"), Some("ping-a"));
        let unknown = WebhookTarget { url: "http://127.0.0.1:9/".to_owned(), ..target };
        let called = caller.ping(&unknown, "c", at).await;
        assert_eq!(called.status, None);
        assert!(called.error.unwrap().starts_with("cannot be reached"));
    }
}
