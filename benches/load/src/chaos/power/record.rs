//! A hub at work, on a disk that records.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::super::ledger::Ledger;
use super::super::people::{People, Phase, Places};
use super::super::plan::Plan;
use super::super::run::Tasks;
use super::super::sent::{SentFrames, SentLog};
use super::{FILE, PowerPlan, hub};
use crate::LoadError;
use crate::cluster::Nodes;
use crate::disk::{Disk, Faults, Recording};
use crate::spawn::{accounts, own_binary, secret};

/// How long the hub may take to end after SIGTERM.
const DRAIN: Duration = Duration::from_secs(30);

/// As many users as that many clients have: 40, so that an announcement to all has more recipients
/// than its inbox rows are written for at once.
const ROSTER: usize = 160;

/// What was recorded.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) recording: Recording,
    pub(super) ledger: Ledger,
    pub(super) sent: SentFrames,
    pub(super) people: People,
    /// Signs the tokens.
    pub(super) secret: String,
    /// The operations that had made all accounts.
    pub(super) accounts_at: usize,
    /// The operations before each start and each end of the hub.
    pub(super) moments: Vec<usize>,
}

/// Lets writers write and clients listen for the plan's time, with a restart after a third of it,
/// and a kill after two thirds.
pub(super) async fn record(plan: &PowerPlan) -> Result<Recorded, LoadError> {
    let disk = Disk::recorded()?;
    let secret = secret()?;
    let program = plan.program.clone().map_or_else(own_binary, Ok)?;
    let database = format!("sqlite://{}", disk.path().join(FILE).display());
    let roster = People::roster(ROSTER);
    let made = accounts(&program, &database, &secret, &roster).await?;
    let people = People::of(&roster, &made)?;
    let accounts_at = disk.operations();
    let mut nodes = Nodes::start(&hub(plan, disk.path(), &secret)?, 1).await?;
    disk.set(Faults { has_false_syncs: plan.has_false_syncs, ..Faults::default() });
    let mut moments = vec![accounts_at];
    let sent = Arc::new(SentLog::new(disk.counter()));
    let load = load(plan);
    let mut tasks =
        Tasks::start(&load, &people, Places::direct(nodes.addresses()), Some(Arc::clone(&sent)));
    let third = plan.time / 3;
    sleep(third).await;
    moments.push(disk.operations());
    nodes[0].terminate()?;
    nodes[0].exited(DRAIN).await?;
    moments.push(disk.operations());
    nodes[0].start().await?;
    sleep(third).await;
    nodes[0].kill().await?;
    moments.push(disk.operations());
    nodes[0].start().await?;
    sleep(third).await;
    tasks.to(Phase::Quiet);
    let mut ledger = Ledger::default();
    while let Some(of_one) = tasks.writers.join_next().await {
        ledger.merge(of_one.map_err(|error| LoadError::failed(error.to_string()))?);
    }
    tasks.to(Phase::Over);
    while tasks.clients.join_next().await.is_some() {}
    moments.push(disk.operations());
    nodes[0].terminate()?;
    nodes[0].exited(DRAIN).await?;
    let recording = disk.take_recording();
    let sent = sent.take();
    Ok(Recorded { recording, ledger, sent, people, secret, accounts_at, moments })
}

/// The writers and clients; no schedule of faults is theirs.
fn load(plan: &PowerPlan) -> Plan {
    Plan {
        seed: plan.seed,
        nodes: 1,
        faults: Vec::new(),
        count: 0,
        clients: plan.clients,
        writers: plan.writers,
        time: plan.time,
    }
}
