//! The binary with an HTTP server in WhatsApp's shape: messages there, reports back.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use hmac::{Hmac, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Colleague, until};
use crate::support::process::{Process, folder};

const SECRET: &str = "the app's secret";

/// Meta's side: what it was sent, and how it answers.
#[derive(Clone, Default)]
pub(super) struct Meta {
    taken: Arc<Mutex<Vec<Value>>>,
    /// So many requests are answered with 500 first.
    broken: Arc<AtomicUsize>,
    /// Where it reports a message's delivery before it answers that it has taken it.
    hasty: Arc<Mutex<Option<String>>>,
}

async fn message(
    State(meta): State<Meta>,
    Path(number): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    assert_eq!(
        (number.as_str(), &headers["authorization"]),
        ("1055", &"Bearer EAAG".parse().unwrap())
    );
    assert_eq!(body["messaging_product"], "whatsapp");
    if meta.broken.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
        return (StatusCode::INTERNAL_SERVER_ERROR, "{}").into_response();
    }
    let id = format!("wamid.{}", body["biz_opaque_callback_data"].as_str().unwrap());
    meta.taken.lock().unwrap().push(body);
    let hook = meta.hasty.lock().unwrap().clone();
    if let Some(hook) = hook {
        let (body, signature) = report(&id, "delivered");
        let request = bellpull::tls::client().build().unwrap().post(hook).body(body);
        let answer = request.header("X-Hub-Signature-256", signature).send().await.unwrap();
        assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "known": 0 }));
    }
    Json(json!({ "messaging_product": "whatsapp", "messages": [{ "id": id }] })).into_response()
}

impl Meta {
    /// Its address.
    pub(super) async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v23.0", listener.local_addr().unwrap());
        let routes = Router::new().route("/v23.0/{number}/messages", post(message));
        let routes = routes.with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        url
    }

    pub(super) fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap().clone()
    }
}

fn serve(database: &std::path::Path, url: &str) -> Process {
    Process::serve(
        database,
        &[
            ("BELLPULL_WHATSAPP_TOKEN", "EAAG"),
            ("BELLPULL_WHATSAPP_PHONE_NUMBER_ID", "1055"),
            ("BELLPULL_WHATSAPP_API_URL", url),
            ("BELLPULL_WHATSAPP_APP_SECRET", SECRET),
            ("BELLPULL_WHATSAPP_VERIFY_TOKEN", "let me in"),
            ("BELLPULL_RETRY_BASE_MS", "50"),
        ],
    )
}

/// What Meta calls with, and its signature.
fn report(id: &str, status: &str) -> (String, String) {
    let status = json!({ "id": id, "status": status, "timestamp": "1669233778" });
    let body = json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": [
        { "field": "messages", "value": { "messaging_product": "whatsapp", "statuses": [status] } },
    ] }] });
    let body = body.to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    (body, format!("sha256={hex}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_sent_and_what_is_reported_never_moves_a_status_back() {
    let meta = Meta::default();
    let url = meta.start().await;
    let (_folder, database) = folder();
    let hub = serve(&database, &url);
    let at = hub.address;
    let carl = Colleague::join(&database, "carl", "client", "");
    let ada = Colleague::join(&database, "ada", "admin", "+4930123456");
    meta.broken.store(2, Relaxed);
    carl.raise(at, "One").await;
    until("it is sent", async || ada.count(at, "WHATSAPP", "SENT").await == 1).await;
    let sent = ada.newest(at, "WHATSAPP").await;
    assert_eq!(sent["attempts"], 3, "{sent}");
    let taken = meta.taken();
    assert_eq!((taken.len(), &taken[0]["to"]), (1, &json!("4930123456")));
    assert_eq!(
        taken[0]["text"]["body"].as_str().unwrap().lines().next(),
        Some("*New Ticket Created*")
    );
    let id = sent["provider_id"].as_str().unwrap();
    assert_eq!(id, format!("wamid.delivery-{}", sent["id"]));

    let client = bellpull::tls::client().build().unwrap();
    let hook = format!("http://{at}/hooks/whatsapp/");
    let call = async |body: String, signature: &str| {
        let request = client.post(&hook).header("X-Hub-Signature-256", signature).body(body);
        request.send().await.unwrap().status().as_u16()
    };
    for (reported, wanted) in [
        ("delivered", "delivered"),
        ("sent", "delivered"),
        ("read", "read"),
        ("delivered", "read"),
        ("failed", "read"),
    ] {
        let (body, signature) = report(id, reported);
        assert_eq!(call(body.clone(), &signature).await, 200);
        assert_eq!(call(body, &signature).await, 200, "again");
        let now = ada.newest(at, "WHATSAPP").await;
        let shown = (&now["provider_status"], &now["status"]);
        assert_eq!(shown, (&json!(wanted), &json!("SENT")), "after {reported}");
    }
    // A batch of up to 3 MB, larger than other bodies may be.
    let (body, signature) = report(&"wamid.of another account ".repeat(70_000), "read");
    assert!(body.len() > 1_700_000);
    assert_eq!(call(body, &signature).await, 200);
    let (body, signature) = report("wamid.of another account", "read");
    assert_eq!(call(body.clone(), &signature).await, 200);
    assert_eq!(call(body, &report(id, "read").1).await, 403, "signed over another body");
    assert_eq!(call(report(id, "read").0, "").await, 403);
    let (_, signature) = report(id, "read");
    assert_eq!(call(String::new(), &signature).await, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_failed_after_all_is_shown_as_failed() {
    let meta = Meta::default();
    let url = meta.start().await;
    let (_folder, database) = folder();
    let hub = serve(&database, &url);
    let at = hub.address;
    let carl = Colleague::join(&database, "carl", "client", "");
    let ada = Colleague::join(&database, "ada", "admin", "+4930123456");
    carl.raise(at, "One").await;
    until("it is sent", async || ada.count(at, "WHATSAPP", "SENT").await == 1).await;
    let sent = ada.newest(at, "WHATSAPP").await;
    let (body, signature) = report(sent["provider_id"].as_str().unwrap(), "failed");
    let request = bellpull::tls::client().build().unwrap();
    let request = request.post(format!("http://{at}/hooks/whatsapp/")).body(body);
    let status = request.header("X-Hub-Signature-256", signature).send().await.unwrap().status();
    assert_eq!(status, 200);
    let failed = ada.newest(at, "WHATSAPP").await;
    assert_eq!(
        (&failed["status"], &failed["provider_status"]),
        (&json!("FAILED"), &json!("failed"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_is_faster_than_the_answer_counts() {
    let meta = Meta::default();
    let url = meta.start().await;
    let (_folder, database) = folder();
    let hub = serve(&database, &url);
    let at = hub.address;
    *meta.hasty.lock().unwrap() = Some(format!("http://{at}/hooks/whatsapp/"));
    let carl = Colleague::join(&database, "carl", "client", "");
    let ada = Colleague::join(&database, "ada", "admin", "+4930123456");
    carl.raise(at, "One").await;
    until("it is sent", async || ada.count(at, "WHATSAPP", "SENT").await == 1).await;
    let sent = ada.newest(at, "WHATSAPP").await;
    assert_eq!((&sent["provider_status"], &sent["attempts"]), (&json!("delivered"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_knows_the_token_is_told_the_challenge() {
    let (_folder, database) = folder();
    let hub = serve(&database, "http://127.0.0.1:9/v1");
    let client = bellpull::tls::client().build().unwrap();
    let ask = async |query: &str| {
        let url = format!("http://{}/hooks/whatsapp/{query}", hub.address);
        let response = client.request(Method::GET, url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let good = "?hub.mode=subscribe&hub.verify_token=let%20me%20in&hub.challenge=1158201444";
    assert_eq!(ask(good).await, (200, "1158201444".to_owned()));
    for bad in ["", "?hub.mode=subscribe", &good.replace("let", "get"), &good.replace("sub", "un")]
    {
        assert_eq!(ask(bad).await.0, 403, "{bad}");
    }
    let off = tempfile::tempdir().unwrap();
    let hub = Process::serve(&off.path().join("hub.db"), &[]);
    let url = format!("http://{}/hooks/whatsapp/{good}", hub.address);
    assert_eq!(client.get(url).send().await.unwrap().status(), 403);
}
