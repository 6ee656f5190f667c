//! The binary with an HTTP server in Twilio's shape: messages there, reports back.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha1::Sha1;

use super::{Colleague, until};
use crate::support::process::{Process, folder};

const TOKEN: &str = "the account's token";
/// What people reach the hub by, from outside.
const PUBLIC: &str = "https://desk.example";

type Form = BTreeMap<String, String>;

/// Twilio's side: what it was sent, and how it answers.
#[derive(Clone, Default)]
struct Twilio {
    asked: Arc<Mutex<Vec<(Form, String)>>>,
    /// The next answers; where there are none left, all is well.
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

/// A status, a header, a body.
type Answer = (u16, Option<(&'static str, &'static str)>, Value);

fn form(body: &str) -> Form {
    form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

async fn message(
    State(twilio): State<Twilio>,
    UrlPath(account): UrlPath<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let login = format!("Basic {}", STANDARD.encode(format!("AC42:{TOKEN}")));
    assert_eq!((account.as_str(), headers["authorization"].to_str().unwrap()), ("AC42", &*login));
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    let number = {
        let mut asked = twilio.asked.lock().unwrap();
        asked.push((form(&body), key));
        asked.len()
    };
    if let Some((status, header, body)) = twilio.answers.lock().unwrap().pop_front() {
        let status = StatusCode::from_u16(status).unwrap();
        let mut response = (status, Json(body)).into_response();
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        return response;
    }
    let sid = format!("SM{number}");
    (StatusCode::CREATED, Json(json!({ "sid": sid, "status": "queued", "error_code": null })))
        .into_response()
}

impl Twilio {
    /// Its address.
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/2010-04-01", listener.local_addr().unwrap());
        let path = "/2010-04-01/Accounts/{account}/Messages.json";
        let routes = Router::new().route(path, post(message)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        url
    }

    fn asked(&self) -> Vec<(Form, String)> {
        self.asked.lock().unwrap().clone()
    }

    fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.answers.lock().unwrap().extend(answers);
    }
}

fn serve(database: &Path, url: &str, public_url: Option<&str>) -> Process {
    let mut settings = vec![
        ("BELLPULL_SMS_API_URL", url),
        ("BELLPULL_SMS_ACCOUNT", "AC42"),
        ("BELLPULL_SMS_TOKEN", TOKEN),
        ("BELLPULL_SMS_FROM", "+4930999"),
        ("BELLPULL_RETRY_BASE_MS", "50"),
    ];
    settings.extend(public_url.map(|url| ("BELLPULL_HTTP_PUBLIC_URL", url)));
    Process::serve(database, &settings)
}

/// Sends an SMS to a user.
async fn text(hub: &Process, from: &Colleague, to: &Colleague, title: &str) {
    let body = json!({ "recipients": [to.id], "title": title, "message": "50% off & more",
        "channels": ["SYSTEM", "SMS"] });
    from.post(hub.address, "/api/notifications/", body).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_goes_out_as_twilio_takes_it_however_it_answers_first() {
    let twilio = Twilio::default();
    let url = twilio.start().await;
    let (_folder, database) = folder();
    let hub = serve(&database, &url, None);
    let at = hub.address;
    let ada = Colleague::join(&database, "ada", "admin", "+4930123456");
    let busy = json!({ "code": 20429, "message": "Too Many Requests", "status": 429 });
    twilio.answer([
        (500, None, json!({ "code": 20500, "message": "Internal Server Error" })),
        (429, Some(("retry-after", "1")), busy),
    ]);
    let begun = std::time::Instant::now();
    text(&hub, &ada, &ada, "Sale").await;
    until("it is sent", async || ada.count(at, "SMS", "SENT").await == 1).await;
    // 50 ms are what a second wait has by itself: the second is Twilio's own wish.
    assert!(begun.elapsed().as_millis() >= 1_000, "{:?}", begun.elapsed());
    let sent = ada.newest(at, "SMS").await;
    assert_eq!((&sent["attempts"], &sent["provider_id"]), (&json!(3), &json!("SM3")), "{sent}");
    let asked = twilio.asked();
    let wanted = [("To", "+4930123456"), ("From", "+4930999"), ("Body", "Sale: 50% off & more")];
    let wanted: Form = wanted.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    assert_eq!(asked.len(), 3);
    for (form, key) in asked {
        assert_eq!((form, key), (wanted.clone(), format!("delivery-{}", sent["id"])));
    }

    let bad =
        json!({ "code": 21211, "message": "Invalid 'To' Phone Number: +4930", "status": 400 });
    twilio.answer([(400, None, bad)]);
    text(&hub, &ada, &ada, "Sale").await;
    until("it has failed", async || ada.count(at, "SMS", "FAILED").await == 1).await;
    let failed = ada.newest(at, "SMS").await;
    assert_eq!(failed["attempts"], 1);
    assert_eq!(failed["error"], "HTTP 400: 21211 Invalid 'To' Phone Number: +4930");
    assert!(hub.terminate().success());
}

/// Calls as Twilio does; the answer's status.
async fn report(hub: &Process, sid: &str, status: &str, token: &str) -> u16 {
    let fields = [
        ("AccountSid", "AC42"),
        ("ErrorCode", if status == "undelivered" { "30003" } else { "" }),
        ("From", "+4930999"),
        ("MessageSid", sid),
        ("MessageStatus", status),
        ("To", "+4930123456"),
    ];
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(format!("{PUBLIC}/hooks/sms/").as_bytes());
    for (name, value) in fields {
        mac.update(format!("{name}{value}").as_bytes());
    }
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let client = bellpull::tls::client().build().unwrap();
    let request = client.post(format!("http://{}/hooks/sms/", hub.address));
    let request = request.header("X-Twilio-Signature", signature).form(&fields);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_reported_never_moves_a_status_back() {
    let twilio = Twilio::default();
    let url = twilio.start().await;
    let (_folder, database) = folder();
    let hub = serve(&database, &url, Some(PUBLIC));
    let at = hub.address;
    let ada = Colleague::join(&database, "ada", "admin", "+4930123456");
    text(&hub, &ada, &ada, "One").await;
    until("it is sent", async || ada.count(at, "SMS", "SENT").await == 1).await;
    let callback = format!("{PUBLIC}/hooks/sms/");
    assert_eq!(twilio.asked()[0].0.get("StatusCallback"), Some(&callback));
    let status = async || ada.newest(at, "SMS").await["provider_status"].clone();

    for (word, token, code, wanted) in [
        ("queued", TOKEN, 200, json!(null)),
        ("delivered", "another token", 403, json!(null)),
        ("sent", TOKEN, 200, json!("sent")),
        ("delivered", TOKEN, 200, json!("delivered")),
        ("sent", TOKEN, 200, json!("delivered")),
        ("undelivered", TOKEN, 200, json!("delivered")),
    ] {
        assert_eq!(report(&hub, "SM1", word, token).await, code, "{word}");
        assert_eq!(status().await, wanted, "after {word}");
    }
    assert_eq!(report(&hub, "SM999", "delivered", TOKEN).await, 200, "none of ours");

    text(&hub, &ada, &ada, "Two").await;
    until("it is sent", async || ada.count(at, "SMS", "SENT").await == 2).await;
    assert_eq!(report(&hub, "SM2", "undelivered", TOKEN).await, 200);
    let failed = ada.newest(at, "SMS").await;
    assert_eq!(
        (&failed["status"], &failed["error"]),
        (&json!("FAILED"), &json!("30003 undelivered"))
    );
    // A delivery's log has no word of what was said.
    assert!(!failed.to_string().contains("50%"), "{failed}");
    assert!(hub.terminate().success());
}
