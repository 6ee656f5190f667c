//! `chaos`: the command.

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::campaign::Campaign;
use super::fault::FaultKind;
use super::plan::Wish;
use super::power::{self, Inspect};
use crate::spawn::own_binary;
use crate::{LoadError, children};

const EXAMPLES: &str = "\
Examples:
  bellpull chaos
  bellpull chaos --schedules 1000
  bellpull chaos --schedules 20 --nodes 1 --faults kill,freeze --keep-going
  bellpull chaos --nodes 2 --faults crash --faults-per-schedule 14 --bellpull ./bellpull-1.2
  bellpull chaos --seed 7 --nodes 1 --faults-per-schedule 20 --seconds 120 --json
  bellpull chaos power --cuts 200

One node runs on SQLite; several run on a PostgreSQL and a Redis of their own, which are started
from this machine's programs and removed afterwards. Clients of all families listen and reconnect,
writers repeat what was not answered (with the same Idempotency-Key, or the ticket's version), and
faults happen. Then what was acknowledged, what the store holds and what each client saw are
compared.

A single schedule is a long one: 3 nodes, 100 faults in 13 minutes. Of several schedules each is
short: 3 to 5 faults within 7 seconds, on one node, mostly, or on two or three; the seed decides.
The first failure ends the command, and the files of a schedule that failed are kept.

The last line counts schedules, faults, acknowledged writes, and what was lost, doubled or out of
order; before it there is a table of faults, and what was checked. What was acknowledged is looked
for twice: by REST, and in the tables once the nodes have ended. Keys of --json: schedules,
faults, acknowledged, lost, doubled, out_of_order; further: seed, checked, runs (of each schedule:
seed, nodes, kinds, seconds, acknowledged, unanswered, what was checked, findings, surprises).";

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
    /// How many schedules run; each has the next seed
    #[arg(long, value_name = "K", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    schedules: u32,
    /// How many schedules run at once [default: as many as there are processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: Option<u16>,
    /// Do not end with the first schedule that fails
    #[arg(long)]
    keep_going: bool,
    /// How many nodes there are [default: 3; of several schedules each has 1 to 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=20))]
    nodes: Option<u8>,
    /// Which faults happen [default: all that are possible on so many nodes]
    #[arg(long, value_name = "FAULT,FAULT,…", value_delimiter = ',')]
    faults: Vec<FaultKind>,
    /// How many faults happen in a schedule, each at a random moment [default: 100, or 3 to 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    faults_per_schedule: Option<u32>,
    /// How many clients listen [default: 200, or 24]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    clients: Option<u16>,
    /// How many writers write [default: 30, or 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    writers: Option<u16>,
    /// No fault begins later than this after a schedule's nodes were ready, in seconds [default:
    /// 780, or 7]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=604_800))]
    seconds: Option<u32>,
    /// The hub that is tested [default: this program]
    #[arg(long, value_name = "PATH")]
    bellpull: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
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
            None => args.campaign()?.run().await,
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

impl Args {
    fn campaign(&self) -> Result<Campaign, LoadError> {
        let seed = match self.seed {
            Some(seed) => seed,
            None => random_seed()?,
        };
        let wish = self.wish();
        wish.plan(seed).map_err(LoadError::Wrong)?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let jobs = self.jobs.map_or(cores, usize::from);
        Ok(Campaign {
            seed,
            schedules: u64::from(self.schedules),
            jobs: jobs.min(usize::try_from(self.schedules).unwrap_or(usize::MAX)),
            wish,
            keeps_going: self.keep_going,
            as_json: self.json,
            other: self.bellpull.clone(),
            program: self.bellpull.clone().map_or_else(own_binary, Ok)?,
        })
    }

    fn wish(&self) -> Wish {
        let large = |of: u32| usize::try_from(of).unwrap_or(usize::MAX);
        Wish {
            nodes: self.nodes.map(usize::from),
            faults: self.faults.clone(),
            count: self.faults_per_schedule.map(large),
            clients: self.clients.map(usize::from),
            writers: self.writers.map(usize::from),
            time: self.seconds.map(|seconds| Duration::from_secs(u64::from(seconds))),
            is_campaign: self.schedules > 1,
        }
    }
}

fn random_seed() -> Result<u64, LoadError> {
    let random = getrandom::u32().map_err(|error| LoadError::failed(error.to_string()))?;
    Ok(u64::from(random))
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::campaign::repeat;
    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn args(line: &str) -> Args {
        Command::try_parse_from(line.split(' ').skip(1)).unwrap().args
    }

    #[test]
    fn a_schedule_is_repeated_by_its_command() {
        for line in [
            "bellpull chaos --schedules 3 --faults kill,cut --seconds 60 --nodes 2",
            "bellpull chaos --schedules 1000",
            "bellpull chaos",
        ] {
            for seed in 0..20 {
                let plan = args(line).wish().plan(seed).unwrap();
                let again = args(&repeat(&plan));
                assert_eq!((again.seed, again.schedules), (Some(seed), 1));
                assert_eq!(again.wish().plan(seed).unwrap(), plan);
            }
        }
        assert!(Command::try_parse_from(["chaos", "--faults", "flood"]).is_err());
    }

    #[test]
    fn a_fault_that_is_impossible_is_wrong_usage() {
        let refused = args("bellpull chaos --nodes 1 --faults kill,redis").campaign().unwrap_err();
        assert!(matches!(&refused, LoadError::Wrong(_)), "{refused}");
        let jobs = |line| args(line).campaign().unwrap().jobs;
        assert_eq!(jobs("bellpull chaos"), 1, "no more jobs than schedules");
        assert_eq!(jobs("bellpull chaos --schedules 9 --jobs 3"), 3);
    }
}
