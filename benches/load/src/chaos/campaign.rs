//! Many schedules: jobs that run them, a line for each, and the report.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::arena::Site;
use super::outcome::Outcome;
use super::plan::{Plan, Wish};
use super::run::run as run_one;
use super::tally::Tally;
use crate::LoadError;

/// A schedule that is not over so long after its time hangs.
const HANGS: Duration = Duration::from_secs(900);
/// What happened is written to this file of a schedule's folder.
const LOG: &str = "schedule.log";

/// What is run.
#[derive(Debug, Clone)]
pub(super) struct Campaign {
    /// That of the first schedule; each has the next one.
    pub(super) seed: u64,
    pub(super) schedules: u64,
    /// How many schedules run at once.
    pub(super) jobs: usize,
    pub(super) wish: Wish,
    /// Whether a failure is only counted, and does not end it.
    pub(super) keeps_going: bool,
    pub(super) as_json: bool,
    /// The hub that is tested, if it is not this program.
    pub(super) other: Option<PathBuf>,
    pub(super) program: PathBuf,
}

/// A schedule that is over.
#[derive(Debug)]
struct Ran {
    /// Its place among all.
    index: u64,
    plan: Plan,
    outcome: Result<Outcome, LoadError>,
    /// Its folder, if something is wrong.
    kept: Option<PathBuf>,
}

/// The first schedule that failed.
#[derive(Debug)]
struct Failed {
    index: u64,
    text: String,
}

/// What the jobs share.
#[derive(Debug, Default)]
struct Turns {
    next: AtomicU64,
    is_over: AtomicBool,
}

impl Campaign {
    /// Whether the faults are printed as they happen.
    fn is_one(&self) -> bool {
        self.schedules == 1
    }

    fn say(&self, line: &str) {
        if !self.as_json {
            // The report at the end fails if this line cannot be printed.
            let _ = print_line(line);
        }
    }

    /// Runs all schedules.
    ///
    /// # Errors
    /// One could not be run; or, after the report, something was lost, doubled or out of order. The
    /// text has the command that repeats the first schedule that failed.
    pub(super) async fn run(self) -> Result<(), LoadError> {
        self.say(&format!("seed {}", self.seed));
        let (campaign, turns) = (Arc::new(self), Arc::new(Turns::default()));
        let (sender, mut finished) = mpsc::channel(campaign.jobs.max(1));
        let mut jobs = JoinSet::new();
        for _ in 0..campaign.jobs {
            jobs.spawn(job(Arc::clone(&campaign), Arc::clone(&turns), sender.clone()));
        }
        drop(sender);
        let begun = Instant::now();
        let (mut tally, mut failed) = (Tally::default(), None::<Failed>);
        while let Some(ran) = finished.recv().await {
            let this = campaign.report(&ran, &mut tally, begun);
            let Some(text) = this else { continue };
            if failed.as_ref().is_none_or(|first| ran.index < first.index) {
                failed = Some(Failed { index: ran.index, text });
            }
            if !campaign.keeps_going {
                turns.is_over.store(true, Ordering::Relaxed);
            }
        }
        // A panic of a job is a fault of this tool.
        while let Some(ended) = jobs.join_next().await {
            ended.map_err(|error| LoadError::failed(error.to_string()))?;
        }
        match campaign.as_json {
            true => print_line(&tally.json(campaign.seed))?,
            false => print_line(&format!("{}\n{}", tally.table(), tally.line()))?,
        }
        failed.map_or(Ok(()), |failed| Err(LoadError::Failed(failed.text)))
    }

    /// Prints and counts a schedule; if something is wrong, what and how it is repeated.
    fn report(&self, ran: &Ran, tally: &mut Tally, begun: Instant) -> Option<String> {
        let again = self.repeat(&ran.plan);
        let kept = ran.kept.as_ref().map(|folder| format!("; its files: {}", folder.display()));
        let kept = kept.unwrap_or_default();
        let (done, found) = match &ran.outcome {
            Ok(outcome) => {
                tally.add(&ran.plan, outcome);
                let is_wrong = !outcome.findings.is_empty();
                let wrong = outcome.findings.texts.first().cloned();
                (line(&ran.plan, outcome), wrong.filter(|_| is_wrong))
            }
            Err(error) => (format!("seed {}: not run", ran.plan.seed), Some(error.to_string())),
        };
        let details = ran.outcome.as_ref().map(Outcome::details).unwrap_or_default();
        if self.is_one() {
            self.say(format!("{done}\n{details}").trim_end());
        } else {
            let left = self.left(tally.schedules, begun);
            let state = if found.is_some() { "FAILED" } else { "ok" };
            let number = ran.index + 1;
            self.say(&format!("{number}/{}: {done}: {state}{left}", self.schedules));
            if found.is_some() || !details.is_empty() {
                self.say(details.trim_end());
            }
        }
        found.map(|found| format!("{found}; again: {again}{kept}"))
    }

    /// The command that repeats a schedule with this hub.
    fn repeat(&self, plan: &Plan) -> String {
        let command = repeat(plan);
        match &self.other {
            Some(program) => format!("{command} --bellpull {}", program.display()),
            None => command,
        }
    }

    /// The remaining time, as text.
    fn left(&self, done: u64, begun: Instant) -> String {
        let remaining = self.schedules.saturating_sub(done);
        let seconds = begun.elapsed().as_secs() * remaining / done.max(1);
        match remaining {
            0 => String::new(),
            _ => format!("; about {} min {:02} s left", seconds / 60, seconds % 60),
        }
    }
}

/// What one schedule found, without the details.
fn line(plan: &Plan, outcome: &Outcome) -> String {
    let Plan { seed, nodes, .. } = plan;
    let s = if *nodes == 1 { "" } else { "s" };
    let Outcome { seconds, acknowledged, unanswered, checked, .. } = outcome;
    format!(
        "seed {seed}: {nodes} node{s}, {seconds} s; {}; {acknowledged} acknowledged, {unanswered} \
         unanswered; {} sockets, {} frames",
        outcome.kinds(),
        checked.sockets,
        checked.frames,
    )
}

/// Runs one schedule after the other.
async fn job(campaign: Arc<Campaign>, turns: Arc<Turns>, finished: mpsc::Sender<Ran>) {
    let mut site = Site::new(campaign.program.clone());
    loop {
        let index = turns.next.fetch_add(1, Ordering::Relaxed);
        if index >= campaign.schedules || turns.is_over.load(Ordering::Relaxed) {
            return;
        }
        // Refused wishes were refused before the first schedule.
        let Ok(plan) = campaign.wish.plan(campaign.seed.wrapping_add(index)) else { return };
        let ran = one(&campaign, index, plan, &mut site).await;
        if finished.send(ran).await.is_err() {
            return;
        }
    }
}

/// Runs a schedule in a folder of its own, which is kept if something is wrong.
async fn one(campaign: &Campaign, index: u64, plan: Plan, site: &mut Site) -> Ran {
    let prefix = format!("bellpull-chaos-{}-", plan.seed);
    let folder = match tempfile::Builder::new().prefix(&prefix).tempdir() {
        Ok(folder) => folder,
        Err(error) => {
            let error = LoadError::failed(format!("a temporary folder: {error}"));
            return Ran { index, plan, outcome: Err(error), kept: None };
        }
    };
    let say = |line: &str| {
        if campaign.is_one() {
            campaign.say(line);
        }
        note(folder.path(), line);
    };
    let run = Box::pin(run_one(&plan, site, folder.path(), say));
    let outcome = tokio::time::timeout(plan.time + HANGS, run).await;
    let outcome = outcome.unwrap_or_else(|_| Err(LoadError::failed("the schedule hangs")));
    let is_wrong = outcome.as_ref().map_or(true, |outcome| !outcome.findings.is_empty());
    let kept = is_wrong.then(|| {
        let found = outcome.as_ref().map_or_else(LoadError::to_string, Outcome::details);
        note(folder.path(), &found);
        folder.keep()
    });
    Ran { index, plan, outcome, kept }
}

/// Appends a line to a schedule's log, which is there for a failure: a log that cannot be written
/// is none.
fn note(folder: &Path, line: &str) {
    let file = std::fs::File::options().create(true).append(true).open(folder.join(LOG));
    let _ = file.and_then(|mut file| writeln!(file, "{line}"));
}

/// The command that repeats a schedule.
pub(super) fn repeat(plan: &Plan) -> String {
    let Plan { seed, nodes, faults, count, clients, writers, time } = plan;
    let mut command = format!("bellpull chaos --seed {seed} --nodes {nodes}");
    let kinds: Vec<&str> = faults.iter().map(|kind| kind.name()).collect();
    // Writing to a `String` cannot fail.
    let _ = write!(
        command,
        " --faults {} --faults-per-schedule {count} --clients {clients} --writers {writers} \
         --seconds {}",
        kinds.join(","),
        time.as_secs()
    );
    command
}

/// Prints a line on stdout. A closed pipe (`| head`) is not an error.
fn print_line(text: &str) -> Result<(), LoadError> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(LoadError::failed(format!("stdout: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
