//! WhatsApp through Meta's Cloud API.
//!
//! Outside of 24 hours after a user's last message only approved templates are delivered. So with
//! `whatsapp.template` set every message is sent as a template; without it all are text messages.
//! The API has no idempotency key; the delivery's key is sent as the field that the API repeats in
//! its reports.

use std::time::Duration;

use async_trait::async_trait;
use bellpull_domain::delivery::{Leased, Outcome};
use bellpull_domain::fault::Fault;
use bellpull_domain::fault::meta::fault;
use bellpull_domain::routing::Channel;
use bellpull_domain::text::shortened;
use bellpull_port::Sender;
use reqwest::Url;
use serde_json::{Value, json};

use super::provider::{Answer, Provider, under};
use super::renderer::Renderer;
use super::{refused, telephone};
use bellpull_config::Secret;
use bellpull_config::delivery::WhatsAppConfig;

/// The length of a text message's body, in characters; the API rejects longer ones.
const TEXT_MAX: usize = 4_096;
/// The length of a template parameter, in characters, so that two fit into the limit of 1024.
const PARAMETER_MAX: usize = 450;

/// Sends through the Cloud API.
#[derive(Debug)]
pub struct WhatsAppSender {
    provider: Provider,
    url: Url,
    token: Secret,
    /// The template's name and language.
    template: Option<(String, String)>,
    renderer: Renderer,
}

impl WhatsAppSender {
    /// A sender whose attempts may take `attempt_max`.
    ///
    /// # Errors
    /// A text, if no HTTP client can be created or the address is invalid.
    pub fn new(
        config: &WhatsAppConfig,
        attempt_max: Duration,
        renderer: Renderer,
    ) -> Result<Self, String> {
        let provider = Provider::new(attempt_max).map_err(|error| error.to_string())?;
        let base = config.api_url.parse().map_err(|_| "is no URL".to_owned())?;
        let language = config.template_language.clone();
        Ok(Self {
            provider,
            url: under(base, &[&config.phone_number_id, "messages"]),
            token: config.token.clone(),
            template: config.template.clone().map(|name| (name, language)),
            renderer,
        })
    }

    async fn message(&self, leased: &Leased, to: &str) -> Value {
        let rendered = self.renderer.render(leased, Channel::WhatsApp, None).await;
        let mut message = json!({
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": to.trim_start_matches('+'),
            "biz_opaque_callback_data": format!("delivery-{}", leased.id),
        });
        let (kind, content) = match &self.template {
            None => {
                let body = shortened(&rendered.text, TEXT_MAX);
                ("text", json!({ "preview_url": false, "body": body }))
            }
            Some((name, language)) => {
                let text = match rendered.is_written {
                    true => rendered.text,
                    false => self.sentence(leased),
                };
                let parameters = [rendered.subject, text]
                    .map(|text| json!({ "type": "text", "text": parameter(&text) }));
                let template = json!({
                    "name": name,
                    "language": { "code": language },
                    "components": [{ "type": "body", "parameters": parameters }],
                });
                ("template", template)
            }
        };
        message["type"] = kind.into();
        message[kind] = content;
        message
    }

    /// The text that follows the title.
    fn sentence(&self, leased: &Leased) -> String {
        let [content] = &leased.contents[..] else {
            let titles = leased.contents.iter().map(|content| content.message.title.as_str());
            return titles.collect::<Vec<_>>().join(" · ");
        };
        let link = self.renderer.links.action(&content.message.action_url).unwrap_or_default();
        let body = shortened(&content.message.body, PARAMETER_MAX.saturating_sub(link.len() + 1));
        format!("{body} {link}")
    }
}

/// A text as a template parameter: the API rejects empty ones, and line breaks, tabs and repeated
/// spaces.
fn parameter(text: &str) -> String {
    let renderer: Vec<&str> = text.split_whitespace().collect();
    let line = shortened(&renderer.join(" "), PARAMETER_MAX);
    if line.is_empty() { "–".to_owned() } else { line }
}

#[async_trait]
impl Sender for WhatsAppSender {
    async fn send(&self, leased: &Leased) -> Outcome {
        let Some(number) = leased.target.account_address(Channel::WhatsApp) else {
            return refused("it is not for WhatsApp");
        };
        let Some(to) = telephone(number) else {
            return refused("the recipient's number does not begin with + and the country's code");
        };
        let request = self
            .provider
            .post_to(self.url.clone())
            .bearer_auth(self.token.reveal())
            .json(&self.message(leased, &to).await);
        match self.provider.ask(request).await {
            Ok(answer) => judge(&answer),
            Err(outcome) => outcome,
        }
    }
}

fn judge(answer: &Answer) -> Outcome {
    let body = answer.json();
    if answer.status.is_success() {
        let id = body["messages"][0]["id"].as_str().filter(|id| !id.is_empty());
        return match id {
            Some(id) => Outcome::Sent { provider_id: Some(id.to_owned()) },
            None => answer.is_none(),
        };
    }
    let error = &body["error"];
    let code = error["code"].as_i64();
    let text = error["error_data"]["details"].as_str().or_else(|| error["message"].as_str());
    let text = text.map(|text| match code {
        Some(code) => format!("{code} {text}"),
        None => text.to_owned(),
    });
    let fault = fault(answer.status.as_u16(), code, error["error_subcode"].as_i64());
    if fault == Fault::Busy && code.is_some() {
        return answer.later(super::said(&text.unwrap_or_default()), false);
    }
    answer.by(fault, text)
}

#[cfg(test)]
mod tests {
    use bellpull_domain::delivery::Target;

    use super::super::testing::{Reply, Server, leased, renderer};
    use super::*;

    const ACCEPTED: &str = r#"{"messaging_product":"whatsapp","contacts":[{"input":"4930123456","wa_id":"4930123456"}],"messages":[{"id":"wamid.HBgL"}]}"#;

    fn sender(server: &Server, template: Option<&str>) -> WhatsAppSender {
        let config = WhatsAppConfig {
            token: Secret::new("EAAG".to_owned()),
            phone_number_id: "1055".to_owned(),
            api_url: format!("{}/v23.0", server.url),
            app_secret: None,
            verify_token: None,
            template: template.map(str::to_owned),
            template_language: "en_US".to_owned(),
            per_s: 0,
        };
        WhatsAppSender::new(&config, Duration::from_millis(700), renderer()).unwrap()
    }

    fn to(number: &str) -> Leased {
        leased(
            Target::Account(Channel::WhatsApp, number.to_owned()),
            "Title",
            "First line\nsecond  line",
        )
    }

    async fn outcome(reply: Reply) -> Outcome {
        let server = Server::start(vec![reply]).await;
        sender(&server, None).send(&to("+4930123456")).await
    }

    #[tokio::test]
    async fn a_text_message_has_the_exact_form() {
        let server = Server::start(vec![Reply::json(200, ACCEPTED)]).await;
        let outcome = sender(&server, None).send(&to("+49 30 123456")).await;
        assert_eq!(outcome, Outcome::Sent { provider_id: Some("wamid.HBgL".to_owned()) });
        let request = server.request(0);
        assert_eq!(request.line, "POST /v23.0/1055/messages HTTP/1.1");
        assert_eq!(request.header("authorization"), Some("Bearer EAAG"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        let wanted = json!({
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": "4930123456",
            "biz_opaque_callback_data": "delivery-7",
            "type": "text",
            "text": {
                "preview_url": false,
                "body": "*Title*\nFirst line\nsecond  line\nhttps://desk.example/tickets/5/",
            },
        });
        assert_eq!(request.json(), wanted);
    }

    #[tokio::test]
    async fn a_template_message_has_the_exact_form() {
        let server = Server::start(vec![Reply::json(200, ACCEPTED)]).await;
        sender(&server, Some("news")).send(&to("+4930123456")).await;
        let template = json!({
            "name": "news",
            "language": { "code": "en_US" },
            "components": [{ "type": "body", "parameters": [
                { "type": "text", "text": "Title" },
                {
                    "type": "text",
                    "text": "First line second line https://desk.example/tickets/5/",
                },
            ] }],
        });
        let body = server.request(0).json();
        assert_eq!((&body["type"], &body["template"]), (&json!("template"), &template));
        assert!(body.get("text").is_none());
    }

    #[tokio::test]
    async fn a_number_that_is_none_is_refused_without_asking() {
        let server = Server::start(vec![]).await;
        let outcome = sender(&server, None).send(&to("call me")).await;
        assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
        assert_eq!(server.count(), 0);
    }

    #[tokio::test]
    async fn each_answer_means_what_it_should() {
        let throttled = r#"{"error":{"message":"(#130429) Rate limit hit","code":130429}}"#;
        let outcome_429 = outcome(Reply::json(429, throttled).with("Retry-After: 17")).await;
        let wanted = Outcome::Later {
            error: "130429 (#130429) Rate limit hit".to_owned(),
            after: Some(Duration::from_secs(17)),
            is_outage: false,
        };
        assert_eq!(outcome_429, wanted);
        let pair = r#"{"error":{"message":"Pair rate limit hit","code":131056}}"#;
        let later = outcome(Reply::json(400, pair)).await;
        assert!(matches!(later, Outcome::Later { is_outage: false, .. }), "{later:?}");

        let bad = r#"{"error":{"message":"(#100) Invalid parameter","code":100,"error_data":{"details":"Recipient is not a valid number"}}}"#;
        let error = "HTTP 400: 100 Recipient is not a valid number".to_owned();
        assert_eq!(outcome(Reply::json(400, bad)).await, Outcome::Refused { error });
        let refused = outcome(Reply::json(401, "<html>")).await;
        assert_eq!(refused, Outcome::AboutUs { error: "HTTP 401".to_owned(), after: None });
        let moved = outcome(Reply::json(302, "").with("Location: http://127.0.0.1:1/")).await;
        assert_eq!(moved, Outcome::Refused { error: "HTTP 302".to_owned() });

        for reply in [
            Reply::json(500, r#"{"error":{"message":"An unknown error","code":1}}"#),
            Reply::json(503, "<html>down</html>"),
            Reply::json(200, r#"{"messages":[{"id":"#),
            Reply::json(200, r#"{"messages":[]}"#),
            Reply::json(200, &format!("{{\"x\":\"{}\"}}", "y".repeat(100_000))),
            Reply::SlowBody,
            Reply::Hang,
            Reply::Drop,
            Reply::HalfBody,
            Reply::Garbage,
        ] {
            let name = format!("{reply:?}");
            let outcome = outcome(reply).await;
            assert!(
                matches!(&outcome, Outcome::Later { is_outage: true, error, .. }
                    if !error.contains("127.0.0.1") && error.len() <= 500),
                "{name}: {outcome:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_provider_that_is_not_there_is_an_outage() {
        let server = Server::start(vec![]).await;
        let sender = sender(&server, None);
        drop(server);
        let outcome = sender.send(&to("+4930123456")).await;
        let Outcome::Later { error, is_outage: true, .. } = outcome else { panic!("{outcome:?}") };
        assert!(error.starts_with("cannot be reached: "), "{error}");
    }
}
