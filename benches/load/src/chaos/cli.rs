//! `chaos`: the command, its report and its verdict.

use std::io::Write;
use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::arena::Site;
use super::fault::{FaultKind, possible_on};
use super::finding::Wrong;
use super::power::{self, Inspect};
use super::run::{Outcome, Plan, run as run_one};
use crate::spawn::own_binary;
use crate::{LoadError, children};

const EXAMPLES: &str = "\
Examples:
  bellpull chaos
  bellpull chaos --seed 7 --faults kill,freeze --faults-per-schedule 20
  bellpull chaos --nodes 1 --faults-per-schedule 20 --seconds 120
  bellpull chaos --schedules 3 --seconds 120 --json
  bellpull chaos power --cuts 200

One node runs on SQLite; several run on a PostgreSQL and a Redis of their own, which are started
from this machine's programs and removed afterwards. Clients of all families listen and reconnect,
writers repeat what was not answered (with the same Idempotency-Key, or the ticket's version), and
faults happen. Then what was acknowledged, what the store holds and what each client saw are
compared.

The last line counts schedules, faults, acknowledged writes, and what was lost, doubled or out of
order. Keys of --json: schedules, faults, acknowledged, lost, doubled, out_of_order; further: seed,
seconds, unanswered, sockets, frames, kinds, findings, surprises.";

/// What is no schedule of faults: it has options of its own.
#[derive(Debug, clap::Subcommand)]
enum Power {
    /// Cut the power at random moments, and check that nothing acknowledged is lost.
    Power(power::cli::Args),
}

/// The options of `chaos`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    power: Option<Power>,
    /// All random choices come from it [default: a random one, which is printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many schedules run one after the other; each has the next seed
    #[arg(long, value_name = "K", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    schedules: u32,
    /// How many nodes there are
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u8).range(1..=20))]
    nodes: u8,
    /// Which faults happen [default: all that are possible on so many nodes]
    #[arg(long, value_name = "FAULT,FAULT,…", value_delimiter = ',')]
    faults: Vec<FaultKind>,
    /// How many faults happen in a schedule, each at a random moment
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(0..=100_000))]
    faults_per_schedule: u32,
    /// How many clients listen
    #[arg(long, value_name = "N", default_value_t = 200,
          value_parser = clap::value_parser!(u16).range(1..=10_000))]
    clients: u16,
    /// How many writers write
    #[arg(long, value_name = "N", default_value_t = 30,
          value_parser = clap::value_parser!(u16).range(1..=1_000))]
    writers: u16,
    /// No fault begins later than this after a schedule's nodes were ready, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 780,
          value_parser = clap::value_parser!(u32).range(1..=604_800))]
    seconds: u32,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// All schedules together.
#[derive(Debug, Default)]
struct Total {
    schedules: u64,
    faults: u64,
    acknowledged: u64,
    wrong: [u64; 3],
    reports: Vec<serde_json::Value>,
    /// The command that repeats the first schedule that failed.
    failed: Option<String>,
}

/// Runs the schedules. `inspect` looks for damage in a database.
///
/// # Errors
/// Why one could not be run; or, after the report, that something was lost, doubled or out of
/// order, with the command that repeats the first schedule that failed.
pub async fn run(args: Args, inspect: Inspect) -> Result<(), LoadError> {
    let work = async {
        match &args.power {
            Some(Power::Power(power)) => Box::pin(power::cli::run(power, inspect)).await,
            None => all(&args).await,
        }
    };
    tokio::select! {
        done = work => done,
        signal = asked_to_end() => {
            children::end_all();
            Err(signal)
        }
    }
}

async fn all(args: &Args) -> Result<(), LoadError> {
    let kinds = args.kinds()?;
    let seed = match args.seed {
        Some(seed) => seed,
        None => random_seed()?,
    };
    if !args.json {
        print_line(&format!("seed {seed}"))?;
    }
    let mut total = Total::default();
    let mut site = Site::new(own_binary()?);
    for schedule in 0..u64::from(args.schedules) {
        let plan = args.plan(seed.wrapping_add(schedule), &kinds);
        let repeat = args.repeat(&plan);
        let folder = tempfile::Builder::new().prefix("bellpull-chaos-").tempdir();
        let folder =
            folder.map_err(|error| LoadError::failed(format!("a temporary folder: {error}")))?;
        let say = |line: &str| {
            if !args.json {
                // The report at the end fails if this line cannot be printed.
                let _ = print_line(line);
            }
        };
        let outcome = Box::pin(run_one(&plan, &mut site, folder.path(), say)).await;
        let outcome =
            outcome.map_err(|error| LoadError::Failed(format!("{error}; again: {repeat}")))?;
        if !args.json {
            print_line(report(&outcome).trim_end())?;
        }
        total.add(&plan, outcome, repeat);
    }
    total.print(args.json, seed)?;
    let Some(repeat) = total.failed else { return Ok(()) };
    let [lost, doubled, out_of_order] = total.wrong;
    Err(LoadError::Failed(format!(
        "{lost} lost, {doubled} doubled, {out_of_order} out of order; again: {repeat}"
    )))
}

impl Args {
    /// The faults that may happen.
    fn kinds(&self) -> Result<Vec<FaultKind>, LoadError> {
        let nodes = usize::from(self.nodes);
        for kind in &self.faults {
            if let Some(why) = kind.impossible_on(nodes) {
                let text = format!("--faults {}: not with --nodes {nodes}: {why}", kind.name());
                return Err(LoadError::wrong(text));
            }
        }
        Ok(if self.faults.is_empty() { possible_on(nodes) } else { self.faults.clone() })
    }

    fn plan(&self, seed: u64, kinds: &[FaultKind]) -> Plan {
        Plan {
            seed,
            nodes: usize::from(self.nodes),
            faults: kinds.to_vec(),
            count: usize::try_from(self.faults_per_schedule).unwrap_or(usize::MAX),
            clients: usize::from(self.clients),
            writers: usize::from(self.writers),
            time: Duration::from_secs(u64::from(self.seconds)),
        }
    }

    /// The command that repeats a schedule.
    fn repeat(&self, plan: &Plan) -> String {
        let Plan { seed, nodes, faults, count, clients, writers, time } = plan;
        let kinds: Vec<&str> = faults.iter().map(|kind| kind.name()).collect();
        format!(
            "bellpull chaos --seed {seed} --nodes {nodes} --faults {} --faults-per-schedule \
             {count} --clients {clients} --writers {writers} --seconds {}",
            kinds.join(","),
            time.as_secs()
        )
    }
}

impl Total {
    fn add(&mut self, plan: &Plan, outcome: Outcome, repeat: String) {
        let found = [Wrong::Lost, Wrong::Doubled, Wrong::OutOfOrder]
            .map(|wrong| outcome.findings.count(wrong));
        self.schedules += 1;
        self.faults += outcome.fault_count();
        self.acknowledged += outcome.acknowledged;
        for (sum, found) in self.wrong.iter_mut().zip(found) {
            *sum += found;
        }
        if found != [0; 3] && self.failed.is_none() {
            self.failed = Some(repeat);
        }
        let kinds: serde_json::Map<String, serde_json::Value> = outcome
            .faults
            .iter()
            .map(|(kind, count)| (kind.name().to_owned(), json!(count)))
            .collect();
        self.reports.push(json!({
            "seed": plan.seed, "kinds": kinds, "seconds": outcome.seconds,
            "acknowledged": outcome.acknowledged, "unanswered": outcome.unanswered,
            "sockets": outcome.sockets, "frames": outcome.frames,
            "findings": outcome.findings.texts, "surprises": outcome.surprises,
        }));
    }

    fn print(&self, as_json: bool, seed: u64) -> Result<(), LoadError> {
        let Self { schedules, faults, acknowledged, wrong, reports, .. } = self;
        let [lost, doubled, out_of_order] = wrong;
        if as_json {
            let line = json!({
                "seed": seed, "schedules": schedules, "faults": faults,
                "acknowledged": acknowledged, "lost": lost, "doubled": doubled,
                "out_of_order": out_of_order, "runs": reports,
            });
            return print_line(&line.to_string());
        }
        print_line(&format!(
            "{schedules} schedules, {faults} faults, {acknowledged} acknowledged, {lost} lost, \
             {doubled} doubled, {out_of_order} out of order"
        ))
    }
}

/// What one schedule found.
fn report(outcome: &Outcome) -> String {
    let kinds: Vec<String> =
        outcome.faults.iter().map(|(kind, count)| format!("{count} {}", kind.name())).collect();
    let mut text = format!(
        "{} s; faults: {}; {} requests without an answer; {} sockets, {} frames\n",
        outcome.seconds,
        kinds.join(", "),
        outcome.unanswered,
        outcome.sockets,
        outcome.frames
    );
    for surprise in &outcome.surprises {
        text.push_str(&format!("not expected: {surprise}\n"));
    }
    for finding in &outcome.findings.texts {
        text.push_str(&format!("{finding}\n"));
    }
    text.push_str(&outcome.logs);
    text
}

fn random_seed() -> Result<u64, LoadError> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|error| LoadError::failed(error.to_string()))?;
    Ok(u64::from(u32::from_le_bytes(random)))
}

/// Waits for a signal that ends the run.
async fn asked_to_end() -> LoadError {
    let failed = |error: std::io::Error| LoadError::failed(format!("chaos: {error}"));
    let (mut terminate, mut interrupt) =
        match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
            (Err(error), _) | (_, Err(error)) => return failed(error),
        };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    LoadError::failed("chaos: ended by a signal, before the schedules were over")
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::fault::FAULTS;
    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_schedule_is_repeated_by_its_command() {
        let args = |line: &str| Command::try_parse_from(line.split(' ').skip(1)).unwrap().args;
        let given = args("bellpull chaos --schedules 3 --faults kill,cut --seconds 60 --nodes 2");
        let plan = given.plan(9, &given.kinds().unwrap());
        let again = args(&given.repeat(&plan));
        assert_eq!(again.seed, Some(9));
        let kinds = again.kinds().unwrap();
        assert_eq!(format!("{:?}", again.plan(9, &kinds)), format!("{plan:?}"));
        assert_eq!(kinds, [FaultKind::Kill, FaultKind::Cut]);
        let usual = args("bellpull chaos");
        assert_eq!((usual.kinds(), usual.plan(1, &[]).clients), (Ok(FAULTS.to_vec()), 200));
        assert!(Command::try_parse_from(["chaos", "--faults", "flood"]).is_err());
    }

    #[test]
    fn a_fault_that_is_impossible_is_refused_with_the_reason() {
        let line = ["chaos", "--nodes", "1", "--faults", "kill,redis"];
        let refused = Command::try_parse_from(line).unwrap().args.kinds().unwrap_err();
        assert!(matches!(&refused, LoadError::Wrong(_)), "{refused}");
        assert!(refused.to_string().starts_with("--faults redis"), "{refused}");
        let one = Command::try_parse_from(["chaos", "--nodes", "1"]).unwrap().args;
        assert!(!one.kinds().unwrap().contains(&FaultKind::Cut));
    }
}
