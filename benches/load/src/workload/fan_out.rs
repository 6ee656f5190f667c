//! `fan-out`: one message to all users, and the time until each has it.

use super::{Cpu, Outcome};
use crate::LoadError;
use crate::check::Faults;
use crate::clock::{figure, now_ns, seconds};
use crate::mark::Mark;
use crate::plan::{FanOut, Plan};
use crate::rest::Rest;
use crate::target::Target;
use crate::workers::{Workers, count_missing};

/// Sends, and their connections.
struct Sender<'a> {
    target: &'a Target,
    fan_out: &'a FanOut,
    connections: Vec<Rest>,
    /// The next mark.
    n: u64,
}

/// The durations of some rounds, from each round's first request until its last frame.
struct Rounds {
    frames: u64,
    took_ns: u64,
}

/// One message at a time, each after the previous one has reached all users; then in bursts.
pub(super) fn run(
    plan: &Plan,
    fan_out: &FanOut,
    target: &Target,
    workers: &mut Workers,
) -> Result<Outcome, LoadError> {
    let publish = target.publish()?;
    workers.connect(plan.pace, 0)?;
    let mut outcome = Outcome { faults: workers.reset()?.faults, ..Outcome::default() };
    if !outcome.faults.is_clean() {
        return Ok(outcome);
    }
    let nodes = target.places.len();
    let count = usize::try_from(fan_out.burst).unwrap_or(usize::MAX).max(nodes);
    let count = if target.setup.has_positions { count } else { 1 };
    let connect = |nth| publish.connect(nth, plan.patience);
    let connections = (0..count).map(connect).collect::<Result<_, _>>()?;
    let mut sender = Sender { target, fan_out, connections, n: 0 };
    let sockets = u64::try_from(workers.sockets()).unwrap_or(u64::MAX);
    outcome.add("users", "users", figure(sockets), 0);

    let cpu = Cpu::start(target, workers)?;
    let single = sender.rounds(workers, 1, &mut outcome.faults)?;
    let spent = cpu.stop(target, workers)?;
    let tally = workers.last_of_all()?;
    outcome.faults.add(&tally.faults);
    let single_rate = figure(tally.received) / seconds(single.took_ns);
    outcome.add("frames_per_s", "frames/s", single_rate, 0);
    let quantiles = [("frame_p50_ms", "p50 ms"), ("frame_p99_ms", "p99 ms")];
    outcome.add_times("frame", quantiles, tally.frames.clone());
    outcome.add("frame_max_ms", "max ms", tally.frames.ms(1.0), 2);
    outcome.add("frame_bytes", "bytes", figure(tally.bytes) / figure(tally.received.max(1)), 0);
    let cpu = [("server_us_per_frame", "server µs/frame"), ("tool_us_per_frame", "tool µs/frame")];
    outcome.add_nodes(target, &tally.nodes, &spent);
    outcome.add_cpu(&spent, cpu, tally.received);
    count_missing(&mut outcome.faults, single.frames, tally.received);

    if fan_out.burst > 1 && outcome.faults.is_clean() {
        let burst = sender.rounds(workers, fan_out.burst, &mut outcome.faults)?;
        let tally = workers.last_of_all()?;
        outcome.faults.add(&tally.faults);
        let rate = figure(tally.received) / seconds(burst.took_ns);
        outcome.add("burst_frames_per_s", "burst frames/s", rate, 0);
        outcome.add("burst_ratio", "burst ÷ single", rate / single_rate.max(1.0), 2);
        let p99 = tally.frames.ms(0.99);
        outcome.add("burst_p99_ms", "burst p99 ms", p99, 2);
        outcome.times.push(("burst_frame", tally.frames));
        count_missing(&mut outcome.faults, burst.frames, tally.received);
    }
    Ok(outcome)
}

impl Sender<'_> {
    /// All rounds, each of this many messages at once; ends early if a frame is missing.
    fn rounds(
        &mut self,
        workers: &mut Workers,
        at_once: u64,
        faults: &mut Faults,
    ) -> Result<Rounds, LoadError> {
        let sockets = u64::try_from(workers.sockets()).unwrap_or(u64::MAX);
        let mut rounds = Rounds { frames: 0, took_ns: 0 };
        let expected = sockets * at_once * self.fan_out.rounds;
        workers.watch("fan-out", usize::try_from(expected).unwrap_or(usize::MAX));
        for round in 1..=self.fan_out.rounds {
            workers.expect(round * at_once)?;
            let begun_ns = now_ns();
            rounds.frames += sockets * self.send(at_once, faults)?;
            if !faults.is_clean() {
                break; // a rejected message has no frames to wait for
            }
            match workers.reached()? {
                Some(at_ns) => rounds.took_ns += at_ns.saturating_sub(begun_ns),
                None => break,
            }
        }
        Ok(rounds)
    }

    /// Sends this many messages at once; returns how many were accepted. Our hubs number them, so
    /// each has a connection of its own and is written before any response is awaited. Third-party
    /// servers must keep the marks in order, so each is answered before the next is sent.
    fn send(&mut self, at_once: u64, faults: &mut Faults) -> Result<u64, LoadError> {
        let publish = self.target.publish()?;
        let (mut left, mut taken) = (usize::try_from(at_once).unwrap_or(usize::MAX), 0);
        while left > 0 {
            let now = left.min(self.connections.len());
            left -= now;
            // Each message begins at another node than the one before.
            self.connections.rotate_left(1);
            for connection in self.connections.iter_mut().take(now) {
                let mark = Mark { run: self.target.run, n: self.n, sent_ns: now_ns() };
                self.n += 1;
                let body = self.target.body(publish, mark, self.fan_out.bytes);
                connection
                    .send("POST", publish.path(), &publish.headers, &body)
                    .map_err(|error| publish.failed(error))?;
            }
            for connection in self.connections.iter_mut().take(now) {
                let answer = connection.answer().map_err(|error| publish.failed(error))?;
                if answer.is_success() {
                    taken += 1;
                } else {
                    faults.failed_requests += 1;
                    faults.reason(&format!("{}: {}", publish.url(), answer.text()));
                }
            }
        }
        Ok(taken)
    }
}
