//! `tickets`: life cycles over REST, with all their recipients connected.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::gather::{Askers, gather};
use super::lives::Lives;
use super::{Cpu, Outcome};
use crate::LoadError;
use crate::clock::{figure, now_ns, seconds};
use crate::plan::{Plan, Tickets};
use crate::rest::Rest;
use crate::target::Target;
use crate::workers::Workers;

/// An interval that is reported by itself.
const PART: Duration = Duration::from_secs(1);

/// Ticket after ticket in each of this many connections; the time ends when all expected frames
/// have arrived, not when all requests were answered.
pub(super) fn run(
    plan: &Plan,
    tickets: &Tickets,
    target: &Target,
    workers: &mut Workers,
) -> Result<Outcome, LoadError> {
    let participants = &target.setup.participants;
    let lives = Lives::new(participants, participants.len(), target.run)?;
    workers.connect(plan.pace, 0)?;
    let mut outcome = Outcome { faults: workers.reset()?.faults, ..Outcome::default() };
    if !outcome.faults.is_clean() {
        return Ok(outcome);
    }
    workers.watch("tickets", usize::try_from(tickets.lives * 35).unwrap_or(usize::MAX));
    let cpu = Cpu::start(target, workers)?;
    let (askers, left) = (Askers::new(tickets.parallel), AtomicU64::new(tickets.lives));
    let begun_ns = now_ns();
    let gathered = std::thread::scope(|threads| {
        for nth in 0..tickets.parallel {
            let (lives, askers, left) = (&lives, &askers, &left);
            threads.spawn(move || {
                let asked = target.connect(nth, plan.patience);
                askers.done(asked.and_then(|rest| ask(rest, lives, askers, left)));
            });
        }
        let gathered = gather(workers, &lives, &askers, [plan.patience, PART], |_| Ok(true));
        askers.end();
        gathered
    })?;
    askers.outcome()?;
    let spent = cpu.stop(target, workers)?;
    let tally = workers.reset()?;
    let mut lived = lives.lived();
    lived.faults.missing += lives.missing();
    outcome.faults.add(&lived.faults);
    outcome.faults.add(&tally.faults);
    let took = seconds(gathered.last_ns.saturating_sub(begun_ns));
    outcome.add("users", "users", figure(tally.open), 0);
    outcome.add("transitions_per_s", "transitions/s", figure(lived.steps) / took, 0);
    let frames = gathered.frames.count();
    outcome.add("notifications_per_s", "notifications/s", figure(frames) / took, 0);
    let quantiles = [("frame_p50_ms", "frame p50 ms"), ("frame_p99_ms", "frame p99 ms")];
    outcome.add_times("frame", quantiles, gathered.frames);
    let quantiles = [("answer_p50_ms", "answer p50 ms"), ("answer_p99_ms", "answer p99 ms")];
    outcome.add_times("answer", quantiles, lived.answers);
    let cpu = [("server_us_per_frame", "server µs/frame"), ("tool_us_per_frame", "tool µs/frame")];
    outcome.add_nodes(target, &tally.nodes, &spent);
    outcome.add_cpu(&spent, cpu, frames);
    Ok(outcome)
}

/// One connection's tickets.
fn ask(
    mut rest: Rest,
    lives: &Lives<'_>,
    askers: &Askers,
    left: &AtomicU64,
) -> Result<(), LoadError> {
    while !askers.is_over() {
        let taken = left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        if taken.is_err() {
            break;
        }
        let mut life = Some(lives.begin());
        while let Some(one) = life {
            life = lives.step(&mut rest, one, now_ns())?;
        }
    }
    Ok(())
}
