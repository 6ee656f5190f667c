//! Checks each socket's frames: missing, duplicated or out of order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The order of one socket's frames.
#[derive(Debug, Default)]
pub struct Order {
    last: Option<u64>,
    /// Skipped ranges that have not arrived yet, each with both ends.
    holes: Vec<(u64, u64)>,
}

/// The faults, counted over all sockets of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Faults {
    /// Positions that were skipped and never arrived.
    pub gaps: u64,
    /// Frames that had arrived before.
    pub doubles: u64,
    /// Frames that arrived after later ones.
    pub reorders: u64,
    /// Expected frames that had not arrived at the end.
    pub missing: u64,
    /// Sockets that could not be opened.
    pub refused: u64,
    /// Sockets that closed before the run ended.
    pub ended: u64,
    /// Requests without a successful response.
    pub failed_requests: u64,
    /// The servers' reasons for the last three, with counts.
    pub reasons: BTreeMap<String, u64>,
}

/// The most different reasons that are kept: a server may include a time in each.
const REASONS_MAX: usize = 20;

impl Faults {
    /// There are no faults.
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

    /// Keeps a reason.
    pub fn reason(&mut self, why: &str) {
        if self.reasons.len() < REASONS_MAX || self.reasons.contains_key(why) {
            *self.reasons.entry(why.to_owned()).or_default() += 1;
        }
    }

    /// Adds those of another part of the run.
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
    /// The highest position that arrived.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// Adds the next position; whether it is new.
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
