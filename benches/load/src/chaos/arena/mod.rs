//! The nodes of a schedule, and what happens to them.
//!
//! What begins a fault that lasts is undone later ([`faults`]): meanwhile other faults happen.

mod actors;
mod copies;
mod failover;
mod faults;
mod forger;
mod garbage;
mod inner;
mod lines;
mod receiver;
mod site;

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use self::copies::Copies;
use self::faults::Undo;
use self::inner::Inner;
use self::lines::Lines;
use self::receiver::Receiver;
pub(super) use self::receiver::{Call, CallAnswer, Calls};
use self::site::Backing;
pub use self::site::Site;
use super::manner::Pace;
use super::people::{People, Places, Tempo};
use super::plan::Plan;
use super::request::{Outcome, Request, shown};
use crate::LoadError;
use crate::cluster::{NodeOptions, Nodes};
use crate::spawn::{UNLIMITED, accounts, secret};

/// Over how long a terminated node spreads its clients' return, in milliseconds.
const DRAIN_WINDOW_MS: &str = "1000";
/// The most connections of a node: a hub warns of more than the files that it may open.
const CONNECTIONS_MAX: &str = "10000";
/// Settings that make what takes long happen within a schedule: a hub's pings and its patience with
/// silent sockets, and the attempts of deliveries, of which ten take two minutes.
const QUICK: [(&str, &str); 4] = [
    ("BELLPULL_WS_PING_AFTER_S", "3"),
    ("BELLPULL_WS_SILENT_MAX_S", "8"),
    ("BELLPULL_RETRY_BASE_MS", "250"),
    ("BELLPULL_RETRY_ATTEMPTS", "10"),
];
/// How long a node may take to end after SIGTERM.
const DRAIN: Duration = Duration::from_secs(30);
/// How long a webhook may take to be created.
const PATIENCE: Duration = Duration::from_secs(10);

/// The nodes, and what they run on. The fields end in this order.
#[derive(Debug)]
pub(super) struct Arena<'a> {
    /// Between clients and nodes, by node.
    lines: Vec<Lines>,
    /// Whom webhooks call.
    receiver: Receiver,
    nodes: Nodes,
    backing: Backing<'a>,
    /// The disk and the clock of one node; after the node.
    inner: Inner,
    /// What the nodes run, for others that run the same.
    options: NodeOptions,
    /// The database's URL, on a way without faults.
    pub(super) database: String,
    /// Nodes on a copy of the database.
    copies: Option<Copies>,
    /// How fast writers write, and what they are told.
    pace: watch::Sender<Pace>,
    tempo: Tempo,
    /// When what was acknowledged may be lost.
    pub(super) lags: Vec<Range<usize>>,
    /// Whom the others know.
    people: People,
    /// What is undone, and when.
    pending: Vec<(Instant, Undo)>,
    /// Nodes that ended otherwise than they should.
    pub(super) surprises: Vec<String>,
}

impl<'a> Arena<'a> {
    /// Starts everything, with accounts for so many clients. The nodes' logs, and one node's
    /// database, lie in `folder`.
    ///
    /// # Errors
    /// A service or a node does not start.
    pub(super) async fn start(
        site: &'a mut Site,
        folder: &Path,
        plan: &Plan,
    ) -> Result<(Self, People), LoadError> {
        let (count, clients) = (plan.nodes, plan.clients);
        let program = site.program.clone();
        let inner = Inner::new(&plan.faults, folder)?;
        let (backing, urls) = site.backing(plan, inner.folder(folder)).await?;
        let secret = secret()?;
        let roster = People::roster(clients);
        let made = accounts(&program, &urls.direct, &secret, &roster).await?;
        let people = People::of(&roster, &made)?;
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut settings: Vec<(String, String)> = UNLIMITED.into_iter().map(own).collect();
        settings.push(own(("BELLPULL_JWT_SECRET", &secret)));
        settings.push(own(("BELLPULL_WS_MAX_CONNECTIONS", CONNECTIONS_MAX)));
        settings.push(own(("BELLPULL_DRAIN_WINDOW_MS", DRAIN_WINDOW_MS)));
        settings.push(own(("BELLPULL_DRAIN_NOTICE_MS", "0")));
        settings.push(own(("BELLPULL_WEBHOOK_ALLOW_PRIVATE", "true")));
        settings.extend(QUICK.into_iter().map(own));
        settings.extend(inner.settings());
        let options = NodeOptions {
            program: Some(program),
            database: urls.database,
            redis: urls.redis,
            settings,
            prefix: String::new(),
            directory: Some(folder.to_owned()),
            logs: Some(folder.to_owned()),
        };
        let nodes = Nodes::start(&options, count).await?;
        let receiver = Receiver::start().await?;
        let mut lines = Vec::new();
        for node in nodes.addresses() {
            lines.push(Lines::to(node).await?);
        }
        let (pace, told) = watch::channel(Pace::Usual);
        let arena = Self {
            lines,
            receiver,
            nodes,
            backing,
            inner,
            options,
            database: urls.direct,
            copies: None,
            pace,
            tempo: Tempo::new(told),
            lags: Vec::new(),
            people: people.clone(),
            pending: Vec::new(),
            surprises: Vec::new(),
        };
        arena.hook(&people).await?;
        Ok((arena, people))
    }

    /// Creates the webhooks.
    async fn hook(&self, people: &People) -> Result<(), LoadError> {
        for person in people.hooked() {
            let body = json!({"url": self.receiver.url(person.id)});
            let request = Request::post("/api/webhooks/", &person.token, &body);
            match request.send(self.nodes[0].address(), PATIENCE).await {
                Outcome::Answered(201, _) => {}
                Outcome::Answered(status, body) => {
                    let text = format!("a webhook: {}", shown(status, &body));
                    return Err(LoadError::Failed(text));
                }
                Outcome::NotDone(error) | Outcome::Unknown(error) => {
                    return Err(LoadError::Failed(format!("a webhook: {error}")));
                }
            }
        }
        Ok(())
    }

    /// Where the nodes are.
    pub(super) fn places(&self) -> Places {
        let lines = self.lines.iter().map(Lines::address).collect();
        Places { nodes: self.nodes.addresses(), lines, tempo: self.tempo.clone() }
    }

    /// The calls of webhooks.
    pub(super) fn calls(&self) -> &Calls {
        self.receiver.calls()
    }

    /// Ends all nodes in order, after which the database has everything in its tables.
    ///
    /// # Errors
    /// One does not end.
    pub(super) async fn stop(&mut self) -> Result<(), LoadError> {
        for node in self.nodes.iter().filter(|node| node.pid().is_some()) {
            node.terminate()?;
        }
        for (n, node) in self.nodes.iter_mut().enumerate().filter(|(_, one)| one.pid().is_some()) {
            let status = node.exited(DRAIN).await?;
            if !status.success() {
                self.surprises.push(format!("node {n} ended with {status} at the end"));
            }
        }
        Ok(())
    }

    /// The last lines of all nodes' logs.
    pub(super) fn logs(&self) -> String {
        let logs = self.nodes.iter().map(|node| format!("{}:\n{}\n", node.name(), node.log_tail()));
        logs.collect()
    }
}
