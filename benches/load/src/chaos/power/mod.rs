//! Power loss: what was acknowledged is there afterwards.
//!
//! A hub serves on a [`Disk`](crate::disk::Disk) that records every operation, while writers and
//! clients use it; it is also terminated, killed and started again (`record`). Each acknowledgement
//! and each frame is noted with the number of operations so far: it depends on no later one.
//!
//! Then the power fails at chosen operations (`cuts`). For each of these cuts the disk is made as
//! it may be found afterwards: with everything that was synced, and any part of the rest. A hub
//! starts on it, and what it has is compared with what was acknowledged and sent before the cut
//! (`after`): tickets with their versions and comments, inboxes without gaps, keys of sends, marks.
//! At last SQLite looks for damage in the file.

mod after;
pub mod cli;
mod cuts;
mod record;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::task::JoinSet;

use super::finding::Findings;
use crate::LoadError;
use crate::cluster::NodeOptions;
use crate::disk::Replay;
use crate::spawn::{UNLIMITED, own_binary};
use after::After;
use cuts::{Cut, cuts};

/// Looks for damage in a database file that no process has open.
///
/// # Errors
/// What is damaged.
pub type Inspect = fn(&Path) -> Result<(), String>;

/// The name of the database in its folder.
const FILE: &str = "hub.db";
/// The most connections of a hub: it warns of more than the files that it may open.
const CONNECTIONS_MAX: &str = "10000";
/// Over how long a terminated hub spreads its clients' return, in milliseconds.
const DRAIN_WINDOW_MS: &str = "500";

/// What is done.
#[derive(Debug, Clone)]
pub struct PowerPlan {
    /// All random choices come from it.
    pub seed: u64,
    /// How often the power fails.
    pub cuts: usize,
    /// How many of the hubs that start afterwards run at once.
    pub jobs: usize,
    /// How many clients listen.
    pub clients: usize,
    /// How many writers write.
    pub writers: usize,
    /// How long they do.
    pub time: Duration,
    /// Whether `fsync` does nothing once the hub has started: then data must be lost, and the
    /// checker must find it.
    pub has_false_syncs: bool,
    /// The hub's program; this one by default.
    pub program: Option<PathBuf>,
    /// Looks for damage.
    pub inspect: Inspect,
}

/// How it went.
#[derive(Debug, Default)]
pub struct PowerOutcome {
    /// How often the power failed.
    pub cuts: u64,
    /// After how many of them something was wrong.
    pub failed: u64,
    /// The operations that were recorded.
    pub operations: usize,
    /// The writes that were acknowledged in the recording.
    pub acknowledged: u64,
    /// The acknowledged writes that were looked for, after all cuts together.
    pub compared: u64,
    /// What is wrong.
    pub findings: Findings,
    /// What was not expected, and is no loss.
    pub surprises: Vec<String>,
    /// The disk after the first cut that failed; it is not removed.
    pub kept: Option<PathBuf>,
    /// How long it took, in seconds.
    pub seconds: u64,
}

/// Records once, and cuts the power as often as the plan says.
///
/// # Errors
/// A disk could not be mounted, or the hub does not start on an undamaged one.
pub async fn run(plan: &PowerPlan, mut say: impl FnMut(&str)) -> Result<PowerOutcome, LoadError> {
    let begun = Instant::now();
    let recorded = Arc::new(record::record(plan).await?);
    let mut outcome = PowerOutcome {
        operations: recorded.recording.operations.len(),
        acknowledged: recorded.ledger.acknowledged(),
        surprises: recorded.ledger.surprises.clone(),
        ..PowerOutcome::default()
    };
    let (operations, acknowledged) = (outcome.operations, outcome.acknowledged);
    say(&format!("{operations} operations were recorded, {acknowledged} writes acknowledged"));
    let mut replay = Replay::new(&recorded.recording);
    let mut under_way = JoinSet::new();
    for cut in cuts(plan, &recorded) {
        replay.advance(cut.at);
        let folder = image(&replay, cut)?;
        if under_way.len() >= plan.jobs.max(1)
            && let Some(after) = under_way.join_next().await
        {
            outcome.add(after.map_err(|error| LoadError::failed(error.to_string()))?, &mut say);
        }
        let (plan, recorded) = (plan.clone(), Arc::clone(&recorded));
        under_way.spawn(async move { after::after(&plan, &recorded, cut, folder).await });
    }
    while let Some(after) = under_way.join_next().await {
        outcome.add(after.map_err(|error| LoadError::failed(error.to_string()))?, &mut say);
    }
    outcome.seconds = begun.elapsed().as_secs();
    Ok(outcome)
}

/// The disk as it is found after a cut.
fn image(replay: &Replay<'_>, cut: Cut) -> Result<TempDir, LoadError> {
    let folder = tempfile::Builder::new().prefix("bellpull-cut-").tempdir();
    let folder = folder.and_then(|folder| {
        replay.write_to(folder.path(), cut.loss)?;
        Ok(folder)
    });
    folder.map_err(|error| LoadError::failed(format!("the disk after {cut}: {error}")))
}

impl PowerOutcome {
    fn add(&mut self, after: After, say: &mut impl FnMut(&str)) {
        let After { cut, folder, findings, compared } = after;
        self.cuts += 1;
        self.compared += compared;
        if findings.is_empty() {
            return;
        }
        self.failed += 1;
        say(&format!("after {cut}:"));
        for text in &findings.texts {
            say(text);
        }
        self.findings.merge(findings);
        if self.kept.is_none() {
            self.kept = Some(folder.keep());
        }
    }
}

/// A hub on the database in this folder.
fn hub(plan: &PowerPlan, folder: &Path, secret: &str) -> Result<NodeOptions, LoadError> {
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let mut settings: Vec<(String, String)> = UNLIMITED.into_iter().map(own).collect();
    settings.push(own(("BELLPULL_JWT_SECRET", secret)));
    settings.push(own(("BELLPULL_WS_MAX_CONNECTIONS", CONNECTIONS_MAX)));
    settings.push(own(("BELLPULL_DRAIN_WINDOW_MS", DRAIN_WINDOW_MS)));
    settings.push(own(("BELLPULL_DRAIN_NOTICE_MS", "0")));
    let program = plan.program.clone().map_or_else(own_binary, Ok)?;
    let database = format!("sqlite://{}", folder.join(FILE).display());
    Ok(NodeOptions { program: Some(program), database, settings, ..NodeOptions::default() })
}
