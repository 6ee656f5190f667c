//! `replay`: all users reconnect at once, each with a backlog.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Cpu, Outcome};
use crate::LoadError;
use crate::clock::{figure, now_ns, seconds};
use crate::mark::Mark;
use crate::pipe::LoadUser;
use crate::plan::{Plan, Replay};
use crate::target::Target;
use crate::workers::{Workers, count_missing};

/// The time for a server to notice that all users have left.
const GONE_AFTER: Duration = Duration::from_secs(2);
/// The interval of checks how much of the backlog is stored.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How many users are checked.
const WATCHED: usize = 16;

/// All users connect once, a backlog is sent while they are away, and they return.
pub(super) fn run(
    plan: &Plan,
    replay: &Replay,
    target: &Target,
    workers: &mut Workers,
) -> Result<Outcome, LoadError> {
    workers.connect(plan.pace, 0)?;
    let mut outcome = Outcome { faults: workers.reset()?.faults, ..Outcome::default() };
    if !outcome.faults.is_clean() {
        return Ok(outcome);
    }
    workers.disconnect()?;
    std::thread::sleep(GONE_AFTER);
    store(plan, replay, target, &mut outcome)?;
    if !outcome.faults.is_clean() {
        return Ok(outcome);
    }
    let expected = replay.backlog * u64::try_from(workers.sockets()).unwrap_or(u64::MAX);
    let cpu = Cpu::start(target, workers)?;
    workers.expect(replay.backlog)?;
    workers.connect(plan.pace, replay.backlog)?;
    workers.watch("replay", usize::try_from(expected).unwrap_or(usize::MAX));
    let reached = workers.reached()?;
    let spent = cpu.stop(target, workers)?;
    let tally = workers.last_of_all()?;
    outcome.faults.add(&tally.faults);
    count_missing(&mut outcome.faults, expected, tally.received);
    let end_ns = reached.unwrap_or(tally.done_ns);
    let took = seconds(end_ns.saturating_sub(tally.begun_ns));
    outcome.add("users", "users", figure(tally.open), 0);
    outcome.add("users_per_s", "users/s", figure(tally.caught_up.count()) / took, 0);
    outcome.add("replayed_per_s", "replayed/s", figure(tally.received) / took, 0);
    let quantiles = [("caught_up_p50_ms", "caught up p50 ms"), ("caught_up_p99_ms", "p99 ms")];
    outcome.add_times("caught_up", quantiles, tally.caught_up);
    let cpu = [("server_us_per_frame", "server µs/frame"), ("tool_us_per_frame", "tool µs/frame")];
    outcome.add_nodes(target, &tally.nodes, &spent);
    outcome.add_cpu(&spent, cpu, tally.received);
    Ok(outcome)
}

/// Sends the backlog, and waits until all users have all of it.
fn store(
    plan: &Plan,
    replay: &Replay,
    target: &Target,
    outcome: &mut Outcome,
) -> Result<(), LoadError> {
    let publish = target.publish()?;
    let mut rest = publish.connect(0, plan.patience)?;
    let watched = watched(target);
    let before = unread(plan, target, &watched)?;
    for n in 0..replay.backlog {
        let mark = Mark { run: target.run, n, sent_ns: now_ns() };
        let body = target.body(publish, mark, replay.bytes);
        let answer = rest.ask("POST", publish.path(), &publish.headers, &body)?;
        if !answer.is_success() {
            outcome.faults.failed_requests += 1;
            outcome.faults.reason(&format!("{}: {}", publish.url(), answer.text()));
            return Ok(());
        }
    }
    let expected = replay.backlog * u64::try_from(watched.len()).unwrap_or_default();
    let (mut seen, mut since) = (0, Instant::now());
    while seen < expected {
        if since.elapsed() > plan.patience {
            return Err(LoadError::Failed(format!(
                "--timeout: for {} s no more of the backlog was stored than {} %",
                plan.patience.as_secs(),
                seen * 100 / expected
            )));
        }
        std::thread::sleep(LOOK_EVERY);
        let now = unread(plan, target, &watched)?;
        let stored = now.iter().zip(&before).map(|(now, before)| now.saturating_sub(*before));
        let stored = stored.sum();
        if stored != seen {
            (seen, since) = (stored, Instant::now());
        }
    }
    Ok(())
}

/// Listeners whose unread counts show the progress of the backlog. Our hubs write sends in turns,
/// each to its next recipients in the order of their ids: the last listener is among them, for when
/// it has all, all have; and others before it, for it receives nothing until nearly all is written.
/// At a third-party server: none.
fn watched(target: &Target) -> Vec<&LoadUser> {
    if !target.setup.has_positions {
        return Vec::new();
    }
    let step = target.setup.participants.len().div_ceil(WATCHED).max(1);
    target.setup.participants.iter().rev().step_by(step).collect()
}

/// The unread count of each of them.
fn unread(plan: &Plan, target: &Target, participants: &[&LoadUser]) -> Result<Vec<u64>, LoadError> {
    if participants.is_empty() {
        return Ok(Vec::new());
    }
    let mut rest = target.connect(0, plan.patience)?;
    let ask = |load_user: &&LoadUser| {
        let headers = [format!("Authorization: Bearer {}", load_user.token)];
        let answer = rest.ask("GET", "/api/notifications/unread_count/", &headers, "")?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let count = body.get("unread_count").and_then(Value::as_u64);
        count.ok_or_else(|| LoadError::Failed(format!("the unread count: {}", answer.text())))
    };
    participants.iter().map(ask).collect()
}
