//! A page with one session of the debugging protocol: its size and theme last as long as it does.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::Browser;
use super::client::PATIENCE;
use super::debugger::debugger;

/// How often the page is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Helpers for the scripts of tests: a visible element by its text, and input as a user's.
const HELPERS: &str = r"
window.nameOf = (element) => element.getAttribute('aria-label') ?? element.textContent;
window.one = (selector, text = '') => [...document.querySelectorAll(selector)]
    .find((element) => element.checkVisibility() && nameOf(element).includes(text));
window.press = (selector, text) => {
    const element = one(selector, text);
    if (!element || element.disabled) return false;
    element.click();
    return true;
};
window.fill = (selector, value) => {
    const field = one(selector);
    if (!field) return false;
    field.value = value;
    field.dispatchEvent(new Event('input', { bubbles: true }));
    field.dispatchEvent(new Event('change', { bubbles: true }));
    return true;
};
window.key = (key) => {
    document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    return true;
};
window.shows = (text) => document.body.innerText.includes(text);
true";

pub(super) struct Page {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next: u64,
    _browser: Browser,
}

impl Page {
    /// Opens it; `None` (after saying so) where there is no browser and one may be missing.
    pub(super) async fn open(url: &str, contains: &str) -> Option<Self> {
        let browser = Browser::open(url)?;
        let at = debugger(&browser, contains).await;
        let (socket, _) = tokio_tungstenite::connect_async(at).await.unwrap();
        Some(Self { socket, next: 0, _browser: browser })
    }

    /// A command of the protocol; its result.
    pub(super) async fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let (id, ask) = (self.next, json!({"id": self.next, "method": method, "params": params}));
        self.socket.send(Message::text(ask.to_string())).await.unwrap();
        while let Some(message) = self.socket.next().await {
            let Message::Text(text) = message.unwrap() else { continue };
            let mut told: Value = serde_json::from_str(&text).unwrap();
            if told["id"] == id {
                return told["result"].take();
            }
        }
        panic!("the browser has gone")
    }

    /// Runs a script, and waits for its promise; what it comes to.
    pub(super) async fn run(&mut self, script: &str) -> Value {
        let params = json!({"expression": script, "returnByValue": true, "awaitPromise": true});
        let mut told = self.call("Runtime.evaluate", params).await;
        assert!(told["exceptionDetails"].is_null(), "{script}: {told}");
        told["result"]["value"].take()
    }

    /// Waits until a script comes to `true`; how long it took.
    pub(super) async fn until(&mut self, script: &str) -> Duration {
        let begun = Instant::now();
        loop {
            let params = json!({"expression": script, "returnByValue": true});
            let told = self.call("Runtime.evaluate", params).await;
            if told["result"]["value"] == true {
                return begun.elapsed();
            }
            if begun.elapsed() > PATIENCE {
                let text = self.run("document.body.innerText").await;
                panic!("never: {script}; the page says: {text}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Goes to an address, as if it was typed, and waits for the app.
    pub(super) async fn go(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url })).await;
        self.until("document.readyState === 'complete'").await;
        self.until("document.querySelector('main') !== null").await;
        self.run(HELPERS).await;
    }

    /// The width of the window, in CSS pixels.
    pub(super) async fn resize(&mut self, width: u32) {
        let params = json!({"width": width, "height": 850, "deviceScaleFactor": 1,
            "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", params).await;
    }

    /// The system's theme: `light` or `dark`.
    pub(super) async fn theme(&mut self, name: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": name},
            {"name": "prefers-reduced-motion", "value": "reduce"}]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }
}
