//! A schedule of faults: all random choices come from one seed.

use std::time::Duration;

use fastrand::Rng;

use super::fault::{Fault, FaultKind};

/// The most time between two faults, in milliseconds: of a long schedule, and of a short one.
const PAUSE_MS_MAX: u64 = 4_000;
const SHORT_PAUSE_MS_MAX: u64 = 1_500;
/// A schedule whose faults begin within less than this is a short one.
const SHORT: Duration = Duration::from_secs(60);

/// From what a schedule is made.
#[derive(Debug, Clone)]
pub struct Draw<'a> {
    /// All random choices come from it.
    pub seed: u64,
    /// Which faults there may be.
    pub kinds: &'a [FaultKind],
    /// How many nodes there are.
    pub nodes: usize,
    /// How many faults there are.
    pub count: usize,
    /// No fault begins later than this.
    pub time: Duration,
}

/// A schedule. Every kind is there, if the count allows it.
#[must_use]
pub fn schedule(draw: &Draw<'_>) -> Vec<Fault> {
    let mut rng = Rng::with_seed(draw.seed);
    let bag: Vec<FaultKind> =
        draw.kinds.iter().flat_map(|kind| std::iter::repeat_n(*kind, kind.weight())).collect();
    if bag.is_empty() || draw.nodes == 0 {
        return Vec::new();
    }
    let mut chosen = rng.choose_multiple(draw.kinds.iter().copied(), draw.count);
    while chosen.len() < draw.count {
        chosen.push(bag[rng.usize(..bag.len())]);
    }
    rng.shuffle(&mut chosen);
    let is_short = draw.time < SHORT;
    let pause_ms_max = if is_short { SHORT_PAUSE_MS_MAX } else { PAUSE_MS_MAX };
    let faults = chosen.into_iter().map(|kind| Fault {
        after: Duration::from_millis(rng.u64(100..pause_ms_max)),
        kind,
        target: rng.usize(..draw.nodes),
        time: Duration::from_millis(rng.u64(kind.time_ms(is_short))),
    });
    faults.collect()
}

#[cfg(test)]
mod tests {
    use super::super::fault::{FAULTS, possible_on};
    use super::*;

    fn drawn(seed: u64, kinds: &[FaultKind], nodes: usize, count: usize) -> Vec<Fault> {
        schedule(&Draw { seed, kinds, nodes, count, time: Duration::from_secs(600) })
    }

    #[test]
    fn a_seed_gives_one_schedule_with_every_kind() {
        let one = drawn(7, &FAULTS, 3, 100);
        assert_eq!(one, drawn(7, &FAULTS, 3, 100));
        assert_ne!(one, drawn(8, &FAULTS, 3, 100));
        assert_eq!(one.len(), 100);
        for kind in FAULTS {
            assert!(one.iter().any(|fault| fault.kind == kind), "{kind:?}");
        }
        let few = drawn(7, &FAULTS, 3, FAULTS.len());
        let mut kinds: Vec<FaultKind> = few.iter().map(|fault| fault.kind).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, FAULTS);
    }

    #[test]
    fn no_kind_is_preferred_where_there_are_fewer_faults_than_kinds() {
        let first = |seed| drawn(seed, &FAULTS, 3, 1)[0].kind;
        let found: std::collections::HashSet<FaultKind> = (0..200).map(first).collect();
        assert_eq!(found.len(), FAULTS.len());
    }

    #[test]
    fn only_what_was_asked_for_happens_and_faults_of_a_short_schedule_are_short() {
        let cuts = drawn(1, &[FaultKind::Cut], 2, 9);
        assert!(cuts.iter().all(|fault| fault.kind == FaultKind::Cut));
        assert!(drawn(1, &[], 2, 9).is_empty());
        assert!(drawn(1, &FAULTS, 0, 9).is_empty());
        let kinds = possible_on(1);
        let time = Duration::from_secs(8);
        let short = schedule(&Draw { seed: 1, kinds: &kinds, nodes: 1, count: 50, time });
        assert!(short.iter().all(|fault| fault.time + fault.after < time), "{short:?}");
        assert!(short.iter().all(|fault| fault.target == 0));
    }

    #[test]
    fn one_node_has_no_faults_of_services_that_it_does_not_use() {
        assert!(!possible_on(1).contains(&FaultKind::Redis));
        assert!(possible_on(1).contains(&FaultKind::Kill));
        assert!(possible_on(2).contains(&FaultKind::Redis));
    }
}
