//! Providers that take a message at once and say so late: it goes out once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{Colleague, until};
use crate::support::process::{Process, folder};

/// Longer than the hub once waited for a mail server (15 s) and for an API (20 s).
const MAIL_TAKES: Duration = Duration::from_secs(17);
const API_TAKES: Duration = Duration::from_secs(23);

/// A mail server that greets and answers texts after so long each.
async fn mail_server(greeting: Duration, answer: Duration) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, greeting, answer, Arc::clone(&count)));
        }
    });
    (url, taken)
}

async fn talk(
    stream: TcpStream,
    greeting: Duration,
    answer: Duration,
    taken: Arc<AtomicUsize>,
) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    tokio::time::sleep(greeting).await;
    write.write_all(b"220 slow.example\r\n").await?;
    let (mut lines, mut is_text) = (BufReader::new(read).lines(), false);
    while let Some(line) = lines.next_line().await? {
        if is_text && line != "." {
            continue;
        }
        if is_text {
            taken.fetch_add(1, SeqCst);
            tokio::time::sleep(answer).await;
        }
        is_text = !is_text && line == "DATA";
        write.write_all(if is_text { b"354 go on\r\n" } else { b"250 ok\r\n" }).await?;
    }
    Ok(())
}

/// An SMS provider that answers late.
async fn sms_api() -> (String, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let message = move || {
        count.fetch_add(1, SeqCst);
        async {
            tokio::time::sleep(API_TAKES).await;
            (StatusCode::CREATED, Json(json!({ "sid": "SM1", "status": "queued" })))
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/2010-04-01", listener.local_addr().unwrap());
    let path = "/2010-04-01/Accounts/{account}/Messages.json";
    let routes = Router::new().route(path, post(message));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, taken)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_takes_a_message_and_answers_late_has_it_once() {
    let (smtp, mails) = mail_server(MAIL_TAKES, MAIL_TAKES).await;
    let (api, texts) = sms_api().await;
    let (_folder, database) = folder();
    let settings = [
        ("BELLPULL_SMTP_URL", smtp.as_str()),
        ("BELLPULL_SMTP_FROM", "desk@example.com"),
        ("BELLPULL_SMS_API_URL", api.as_str()),
        ("BELLPULL_SMS_ACCOUNT", "AC42"),
        ("BELLPULL_SMS_TOKEN", "t"),
        ("BELLPULL_SMS_FROM", "+4930999"),
        ("BELLPULL_RETRY_BASE_MS", "50"),
    ];
    let hub = Process::serve(&database, &settings);
    let at = hub.address;
    let ada = Colleague::join(&database, "ada", "admin", "+4930123456");
    let body = json!({ "recipients": [ada.id], "title": "Once", "message": "x",
        "channels": ["SYSTEM", "EMAIL", "SMS"] });
    ada.post(at, "/api/notifications/", body).await;
    for channel in ["SMS", "EMAIL"] {
        until("it is sent", async || ada.count(at, channel, "SENT").await == 1).await;
        assert_eq!(ada.newest(at, channel).await["attempts"], 1, "{channel}");
    }
    assert_eq!((mails.load(SeqCst), texts.load(SeqCst)), (1, 1), "mails and texts");
    assert!(hub.terminate().success());
}
