//! An actor's vitals: how many messages wait, how many were handled and how long that took.
//!
//! ractor's mailboxes are unbounded and have no length, so every handle counts up when it sends and
//! every actor counts down when it takes a message. 104 bytes per actor: what glibc leaves over
//! beside an actor's aligned allocations is as large, so that most of them cost nothing.

pub mod message_log;

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ractor::{ActorRef, Message};

/// Buckets of the handling time, each twice as wide as the one before: 1 µs to 32 ms and beyond.
const BUCKETS: usize = 16;

/// A message that is being handled.
#[derive(Debug)]
#[must_use = "pass it to `Vitals::done`"]
pub struct Taken {
    /// Since when.
    pub at: Instant,
    /// Its name, where the actor is watched.
    name: Option<Box<str>>,
}

/// The counters of one actor, shared by all its handles.
#[derive(Debug)]
pub struct Vitals {
    depth: AtomicU32,
    /// Whether an operator watches its messages: see [`message_log`].
    is_watched: AtomicBool,
    /// How many messages took how long.
    times: [AtomicU32; BUCKETS],
    born: Instant,
}

impl Vitals {
    /// Counters of a new actor.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            depth: AtomicU32::new(0),
            is_watched: AtomicBool::new(false),
            times: Default::default(),
            born: Instant::now(),
        })
    }

    /// Messages that were sent and not taken yet.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.depth.load(Relaxed)
    }

    /// Messages that were handled; of those that took about as long, 4,294,967,295 at most.
    #[must_use]
    pub fn handled(&self) -> u64 {
        self.times.iter().map(|count| u64::from(count.load(Relaxed))).sum()
    }

    /// Its age, in milliseconds.
    #[must_use]
    pub fn age_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The actor takes a message; pass the result to [`Self::done`].
    pub fn take(&self, message: &impl Debug) -> Taken {
        self.depth.fetch_sub(1, Relaxed);
        let name = self.is_watched().then(|| message_log::name(message).into_boxed_str());
        Taken { at: Instant::now(), name }
    }

    /// Whether an operator watches its messages.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.is_watched.load(Relaxed)
    }

    pub(crate) fn set_watched(&self, is_watched: bool) {
        self.is_watched.store(is_watched, Relaxed);
    }

    /// The message that was taken then is handled. Returns how long that took.
    pub fn done(&self, taken: Taken) -> Duration {
        let took = taken.at.elapsed();
        if let Some(name) = taken.name {
            message_log::record(self, name.into_string(), took);
        }
        let count = &self.times[bucket(took)];
        // Only the actor itself counts here, so nothing comes between both; and a full counter
        // stays full: one that starts over would be taken for a new actor's.
        count.store(count.load(Relaxed).saturating_add(1), Relaxed);
        took
    }

    /// The time that a share of the messages (0.5, 0.99) did not exceed, in microseconds, rounded
    /// up to a power of two; 0 where nothing was handled.
    #[must_use]
    pub fn quantile_us(&self, share: f64) -> u64 {
        let counts: Vec<u32> = self.times.iter().map(|count| count.load(Relaxed)).collect();
        let total: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        let mut left = total;
        for (n, count) in counts.iter().enumerate().rev() {
            left -= u64::from(*count);
            // Compared as a product, so that no count is turned into a float and back.
            #[expect(clippy::cast_precision_loss, reason = "a quantile of a coarse histogram")]
            if *count > 0 && (left as f64) < share * total as f64 {
                return 1 << n;
            }
        }
        0
    }
}

fn bucket(time: Duration) -> usize {
    let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let bits = u64::BITS - us.leading_zeros();
    usize::try_from(bits).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The handle to one actor: sends, and maintains its gauge.
pub struct Handle<M> {
    actor: ActorRef<M>,
    vitals: Arc<Vitals>,
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self { actor: self.actor.clone(), vitals: Arc::clone(&self.vitals) }
    }
}

impl<M> std::fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Handle").field(&self.actor.get_id()).finish()
    }
}

impl<M: Message> Handle<M> {
    /// A handle of an actor that was spawned with these vitals.
    #[must_use]
    pub fn new(actor: ActorRef<M>, vitals: Arc<Vitals>) -> Self {
        Self { actor, vitals }
    }

    /// Sends a message; one to an actor that is gone is dropped (a [`bellpull_port::call::Call`] in
    /// it then returns its request).
    pub fn cast(&self, message: M) {
        self.vitals.depth.fetch_add(1, Relaxed);
        if self.actor.send_message(message).is_err() {
            self.vitals.depth.fetch_sub(1, Relaxed);
        }
    }

    /// Whether the actor has ended, or is about to.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        use ractor::ActorStatus::{Stopped, Stopping};
        matches!(self.actor.get_status(), Stopping | Stopped)
    }

    /// The actor itself: to kill, stop or identify it.
    #[must_use]
    pub fn actor(&self) -> &ActorRef<M> {
        &self.actor
    }

    /// Its counters.
    #[must_use]
    pub fn vitals(&self) -> &Arc<Vitals> {
        &self.vitals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_takes_104_bytes_with_its_two_counts() {
        assert_eq!(size_of::<Vitals>() + 2 * size_of::<usize>(), 104);
    }

    #[test]
    fn a_count_that_is_full_stays_full() {
        let vitals = Vitals::new();
        vitals.times.iter().for_each(|count| count.store(u32::MAX, Relaxed));
        let full = vitals.handled();
        let taken = vitals.take(&"a message");
        vitals.done(taken);
        assert_eq!(vitals.handled(), full);
    }

    #[test]
    fn quantiles_are_powers_of_two_at_or_above_the_time() {
        let vitals = Vitals::new();
        assert_eq!(vitals.quantile_us(0.5), 0);
        for us in [3_u64; 98].into_iter().chain([1000, 50_000]) {
            vitals.times[bucket(Duration::from_micros(us))].fetch_add(1, Relaxed);
        }
        assert_eq!(vitals.quantile_us(0.5), 4);
        assert_eq!(vitals.quantile_us(0.99), 1024);
        assert_eq!(vitals.quantile_us(1.0), 1 << 15);
        assert_eq!(vitals.handled(), 100);
    }
}
