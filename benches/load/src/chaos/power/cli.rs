//! `chaos power`: the command, its report and its verdict.

use std::io::Write;
use std::time::Duration;

use serde_json::json;

use super::{Inspect, PowerOutcome, PowerPlan, run as run_one};
use crate::LoadError;
use crate::chaos::finding::Wrong;

const EXAMPLES: &str = "\
Examples:
  bellpull chaos power --cuts 200
  bellpull chaos power --seed 7 --cuts 50 --json

A hub on SQLite serves writers and clients on a disk that records every operation; it is also
restarted and killed. Then the power fails at random operations: what was not synced by then is
there in part, sector by sector, and files and names likewise. On each such disk a hub starts, and
what was acknowledged or sent before is looked for; SQLite looks for damage.

A recording is cut 50 times at most; further cuts are of further recordings, each with the next
seed. The disk after the first cut that failed is kept. The disk is a file system of FUSE: it takes
/dev/fuse, and the rights of root or fusermount3.

The last line counts recordings, cuts, acknowledged writes, how many were compared over all cuts,
and what was lost, doubled or out of order. Keys of --json: schedules (recordings), faults (cuts),
acknowledged, compared, lost, doubled, out_of_order, seed, operations, seconds, findings,
surprises, kept.";

/// How often a recording is cut.
const CUTS_EACH: usize = 50;

/// The options of `chaos power`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// All random choices come from it [default: a random one, which is printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How often the power fails
    #[arg(long, value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    cuts: u32,
    /// How many hubs start on the disks at once
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// How many clients listen
    #[arg(long, value_name = "N", default_value_t = 32,
          value_parser = clap::value_parser!(u16).range(1..=1_000))]
    clients: u16,
    /// How many writers write
    #[arg(long, value_name = "N", default_value_t = 25,
          value_parser = clap::value_parser!(u16).range(1..=1_000))]
    writers: u16,
    /// How long they do, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 12,
          value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Runs all recordings and cuts.
///
/// # Errors
/// One could not be run; or, after the report, something was lost, doubled or out of order, with
/// the command that repeats it.
pub async fn run(args: &Args, inspect: Inspect) -> Result<(), LoadError> {
    let seed = args.seed.unwrap_or_else(|| u64::from(fastrand::u32(..)));
    if !args.json {
        print_line(&format!("seed {seed}"))?;
    }
    let mut total = Total { seed, ..Total::default() };
    let mut left = usize::try_from(args.cuts).unwrap_or(usize::MAX);
    for number in 0.. {
        let plan = args.plan(seed.wrapping_add(number), left.min(CUTS_EACH), inspect);
        let say = |line: &str| {
            if !args.json {
                // The report at the end fails if this line cannot be printed.
                let _ = print_line(line);
            }
        };
        total.add(args.repeat(&plan), Box::pin(run_one(&plan, say)).await?);
        left -= plan.cuts;
        if left == 0 {
            break;
        }
    }
    total.print(args.json)
}

impl Args {
    fn plan(&self, seed: u64, cuts: usize, inspect: Inspect) -> PowerPlan {
        PowerPlan {
            seed,
            cuts,
            jobs: usize::from(self.jobs),
            clients: usize::from(self.clients),
            writers: usize::from(self.writers),
            time: Duration::from_secs(u64::from(self.seconds)),
            has_false_syncs: false,
            program: None,
            inspect,
        }
    }

    /// The command that repeats a recording and its cuts.
    fn repeat(&self, plan: &PowerPlan) -> String {
        let Self { clients, writers, seconds, .. } = self;
        let PowerPlan { seed, cuts, .. } = plan;
        format!(
            "bellpull chaos power --seed {seed} --cuts {cuts} --clients {clients} --writers \
             {writers} --seconds {seconds}"
        )
    }
}

/// All recordings together.
#[derive(Debug, Default)]
struct Total {
    seed: u64,
    recordings: u64,
    sum: PowerOutcome,
    /// The command that repeats the first recording with a cut that failed.
    failed: Option<String>,
}

impl Total {
    fn add(&mut self, repeat: String, one: PowerOutcome) {
        if !one.findings.is_empty() && self.failed.is_none() {
            self.failed = Some(repeat);
        }
        self.recordings += 1;
        self.sum.cuts += one.cuts;
        self.sum.failed += one.failed;
        self.sum.operations += one.operations;
        self.sum.acknowledged += one.acknowledged;
        self.sum.compared += one.compared;
        self.sum.seconds += one.seconds;
        self.sum.findings.merge(one.findings);
        self.sum.surprises.extend(one.surprises);
        self.sum.kept = self.sum.kept.take().or(one.kept);
    }

    fn print(self, as_json: bool) -> Result<(), LoadError> {
        let Self { seed, recordings, sum, failed } = self;
        let PowerOutcome { cuts, operations, acknowledged, compared, findings, .. } = &sum;
        let [lost, doubled, out_of_order] =
            [Wrong::Lost, Wrong::Doubled, Wrong::OutOfOrder].map(|wrong| findings.count(wrong));
        if as_json {
            let line = json!({
                "seed": seed, "schedules": recordings, "faults": cuts,
                "acknowledged": acknowledged, "compared": compared, "operations": operations,
                "lost": lost, "doubled": doubled, "out_of_order": out_of_order,
                "seconds": sum.seconds, "findings": findings.texts, "surprises": sum.surprises,
                "kept": sum.kept,
            });
            print_line(&line.to_string())?;
        } else {
            for surprise in &sum.surprises {
                print_line(&format!("not expected: {surprise}"))?;
            }
            print_line(&format!(
                "{recordings} recordings of {operations} operations, {cuts} cuts, {acknowledged} \
                 acknowledged, {compared} compared, {lost} lost, {doubled} doubled, \
                 {out_of_order} out of order"
            ))?;
        }
        let Some(repeat) = failed else { return Ok(()) };
        let kept = sum.kept.as_ref().map(|kept| kept.display().to_string()).unwrap_or_default();
        Err(LoadError::Failed(format!(
            "after {} of {cuts} cuts: {lost} lost, {doubled} doubled, {out_of_order} out of order; \
             the first disk is {kept}; again: {repeat}",
            sum.failed
        )))
    }
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

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_recording_is_repeated_by_its_command() {
        let args = |line: &str| Command::try_parse_from(line.split(' ').skip(2)).unwrap().args;
        let given = args("bellpull chaos power --seed 1 --cuts 120 --writers 3 --seconds 5");
        let plan = given.plan(2, 20, |_| Ok(()));
        let again = args(&given.repeat(&plan));
        assert_eq!((again.seed, again.cuts, again.writers, again.seconds), (Some(2), 20, 3, 5));
        assert!(Command::try_parse_from(["power", "--cuts", "0"]).is_err());
    }
}
