//! `load`: the load tester.

mod options;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::time::Duration;

use clap::Subcommand;
use tokio::signal::unix::{SignalKind, signal};

use crate::plan::{FanOut, Mixed, Plan, Replay, Tickets, Workload};
use crate::report::{self, Table};
use crate::run::Results;
use crate::{LoadError, bare, children, plot, run, worker};
use options::Options;

/// The default number of users with tickets.
const STAFF: usize = 40;

const EXAMPLES: &str = "\
Examples:
  bellpull load fan-out --users 10000 --baseline
  bellpull load idle --scale 1000,5000,10000,19000 --plot memory.svg
  bellpull load connect --users 10000 --runs 3 --json
  bellpull load tickets --parallel 1 --lives 200
  bellpull load replay --users 10000 --backlog 100
  bellpull load mixed --for 600 --transitions 1500 --plot mixed.svg
  bellpull load fan-out --spawn --spawn=./bellpull-before --users 5000
  bellpull load connect --url ws://127.0.0.1:8000 --pid \"$PID\" \\
      --jwt-secret \"$SECRET\" --users 1..10000
  bellpull load tickets --spawn --nodes 1,3 --lives 500
  bellpull load tickets --url ws://10.0.0.1:8000,ws://10.0.0.2:8000 --jwt-secret \"$SECRET\"
  bellpull load fan-out --users 1000 --plain --url 'ws://127.0.0.1:8080/sub/x' \\
      --publish-url 'http://127.0.0.1:8080/pub/x'

Without --url a hub is started for each run, on a temporary database with accounts of its own, so
one command repeats a figure; with --nodes a whole cluster. With several servers each does the same
in turn, and ratios are printed. Several URLs in one --url, joined by commas, are the nodes of one
cluster: users and requests are distributed over them in turn. A frame that is missing, duplicated
or out of order makes the command exit with 1.

Keys of --json: format, bellpull, workload, processes, ok, rows (server, nodes, size, read_wait_us,
run, figures, latencies, faults), ratios (server, to, size, read_wait_us, ratios). Keys are stable
within a `format` version.";

/// The options of `load`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, subcommand_value_name = "WORKLOAD")]
#[command(subcommand_help_heading = "Workloads")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Connect all users and wait: the server's memory per user
    Idle(Options),
    /// Connect all users at once: users/s, and the time until the first frame
    Connect(Options),
    /// Send one stored notification to all users: frames/s, and the time until each arrives
    FanOut(FanOutArgs),
    /// Run tickets through their life cycle over REST: transitions/s, and the time until each frame
    Tickets(TicketsArgs),
    /// Reconnect all users at once, each with a backlog: replayed notifications/s
    Replay(ReplayArgs),
    /// Tickets, notifications to all users and reconnects, at a steady rate
    Mixed(MixedArgs),
    /// A worker process of this tool
    #[command(hide = true)]
    Worker,
    /// The minimal server that only writes
    #[command(hide = true)]
    BareLoop,
}

#[derive(Debug, clap::Args)]
struct FanOutArgs {
    /// How many notifications to send
    #[arg(long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rounds: u64,
    /// Then as many again, this many at once; 0: none
    #[arg(long, value_name = "N", default_value_t = 0,
          value_parser = clap::value_parser!(u64).range(0..=1_000))]
    burst: u64,
    /// Approximate frame size, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 400,
          value_parser = clap::value_parser!(u32).range(1..=60_000))]
    size: u32,
    /// Also measure the bare loop: two threads that write to as many sockets
    #[arg(long)]
    baseline: bool,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, clap::Args)]
struct TicketsArgs {
    /// How many life cycles: each has six transitions
    #[arg(long, value_name = "N", default_value_t = 1_000,
          value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    lives: u64,
    /// How many connections send requests at once
    #[arg(long, value_name = "N", default_value_t = 32,
          value_parser = clap::value_parser!(u16).range(1..=1_000))]
    parallel: u16,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, clap::Args)]
struct ReplayArgs {
    /// How many notifications wait for each user; a hub replays up to its setting replay.limit
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u64).range(1..=100_000))]
    backlog: u64,
    /// Approximate frame size, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 400,
          value_parser = clap::value_parser!(u32).range(1..=60_000))]
    size: u32,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, clap::Args)]
struct MixedArgs {
    /// Duration, in seconds
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u32).range(1..=604_800))]
    seconds: u32,
    /// Ticket transitions per second
    #[arg(long, value_name = "PER_SECOND", default_value_t = 500.0, allow_negative_numbers = true,
          value_parser = rate)]
    transitions: f64,
    /// Notifications to all users per second
    #[arg(long, value_name = "PER_SECOND", default_value_t = 0.2, allow_negative_numbers = true,
          value_parser = rate)]
    fan_outs: f64,
    /// Reconnecting users per second
    #[arg(long, value_name = "PER_SECOND", default_value_t = 10.0, allow_negative_numbers = true,
          value_parser = rate)]
    returns: f64,
    /// How many connections send requests at once
    #[arg(long, value_name = "N", default_value_t = 32,
          value_parser = clap::value_parser!(u16).range(1..=1_000))]
    parallel: u16,
    /// How many of the users have tickets; the others only listen
    #[arg(long, value_name = "N", default_value_t = 40,
          value_parser = clap::value_parser!(u16).range(3..=1_000))]
    staff: u16,
    /// Approximate size of a notification's frame, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 400,
          value_parser = clap::value_parser!(u32).range(1..=60_000))]
    size: u32,
    #[command(flatten)]
    options: Options,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| (0.001..=1e6).contains(rate));
    rate.ok_or_else(|| format!("{text} is not a rate from 0.001 to 1000000 a second"))
}

fn bytes(size: u32) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// Runs a load test.
///
/// # Errors
/// An invalid option; why it could not be run; or, after the table with the counts, that frames
/// were missing, duplicated or out of order.
pub async fn run(args: Args) -> Result<(), LoadError> {
    let (workload, options, has_baseline) = match args.command {
        Command::Worker => {
            return child(|| {
                worker::run(std::io::BufReader::new(std::io::stdin()), std::io::stdout().lock())
            })
            .await;
        }
        Command::BareLoop => return child(bare::run).await,
        Command::Idle(options) => (Workload::Idle, options, false),
        Command::Connect(options) => (Workload::Connect, options, false),
        Command::FanOut(FanOutArgs { rounds, burst, size, baseline, options }) => {
            let fan_out = FanOut { rounds, burst, bytes: bytes(size) };
            (Workload::FanOut(fan_out), options, baseline)
        }
        Command::Tickets(TicketsArgs { lives, parallel, options }) => {
            let tickets = Tickets { lives, parallel: usize::from(parallel) };
            (Workload::Tickets(tickets), options.with_users(STAFF), false)
        }
        Command::Replay(ReplayArgs { backlog, size, options }) => {
            (Workload::Replay(Replay { backlog, bytes: bytes(size) }), options, false)
        }
        Command::Mixed(args) => {
            let mixed = Mixed {
                time: Duration::from_secs(u64::from(args.seconds)),
                steps_per_s: args.transitions,
                fan_outs_per_s: args.fan_outs,
                returns_per_s: args.returns,
                parallel: usize::from(args.parallel),
                staff: usize::from(args.staff),
                bytes: bytes(args.size),
            };
            (Workload::Mixed(mixed), args.options, false)
        }
    };
    let (json, plot) = (options.json, options.plot.clone());
    let read_waits = options.read_waits();
    let plan = options.plan(workload, has_baseline)?;
    let mut measured = Vec::new();
    for read_wait in &read_waits {
        let plan = Plan { read_wait: *read_wait, ..plan.clone() };
        if read_waits.len() > 1 && !json {
            print_line(&format!("read wait {} µs:", read_wait.as_micros()))?;
        }
        let results = measure(&plan, json).await?;
        measured.push((plan, results));
    }
    if json {
        print_line(&report::json(&measured).to_string())?;
    }
    if let (Some(file), Some((plan, results))) = (plot, measured.first()) {
        plot::write(plan, results, &file)?;
    }
    verdict(measured.iter().map(|(_, results)| results))
}

/// Measures with one read wait; prints the table.
async fn measure(plan: &Plan, json: bool) -> Result<Results, LoadError> {
    let mut table = Table::new(plan);
    let mut printed = Ok(());
    let all = run::run(plan, |row| {
        if !json && printed.is_ok() {
            printed = print_line(table.row(row).trim_end());
        }
    });
    let results = tokio::select! {
        results = all => results?,
        signal = asked_to_end() => {
            children::end_all();
            return Err(signal);
        }
    };
    printed?;
    if !json && plan.servers.len() > 1 {
        print_line(table.ratios(plan, &results).trim_end())?;
    }
    Ok(results)
}

/// Waits for a signal that ends the run.
async fn asked_to_end() -> LoadError {
    let failed = |error: std::io::Error| LoadError::failed(format!("load: {error}"));
    let (mut terminate, mut interrupt) =
        match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
            (Err(error), _) | (_, Err(error)) => return failed(error),
        };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    LoadError::failed("load: ended by a signal, before the run was over")
}

fn verdict<'a>(measured: impl Iterator<Item = &'a Results>) -> Result<(), LoadError> {
    let mut all = crate::check::Faults::default();
    for row in measured.flat_map(|results| &results.rows).filter(|row| row.run > 0) {
        all.add(&row.outcome.faults);
    }
    if all.is_clean() {
        return Ok(());
    }
    let wrong = all.counts().into_iter().filter(|(_, count)| *count > 0);
    let wrong: Vec<String> = wrong.map(|(name, count)| format!("{count} {name}")).collect();
    let why = all.reasons.keys().next().map(|why| format!(" ({why})")).unwrap_or_default();
    Err(LoadError::failed(format!("frames or requests failed: {}{why}", wrong.join(", "))))
}

/// The work of a process that this tool started: it blocks, so it has a thread of its own.
async fn child(
    work: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<(), LoadError> {
    let failed = |error: &dyn std::fmt::Display| LoadError::failed(format!("load: {error}"));
    let worked = tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))?;
    worked.map_err(|error| failed(&error))
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
