//! Traces, as an OpenTelemetry collector receives them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span, status::StatusCode};
use prost::Message;
use serde_json::json;
use tokio::net::TcpListener;

use super::{Caller, until};
use crate::support::postgres;
use crate::support::process::{Process, folder};
use crate::support::skip::skipped;

pub(super) const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A collector, and a server for webhooks: what they were sent.
#[derive(Clone, Default)]
struct Received {
    resources: Arc<Mutex<Vec<ResourceSpans>>>,
    calls: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Received {
    async fn serve(&self) -> SocketAddr {
        let traces = async |State(received): State<Self>, body: Bytes| {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            received.resources.lock().unwrap().extend(request.resource_spans);
        };
        let hook = async |State(received): State<Self>, headers: HeaderMap| {
            received.calls.lock().unwrap().push(headers);
        };
        let routes = axum::Router::new()
            .route("/v1/traces", post(traces))
            .route("/hook", post(hook))
            .with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        at
    }

    fn spans(&self) -> Vec<Span> {
        let resources = self.resources.lock().unwrap();
        let scopes = resources.iter().flat_map(|one| &one.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// The spans of one name, in a trace.
    fn named(&self, name: &str, trace: &str) -> Vec<Span> {
        let is_it = |span: &Span| span.name == name && hex(&span.trace_id) == trace;
        self.spans().into_iter().filter(is_it).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An attribute as text.
fn fact(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|one| one.key == key);
    match found.and_then(|one| one.value.clone()?.value) {
        Some(AnyValue::StringValue(text)) => text,
        Some(AnyValue::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// A request that another system has begun to trace.
pub(super) async fn raise_traced(who: &Caller, traceparent: &str) -> u16 {
    let client = bellpull::tls::client().build().unwrap();
    let request = client.post(format!("http://{}/api/tickets/", who.at));
    let request = request.bearer_auth(&who.token).header("traceparent", traceparent);
    request.json(&json!({"title": "Traced"})).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_s_life_is_one_trace_from_the_request_to_the_webhook() {
    let (received, ada) = ticket_s_life(&[]).await;
    assert_one_trace(&received, ada);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_s_life_is_one_trace_on_postgresql_too() {
    if postgres::server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let database = postgres::Database::blank().await;
    let (received, ada) = ticket_s_life(&[("BELLPULL_DATABASE_URL", &database.url())]).await;
    assert_one_trace(&received, ada);
}

/// A traced ticket that an admin is notified of by a socket and a webhook, and two that are not
/// traced; what was received by the end of the hub, and the admin's id.
async fn ticket_s_life(settings: &[(&str, &str)]) -> (Received, i64) {
    let received = Received::default();
    let collector = received.serve().await;
    let (_folder, file) = folder();
    let endpoint = format!("http://{collector}");
    let own = [
        ("BELLPULL_OTLP_ENDPOINT", endpoint.as_str()),
        ("BELLPULL_OTLP_SAMPLE", "0"),
        ("BELLPULL_NODE", "node-a"),
        ("BELLPULL_WEBHOOK_ALLOW_PRIVATE", "true"),
    ];
    let hub = Process::serve(&file, &[&own, settings].concat());
    let join = |name, role| Caller::join_with((&file, settings), hub.address, name, role);
    let (ada, carl) = (join("ada", "admin"), join("carl", "client"));
    let hook = json!({"url": format!("http://{collector}/hook")});
    assert_eq!(ada.post("/api/webhooks/", hook).await.0, 201);
    let mut socket = ada.socket("").await;

    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    assert_eq!(raise_traced(&carl, &traceparent).await, 201);
    while socket.next().await["seq"].is_null() {}
    until("the webhook is called", async || !received.calls.lock().unwrap().is_empty()).await;
    // Not sampled by its caller, nor by the hub's own share, which is none.
    assert_eq!(raise_traced(&carl, &format!("00-{}-{CALLER}-00", "1".repeat(32))).await, 201);
    carl.raise("Untraced").await;
    // What waits to be sent is sent before the hub ends.
    assert!(hub.terminate().success());
    assert_eq!(file.exists(), settings.is_empty(), "the settings name the database");
    (received, ada.id)
}

fn assert_one_trace(received: &Received, ada: i64) {
    let one = |name: &str| {
        let found = received.named(name, TRACE);
        assert_eq!(found.len(), 1, "{name} in {:#?}", received.spans());
        found.into_iter().next().unwrap()
    };
    let (request, ticket) = (one("POST /api/tickets/"), one("ticket"));
    let (write, frames, attempt) = (one("write"), one("frames"), one("attempt"));
    assert_eq!(hex(&request.parent_span_id), CALLER);
    assert_eq!(fact(&request, "http.response.status_code"), "201");
    assert_eq!(ticket.parent_span_id, request.span_id);
    for step in [&write, &frames, &attempt] {
        assert_eq!(step.parent_span_id, ticket.span_id, "{}", step.name);
    }
    assert_eq!(fact(&frames, "bellpull.user"), ada.to_string());
    assert_eq!(fact(&attempt, "bellpull.channel"), "WEBHOOK");
    assert_eq!(fact(&attempt, "bellpull.outcome"), "sent");
    assert!(request.start_time_unix_nano <= ticket.start_time_unix_nano);
    assert!(write.end_time_unix_nano <= frames.end_time_unix_nano);

    // The commit is a trace of its own, which the write points to and which points to the write.
    let spans = received.spans();
    let commit = spans.iter().find(|span| span.name == "commit").expect("a commit");
    assert_eq!((&commit.links[0].span_id, commit.links.len()), (&write.span_id, 1));
    assert_eq!(write.links[0].span_id, commit.span_id);
    assert_ne!(commit.trace_id, write.trace_id);
    let traces: BTreeSet<String> = spans.iter().map(|span| hex(&span.trace_id)).collect();
    assert_eq!(traces.len(), 2, "nothing else is traced: {spans:#?}");

    // The webhook's server can go on with it.
    let called = received.calls.lock().unwrap()[0]["traceparent"].to_str().unwrap().to_owned();
    assert_eq!(called, format!("00-{TRACE}-{}-01", hex(&attempt.span_id)));
    let resource = received.resources.lock().unwrap()[0].resource.clone().unwrap();
    let of = |key: &str| {
        let span = Span { attributes: resource.attributes.clone(), ..Span::default() };
        fact(&span, key)
    };
    assert_eq!(
        (of("service.name").as_str(), of("service.instance.id").as_str()),
        ("bellpull", "node-a")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_is_traced_without_health_checks_and_failures_say_why() {
    let received = Received::default();
    let collector = received.serve().await;
    let (_folder, database) = folder();
    let endpoint = format!("http://{collector}/");
    let settings = [("BELLPULL_OTLP_ENDPOINT", endpoint.as_str()), ("BELLPULL_OTLP_SAMPLE", "1")];
    let hub = Process::serve(&database, &settings);
    let ada = Caller::join(&database, hub.address, "ada", "admin");
    let carl = Caller::join(&database, hub.address, "carl", "client");
    let ticket = carl.raise("One").await;
    assert_eq!(carl.post(&format!("/api/tickets/{ticket}/open/"), json!({})).await.0, 403);
    let body = json!({"body": "Hello"});
    assert_eq!(ada.post(&format!("/api/tickets/{ticket}/comments/"), body).await.0, 201);
    let send = json!({"recipients": [carl.id], "title": "Hi", "message": "There"});
    let (status, sent) = ada.post("/api/notifications/", send).await;
    assert_eq!(status, 202, "{sent}");
    assert_eq!(ada.get("/healthz/").await.0, 200);
    assert_eq!(ada.readiness().await, 200);
    assert!(hub.terminate().success());
    let spans = received.spans();
    let names: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    for wanted in ["POST /api/tickets/", "ticket", "comment", "write", "commit"] {
        assert!(names.contains(wanted), "{wanted} in {names:?}");
    }
    assert!(names.contains("POST /api/notifications/"), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("healthz") || name.contains("readyz")));
    let is_refused = |span: &&Span| {
        let status = span.status.as_ref().map(|status| status.code);
        span.name == "ticket" && status == Some(StatusCode::Error.into())
    };
    let refused = spans.iter().find(is_refused).expect("the refused command");
    assert!(!refused.status.as_ref().unwrap().message.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_is_told_once_and_costs_no_request() {
    let (folder, database) = folder();
    let log = folder.path().join("log");
    let settings =
        [("BELLPULL_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("BELLPULL_OTLP_SAMPLE", "1")];
    let hub = Process::serve_logged(&database, &settings, &log);
    let carl = Caller::join(&database, hub.address, "carl", "client");
    for nth in 0..20 {
        carl.raise(&format!("Ticket {nth}")).await;
    }
    assert!(hub.terminate().success());
    let text = std::fs::read_to_string(&log).unwrap();
    let told = text.lines().filter(|line| line.contains("collector does not take them")).count();
    assert_eq!(told, 1, "{text}");
}
