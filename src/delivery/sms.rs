//! SMS through Twilio's Messages resource, which other providers have copied.

use std::time::Duration;

use async_trait::async_trait;
use bellpull_domain::delivery::{Leased, Outcome};
use bellpull_domain::fault::twilio::fault;
use bellpull_domain::routing::Channel;
use bellpull_domain::text::shortened;
use bellpull_port::Sender;
use reqwest::Url;

use super::provider::{Answer, Provider, under};
use super::renderer::Renderer;
use super::sms_reports::HOOK;
use super::{refused, telephone};
use bellpull_config::Secret;
use bellpull_config::delivery::SmsConfig;

/// The length of a message's body, in characters; the API rejects longer ones.
const BODY_MAX: usize = 1_600;

/// The prefix of messaging services' ids; a service chooses a number itself.
const SERVICE_PREFIX: &str = "MG";

/// A message that failed immediately, as a status.
const FAILED: u16 = 400;

/// Sends through Twilio's API.
#[derive(Debug)]
pub struct SmsSender {
    provider: Provider,
    url: Url,
    account: String,
    token: Secret,
    from: String,
    renderer: Renderer,
}

impl SmsSender {
    /// A sender whose attempts may take `attempt_max`.
    ///
    /// # Errors
    /// A text, if no HTTP client can be created or the address is invalid.
    pub fn new(
        config: &SmsConfig,
        attempt_max: Duration,
        renderer: Renderer,
    ) -> Result<Self, String> {
        let provider = Provider::new(attempt_max).map_err(|error| error.to_string())?;
        let base = config.api_url.parse().map_err(|_| "is no URL".to_owned())?;
        let url = under(base, &["Accounts", &config.account, "Messages.json"]);
        let SmsConfig { account, token, from, .. } = config.clone();
        Ok(Self { provider, url, account, token, from, renderer })
    }
}

#[async_trait]
impl Sender for SmsSender {
    async fn send(&self, leased: &Leased) -> Outcome {
        let Some(number) = leased.target.account_address(Channel::Sms) else {
            return refused("it is not for SMS");
        };
        let Some(to) = telephone(number) else {
            return refused("the recipient's number does not begin with + and the country's code");
        };
        let rendered = self.renderer.render(leased, Channel::Sms, None).await;
        let body = cut(rendered.text.trim());
        let is_service = self.from.starts_with(SERVICE_PREFIX);
        let from = if is_service { "MessagingServiceSid" } else { "From" };
        let callback = self.renderer.links.hook(HOOK);
        let mut form = vec![("To", to.as_str()), (from, &self.from), ("Body", &body)];
        form.extend(callback.as_deref().map(|address| ("StatusCallback", address)));
        let request = self
            .provider
            .post_to(self.url.clone())
            .basic_auth(&self.account, Some(self.token.reveal()))
            // Twilio ignores it; some providers that copied its API do not.
            .header("Idempotency-Key", format!("delivery-{}", leased.id))
            .form(&form);
        match self.provider.ask(request).await {
            Ok(answer) => judge(&answer),
            Err(outcome) => outcome,
        }
    }
}

/// A text of the length that the API takes. The usual mark of a cut is a letter outside of SMS's
/// own alphabet, with which all letters take twice the room: it is used where the text has others
/// too.
fn cut(text: &str) -> String {
    let short = shortened(text, BODY_MAX);
    match short.strip_suffix('…') {
        Some(kept) if short != text && kept.is_ascii() => {
            format!("{}...", kept.get(..BODY_MAX - 3).unwrap_or(kept))
        }
        Some(_) | None => short,
    }
}

fn judge(answer: &Answer) -> Outcome {
    let body = answer.json();
    if !answer.status.is_success() {
        let code = body["code"].as_i64();
        let text = body["message"].as_str().map(|text| match code {
            Some(code) => format!("{code} {text}"),
            None => text.to_owned(),
        });
        return answer.by(fault(answer.status.as_u16(), code), text);
    }
    let Some(sid) = body["sid"].as_str().filter(|sid| !sid.is_empty()) else {
        return answer.is_none();
    };
    // Accepted, and failed immediately.
    if matches!(body["status"].as_str(), Some("failed" | "undelivered" | "canceled")) {
        let code = body["error_code"].as_i64();
        let text = body["error_message"].as_str().unwrap_or("it failed");
        let error = super::said(&format!("{} {text}", code.unwrap_or_default()));
        return fault(FAILED, code).outcome(error, None);
    }
    Outcome::Sent { provider_id: Some(sid.to_owned()) }
}

#[cfg(test)]
mod tests {
    use bellpull_domain::delivery::Target;

    use super::super::testing::{Reply, Server, leased, renderer};
    use super::*;

    const QUEUED: &str = r#"{"sid":"SM123","status":"queued","error_code":null}"#;

    fn sender(server: &Server, from: &str) -> SmsSender {
        let config = SmsConfig {
            api_url: format!("{}/2010-04-01", server.url),
            account: "AC42".to_owned(),
            token: Secret::new("s3cret".to_owned()),
            from: from.to_owned(),
            per_s: 0,
        };
        SmsSender::new(&config, Duration::from_millis(700), renderer()).unwrap()
    }

    fn text(body: &str) -> Leased {
        leased(Target::Account(Channel::Sms, "+4930123456".to_owned()), "Title", body)
    }

    async fn outcome(reply: Reply) -> Outcome {
        let server = Server::start(vec![reply]).await;
        sender(&server, "+4930").send(&text("x")).await
    }

    #[tokio::test]
    async fn a_message_has_the_exact_form() {
        let server = Server::start(vec![Reply::json(201, QUEUED)]).await;
        let outcome = sender(&server, "+4930").send(&text("50% off & more + ü")).await;
        assert_eq!(outcome, Outcome::Sent { provider_id: Some("SM123".to_owned()) });
        let request = server.request(0);
        assert_eq!(request.line, "POST /2010-04-01/Accounts/AC42/Messages.json HTTP/1.1");
        assert_eq!(request.header("authorization"), Some("Basic QUM0MjpzM2NyZXQ="));
        assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
        assert_eq!(request.header("idempotency-key"), Some("delivery-7"));
        assert_eq!(
            request.text(),
            "To=%2B4930123456&From=%2B4930&Body=Title%3A+50%25+off+%26+more+%2B+%C3%BC\
             +https%3A%2F%2Fdesk.example%2Ftickets%2F5%2F\
             &StatusCallback=https%3A%2F%2Fdesk.example%2Fhooks%2Fsms%2F"
        );
    }

    #[tokio::test]
    async fn a_messaging_service_chooses_the_number_and_a_long_text_is_cut() {
        let server = Server::start(vec![Reply::json(201, QUEUED)]).await;
        sender(&server, "MG77").send(&text(&"a".repeat(3_000))).await;
        let sent = server.request(0).text();
        assert!(sent.starts_with("To=%2B4930123456&MessagingServiceSid=MG77&Body=Title"), "{sent}");
        assert!(sent.contains("aaa...&StatusCallback="), "{sent}");
        assert_eq!(cut(&"a".repeat(5_000)).len(), BODY_MAX);
        let other = cut(&"ж".repeat(5_000));
        assert!(other.ends_with('…') && other.chars().count() == BODY_MAX);
        assert_eq!(cut("Done…"), "Done…");
    }

    #[tokio::test]
    async fn each_answer_means_what_it_should() {
        let busy = r#"{"code":20429,"message":"Too Many Requests","status":429}"#;
        let wanted = Outcome::Later {
            error: "HTTP 429: 20429 Too Many Requests".to_owned(),
            after: Some(Duration::from_secs(3)),
            is_outage: false,
        };
        assert_eq!(outcome(Reply::json(429, busy).with("Retry-After: 3")).await, wanted);
        let bad = r#"{"code":21211,"message":"Invalid 'To' Phone Number","status":400}"#;
        let error = "HTTP 400: 21211 Invalid 'To' Phone Number".to_owned();
        assert_eq!(outcome(Reply::json(400, bad)).await, Outcome::Refused { error });
        let ours = r#"{"code":20003,"message":"Authenticate","status":401}"#;
        let error = "HTTP 401: 20003 Authenticate".to_owned();
        assert_eq!(outcome(Reply::json(401, ours)).await, Outcome::AboutUs { error, after: None });
        let failed = r#"{"sid":"SM1","status":"failed","error_code":30007,"error_message":"Carrier violation"}"#;
        let error = "30007 Carrier violation".to_owned();
        assert_eq!(outcome(Reply::json(201, failed)).await, Outcome::Refused { error });
        for reply in [
            Reply::json(500, "{}"),
            Reply::json(200, "{"),
            Reply::json(201, r#"{"sid":null}"#),
            Reply::SlowBody,
            Reply::Hang,
            Reply::Drop,
            Reply::HalfBody,
            Reply::Garbage,
        ] {
            let name = format!("{reply:?}");
            let outcome = outcome(reply).await;
            let is_outage = matches!(outcome, Outcome::Later { is_outage: true, .. });
            assert!(is_outage, "{name}: {outcome:?}");
        }
    }
}
