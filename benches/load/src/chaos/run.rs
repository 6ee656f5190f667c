//! One schedule: from empty services to the checker's findings.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::arena::{Arena, Site};
use super::check::{self, Facts, Inbox};
use super::client::Client;
use super::family::Family;
use super::fault::FaultKind;
use super::finding::Findings;
use super::ledger::Ledger;
use super::people::{Follows, Live, People, Phase, Shared};
use super::schedule::{Draw, schedule};
use super::sent::SentLog;
use super::view::Seen;
use super::writer::Writer;
use super::{lists, presence};
use crate::LoadError;

/// After the last fault presence has this long to be right.
const SETTLE: Duration = Duration::from_secs(15);
/// How long clients may take to catch up: each node compares with the store every 30 s.
const CATCH_UP: Duration = Duration::from_secs(60);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(250);

/// What a schedule is.
#[derive(Debug, Clone)]
pub struct Plan {
    /// All random choices of the schedule come from it.
    pub seed: u64,
    /// How many nodes there are.
    pub nodes: usize,
    /// Which faults happen.
    pub faults: Vec<FaultKind>,
    /// How many of them.
    pub count: usize,
    /// How many clients listen.
    pub clients: usize,
    /// How many writers write.
    pub writers: usize,
    /// No fault begins later than this after the nodes were ready.
    pub time: Duration,
}

/// How a schedule went.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The faults that happened, by kind and number.
    pub faults: Vec<(FaultKind, u64)>,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Requests whose answer was lost.
    pub unanswered: u64,
    /// Frames of notifications that clients were sent.
    pub frames: u64,
    /// Sockets that were opened.
    pub sockets: u64,
    /// What is wrong.
    pub findings: Findings,
    /// What was not expected, and is no loss.
    pub surprises: Vec<String>,
    /// The last lines of the nodes' logs, where something is wrong.
    pub logs: String,
}

impl Outcome {
    /// How many faults happened.
    #[must_use]
    pub fn fault_count(&self) -> u64 {
        self.faults.iter().map(|(_, count)| count).sum()
    }
}

/// The running tasks of a schedule.
#[derive(Debug)]
pub(super) struct Tasks {
    phase: watch::Sender<Phase>,
    shared: Shared,
    pub(super) clients: JoinSet<Seen>,
    pub(super) writers: JoinSet<Ledger>,
}

/// Runs a schedule on a site, with its files in `folder`; `say` is given a line for each fault and
/// stage.
///
/// # Errors
/// A service or a node does not start, or does not start again.
pub async fn run(
    plan: &Plan,
    site: &mut Site,
    folder: &Path,
    mut say: impl FnMut(&str),
) -> Result<Outcome, LoadError> {
    let (mut arena, people) = Arena::start(site, folder, plan.nodes, plan.clients).await?;
    say(&format!("{} nodes are ready", plan.nodes));
    let begun = Instant::now();
    let mut tasks = Tasks::start(plan, &people, arena.addresses(), None);
    let mut outcome = Outcome::default();
    let storm = storm(plan, begun, &mut arena, &mut outcome, &mut say).await;
    if let Err(error) = storm {
        return Err(LoadError::Failed(format!("{error}\n{}", arena.logs())));
    }
    say("the last fault is over");
    tasks.to(Phase::Settling);
    sleep(SETTLE).await;
    let boards = presence::check(&tasks.shared, &people.checker, &mut outcome.findings).await;
    say(&format!("{boards} boards of presence were compared"));
    tasks.to(Phase::Quiet);
    let mut ledger = Ledger::default();
    while let Some(of_one) = tasks.writers.join_next().await {
        ledger.merge(of_one.map_err(|error| LoadError::failed(error.to_string()))?);
    }
    say(&format!("{} writes were acknowledged", ledger.acknowledged()));
    let mut rng = Rng::with_seed(plan.seed);
    let tickets = ledger.tickets.iter().filter_map(|ticket| ticket.id).collect();
    let facts = lists::facts(&tasks.shared, &people, tickets, &mut rng).await?;
    caught_up(&tasks.shared, &facts).await;
    tasks.to(Phase::Over);
    say("the store was read, and clients have caught up");
    let deleted = ledger.deleted();
    while let Some(seen) = tasks.clients.join_next().await {
        let seen = seen.map_err(|error| LoadError::failed(error.to_string()))?;
        judge(seen, &facts, &deleted, &mut outcome);
    }
    outcome.findings.merge(check::check(&ledger, &facts));
    outcome.seconds = begun.elapsed().as_secs();
    outcome.acknowledged = ledger.acknowledged();
    outcome.unanswered = ledger.unanswered;
    outcome.surprises.extend(ledger.surprises);
    outcome.surprises.append(&mut arena.surprises);
    if !outcome.findings.is_empty() {
        outcome.logs = arena.logs();
    }
    Ok(outcome)
}

/// Lets the faults happen.
async fn storm(
    plan: &Plan,
    begun: Instant,
    arena: &mut Arena<'_>,
    outcome: &mut Outcome,
    say: &mut impl FnMut(&str),
) -> Result<(), LoadError> {
    let draw = Draw {
        seed: plan.seed,
        kinds: &plan.faults,
        nodes: plan.nodes,
        count: plan.count,
        time: plan.time,
    };
    for fault in schedule(&draw) {
        if begun.elapsed() + fault.after > plan.time {
            say("the time is over");
            break;
        }
        arena.suffer(&fault).await?;
        match outcome.faults.iter_mut().find(|(one, _)| *one == fault.kind) {
            Some((_, count)) => *count += 1,
            None => outcome.faults.push((fault.kind, 1)),
        }
        let (count, at) = (outcome.fault_count(), begun.elapsed().as_secs());
        say(&format!("{at:>4} s: fault {count}: {fault}"));
    }
    arena.recover().await
}

impl Tasks {
    /// Starts clients and writers at these addresses, with a log of what clients are sent.
    pub(super) fn start(
        plan: &Plan,
        people: &People,
        addresses: Vec<SocketAddr>,
        sent: Option<Arc<SentLog>>,
    ) -> Self {
        let (sender, phase) = watch::channel(Phase::Storm);
        let mut shared = Shared::new(addresses, phase);
        if let Some(sent) = sent {
            shared = shared.logged(sent);
        }
        let mut rng = Rng::with_seed(plan.seed);
        let mut clients = JoinSet::new();
        let listeners: Vec<_> = people.listeners().cloned().collect();
        for (number, person) in listeners.iter().cycle().take(plan.clients).enumerate() {
            // Another family for each of a user's clients.
            let family = Family::of(number + number / listeners.len());
            let client = Client {
                number,
                family,
                person: person.clone(),
                has_cursor: rng.bool(),
                shared: shared.clone(),
                rng: rng.fork(),
            };
            clients.spawn(client.run());
        }
        let mut writers = JoinSet::new();
        for number in 0..plan.writers {
            let writer = Writer {
                number,
                people: people.clone(),
                shared: shared.clone(),
                rng: rng.fork(),
                ledger: Ledger::default(),
                count: 0,
            };
            // Each of them marks another user's rows; most users' are never marked.
            let marked = listeners.get(number / 5 * 7).cloned();
            match (number % 5, marked) {
                (3, _) => writers.spawn(writer.sends()),
                (4, Some(user)) => writers.spawn(writer.marks(user)),
                (_, _) => writers.spawn(writer.lives()),
            };
        }
        Self { phase: sender, shared, clients, writers }
    }

    /// Goes on to a phase.
    pub(super) fn to(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }
}

/// Waits until each open client has seen its inbox' last row, or the time for that is over.
async fn caught_up(shared: &Shared, facts: &Facts) {
    let deadline = Instant::now() + CATCH_UP;
    let last = |client: &Live| {
        let inbox = facts.inboxes.get(&client.user);
        inbox.map_or(0, |inbox| match client.follows {
            Follows::Nothing => 0,
            Follows::Entries => inbox.rows.last().map_or(0, |row| row.seq),
            Follows::Changes => inbox.head,
        })
    };
    while Instant::now() < deadline {
        let live = shared.live().clone();
        if live.values().all(|client| client.is_open && client.last >= last(client)) {
            return;
        }
        sleep(LOOK).await;
    }
}

/// Compares what a client saw with the store.
fn judge(seen: Seen, facts: &Facts, deleted: &HashMap<u64, u64>, outcome: &mut Outcome) {
    let errors = match seen {
        Seen::Entries(view) => {
            let rows = facts.inboxes.get(&view.user).map(Inbox::by_number);
            view.check(&rows.unwrap_or_default(), deleted, &mut outcome.findings);
            outcome.frames += count(view.sockets.iter().map(Vec::len).sum());
            outcome.sockets += count(view.sockets.len());
            view.errors
        }
        Seen::Changes(view) => {
            let rows = facts.inboxes.get(&view.user).map(Inbox::by_number);
            view.check(&rows.unwrap_or_default(), &mut outcome.findings);
            outcome.frames += count(view.sockets.iter().map(Vec::len).sum());
            outcome.sockets += count(view.sockets.len());
            view.errors
        }
        Seen::Board(view) => {
            outcome.findings.merge(view.findings);
            view.errors
        }
    };
    outcome.surprises.extend(errors.into_iter().take(2));
}

fn count(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}
