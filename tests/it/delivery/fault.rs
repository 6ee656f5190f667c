//! Who is at fault: a provider that refuses the hub costs no message its attempts.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::json;
use tokio::net::TcpListener;

use super::scripted::Scripted;
use super::{Colleague, until};
use crate::support::process::{Process, folder};

/// More than open a circuit, and fewer than the attempts of a message.
const MAILS: i64 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_refuses_the_hub_fails_no_mail() {
    let server = Scripted::default();
    let url = server.start().await;
    let (_folder, database) = folder();
    let settings = [
        ("BELLPULL_SMTP_URL", url.as_str()),
        ("BELLPULL_SMTP_FROM", "desk@example.com"),
        ("BELLPULL_RETRY_BASE_MS", "20"),
        ("BELLPULL_RETRY_ATTEMPTS", "2"),
    ];
    let hub = Process::serve(&database, &settings);
    let at = hub.address;
    let root = Colleague::join(&database, "root", "super_admin", "");
    let mut sent = 0;
    for (begin, answer) in [
        ("MAIL", "553 5.7.1 <desk@example.com>: Sender address rejected: not owned by user"),
        ("", "554 5.7.1 blocked"),
        ("EHLO", "504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname"),
        ("RCPT", "550 5.7.1 relaying denied"),
        ("MAIL", "452 4.3.1 Insufficient system storage"),
    ] {
        server.answer(&[(begin, answer)]);
        for n in 0..MAILS {
            let body = json!({ "recipients": [root.id], "title": format!("{n}"), "message": "x",
                "channels": ["SYSTEM", "EMAIL"] });
            root.post(at, "/api/notifications/", body).await;
        }
        // By then a mail that counts its attempts would have failed.
        let newest = async || root.newest(at, "EMAIL").await;
        let is_open = async || root.channel(at, "email").await["observed"]["circuit"] == "open";
        until("the circuit is open", is_open).await;
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        assert_eq!(root.count(at, "EMAIL", "QUEUED").await, MAILS, "{answer}");
        assert_eq!(root.count(at, "EMAIL", "FAILED").await, 0, "{answer}: {}", newest().await);
        server.answer(&[]);
        root.post(at, "/api/operator/channels/email/circuit/", json!({"state": "closed"})).await;
        sent += MAILS;
        until("all are sent", async || root.count(at, "EMAIL", "SENT").await == sent).await;
    }
    // A recipient's fault is the recipient's.
    server.answer(&[("RCPT", "550 5.1.1 no such mailbox")]);
    let body = json!({ "recipients": [root.id], "title": "x", "message": "x",
        "channels": ["SYSTEM", "EMAIL"] });
    root.post(at, "/api/notifications/", body).await;
    until("it has failed", async || root.count(at, "EMAIL", "FAILED").await == 1).await;
    assert_eq!(server.taken().len(), usize::try_from(sent).unwrap());
    assert!(hub.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_sms_provider_that_does_not_know_the_hub_fails_no_message() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/2010-04-01", listener.local_addr().unwrap());
    let refuse = || async {
        let body = r#"{"code":20003,"message":"Authenticate","status":401}"#;
        (StatusCode::UNAUTHORIZED, body)
    };
    let path = "/2010-04-01/Accounts/{account}/Messages.json";
    let routes = Router::new().route(path, post(refuse));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let (_folder, database) = folder();
    let settings = [
        ("BELLPULL_SMS_API_URL", url.as_str()),
        ("BELLPULL_SMS_ACCOUNT", "AC42"),
        ("BELLPULL_SMS_TOKEN", "t"),
        ("BELLPULL_SMS_FROM", "+4930999"),
        ("BELLPULL_RETRY_BASE_MS", "20"),
    ];
    let hub = Process::serve(&database, &settings);
    let at = hub.address;
    let root = Colleague::join(&database, "root", "super_admin", "+4930123456");
    let body = json!({ "recipients": [root.id], "title": "x", "message": "x",
        "channels": ["SYSTEM", "SMS"] });
    root.post(at, "/api/notifications/", body).await;
    let is_open = async || root.channel(at, "sms").await["observed"]["circuit"] == "open";
    until("the circuit is open", is_open).await;
    let queued = root.newest(at, "SMS").await;
    assert_eq!(queued["status"], "QUEUED", "{queued}");
    assert!(hub.terminate().success());
}
