//! `mixed`: tickets, messages to all users and reconnects, at a steady rate.
//!
//! An open loop: every request has its time, and the latency of a request that is late because the
//! server is late counts from then. The server's memory is read periodically.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::gather::{Askers, Gathered, gather};
use super::lives::{Lives, staff};
use super::{Course, Cpu, Outcome, Spent};
use crate::LoadError;
use crate::check::Faults;
use crate::clock::{figure, now_ns, ns, seconds};
use crate::mark::Mark;
use crate::pipe::Tally;
use crate::plan::{Mixed, Plan};
use crate::readings::all_memory;
use crate::target::Target;
use crate::workers::{Workers, count_missing};

/// Memory is read every second, and this often at most: memory of the tool does not grow with time.
const LOOKS_MAX: u32 = 300;
const LOOK_EVERY_MIN: Duration = Duration::from_secs(1);
/// Memory counts after this part of the time: caches fill first.
const WARM_UP: f64 = 0.2;
/// The longest sleep without checking for the end.
const NAP_MAX: Duration = Duration::from_millis(100);

/// The state that all requesters share.
struct Day<'a> {
    plan: &'a Plan,
    mixed: &'a Mixed,
    target: &'a Target,
    lives: &'a Lives<'a>,
    /// How many users have no tickets.
    listeners: u64,
    askers: Askers,
    begun_ns: u64,
    /// Completed transitions.
    steps: AtomicU64,
    /// Messages that all users must receive.
    sent: AtomicU64,
    faults: Mutex<Faults>,
}

/// The result.
struct Lived {
    gathered: Gathered,
    weights: Weights,
    spent: Spent,
}

/// The whole load, for the requested time and until all frames have arrived.
pub(super) fn run(
    plan: &Plan,
    mixed: &Mixed,
    target: &Target,
    workers: &mut Workers,
) -> Result<Outcome, LoadError> {
    let participants = &target.setup.participants;
    let lives = Lives::new(participants, mixed.staff, target.run)?;
    workers.connect(plan.pace, 0)?;
    let outcome = Outcome { faults: workers.reset()?.faults, ..Outcome::default() };
    if !outcome.faults.is_clean() {
        return Ok(outcome);
    }
    workers.watch("mixed", 0);
    let listeners = participants.len() - staff(mixed.staff).iter().sum::<usize>();
    let day = Day {
        plan,
        mixed,
        target,
        lives: &lives,
        listeners: u64::try_from(listeners).unwrap_or_default(),
        askers: Askers::new(mixed.parallel + 1),
        begun_ns: now_ns(),
        steps: AtomicU64::new(0),
        sent: AtomicU64::new(0),
        faults: Mutex::default(),
    };
    let lived = day.live(workers)?;
    let tally = workers.last_of_all()?;
    Ok(day.tell(outcome, lived, tally))
}

impl Day<'_> {
    /// All requests at their times, until the time is over and all frames have arrived.
    fn live(&self, workers: &mut Workers) -> Result<Lived, LoadError> {
        let cpu = Cpu::start(self.target, workers)?;
        let (mut weights, mut returned) = (Weights::new(self.mixed.time), 0);
        let times = [self.plan.patience, weights.every];
        let returns_per_s = self.mixed.returns_per_s;
        let gathered = std::thread::scope(|threads| {
            for nth in 0..self.mixed.parallel {
                threads.spawn(move || self.askers.done(self.work(nth)));
            }
            threads.spawn(|| self.askers.done(self.tell_all()));
            let look = |workers: &mut Workers| {
                weights.look(self)?;
                while now_ns() < self.end_ns() && now_ns() >= self.due_ns(returns_per_s, returned) {
                    workers.come_again(usize::try_from(returned).unwrap_or_default(), 1)?;
                    returned += 1;
                }
                Ok(workers.received() >= self.lives.expected_so_far() + self.expected())
            };
            let gathered = gather(workers, self.lives, &self.askers, times, look);
            self.askers.end();
            gathered
        })?;
        self.askers.outcome()?;
        Ok(Lived { gathered, weights, spent: cpu.stop(self.target, workers)? })
    }

    /// Expected frames of messages, for all users who only listen.
    fn expected(&self) -> u64 {
        self.sent.load(Relaxed) * self.listeners
    }

    /// The result.
    fn tell(self, mut outcome: Outcome, day: Lived, tally: Tally) -> Outcome {
        let Lived { gathered, weights, spent } = day;
        let mut lived = self.lives.lived();
        lived.faults.missing += self.lives.missing();
        outcome.faults.add(&lived.faults);
        outcome.faults.add(&tally.faults);
        count_missing(&mut outcome.faults, self.expected(), tally.frames.count());
        let took = seconds(gathered.last_ns.saturating_sub(self.begun_ns));
        outcome.add("users", "users", figure(tally.open), 0);
        outcome.add("transitions_per_s", "transitions/s", figure(lived.steps) / took, 0);
        outcome.add("fan_outs", "messages", figure(self.sent.load(Relaxed)), 0);
        outcome.add("returns", "returns", figure(tally.ready.count()), 0);
        let all = [("frame_p50_ms", "frame p50 ms"), ("frame_p99_ms", "frame p99 ms")];
        let mut frames = gathered.frames.clone();
        frames.add(&tally.frames);
        let received = frames.count();
        outcome.add("frames_per_s", "frames/s", figure(received) / took, 0);
        let p99_9 = frames.ms(0.999);
        outcome.add_times("frame", all, frames);
        outcome.add("frame_p99_9_ms", "p99.9 ms", p99_9, 2);
        outcome.times.push(("ticket_frame", gathered.frames));
        outcome.times.push(("fan_out_frame", tally.frames));
        outcome.times.push(("answer", lived.answers));
        outcome.times.push(("return", tally.ready));
        weights.tell(&mut outcome);
        let after = |at_ns: u64| seconds(at_ns.saturating_sub(self.begun_ns));
        let points = gathered.course.iter().map(|(at_ns, ms)| (after(*at_ns), *ms)).collect();
        outcome.courses.push(Course {
            title: "Tickets' frames, p99 of a while",
            unit: "ms",
            points,
        });
        outcome.faults.add(&self.faults.into_inner().unwrap_or_else(PoisonError::into_inner));
        let names =
            [("server_us_per_frame", "server µs/frame"), ("tool_us_per_frame", "tool µs/frame")];
        outcome.add_nodes(self.target, &tally.nodes, &spent);
        outcome.add_cpu(&spent, names, received);
        outcome
    }

    /// When the n-th request at this rate is due.
    fn due_ns(&self, per_second: f64, n: u64) -> u64 {
        let after = Duration::try_from_secs_f64(figure(n) / per_second);
        self.begun_ns.saturating_add(after.map_or(u64::MAX, ns))
    }

    fn end_ns(&self) -> u64 {
        self.begun_ns + ns(self.mixed.time)
    }

    /// Sleeps until then; whether that is before the end.
    fn comes(&self, due_ns: u64) -> bool {
        if due_ns >= self.end_ns() {
            return false;
        }
        while !self.askers.is_over() {
            let left = due_ns.saturating_sub(now_ns());
            if left == 0 {
                return true;
            }
            std::thread::sleep(Duration::from_nanos(left).min(NAP_MAX));
        }
        false
    }

    /// One connection's transitions: each at its time, of any ticket that waits for one.
    fn work(&self, nth: usize) -> Result<(), LoadError> {
        let mut rest = self.target.connect(nth, self.plan.patience)?;
        loop {
            let due_ns = self.due_ns(self.mixed.steps_per_s, self.steps.fetch_add(1, Relaxed));
            if !self.comes(due_ns) {
                return Ok(());
            }
            let life = self.lives.next();
            if let Some(life) = self.lives.step(&mut rest, life, due_ns)? {
                self.lives.put_back(life);
            }
        }
    }

    /// Messages to all users who only listen.
    fn tell_all(&self) -> Result<(), LoadError> {
        let publish = self.target.publish()?;
        let mut rest = self.target.connect(0, self.plan.patience)?;
        for n in 0.. {
            let sent_ns = self.due_ns(self.mixed.fan_outs_per_s, n);
            if !self.comes(sent_ns) {
                break;
            }
            let mark = Mark { run: self.target.run, n, sent_ns };
            let body = self.target.body(publish, mark, self.mixed.bytes);
            let answer = rest.ask("POST", publish.path(), &publish.headers, &body)?;
            if answer.is_success() {
                self.sent.fetch_add(1, Relaxed);
            } else {
                let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
                faults.failed_requests += 1;
                faults.reason(&answer.text());
            }
        }
        Ok(())
    }
}

/// The server's memory over time.
#[derive(Debug)]
struct Weights {
    /// The interval of readings.
    every: Duration,
    /// When, in seconds since the start, and how much, in KiB.
    looks: Vec<(f64, f64)>,
    due_ns: u64,
}

impl Weights {
    fn new(time: Duration) -> Self {
        Self { every: (time / LOOKS_MAX).max(LOOK_EVERY_MIN), looks: Vec::new(), due_ns: 0 }
    }

    fn look(&mut self, day: &Day<'_>) -> Result<(), LoadError> {
        let now = now_ns();
        let pids = &day.target.pids;
        if !pids.is_empty() && now >= self.due_ns && now < day.end_ns() {
            self.due_ns = now + ns(self.every);
            let after = seconds(now.saturating_sub(day.begun_ns));
            self.looks.push((after, figure(all_memory(pids)?.rss_kib)));
        }
        Ok(())
    }

    /// Memory after the caches were filled, at the end, and its growth rate.
    fn tell(&self, outcome: &mut Outcome) {
        let warm_at = self.looks.last().map_or(0.0, |last| last.0 * WARM_UP);
        let warm: Vec<(f64, f64)> =
            self.looks.iter().copied().filter(|look| look.0 >= warm_at).collect();
        let (Some(first), Some(last)) = (warm.first(), warm.last()) else { return };
        let points = self.looks.iter().map(|(after, kib)| (*after, kib / 1024.0)).collect();
        outcome.courses.push(Course { title: "The server's memory", unit: "MiB", points });
        outcome.add("rss_warm_mib", "MiB warm", first.1 / 1024.0, 1);
        outcome.add("rss_end_mib", "MiB at the end", last.1 / 1024.0, 1);
        outcome.add("rss_growth_kib_per_min", "KiB/min", slope(&warm) * 60.0, 0);
    }
}

/// The slope of the line of best fit.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = figure(u64::try_from(points.len()).unwrap_or_default().max(1));
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let together: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    if spread > 0.0 { together / spread } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_the_slope_after_the_caches_are_filled() {
        let looks = (0..100).map(|s| (f64::from(s), if s < 20 { 0.0 } else { f64::from(s) * 2.0 }));
        let weights = Weights { looks: looks.collect(), ..Weights::new(Duration::from_secs(100)) };
        assert_eq!(Weights::new(Duration::from_secs(3_000)).every, Duration::from_secs(10));
        let mut outcome = Outcome::default();
        weights.tell(&mut outcome);
        let keys: Vec<&str> = outcome.figures.iter().map(|figure| figure.key).collect();
        assert_eq!(keys, ["rss_warm_mib", "rss_end_mib", "rss_growth_kib_per_min"]);
        assert!((outcome.figures[2].value - 120.0).abs() < 0.01, "{:?}", outcome.figures);
        assert!(slope(&[(1.0, 5.0)]).abs() < f64::EPSILON);
    }
}
