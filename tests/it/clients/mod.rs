//! Whole sessions with clients of other makes: a browser's WebSocket, Python's `websockets`,
//! Node's `ws`. One file a family; `tests/clients/` has the families' front ends.
//!
//! A front end tells what it hears as JSON values, and does what the test has its user do. The
//! test acts as all other users, by REST.

mod academy;
mod bellpull_v1;
mod inbox;
mod incident;
mod matrix;
mod page;
mod project;
mod typed;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bellpull::wire::Dialect;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::browser::Browser;
use crate::support::skip::skipped;
use crate::support::{Hub, Person};

/// How long a browser may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose socket it is.
#[derive(Debug, Clone, Copy)]
enum Make {
    Chromium,
    Python,
    Node,
}

/// A family's running front end with its user.
struct FrontEnd {
    said: mpsc::UnboundedReceiver<Value>,
    /// What was said of other tabs than the one that was asked about, in its order.
    passed: VecDeque<Value>,
    gestures: mpsc::UnboundedSender<Value>,
    _running: Running,
}

/// Ends with the test.
#[expect(dead_code, reason = "only held")]
enum Running {
    Process(Child),
    Page(Browser),
}

impl FrontEnd {
    /// Starts the family's front end; `None` (after saying so) where that make is missing and may
    /// be.
    async fn start(make: Make, family: &str, hub: &Hub, person: &Person) -> Option<Self> {
        Self::start_at(make, family, hub.address(), &person.token).await
    }

    /// The same at any hub's address.
    async fn start_at(make: Make, family: &str, hub: SocketAddr, token: &str) -> Option<Self> {
        let base = base(hub);
        let (sayer, said) = mpsc::unbounded_channel();
        let (gestures, done) = mpsc::unbounded_channel();
        let running = match make {
            Make::Chromium => {
                let origin = page::serve(sayer, done).await;
                let query = format!("family={family}&base={base}&token={token}");
                Running::Page(Browser::open(&format!("{origin}/?{query}"))?)
            }
            Make::Python => {
                let mut command = Command::new(tools().join("python/bin/python"));
                command.arg(script(&format!("{family}.py")));
                command.env("PYTHONDONTWRITEBYTECODE", "1");
                Running::Process(run(command, &[&base, token], sayer, done)?)
            }
            Make::Node => {
                let modules = tools().join("node/node_modules");
                if !modules.join("ws").exists() {
                    skipped("Node's ws is not installed (tests/run.sh does)");
                    return None;
                }
                let mut command = Command::new("node");
                command.arg(script("node.mjs")).arg(family).env("CLIENT_MODULES", modules);
                Running::Process(run(command, &[&base, token], sayer, done)?)
            }
        };
        Some(Self { said, passed: VecDeque::new(), gestures, _running: running })
    }

    /// What it says next of its family's socket.
    async fn says(&mut self) -> Value {
        self.says_of(None).await
    }

    /// What it says next of that tab.
    async fn says_of(&mut self, tab: Option<&str>) -> Value {
        let is_of_it = |said: &Value| said["tab"].as_str() == tab;
        let mut said = match self.passed.iter().position(is_of_it) {
            Some(found) => self.passed.remove(found).unwrap(),
            None => loop {
                let said = timeout(PATIENCE, self.said.recv()).await;
                let said = said.expect("the front end says something").expect("it runs");
                if is_of_it(&said) {
                    break said;
                }
                self.passed.push_back(said);
            },
        };
        said.as_object_mut().unwrap().remove("tab");
        said
    }

    /// What it says next is a frame that it has heard.
    async fn hears(&mut self) -> Value {
        frame(self.says().await)
    }

    /// What it says next of that tab is a frame that it has heard there.
    async fn hears_in(&mut self, tab: &str) -> Value {
        frame(self.says_of(Some(tab)).await)
    }

    /// Its user does something.
    fn does(&self, gesture: Value) {
        self.gestures.send(gesture).unwrap();
    }

    /// Nothing has come: what would have come would have come before the answer to a ping.
    async fn hears_nothing(&mut self) {
        self.does(json!(["ping", "nothing"]));
        assert_eq!(self.hears().await, json!({"type": "pong", "timestamp": "nothing"}));
    }

    /// The same of a tab.
    async fn hears_nothing_in(&mut self, tab: &str) {
        self.does(json!(["ping", "nothing", tab]));
        assert_eq!(self.hears_in(tab).await, json!({"type": "pong", "timestamp": "nothing"}));
    }
}

/// The frame that a front end says it has heard.
fn frame(mut said: Value) -> Value {
    let frame = said["frame"].take();
    assert!(frame.is_object(), "a frame was wanted, not {said}");
    frame
}

/// Takes a time out of what has one: it is not known before.
fn take_time(object: &mut Value, key: &str) {
    let time = object.as_object_mut().unwrap().remove(key).unwrap_or_default();
    let is_utc = |text: &str| text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok();
    assert!(time.as_str().is_some_and(is_utc), "{key} is {time} in {object}");
}

/// Where a hub's sockets are.
fn base(hub: SocketAddr) -> String {
    format!("ws://{hub}")
}

/// A hub whose sockets speak the dialect unasked, as the family's own server did.
async fn hub(dialect: Dialect) -> Hub {
    Hub::start_with(|config| {
        config.dialect = dialect;
        config.http.allowed_origins = vec!["*".to_owned()];
    })
    .await
}

/// The greeting of the five families.
fn greeting(person: &Person) -> Value {
    let message = format!("Connected successfully as {}", person.username);
    json!({"type": "connection_established", "message": message, "user_id": person.id})
}

/// Where `tests/run.sh` puts what it installs: beside what cargo builds.
pub fn tools() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("test-tools")
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// Starts a front end that prints what it says and reads what its user does.
fn run(
    mut command: Command,
    arguments: &[&str],
    sayer: mpsc::UnboundedSender<Value>,
    mut done: mpsc::UnboundedReceiver<Value>,
) -> Option<Child> {
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let program = command.as_std().get_program().to_string_lossy();
            skipped(&format!("{program} cannot be started ({error})"));
            return None;
        }
    };
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            let said = serde_json::from_str(&line).unwrap_or_else(|_| panic!("it said {line:?}"));
            let _ = sayer.send(said);
        }
    });
    let mut hand = child.stdin.take().unwrap();
    tokio::spawn(async move {
        while let Some(gesture) = done.recv().await {
            // A test that waits for output notices a front end that has ended.
            let _ = hand.write_all(format!("{gesture}\n").as_bytes()).await;
        }
    });
    Some(child)
}
