//! The nodes of a schedule, and what happens to them.
//!
//! What begins a fault that lasts is undone later ([`Undo`]): meanwhile other faults happen.

mod actors;
mod lines;
mod receiver;
mod site;

use std::path::Path;
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use self::lines::Lines;
use self::receiver::Receiver;
pub(super) use self::receiver::{Call, CallAnswer, Calls};
use self::site::Backing;
pub use self::site::Site;
use super::fault::{Fault, FaultKind, HALF_OPEN, SLOW, line};
use super::manner::{Flow, Manner};
use super::people::{People, Places};
use super::request::{Outcome, Request, shown};
use crate::LoadError;
use crate::cluster::{NodeOptions, Nodes, Proxy, Services};
use crate::spawn::{UNLIMITED, accounts, secret};

/// How long a node may take to end after SIGTERM.
const DRAIN: Duration = Duration::from_secs(30);
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
/// How long a webhook may take to be created.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether a node is free for a fault.
const LOOK: Duration = Duration::from_millis(200);

/// The nodes, and what they run on. The fields end in this order.
#[derive(Debug)]
pub(super) struct Arena<'a> {
    /// Between clients and nodes, by node.
    lines: Vec<Lines>,
    /// Whom webhooks call.
    receiver: Receiver,
    nodes: Nodes,
    backing: Backing<'a>,
    /// What is undone, and when.
    pending: Vec<(Instant, Undo)>,
    /// A super admin's token.
    token: String,
    /// Nodes that ended otherwise than they should.
    pub(super) surprises: Vec<String>,
}

/// The end of a fault that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Undo {
    /// A frozen node is woken.
    Wake(usize),
    /// Redis is started again.
    Redis,
    /// A share of the lines to a node carries everything again, or is cut.
    Line { node: usize, lane: usize, is_cut: bool },
    /// The provider accepts calls again.
    Provider,
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
        count: usize,
        clients: usize,
    ) -> Result<(Self, People), LoadError> {
        let program = site.program.clone();
        let (backing, urls) = site.backing(count, folder).await?;
        let secret = secret()?;
        let roster = People::roster(clients);
        let made = accounts(&program, &urls.direct, &secret, &roster).await?;
        let people = People::of(&roster, &made)?;
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut settings: Vec<(String, String)> = UNLIMITED.into_iter().map(own).collect();
        settings.push(own(("BELLPULL_JWT_SECRET", &secret)));
        settings.push(own(("BELLPULL_WS_MAX_CONNECTIONS", CONNECTIONS_MAX)));
        settings.push(own(("BELLPULL_DRAIN_WINDOW_MS", DRAIN_WINDOW_MS)));
        settings.push(own(("BELLPULL_WEBHOOK_ALLOW_PRIVATE", "true")));
        settings.extend(QUICK.into_iter().map(own));
        let options = NodeOptions {
            program: Some(program),
            database: urls.database,
            redis: urls.redis,
            settings,
            directory: Some(folder.to_owned()),
            logs: Some(folder.to_owned()),
        };
        let nodes = Nodes::start(&options, count).await?;
        let receiver = Receiver::start().await?;
        let mut lines = Vec::new();
        for node in nodes.addresses() {
            lines.push(Lines::to(node).await?);
        }
        let (pending, surprises) = (Vec::new(), Vec::new());
        let token = people.checker.token.clone();
        let arena = Self { lines, receiver, nodes, backing, pending, token, surprises };
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
        Places { nodes: self.nodes.addresses(), lines }
    }

    /// The calls of webhooks.
    pub(super) fn calls(&self) -> &Calls {
        self.receiver.calls()
    }

    /// Lets a fault happen, after its pause.
    ///
    /// # Errors
    /// What was stopped does not start again.
    pub(super) async fn suffer(&mut self, fault: &Fault) -> Result<(), LoadError> {
        self.pass(fault.after).await?;
        match fault.kind {
            FaultKind::Kill => {
                let node = self.free(fault.target).await?;
                self.nodes[node].kill().await?;
                self.pass(fault.time).await?;
                self.nodes[node].start().await
            }
            FaultKind::Freeze => {
                let node = self.free(fault.target).await?;
                self.nodes[node].freeze()?;
                self.undo_after(fault.time, Undo::Wake(node));
                Ok(())
            }
            FaultKind::Rolling => self.roll().await,
            FaultKind::Redis => {
                self.services()?.redis.kill().await?;
                self.pending.retain(|(_, undo)| *undo != Undo::Redis);
                self.undo_after(fault.time, Undo::Redis);
                Ok(())
            }
            FaultKind::Postgres => self.services()?.postgres.restart().await,
            FaultKind::Cut => {
                self.proxy()?.cut(fault.target);
                Ok(())
            }
            FaultKind::Panic => {
                let node = self.free(fault.target % self.nodes.len().max(1)).await?;
                let mut rng = Rng::with_seed(u64::try_from(fault.target).unwrap_or_default());
                let node = &self.nodes[node];
                let found = actors::kill(node.address(), node.name(), &self.token, &mut rng).await;
                self.surprises.extend(found);
                Ok(())
            }
            FaultKind::Slow => {
                let (node, lane, flow) = line(fault.target, &SLOW);
                self.disturb(node, lane, flow, false, fault.time);
                Ok(())
            }
            FaultKind::HalfOpen => {
                let (node, lane, (flow, is_cut)) = line(fault.target, &HALF_OPEN);
                self.disturb(node, lane, flow, is_cut, fault.time);
                Ok(())
            }
            FaultKind::Provider => {
                self.receiver.set(Manner::FAULTS[fault.target % Manner::FAULTS.len()]);
                self.pending.retain(|(_, undo)| *undo != Undo::Provider);
                self.undo_after(fault.time, Undo::Provider);
                Ok(())
            }
        }
    }

    /// A share of the lines to a node carries only this for a time; an earlier fault of that share
    /// ends.
    fn disturb(&mut self, node: usize, lane: usize, flow: Flow, is_cut: bool, time: Duration) {
        let Some(lines) = self.lines.get(node) else { return };
        lines.set(lane, flow);
        self.pending.retain(|(_, undo)| {
            !matches!(undo, Undo::Line { node: one, lane: other, .. } if (*one, *other) == (node, lane))
        });
        self.undo_after(time, Undo::Line { node, lane, is_cut });
    }

    /// Restarts one node after the other, but those that are frozen.
    async fn roll(&mut self) -> Result<(), LoadError> {
        for node in 0..self.nodes.len() {
            if self.is_frozen(node) && self.nodes.len() > 1 {
                continue;
            }
            let node = self.free(node).await?;
            self.nodes[node].terminate()?;
            let status = self.nodes[node].exited(DRAIN).await?;
            if !status.success() {
                let text = format!("node {node} ended with {status} after SIGTERM");
                self.surprises.push(text);
            }
            self.nodes[node].start().await?;
        }
        Ok(())
    }

    fn services(&mut self) -> Result<&mut Services, LoadError> {
        match &mut self.backing {
            Backing::Services { services, .. } => Ok(services),
            Backing::File => Err(LoadError::failed("one node has no services")),
        }
    }

    fn proxy(&self) -> Result<&Proxy, LoadError> {
        match &self.backing {
            Backing::Services { proxy, .. } => Ok(proxy),
            Backing::File => Err(LoadError::failed("one node has no services")),
        }
    }

    /// Waits until every fault is over and all nodes are ready.
    ///
    /// # Errors
    /// A node does not become ready.
    pub(super) async fn recover(&mut self) -> Result<(), LoadError> {
        while let Some(end) = self.pending.iter().map(|(end, _)| *end).max() {
            sleep_until(end).await;
            self.end_due().await?;
        }
        for node in self.nodes.iter_mut() {
            node.until_ready().await?;
        }
        Ok(())
    }

    /// That node, or the next one that is not frozen; of several, one must be left for the clients.
    async fn free(&mut self, node: usize) -> Result<usize, LoadError> {
        let count = self.nodes.len();
        let frozen = |arena: &Self| (0..count).filter(|node| arena.is_frozen(*node)).count();
        while frozen(self) + 1 >= count.max(2) {
            self.pass(LOOK).await?;
        }
        let next = (0..count).map(|n| (node + n) % count).find(|node| !self.is_frozen(*node));
        next.ok_or_else(|| LoadError::failed("all nodes are frozen"))
    }

    fn is_frozen(&self, node: usize) -> bool {
        self.pending.iter().any(|(_, undo)| *undo == Undo::Wake(node))
    }

    fn undo_after(&mut self, time: Duration, undo: Undo) {
        self.pending.push((Instant::now() + time, undo));
    }

    /// Lets time pass, in which faults end.
    async fn pass(&mut self, time: Duration) -> Result<(), LoadError> {
        let end = Instant::now() + time;
        loop {
            self.end_due().await?;
            let next = self.pending.iter().map(|(end, _)| *end).min();
            match next.filter(|next| *next < end) {
                Some(next) => sleep_until(next).await,
                None => {
                    sleep(end.saturating_duration_since(Instant::now())).await;
                    return self.end_due().await;
                }
            }
        }
    }

    async fn end_due(&mut self) -> Result<(), LoadError> {
        let now = Instant::now();
        let is_due = |(end, _): &mut (Instant, Undo)| *end <= now;
        let due: Vec<(Instant, Undo)> = self.pending.extract_if(.., is_due).collect();
        for (_, undo) in due {
            match undo {
                Undo::Wake(node) => self.nodes[node].wake()?,
                Undo::Redis => self.services()?.redis.resume().await?,
                Undo::Line { node, lane, is_cut } => {
                    if let Some(lines) = self.lines.get(node) {
                        lines.set(lane, Flow::Free);
                        if is_cut {
                            lines.cut(lane);
                        }
                    }
                }
                Undo::Provider => self.receiver.set(Manner::Well),
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
