//! A page of the browser, looked at and used by its debugging protocol.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::Browser;
use super::client::PATIENCE;

/// How often the page is looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Runs a script in the browser's page; what it comes to.
pub(super) async fn evaluate(socket: &str, script: &str) -> Value {
    let (mut page, _) = tokio_tungstenite::connect_async(socket).await.unwrap();
    let ask = json!({"id": 1, "method": "Runtime.evaluate",
        "params": {"expression": script, "returnByValue": true}});
    page.send(Message::text(ask.to_string())).await.unwrap();
    while let Some(Ok(message)) = page.next().await {
        let Message::Text(text) = message else { continue };
        let told: Value = serde_json::from_str(&text).unwrap();
        if told["id"] == 1 {
            return told["result"]["result"]["value"].clone();
        }
    }
    Value::Null
}

/// Waits until a script comes to `true`.
pub(super) async fn until(socket: &str, script: &str) {
    let deadline = Instant::now() + PATIENCE;
    while evaluate(socket, script).await != json!(true) {
        assert!(Instant::now() < deadline, "never: {script}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Where the page's debugger listens.
pub(super) async fn debugger(browser: &Browser, page: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "the browser shows no {page}");
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(port) = browser.debugger_port() else { continue };
        let list = format!("http://127.0.0.1:{port}/json/list");
        let client = bellpull::tls::client().build().unwrap();
        let Ok(answer) = client.get(list).send().await else { continue };
        let pages: Value = answer.json().await.unwrap();
        let pages = pages.as_array().unwrap();
        let found = pages.iter().find(|one| one["url"].as_str().is_some_and(|u| u.contains(page)));
        if let Some(found) = found {
            return found["webSocketDebuggerUrl"].as_str().unwrap().to_owned();
        }
    }
}
