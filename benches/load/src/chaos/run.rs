//! One schedule: from empty services to the checker's findings.

use std::collections::{HashMap, HashSet};
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
use super::ledger::Ledger;
use super::outcome::Outcome;
use super::people::{Follows, Live, People, Phase, Places, Shared};
use super::plan::Plan;
use super::schedule::schedule;
use super::sent::SentLog;
use super::tables::Tables;
use super::view::Seen;
use super::writer::Writer;
use super::{deliveries, lists, presence};
use crate::LoadError;

/// After the last fault presence has this long to be right: what a node that does not answer said
/// is valid for 15 s.
const SETTLE: Duration = Duration::from_secs(25);
/// How long clients may take to catch up: each node compares with the store every 30 s.
const CATCH_UP: Duration = Duration::from_secs(60);
/// In this time each node has compared with the store, and each client is told what it lacks.
const COMPARED: Duration = Duration::from_secs(40);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(250);

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
    let (mut arena, people) = Arena::start(site, folder, plan).await?;
    say(&format!("{} nodes are ready", plan.nodes));
    let begun = Instant::now();
    let mut tasks = Tasks::start(plan, &people, arena.places(), None);
    let mut outcome = Outcome::default();
    let storm = storm(plan, begun, &mut arena, &mut outcome, &mut say).await;
    if let Err(error) = storm {
        return Err(LoadError::Failed(format!("{error}\n{}", arena.logs())));
    }
    say("the last fault is over");
    tasks.to(Phase::Settling);
    let (boards, ghosts) = presence::settled(&tasks.shared, &people.checker, SETTLE).await;
    outcome.findings.merge(ghosts);
    say(&format!("{boards} boards of presence were compared"));
    tasks.to(Phase::Quiet);
    let mut ledger = Ledger::default();
    while let Some(of_one) = tasks.writers.join_next().await {
        ledger.merge(of_one.map_err(|error| LoadError::failed(error.to_string()))?);
    }
    ledger.may_lose(&arena.lags);
    let is_lossy = !arena.lags.is_empty();
    say(&format!("{} writes were acknowledged", ledger.acknowledged()));
    let mut rng = Rng::with_seed(plan.seed);
    let tickets = ledger.tickets.iter().filter_map(|ticket| ticket.id).collect();
    let mut facts = lists::facts(&tasks.shared, &people, tickets, &mut rng).await?;
    // A promoted standby is another timeline, and so another epoch, even where nothing is lost.
    facts.may_leap =
        is_lossy || outcome.faults.iter().any(|(kind, _)| *kind == FaultKind::Failover);
    let behind = caught_up(&tasks.shared, &facts, is_lossy).await;
    tasks.to(Phase::Over);
    say(&format!("the store was read, and {} clients have not caught up", behind.len()));
    behind.iter().for_each(|client| say(client));
    deliver(plan, &tasks.shared, &people, &ledger, &facts, &arena, &mut outcome).await?;
    say(&format!("{} calls of webhooks were compared", outcome.checked.calls));
    let deleted = ledger.deleted();
    while let Some(seen) = tasks.clients.join_next().await {
        let seen = seen.map_err(|error| LoadError::failed(error.to_string()))?;
        judge(seen, &facts, &deleted, is_lossy, &mut outcome);
    }
    outcome.findings.merge(check::check(&ledger, &facts));
    arena.stop().await?;
    let tables = Tables::read(&arena.database).await?;
    tables.check(&ledger, &facts, &mut outcome.findings);
    outcome.checked.rows = tables.rows;
    say(&format!("{} rows of tables were compared", tables.rows));
    outcome.checked.boards = count(boards);
    outcome.compared(&ledger, &facts);
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

/// Compares the calls of webhooks with the inboxes that they tell of. What an inbox is owed cannot
/// be told where rows were deleted from it.
async fn deliver(
    plan: &Plan,
    shared: &Shared,
    people: &People,
    ledger: &Ledger,
    facts: &Facts,
    arena: &Arena<'_>,
    outcome: &mut Outcome,
) -> Result<(), LoadError> {
    let deleters: HashSet<u64> = ledger.deleted().into_values().collect();
    let hooked: Vec<u64> = people.hooked().iter().map(|person| person.id).collect();
    let users: Vec<u64> = hooked.into_iter().filter(|user| !deleters.contains(user)).collect();
    let owed = deliveries::owed(&users, facts);
    let (patience, may_be_queued) = deliveries::patience(plan, &outcome.faults);
    deliveries::settled(arena.calls(), &owed, patience).await;
    let queued = match may_be_queued {
        true => {
            let mut rng = Rng::with_seed(plan.seed);
            deliveries::queued(shared, &people.checker, &mut rng).await?
        }
        false => HashSet::new(),
    };
    let mut calls = arena.calls().so_far();
    calls.retain(|call| users.contains(&call.user));
    let may_repeat = outcome.faults.iter().any(|(kind, _)| deliveries::loses_answers(*kind));
    let delivered = deliveries::Delivered {
        calls: &calls,
        queued: &queued,
        may_repeat,
        is_lossy: !arena.lags.is_empty(),
    };
    deliveries::check(&delivered, &owed, &mut outcome.findings);
    outcome.checked.deliveries = count(owed.len());
    outcome.checked.calls = count(calls.len());
    Ok(())
}

/// Lets the faults happen.
async fn storm(
    plan: &Plan,
    begun: Instant,
    arena: &mut Arena<'_>,
    outcome: &mut Outcome,
    say: &mut impl FnMut(&str),
) -> Result<(), LoadError> {
    for fault in schedule(plan) {
        if begun.elapsed() + fault.after > plan.time {
            say("the time is over");
            break;
        }
        arena.suffer(&fault).await?;
        outcome.happened(fault.kind);
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
        places: Places,
        sent: Option<Arc<SentLog>>,
    ) -> Self {
        let (sender, phase) = watch::channel(Phase::Storm);
        let mut shared = Shared::new(places, phase, plan.is_short());
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

/// Waits until each open client has seen its inbox' last row, or the time for that is over: those
/// that have not, in words.
async fn caught_up(shared: &Shared, facts: &Facts, is_lossy: bool) -> Vec<String> {
    if is_lossy {
        // Where numbers are given again, the highest that a client saw says nothing.
        sleep(COMPARED).await;
        return Vec::new();
    }
    let deadline = Instant::now() + CATCH_UP;
    let last = |client: &Live| {
        let inbox = facts.inboxes.get(&client.user);
        inbox.map_or(0, |inbox| match client.follows {
            Follows::Nothing => 0,
            Follows::Entries => inbox.rows.last().map_or(0, |row| row.seq),
            Follows::Changes => inbox.head,
        })
    };
    loop {
        let live = shared.live().clone();
        let is_behind = |client: &Live| !client.is_open || client.last < last(client);
        let behind = live.iter().filter(|(_, client)| is_behind(client));
        let behind: Vec<String> = behind
            .map(|(number, client)| {
                let place = if client.is_open { "open" } else { "not connected" };
                format!("client {number}: {place}, at {} of {}", client.last, last(client))
            })
            .collect();
        if behind.is_empty() || Instant::now() >= deadline {
            return behind;
        }
        sleep(LOOK).await;
    }
}

/// Compares what a client saw with the store.
fn judge(
    seen: Seen,
    facts: &Facts,
    deleted: &HashMap<u64, u64>,
    is_lossy: bool,
    outcome: &mut Outcome,
) {
    seen.check_refusals(&mut outcome.findings);
    let errors = match seen {
        Seen::Entries(view) => {
            let rows = facts.inboxes.get(&view.user).map(Inbox::by_number);
            let rows = rows.unwrap_or_default();
            view.check(&rows, deleted, is_lossy, &mut outcome.findings);
            outcome.checked.frames += count(view.sockets.iter().map(Vec::len).sum());
            outcome.checked.sockets += count(view.sockets.len());
            view.errors
        }
        Seen::Changes(mut view) => {
            if facts.may_leap {
                view.resets = 0;
            }
            let rows = facts.inboxes.get(&view.user).map(Inbox::by_number);
            view.check(&rows.unwrap_or_default(), is_lossy, &mut outcome.findings);
            outcome.checked.frames += count(view.sockets.iter().map(Vec::len).sum());
            outcome.checked.sockets += count(view.sockets.len());
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
