//! What may go wrong on a socket's way: frames that are missing, doubled or out of order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The order of what one socket received.
#[derive(Debug, Default)]
pub struct Order {
    last: Option<u64>,
    /// What was passed over and has not come yet, each with both of its ends.
    holes: Vec<(u64, u64)>,
}

/// What was wrong, counted over all sockets of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Faults {
    /// Positions that were passed over and never came.
    pub gaps: u64,
    /// Frames that had come before.
    pub doubles: u64,
    /// Frames that came after later ones.
    pub reorders: u64,
    /// Frames that were owed and had not come when the time was over.
    pub missing: u64,
    /// Sockets that could not be opened.
    pub refused: u64,
    /// Sockets that ended before the run did.
    pub ended: u64,
    /// Requests that were not answered with success.
    pub failed_requests: u64,
    /// What servers said, and how often: the reasons of the last three.
    pub reasons: BTreeMap<String, u64>,
}

/// Different reasons are kept up to here: a server may put a time into each.
const REASONS_MAX: usize = 20;

impl Faults {
    /// Nothing was wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.counts().iter().all(|(_, count)| *count == 0)
    }

    /// Each count with its name.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 7] {
        [
            ("gaps", self.gaps),
            ("doubles", self.doubles),
            ("reorders", self.reorders),
            ("missing", self.missing),
            ("refused", self.refused),
            ("ended", self.ended),
            ("failed requests", self.failed_requests),
        ]
    }

    /// Keeps why.
    pub fn reason(&mut self, why: &str) {
        if self.reasons.len() < REASONS_MAX || self.reasons.contains_key(why) {
            *self.reasons.entry(why.to_owned()).or_default() += 1;
        }
    }

    /// Those of another part of the run as well.
    pub fn add(&mut self, other: &Self) {
        self.gaps += other.gaps;
        self.doubles += other.doubles;
        self.reorders += other.reorders;
        self.missing += other.missing;
        self.refused += other.refused;
        self.ended += other.ended;
        self.failed_requests += other.failed_requests;
        for (why, count) in &other.reasons {
            *self.reasons.entry(why.clone()).or_default() += count;
        }
    }
}

impl Order {
    /// The last position that came, however far.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// Takes the next position; whether it had not come before.
    pub fn take(&mut self, n: u64, faults: &mut Faults) -> bool {
        let Some(last) = self.last else {
            self.last = Some(n);
            return true;
        };
        if n > last {
            if n > last + 1 {
                faults.gaps += n - last - 1;
                self.holes.push((last + 1, n - 1));
            }
            self.last = Some(n);
            return true;
        }
        let Some(at) = self.holes.iter().position(|(from, to)| (*from..=*to).contains(&n)) else {
            faults.doubles += 1;
            return false;
        };
        faults.reorders += 1;
        faults.gaps = faults.gaps.saturating_sub(1);
        let (from, to) = self.holes.swap_remove(at);
        if from < n {
            self.holes.push((from, n - 1));
        }
        if n < to {
            self.holes.push((n + 1, to));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(positions: &[u64]) -> (u64, u64, u64, usize) {
        let (mut order, mut faults) = (Order::default(), Faults::default());
        let new = positions.iter().filter(|n| order.take(**n, &mut faults)).count();
        (faults.gaps, faults.doubles, faults.reorders, new)
    }

    #[test]
    fn gaps_doubles_and_reorders_are_told_apart() {
        assert_eq!(faults(&[7, 8, 9]), (0, 0, 0, 3));
        assert_eq!(faults(&[7, 8, 11]), (2, 0, 0, 3));
        assert_eq!(faults(&[7, 8, 8]), (0, 1, 0, 2));
        assert_eq!(faults(&[7, 9, 8, 10]), (0, 0, 1, 4));
        assert_eq!(faults(&[7, 12, 9, 9, 8, 10, 11]), (0, 1, 4, 6));
        assert_eq!(faults(&[7, 3]), (0, 1, 0, 1), "what came before the first was not owed");
    }

    #[test]
    fn one_fault_makes_a_run_unclean_and_reasons_are_bounded() {
        let mut all = Faults::default();
        assert!(all.is_clean());
        let mut one = Faults { reorders: 1, ..Faults::default() };
        for n in 0..100 {
            one.reason(&n.to_string());
        }
        all.add(&one);
        all.add(&one);
        assert!(!all.is_clean());
        assert_eq!((all.reorders, all.reasons.len(), all.reasons["3"]), (2, 20, 2));
    }
}
