//! Requests and frames at the same time, until all expected frames have arrived.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::lives::Lives;
use crate::LoadError;
use crate::clock::{now_ns, ns};
use crate::times::Times;
use crate::workers::Workers;

/// How long frames are gathered before other checks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long to wait for unexpected frames after the last expected one.
const AFTERWARDS: Duration = Duration::from_millis(100);

/// Whether the requesters have finished, or must.
#[derive(Debug, Default)]
pub(super) struct Askers {
    at_work: AtomicUsize,
    is_over: AtomicBool,
    failure: Mutex<Option<LoadError>>,
}

/// The received frames.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// From the time when each was due.
    pub(super) frames: Times,
    /// When the last one arrived.
    pub(super) last_ns: u64,
    /// The 99th percentile of each interval: when it began, in ns, and its value in ms.
    pub(super) course: Vec<(u64, f64)>,
}

/// The current interval.
struct Part {
    begun_ns: u64,
    lasts_ns: u64,
    frames: Times,
}

impl Part {
    /// Adds the new frames to all, and closes the interval once it is over. One histogram serves
    /// all intervals: its size does not depend on the duration.
    fn end(&mut self, gathered: &mut Gathered) {
        let now = now_ns();
        if now < self.begun_ns + self.lasts_ns {
            return;
        }
        if self.frames.count() > 0 {
            gathered.course.push((self.begun_ns, self.frames.ms(0.99)));
            gathered.frames.add(&self.frames);
            self.frames.clear();
        }
        self.begun_ns = now;
    }
}

impl Askers {
    /// This many requesters begin.
    pub(super) fn new(count: usize) -> Self {
        Self { at_work: AtomicUsize::new(count), ..Self::default() }
    }

    /// Whether requesters must stop.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    /// A requester has finished; an error stops the others too.
    pub(super) fn done(&self, outcome: Result<(), LoadError>) {
        if let Err(error) = outcome {
            self.is_over.store(true, Relaxed);
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
        self.at_work.fetch_sub(1, Relaxed);
    }

    /// Stops all of them, once they have their responses.
    pub(super) fn end(&self) {
        self.is_over.store(true, Relaxed);
    }

    fn are_done(&self) -> bool {
        self.at_work.load(Relaxed) == 0
    }

    /// A requester's error.
    pub(super) fn outcome(&self) -> Result<(), LoadError> {
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// Gathers frames until the requesters have finished and none is expected any more (`owes` counts
/// other expected ones), or none arrives for `patience`. Each `part` of the time is also reported
/// by itself; `look` is called periodically.
pub(super) fn gather(
    workers: &mut Workers,
    lives: &Lives<'_>,
    askers: &Askers,
    [patience, part]: [Duration; 2],
    mut look: impl FnMut(&mut Workers) -> Result<bool, LoadError>,
) -> Result<Gathered, LoadError> {
    let mut gathered = Gathered::default();
    let mut heard_at = Instant::now();
    let mut seen = 0;
    let mut part = Part { begun_ns: now_ns(), lasts_ns: ns(part), frames: Times::default() };
    loop {
        for reported in workers.reported(LOOK_EVERY)? {
            gathered.last_ns = gathered.last_ns.max(reported.at_ns);
            if let Some(ns) = lives.reported(&reported) {
                part.frames.record(ns);
            }
        }
        part.end(&mut gathered);
        let is_whole = look(workers)?;
        if workers.received() != seen {
            seen = workers.received();
            heard_at = Instant::now();
        }
        if !askers.are_done() {
            heard_at = Instant::now();
        } else if (is_whole && lives.missing() == 0) || heard_at.elapsed() > patience {
            break;
        }
    }
    for reported in workers.reported(AFTERWARDS)? {
        let _ = lives.reported(&reported); // an unexpected frame is counted as such
    }
    part.lasts_ns = 0;
    part.end(&mut gathered);
    Ok(gathered)
}
