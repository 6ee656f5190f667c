//! What the hub is asked for: its tree and its signals again and again, its events as they happen.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::actions::Request;
use crate::cli::CliError;
use crate::cli::running::RunningHub;
use crate::cli::tree::Actor;
pub(crate) use bellpull_http::sse::read::Reader;
use bellpull_telemetry::signals::Sample;

/// How much may wait to be shown. The hub is asked for no more while it is full.
pub(super) const WAITING_MAX: usize = 256;
const TREE_EVERY: Duration = Duration::from_secs(1);
const SIGNALS_EVERY: Duration = Duration::from_secs(5);
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How many children of a supervisor are asked for, and how many while a search looks for one.
const CHILDREN: u32 = 100;
const CHILDREN_SEARCHED: u32 = 10_000;

/// What is new.
#[derive(Debug)]
pub(super) enum News {
    Tree(Box<Actor>),
    Signals(Box<Signals>),
    Event(Event),
    /// So many events are no longer kept.
    Missed(String),
    /// The hub does not answer; why.
    Away(String),
    /// What has come of a request of the user's.
    Outcome(String),
}

/// The signals of the node that answers, as far as they are read.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Signals {
    pub(super) node: String,
    #[serde(rename = "results")]
    pub(super) samples: Vec<Sample>,
}

/// Something that happened in the tree.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event {
    pub(super) node: String,
    pub(super) at: String,
    pub(super) path: String,
    pub(super) what: String,
    pub(super) detail: String,
}

/// The tree, with all children if they are searched.
///
/// # Errors
/// The hub does not answer, or does not take the token.
pub(super) async fn tree(hub: &mut RunningHub, is_all: bool) -> Result<Actor, CliError> {
    let children = if is_all { CHILDREN_SEARCHED } else { CHILDREN };
    let path = format!("/api/operator/tree/?children={children}");
    let answer = hub.ask(Method::GET, &path, None).await?;
    json(hub, answer).await
}

async fn json<T: for<'de> Deserialize<'de>>(
    hub: &RunningHub,
    answer: Response,
) -> Result<T, CliError> {
    match answer.status() {
        StatusCode::OK => answer.json().await.map_err(|error| hub.away(&error)),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(hub.refused("a super admin's")),
        status => Err(CliError::failed(format!("the hub at {} answered {status}", hub.url()))),
    }
}

/// What an answer to a request says: a hub's refusal is shown as it is, with what is not done.
fn outcome(request: &Request, status: StatusCode, text: &str) -> String {
    let said: Value = serde_json::from_str(text).unwrap_or_default();
    if status.is_success() {
        return said["message"].as_str().unwrap_or(&request.done).to_owned();
    }
    let of_field = || said.as_object()?.values().find_map(|errors| errors[0].as_str());
    let why = said["detail"].as_str().or_else(of_field);
    let why = why.map_or_else(|| format!("the hub answered {status}"), str::to_owned);
    format!("{}: {why}", request.failed)
}

/// Asks the hub, and passes on what is new.
pub(super) struct Feed {
    hub: RunningHub,
    news: mpsc::Sender<News>,
    is_all: std::sync::atomic::AtomicBool,
    /// The tree is wanted now.
    hurry: Notify,
}

impl Feed {
    pub(super) fn new(hub: RunningHub, news: mpsc::Sender<News>) -> Self {
        Self { hub, news, is_all: false.into(), hurry: Notify::new() }
    }

    /// Begins to ask; ends with what it returns.
    pub(super) fn begin(self: &Arc<Self>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(self).trees());
        tasks.spawn(Arc::clone(self).signals());
        tasks.spawn(Arc::clone(self).events());
        tasks
    }

    /// Whether all children are to be asked for, because one of them is searched.
    pub(super) fn ask_all(&self, is_all: bool) {
        self.is_all.store(is_all, std::sync::atomic::Ordering::Relaxed);
        self.hurry.notify_one();
    }

    /// Sends a request of the user's, and tells what has come of it.
    pub(super) fn send(self: &Arc<Self>, request: Request) {
        let feed = Arc::clone(self);
        tokio::spawn(async move {
            let told = feed.outcome(&request).await.unwrap_or_else(|error| error.to_string());
            feed.tell(News::Outcome(told)).await;
            feed.hurry.notify_one();
        });
    }

    async fn outcome(&self, request: &Request) -> Result<String, CliError> {
        let mut hub = self.hub.clone();
        let answer = hub.ask(Method::POST, &request.path, request.body.as_ref()).await?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| hub.away(&error))?;
        Ok(outcome(request, status, &text))
    }

    /// Waits while too much is new already.
    async fn tell(&self, news: News) {
        // The send fails only once the screen has ended; then this task is aborted, too.
        let _ = self.news.send(news).await;
    }

    async fn trees(self: Arc<Self>) {
        let mut hub = self.hub.clone();
        loop {
            tokio::select! {
                () = sleep(TREE_EVERY) => {}
                () = self.hurry.notified() => {}
            }
            let is_all = self.is_all.load(std::sync::atomic::Ordering::Relaxed);
            self.tell(match tree(&mut hub, is_all).await {
                Ok(tree) => News::Tree(Box::new(tree)),
                Err(error) => News::Away(error.to_string()),
            })
            .await;
        }
    }

    async fn signals(self: Arc<Self>) {
        let mut hub = self.hub.clone();
        loop {
            let answer = hub.ask(Method::GET, "/api/operator/signals/", None).await;
            // A hub that is away is noticed by the tree.
            if let Ok(answer) = answer
                && let Ok(signals) = json(&hub, answer).await
            {
                self.tell(News::Signals(Box::new(signals))).await;
            }
            sleep(SIGNALS_EVERY).await;
        }
    }

    async fn events(self: Arc<Self>) {
        let mut hub = self.hub.clone();
        let mut last: Option<String> = None;
        loop {
            let answer = hub.follow("/api/operator/events/", last.as_deref()).await;
            if let Ok(mut answer) = answer
                && answer.status() == StatusCode::OK
            {
                let mut reader = Reader::default();
                while let Ok(Some(chunk)) = answer.chunk().await {
                    for event in reader.read(&chunk) {
                        last = event.id.or(last);
                        if event.name.is_some() {
                            self.tell(News::Missed(event.data)).await;
                        } else if let Ok(event) = serde_json::from_str(&event.data) {
                            self.tell(News::Event(event)).await;
                        }
                    }
                }
            }
            sleep(AGAIN_AFTER).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_what_the_hub_says() {
        let request = Request {
            choice: String::new(),
            question: String::new(),
            path: String::new(),
            body: None,
            done: "it is done".to_owned(),
            failed: "it is not done".to_owned(),
        };
        for (status, text, wanted) in [
            (200, r#"{"message": "session 1 is closed", "node": "a"}"#, "session 1 is closed"),
            (200, r#"{"path": "hub", "until": "2026-03-01T12:00:00Z"}"#, "it is done"),
            (404, r#"{"detail": "Not found.", "code": "x"}"#, "it is not done: Not found."),
            (400, r#"{"code": "invalid", "for_s": ["Too long."]}"#, "it is not done: Too long."),
            (502, "<html>", "it is not done: the hub answered 502 Bad Gateway"),
            (500, "[]", "it is not done: the hub answered 500 Internal Server Error"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(outcome(&request, status, text), wanted);
        }
    }
}
