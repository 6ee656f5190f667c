//! A schedule of faults: all random choices come from one seed.

use std::time::Duration;

use fastrand::Rng;

use super::fault::{Fault, FaultKind};
use super::plan::Plan;

/// The most time between two faults, in milliseconds: of a long schedule, and of a short one.
const PAUSE_MS_MAX: u64 = 4_000;
const SHORT_PAUSE_MS_MAX: u64 = 1_500;

/// A schedule. Every kind is there, if the count allows it.
#[must_use]
pub fn schedule(plan: &Plan) -> Vec<Fault> {
    let mut rng = Rng::with_seed(plan.seed);
    let bag: Vec<FaultKind> =
        plan.faults.iter().flat_map(|kind| std::iter::repeat_n(*kind, kind.weight())).collect();
    if bag.is_empty() || plan.nodes == 0 {
        return Vec::new();
    }
    let mut chosen = rng.choose_multiple(plan.faults.iter().copied(), plan.count);
    while chosen.len() < plan.count {
        chosen.push(bag[rng.usize(..bag.len())]);
    }
    rng.shuffle(&mut chosen);
    let is_short = plan.is_short();
    let pause_ms_max = if is_short { SHORT_PAUSE_MS_MAX } else { PAUSE_MS_MAX };
    let faults = chosen.into_iter().map(|kind| Fault {
        after: Duration::from_millis(rng.u64(100..pause_ms_max)),
        kind,
        target: rng.usize(..kind.targets(plan.nodes).max(1)),
        time: Duration::from_millis(rng.u64(kind.time_ms(is_short))),
    });
    faults.collect()
}

#[cfg(test)]
mod tests {
    use super::super::fault::{FAULTS, possible_on};
    use super::*;

    fn plan(seed: u64, kinds: &[FaultKind], nodes: usize, count: usize, seconds: u64) -> Plan {
        let (faults, time) = (kinds.to_vec(), Duration::from_secs(seconds));
        Plan { seed, faults, nodes, count, time, clients: 1, writers: 1 }
    }

    fn drawn(seed: u64, kinds: &[FaultKind], nodes: usize, count: usize) -> Vec<Fault> {
        schedule(&plan(seed, kinds, nodes, count, 600))
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
        let short = schedule(&plan(1, &kinds, 1, 50, 8));
        let most = Duration::from_secs(12);
        assert!(short.iter().all(|fault| fault.time + fault.after < most), "{short:?}");
        let kills = short.iter().filter(|fault| fault.kind == FaultKind::Kill);
        assert!(kills.clone().count() > 0 && kills.clone().all(|fault| fault.target == 0));
    }

    #[test]
    fn one_node_has_no_faults_of_services_that_it_does_not_use() {
        assert!(!possible_on(1).contains(&FaultKind::Redis));
        assert!(possible_on(1).contains(&FaultKind::Kill));
        assert!(possible_on(2).contains(&FaultKind::Redis));
    }
}
