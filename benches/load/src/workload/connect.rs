//! `connect`: all users connect at once.

use super::{Cpu, Outcome};
use crate::LoadError;
use crate::clock::{figure, seconds};
use crate::plan::Plan;
use crate::target::Target;
use crate::workers::Workers;

/// From the first handshake until the last socket is open.
pub(super) fn run(
    plan: &Plan,
    target: &Target,
    workers: &mut Workers,
) -> Result<Outcome, LoadError> {
    let cpu = Cpu::start(target, workers)?;
    workers.connect(plan.pace, 0)?;
    let spent = cpu.stop(target, workers)?;
    let tally = workers.reset()?;
    let took = seconds(tally.done_ns.saturating_sub(tally.begun_ns));
    let mut outcome = Outcome { faults: tally.faults, ..Outcome::default() };
    outcome.add("users", "users", figure(tally.open), 0);
    outcome.add("users_per_s", "users/s", figure(tally.open) / took, 0);
    let handshake =
        [("handshake_p50_ms", "upgrade p50 ms"), ("handshake_p99_ms", "upgrade p99 ms")];
    outcome.add_times("handshake", handshake, tally.handshake);
    let ready = [("ready_p50_ms", "first frame p50 ms"), ("ready_p99_ms", "first frame p99 ms")];
    outcome.add_times("ready", ready, tally.ready);
    let cpu = [("server_us_per_user", "server µs/user"), ("tool_us_per_user", "tool µs/user")];
    outcome.add_nodes(target, &tally.nodes, &spent);
    outcome.add_cpu(&spent, cpu, tally.open);
    Ok(outcome)
}
