//! A hub on the disk as it is found after a cut.

use std::time::Duration;

use fastrand::Rng;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;

use super::super::check;
use super::super::finding::{Findings, Wrong};
use super::super::ledger::Ledger;
use super::super::lists;
use super::super::people::{Phase, Places, Shared};
use super::super::request::{Outcome, Request, shown};
use super::cuts::Cut;
use super::record::Recorded;
use super::{FILE, PowerPlan, hub};
use crate::LoadError;
use crate::cluster::Nodes;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many acknowledged sends are sent again with their keys.
const REPEATS: usize = 5;

/// What was found after a cut.
#[derive(Debug)]
pub(super) struct After {
    pub(super) cut: Cut,
    /// The disk.
    pub(super) folder: TempDir,
    pub(super) findings: Findings,
    /// The acknowledged writes that were looked for.
    pub(super) compared: u64,
}

/// Starts a hub, compares what it has with what was acknowledged and sent before the cut, and looks
/// for damage.
pub(super) async fn after(
    plan: &PowerPlan,
    recorded: &Recorded,
    cut: Cut,
    folder: TempDir,
) -> After {
    let mut findings = Findings::default();
    let ledger = recorded.ledger.until(cut.at);
    let compared = match cut.at < recorded.accounts_at {
        true => 0,
        false => ledger.acknowledged(),
    };
    if let Err(error) = compare(plan, recorded, &ledger, cut, &folder, &mut findings).await {
        findings.add(Wrong::Lost, || error.to_string());
    }
    let (inspect, file) = (plan.inspect, folder.path().join(FILE));
    let inspected = tokio::task::spawn_blocking(move || inspect(&file)).await;
    match inspected {
        Ok(Ok(())) => {}
        Ok(Err(damage)) => findings.add(Wrong::Lost, || format!("the file is damaged: {damage}")),
        Err(error) => findings.add(Wrong::Lost, || error.to_string()),
    }
    After { cut, folder, findings, compared }
}

async fn compare(
    plan: &PowerPlan,
    recorded: &Recorded,
    ledger: &Ledger,
    cut: Cut,
    folder: &TempDir,
    findings: &mut Findings,
) -> Result<(), LoadError> {
    let mut nodes = Nodes::start(&hub(plan, folder.path(), &recorded.secret)?, 1).await?;
    // Before that the accounts need not be there, and nothing was acknowledged to them.
    if cut.at >= recorded.accounts_at {
        let (_phase, phase) = watch::channel(Phase::Quiet);
        let shared = Shared::new(Places::direct(nodes.addresses()), phase, true);
        let mut rng = Rng::with_seed(cut.loss.seed);
        repeat(&shared, ledger, &mut rng, findings).await?;
        let mut tickets = recorded.sent.tickets(cut.at);
        tickets.extend(ledger.tickets.iter().filter_map(|ticket| ticket.id));
        let tickets = tickets.into_iter().collect();
        let facts = lists::facts(&shared, &recorded.people, tickets, &mut rng).await?;
        findings.merge(check::check(ledger, &facts));
        recorded.sent.check(cut.at, &facts, &ledger.deleted(), findings);
        goes_on(&shared, recorded, ledger, &mut rng, findings).await?;
    }
    nodes[0].kill().await
}

/// Sends some acknowledged notifications again, with their keys. If a key were lost, the checker
/// would find the notification twice.
async fn repeat(
    shared: &Shared,
    ledger: &Ledger,
    rng: &mut Rng,
    findings: &mut Findings,
) -> Result<(), LoadError> {
    let acknowledged = ledger.sends.iter().filter(|send| send.asked.is_acknowledged);
    for send in rng.choose_multiple(acknowledged, REPEATS) {
        let request = Request::post("/api/notifications/", &send.token, &send.body);
        let request = Request { key: Some(&send.title), ..request };
        let outcome = request.send(shared.node(rng)?, PATIENCE).await;
        if !matches!(outcome, Outcome::Answered(202, _)) {
            findings.add(Wrong::Lost, || format!("key {}: {outcome:?}", send.title));
        }
    }
    Ok(())
}

/// The hub takes a new ticket, with an id of its own.
async fn goes_on(
    shared: &Shared,
    recorded: &Recorded,
    ledger: &Ledger,
    rng: &mut Rng,
    findings: &mut Findings,
) -> Result<(), LoadError> {
    let body = json!({"title": "after the cut"});
    let request = Request::post("/api/tickets/", &recorded.people.checker.token, &body);
    match request.send(shared.node(rng)?, PATIENCE).await {
        Outcome::Answered(201, ticket) => {
            if ledger.tickets.iter().any(|one| one.id.is_some() && one.id == ticket["id"].as_u64())
            {
                findings.add(Wrong::Doubled, || format!("the id of ticket {}", ticket["id"]));
            }
        }
        Outcome::Answered(status, body) => {
            findings.add(Wrong::Lost, || format!("a new ticket: {}", shown(status, &body)));
        }
        Outcome::NotDone(error) | Outcome::Unknown(error) => {
            findings.add(Wrong::Lost, || format!("a new ticket: {error}"));
        }
    }
    Ok(())
}
