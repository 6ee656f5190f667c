//! `replay`: everybody comes back at once, each to a backlog.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Cpu, Outcome};
use crate::load::LoadError;
use crate::load::clock::{figure, now_ns, seconds};
use crate::load::crew::{Crew, count_missing};
use crate::load::mark::Mark;
use crate::load::plan::{Plan, Replay};
use crate::load::rest::Rest;
use crate::load::target::Target;

/// Until a server has seen that everybody left.
const GONE_AFTER: Duration = Duration::from_secs(2);
/// How often it is asked how much of the backlog is stored.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A first visit, a backlog for everybody while nobody is there, and the return.
pub(super) fn run(
    plan: &Plan,
    replay: &Replay,
    target: &Target,
    crew: &mut Crew,
) -> Result<Outcome, LoadError> {
    crew.connect(plan.pace, 0)?;
    let mut outcome = Outcome { faults: crew.reset()?.faults, ..Outcome::default() };
    if !outcome.faults.is_clean() {
        return Ok(outcome);
    }
    crew.disconnect()?;
    std::thread::sleep(GONE_AFTER);
    store(plan, replay, target, &mut outcome)?;
    if !outcome.faults.is_clean() {
        return Ok(outcome);
    }
    let owed = replay.backlog * u64::try_from(crew.sockets()).unwrap_or(u64::MAX);
    let cpu = Cpu::start(target, crew)?;
    crew.expect(replay.backlog)?;
    crew.connect(plan.pace, replay.backlog)?;
    crew.watch("replay", usize::try_from(owed).unwrap_or(usize::MAX));
    let reached = crew.reached()?;
    let spent = cpu.stop(target, crew)?;
    let tally = crew.last_of_all()?;
    outcome.faults.add(&tally.faults);
    count_missing(&mut outcome.faults, owed, tally.received);
    let end_ns = reached.unwrap_or(tally.done_ns);
    let took = seconds(end_ns.saturating_sub(tally.begun_ns));
    outcome.add("users", "users", figure(tally.open), 0);
    outcome.add("users_per_s", "users/s", figure(tally.caught_up.count()) / took, 0);
    outcome.add("replayed_per_s", "replayed/s", figure(tally.received) / took, 0);
    let quantiles = [("caught_up_p50_ms", "caught up p50 ms"), ("caught_up_p99_ms", "p99 ms")];
    outcome.add_times("caught_up", quantiles, tally.caught_up);
    let cpu = [("server_us_per_frame", "server µs/frame"), ("tool_us_per_frame", "tool µs/frame")];
    outcome.add_cpu(spent, cpu, tally.received);
    Ok(outcome)
}

/// Sends the backlog, and waits until the last listener has all of it.
fn store(
    plan: &Plan,
    replay: &Replay,
    target: &Target,
    outcome: &mut Outcome,
) -> Result<(), LoadError> {
    let publish = target.publish()?;
    let mut rest = Rest::connect(publish.place.address, &publish.place.host, plan.patience)?;
    let before = unread(plan, target)?;
    for n in 0..replay.backlog {
        let mark = Mark { run: target.run, n, sent_ns: now_ns() };
        let body = target.body(publish, mark, replay.bytes);
        let answer = rest.ask("POST", &publish.place.path, &publish.headers, &body)?;
        if !answer.is_success() {
            outcome.faults.failed_requests += 1;
            outcome.faults.reason(&answer.text());
            return Ok(());
        }
    }
    let Some(before) = before else { return Ok(()) };
    let (mut seen, mut since) = (before, Instant::now());
    while seen < before + replay.backlog {
        if since.elapsed() > plan.patience {
            return Err(LoadError::Failed(format!(
                "--timeout: after {} s {} of {} notifications were stored",
                plan.patience.as_secs(),
                seen - before,
                replay.backlog
            )));
        }
        std::thread::sleep(LOOK_EVERY);
        let now = unread(plan, target)?.unwrap_or_default();
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
    Ok(())
}

/// How much the last listener has unread: sends go to people in the order of their accounts.
/// `None` at a server that is none of ours.
fn unread(plan: &Plan, target: &Target) -> Result<Option<u64>, LoadError> {
    let Some(last) = target.setup.people.last().filter(|_| target.setup.has_positions) else {
        return Ok(None);
    };
    let mut rest = Rest::connect(target.place.address, &target.place.host, plan.patience)?;
    let headers = [format!("Authorization: Bearer {}", last.token)];
    let answer = rest.ask("GET", "/api/notifications/unread_count/", &headers, "")?;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match body.get("unread_count").and_then(Value::as_u64) {
        Some(count) => Ok(Some(count)),
        None => Err(LoadError::Failed(format!("the unread count: {}", answer.text()))),
    }
}
