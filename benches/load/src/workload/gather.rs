//! Some ask and the frames come: both at once, until nothing is owed any more.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::lives::Lives;
use crate::LoadError;
use crate::clock::{now_ns, ns};
use crate::crew::Crew;
use crate::times::Times;

/// How long frames are gathered before something else is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// So long after the last frame that was owed another one is waited for.
const AFTERWARDS: Duration = Duration::from_millis(100);

/// Whether those who ask are done, or have to be.
#[derive(Debug, Default)]
pub(super) struct Askers {
    at_work: AtomicUsize,
    is_over: AtomicBool,
    failure: Mutex<Option<LoadError>>,
}

/// The frames that came.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// From the time when each was to be asked for.
    pub(super) frames: Times,
    /// When the last one came.
    pub(super) last_ns: u64,
    /// The 99th percentile of each part of the time: when it began, in ns, and how much in ms.
    pub(super) course: Vec<(u64, f64)>,
}

/// The part of the time that is not over yet.
struct Part {
    begun_ns: u64,
    lasts_ns: u64,
    frames: Times,
}

impl Part {
    /// Adds what came to all, and this part too once it is over. There is one histogram for all
    /// parts: a day has as many of them as an hour.
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
    /// So many begin.
    pub(super) fn new(count: usize) -> Self {
        Self { at_work: AtomicUsize::new(count), ..Self::default() }
    }

    /// Whether nobody should ask for more.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    /// One of them is done; a failure ends the others too.
    pub(super) fn done(&self, outcome: Result<(), LoadError>) {
        if let Err(error) = outcome {
            self.is_over.store(true, Relaxed);
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
        self.at_work.fetch_sub(1, Relaxed);
    }

    /// Ends them all, once they have their answers.
    pub(super) fn end(&self) {
        self.is_over.store(true, Relaxed);
    }

    fn are_done(&self) -> bool {
        self.at_work.load(Relaxed) == 0
    }

    /// What went wrong with one of them.
    pub(super) fn outcome(&self) -> Result<(), LoadError> {
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// Gathers frames until those who ask are done and nothing is owed (`owes` counts what else is),
/// or nothing comes for `patience`. Each `part` of the time is told by itself as well; `look` is
/// called now and then.
pub(super) fn gather(
    crew: &mut Crew,
    lives: &Lives<'_>,
    askers: &Askers,
    [patience, part]: [Duration; 2],
    mut look: impl FnMut(&mut Crew) -> Result<bool, LoadError>,
) -> Result<Gathered, LoadError> {
    let mut gathered = Gathered::default();
    let mut heard_at = Instant::now();
    let mut seen = 0;
    let mut part = Part { begun_ns: now_ns(), lasts_ns: ns(part), frames: Times::default() };
    loop {
        for told in crew.told(LOOK_EVERY)? {
            gathered.last_ns = gathered.last_ns.max(told.at_ns);
            if let Some(ns) = lives.told(&told) {
                part.frames.record(ns);
            }
        }
        part.end(&mut gathered);
        let is_whole = look(crew)?;
        if crew.received() != seen {
            seen = crew.received();
            heard_at = Instant::now();
        }
        if !askers.are_done() {
            heard_at = Instant::now();
        } else if (is_whole && lives.missing() == 0) || heard_at.elapsed() > patience {
            break;
        }
    }
    for told in crew.told(AFTERWARDS)? {
        let _ = lives.told(&told); // nobody was owed it: it is counted as such
    }
    part.lasts_ns = 0;
    part.end(&mut gathered);
    Ok(gathered)
}
