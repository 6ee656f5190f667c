//! A ticket's life by e-mail, and servers that misbehave.

use std::path::Path;

use serde_json::{Value, json};

use super::sink::{Mail, Sink};
use super::{Colleague, until};
use crate::support::process::{Process, command, folder, run};

/// A hub that sends to a server.
fn serve(database: &Path, sink: &Sink, retry_ms: &str) -> Process {
    Process::serve(
        database,
        &[
            ("BELLPULL_SMTP_URL", &sink.url()),
            ("BELLPULL_SMTP_FROM", "Help desk <desk@example.com>"),
            ("BELLPULL_RETRY_BASE_MS", retry_ms),
            ("BELLPULL_HTTP_PUBLIC_URL", "https://desk.example/"),
        ],
    )
}

fn subjects(mails: &[Mail]) -> Vec<(&str, String)> {
    mails.iter().map(|mail| (mail.to.as_str(), mail.header("Subject"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tickets_life_reaches_everyone_involved_by_mail() {
    let Some(mut sink) = Sink::start().await else { return };
    let (_folder, database) = folder();
    let hub = serve(&database, &sink, "100");
    let at = hub.address;
    let carl = Colleague::join(&database, "carl", "client", "");
    let ada = Colleague::join(&database, "ada", "admin", "");
    let dev = Colleague::join(&database, "dev", "developer", "");
    let root = Colleague::join(&database, "root", "super_admin", "");
    let told = |mails: &[Mail], wanted: &[(&str, &str)]| {
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(name, subject)| (format!("{name}@example.com"), (*subject).to_owned()))
            .collect();
        let found: Vec<_> =
            subjects(mails).into_iter().map(|(to, subject)| (to.to_owned(), subject)).collect();
        assert_eq!(found, wanted);
    };

    let id = carl.raise(at, "Große <Panne> & mehr").await;
    let mails = sink.mails(2).await;
    told(&mails, &[("ada", "New Ticket Created"), ("root", "New Ticket Created")]);
    let mail = &mails[0];
    assert_eq!(mail.from, "desk@example.com");
    assert_eq!(mail.header("From"), "\"Help desk\" <desk@example.com>");
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert_eq!(mail.header("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
    let unsubscribe = mail.header("List-Unsubscribe");
    assert!(unsubscribe.starts_with("<https://desk.example/unsubscribe/"), "{unsubscribe}");
    assert!(mail.header("Content-Type").starts_with("multipart/alternative"));
    assert!(mail.text.contains("https://desk.example/tickets/"), "{}", mail.text);
    let ids: Vec<String> = mails.iter().map(|mail| mail.header("Message-ID")).collect();
    assert!(ids[0].starts_with("<delivery-") && ids[0].ends_with(".bellpull>"), "{ids:?}");
    assert_ne!(ids[0], ids[1]);

    let act = async |who: &Colleague, action: &str, body: Value| {
        who.post(at, &format!("/api/tickets/{id}/{action}/"), body).await;
    };
    act(&ada, "open", json!({})).await;
    told(&sink.mails(1).await, &[("carl", "Ticket Opened")]);
    act(&ada, "assign", json!({ "developers": [dev.id] })).await;
    told(&sink.mails(1).await, &[("dev", "Ticket Assigned")]);
    act(&dev, "start_work", json!({})).await;
    told(&sink.mails(1).await, &[("carl", "Work Started")]);
    act(&dev, "finish_work", json!({})).await;
    let finished = ["ada", "carl", "root"].map(|name| (name, "Work Finished"));
    told(&sink.mails(3).await, &finished);
    act(&carl, "approve", json!({})).await;

    until("all are recorded", async || ada.count(at, "EMAIL", "SENT").await == 8).await;
    for status in ["QUEUED", "FAILED", "SUPPRESSED"] {
        assert_eq!(ada.count(at, "EMAIL", status).await, 0, "{status}");
    }
    let newest = carl.get(at, "/api/notifications/?notification_type=EMAIL&page_size=1").await;
    let delivery = &newest["results"][0]["deliveries"][0];
    let shown = (&delivery["channel"], &delivery["status"], &delivery["attempts"]);
    assert_eq!(shown, (&json!("EMAIL"), &json!("SENT"), &json!(1)));
    assert!(sink.rest().await.is_empty(), "an approval does not go out by e-mail");
    let email = root.channel(at, "email").await;
    assert_eq!(
        (&email["observed"]["sent"], &email["observed"]["circuit"]),
        (&json!(8), &json!("closed"))
    );
    assert!(hub.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_final_and_an_admin_may_have_it_tried_again() {
    let Some(mut sink) = Sink::start().await else { return };
    let (_folder, database) = folder();
    let hub = serve(&database, &sink, "50");
    let at = hub.address;
    let carl = Colleague::join(&database, "carl", "client", "");
    let ada = Colleague::join(&database, "ada", "admin", "");
    sink.be("refuse").await;
    carl.raise(at, "One").await;
    until("it has failed", async || ada.count(at, "EMAIL", "FAILED").await == 1).await;
    let failed = ada.newest(at, "EMAIL").await;
    assert_eq!(failed["attempts"], 1);
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("550") || error.contains("No such mailbox"), "{error}");
    sink.be("ok").await;
    ada.post(at, &format!("/api/deliveries/{}/retry/", failed["id"]), json!({})).await;
    let mail = sink.mail().await;
    assert_eq!(mail.to, "ada@example.com");
    until("it is sent", async || ada.count(at, "EMAIL", "SENT").await == 1).await;
    assert!(ada.newest(at, "EMAIL").await["error"].is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_pass_is_tried_again_with_the_same_message_id() {
    let Some(mut sink) = Sink::start().await else { return };
    let (_folder, database) = folder();
    let hub = serve(&database, &sink, "50");
    let at = hub.address;
    let carl = Colleague::join(&database, "carl", "client", "");
    let ada = Colleague::join(&database, "ada", "admin", "");

    sink.be("later").await;
    carl.raise(at, "Not now").await;
    let is_tried = |times: u64| {
        let ada = ada.clone();
        async move || {
            let newest = ada.newest(at, "EMAIL").await;
            let said = newest["error"].as_str().unwrap_or_default();
            newest["attempts"].as_u64() >= Some(times) && said.contains("Try again later")
        }
    };
    until("it was tried twice", is_tried(2)).await;
    sink.be("ok").await;
    sink.mail().await;
    until("it is sent", async || ada.count(at, "EMAIL", "SENT").await == 1).await;

    // Accepted without an answer: the outcome is unknown, so it goes out again as the same message.
    sink.be("drop").await;
    carl.raise(at, "No word of it").await;
    let first = sink.mail().await;
    sink.be("ok").await;
    let mut again = sink.mail().await;
    while again.header("Subject").is_empty() {
        again = sink.mail().await;
    }
    assert_eq!(first.header("Message-ID"), again.header("Message-ID"));
    until("it is sent", async || ada.count(at, "EMAIL", "SENT").await == 2).await;
    assert!(ada.newest(at, "EMAIL").await["attempts"].as_u64() >= Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_opens_the_circuit_and_its_return_closes_it() {
    let Some(mut sink) = Sink::start().await else { return };
    let (_folder, database) = folder();
    let hub = serve(&database, &sink, "50");
    let at = hub.address;
    let carl = Colleague::join(&database, "carl", "client", "");
    let root = Colleague::join(&database, "root", "super_admin", "");
    sink.be("away").await;
    for n in 0..8 {
        carl.raise(at, &format!("Ticket {n}")).await;
    }
    let is = |circuit: &'static str| {
        let root = root.clone();
        async move || root.channel(at, "email").await["observed"]["circuit"] == circuit
    };
    until("the circuit is open", is("open")).await;
    let client = bellpull::tls::client().build().unwrap();
    let metrics = async || {
        let response = client.get(format!("http://{at}/metrics")).send().await.unwrap();
        response.text().await.unwrap()
    };
    let text = metrics().await;
    assert!(text.contains("bellpull_circuit_open{channel=\"EMAIL\"} 1"), "{text}");
    assert!(
        text.contains("bellpull_attempts_total{channel=\"EMAIL\",outcome=\"later\"}"),
        "{text}"
    );
    // Admins see why nothing is sent, and the recipient of a notification is told.
    let channels = root.get(at, "/api/channels/").await;
    let email = &channels["results"][0];
    assert_eq!((&email["channel"], email["queued"].as_i64() > Some(0)), (&json!("EMAIL"), true));
    assert!(email["cause"].is_string() && email["circuit"] != "closed", "{channels}");
    let queued = root.newest(at, "EMAIL").await;
    let path = format!("/api/notifications/{}/explain/", queued["notification"]);
    let told = root.get(at, &path).await.to_string();
    assert!(told.contains("Nothing is sent at the moment: "), "{told}");

    sink.be("ok").await;
    until("all are sent", async || root.count(at, "EMAIL", "SENT").await == 8).await;
    let channels = root.get(at, "/api/channels/").await;
    assert_eq!(channels["results"][0]["queued"], 0, "{channels}");
    until("the circuit is closed", is("closed")).await;
    assert!(metrics().await.contains("bellpull_circuit_open{channel=\"EMAIL\"} 0"));
    assert_eq!(sink.mails(8).await.len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_server_delays_no_other_and_a_stop_returns_its_leases() {
    let Some(mut sink) = Sink::start().await else { return };
    let (_folder, database) = folder();
    let hub = serve(&database, &sink, "50");
    let at = hub.address;
    let carl = Colleague::join(&database, "carl", "client", "");
    let root = Colleague::join(&database, "root", "super_admin", "");
    sink.be("hang").await;
    for n in 0..20 {
        carl.raise(at, &format!("Ticket {n}")).await;
    }
    let busy = async || root.channel(at, "email").await["observed"]["in_flight"] == 16;
    until("as many as may be are with it", busy).await;
    let inbox = root.get(at, "/api/notifications/unread_count/").await;
    assert_eq!(inbox["count"], 20);
    let began = std::time::Instant::now();
    assert!(hub.terminate().success());
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());

    sink.be("ok").await;
    let hub = serve(&database, &sink, "50");
    let at = hub.address;
    until("all are sent", async || root.count(at, "EMAIL", "SENT").await == 20).await;
    let mut ids: Vec<String> =
        sink.mails(20).await.iter().map(|mail| mail.header("Message-ID")).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20);
}

#[tokio::test]
async fn an_operator_sends_a_mail_before_the_first_notification() {
    let Some(mut sink) = Sink::start().await else { return };
    let (_folder, database) = folder();
    let mut command = command(&database);
    command.args(["check", "--listen", "127.0.0.1:0", "--mail", "ada@example.com"]);
    command.args(["--smtp-url", &sink.url(), "--smtp-from", "Desk <desk@example.com>"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("has taken a mail"), "{text}");
    let mail = sink.mail().await;
    assert_eq!(mail.header("Subject"), "Bellpull can send e-mail");
    assert_eq!(
        (mail.header("From"), mail.header("To")),
        ("Desk <desk@example.com>".to_owned(), "ada@example.com".to_owned())
    );
}

#[test]
fn settings_that_will_not_do_are_named_without_the_password() {
    let (_folder, database) = folder();
    for (url, from, wanted) in [
        ("hunter2.example:25", "desk@example.com", "bellpull: smtp.url: "),
        ("smtp://u:hunter2@mail.example", "unknown", "bellpull: smtp.from: "),
    ] {
        let flags = ["serve", "--listen", "127.0.0.1:0", "--smtp-url", url, "--smtp-from", from];
        let output = run(&database, &flags);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.starts_with(wanted) && stderr.lines().count() == 1, "{stderr}");
        assert!(!stderr.contains("hunter2"), "{stderr}");
    }
}
