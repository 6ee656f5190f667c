//! The attempts that wait for a turn, and their order.
//!
//! Four classes share the turns by weight, so none starves; within a class each unit (a name from a
//! network) has one turn per round, so the attempts of one unit cannot delay another's. The queue
//! is bounded: when it is full, the lowest class and the unit with the most attempts lose a place.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::claim::{Claim, Class, GUESS_EVERY, Subject};

/// Attempts that wait at once: a few hundred KiB, and some 10 s of work.
pub(super) const WAITING_MAX: usize = 512;

/// What an attempt needs after its turn has come: the hash, and the turn of its refusal.
pub(super) const AFTER_TURN: Duration = Duration::from_secs(1);

/// What to tell a client that had to give way: about as long as a full queue takes.
pub(super) const CROWDED_RETRY: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Waiting<W> {
    claim: Claim,
    deadline: Instant,
    waiter: W,
}

/// The queue; `W` notifies the client.
#[derive(Debug)]
pub(super) struct Queue<W> {
    /// By arrival.
    waiting: Vec<Waiting<W>>,
    /// When each waiting unit had its last turn or, before its first, arrived.
    rounds: HashMap<u64, u64>,
    round: u64,
    /// Self-clocked fair queueing of the classes: the clock is at the end of the last turn.
    clock: u64,
    shares: [Share; 4],
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        let (waiting, rounds) = (Vec::new(), HashMap::new());
        Self { waiting, rounds, round: 0, clock: 0, shares: [Share::default(); 4] }
    }
}

/// A class's share of the turns, in the queue's virtual time.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    /// When its last turn ended.
    finished: u64,
    /// When its next one begins; `None` while none of its attempts may have a turn, so that it does
    /// not save any up.
    begins: Option<u64>,
}

/// The next event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<W> {
    /// This attempt's turn.
    Turn(W, Claim),
    /// A turn at that time, unless the queue changes before.
    At(Instant),
    /// Nothing: the queue is empty.
    Empty,
}

impl<W> Queue<W> {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_MAX
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds an attempt; returns the one that must give way for it, which may be itself.
    pub(super) fn push(&mut self, claim: Claim, deadline: Instant, waiter: W) -> Option<W> {
        self.waiting.push(Waiting { claim, deadline, waiter });
        let next = self.next_round();
        self.rounds.entry(claim.unit).or_insert(next);
        if self.waiting.len() <= WAITING_MAX {
            return None;
        }
        let mut counts: HashMap<u64, usize> = HashMap::new();
        for one in &self.waiting {
            *counts.entry(one.claim.unit).or_default() += 1;
        }
        let of = |one: &Waiting<W>| counts.get(&one.claim.unit).copied();
        let rank = |(at, one): &(usize, &Waiting<W>)| (one.claim.class, of(one), *at);
        let worst = self.waiting.iter().enumerate().max_by_key(rank).map(|(at, _)| at);
        worst.map(|at| self.take(at).waiter)
    }

    /// Removes the attempts whose clients have disconnected.
    pub(super) fn retain(&mut self, is_there: impl Fn(&W) -> bool) {
        self.waiting.retain(|one| is_there(&one.waiter));
        let units: HashSet<u64> = self.waiting.iter().map(|one| one.claim.unit).collect();
        self.rounds.retain(|unit, _| units.contains(unit));
    }

    /// Removes the attempts that their subject's budget allows no turn before their deadline; with
    /// each, how long its turn would take.
    pub(super) fn shed(
        &mut self,
        now: Instant,
        wait: impl Fn(Subject) -> Duration,
    ) -> Vec<(W, Duration)> {
        let mut positions: HashMap<u64, u32> = HashMap::new();
        let mut order = Vec::new();
        for (at, one) in self.waiting.iter().enumerate() {
            let position = positions.entry(one.claim.unit).or_default();
            order.push((*position, self.rounds.get(&one.claim.unit).copied(), at));
            *position += 1;
        }
        order.sort_unstable();
        let mut next: HashMap<Subject, Duration> = HashMap::new();
        let mut late = Vec::new();
        for (_, _, at) in order {
            let Some(one) = self.waiting.get(at) else { continue };
            let Some(subject) = one.claim.subject else { continue };
            let turn_in = next.entry(subject).or_insert_with(|| wait(subject));
            // While the budget lasts it is unknown how many of the attempts will fail.
            if turn_in.is_zero() {
                continue;
            }
            if now + *turn_in + AFTER_TURN > one.deadline {
                late.push((at, *turn_in));
            } else {
                *turn_in += GUESS_EVERY;
            }
        }
        late.sort_unstable_by(|one, other| other.cmp(one)); // from the end: places do not move
        late.into_iter().map(|(at, turn_in)| (self.take(at).waiter, turn_in)).collect()
    }

    /// Removes and returns the attempt whose turn it is, among those whose budget allows one now.
    pub(super) fn next(&mut self, now: Instant, wait: impl Fn(Subject) -> Duration) -> Next<W> {
        let mut soonest: Option<Duration> = None;
        // For each class the unit that has waited longest for a turn, and its oldest attempt.
        let mut first: [Option<(u64, usize)>; 4] = [None; 4];
        for (at, one) in self.waiting.iter().enumerate() {
            let turn_in = one.claim.subject.map(&wait).unwrap_or_default();
            if !turn_in.is_zero() {
                soonest = Some(soonest.map_or(turn_in, |soonest| soonest.min(turn_in)));
                continue;
            }
            let round = self.rounds.get(&one.claim.unit).copied().unwrap_or_default();
            if let Some(first) = first.get_mut(one.claim.class as usize) {
                *first = Some(first.map_or((round, at), |first| first.min((round, at))));
            }
        }
        if let Some(at) = self.choose(first) {
            let Waiting { claim, waiter, .. } = self.take(at);
            return Next::Turn(waiter, claim);
        }
        soonest.map_or(Next::Empty, |soonest| Next::At(now + soonest))
    }

    /// The class whose turn would end first.
    fn choose(&mut self, first: [Option<(u64, usize)>; 4]) -> Option<usize> {
        let clock = self.clock;
        let classes = Class::ALL.into_iter().zip(&mut self.shares).zip(first);
        let candidates = classes.filter_map(|((class, share), first)| {
            let Some((_, at)) = first else {
                share.begins = None;
                return None;
            };
            let begins = *share.begins.get_or_insert(share.finished.max(clock));
            Some((begins + class.cost(), class, share, at))
        });
        let (ends, _, share, at) = candidates.min_by_key(|(ends, class, ..)| (*ends, *class))?;
        *share = Share { finished: ends, begins: Some(ends) };
        self.clock = ends;
        Some(at)
    }

    fn next_round(&mut self) -> u64 {
        self.round += 1;
        self.round
    }

    /// Removes an attempt; its unit moves to the end of the round.
    fn take(&mut self, at: usize) -> Waiting<W> {
        let one = self.waiting.remove(at);
        let unit = one.claim.unit;
        if self.waiting.iter().any(|other| other.claim.unit == unit) {
            let next = self.next_round();
            self.rounds.insert(unit, next);
        } else {
            self.rounds.remove(&unit);
        }
        one
    }
}
