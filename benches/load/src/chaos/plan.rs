//! What a schedule is, and how large it is by default.

use std::time::Duration;

use fastrand::Rng;

use super::fault::{FaultKind, possible_on};

/// A schedule whose faults begin within less than this is a short one: its faults and pauses are
/// short, too.
const SHORT: Duration = Duration::from_secs(60);
/// Within what time faults begin, in a schedule of a campaign and in a single one.
const SHORT_TIME: Duration = Duration::from_secs(7);
const LONG_TIME: Duration = Duration::from_secs(780);
/// Of a campaign's schedules most run on one node, which starts fastest.
const CAMPAIGN_NODES: [usize; 8] = [1, 1, 1, 1, 1, 1, 2, 3];
/// The nodes of a single schedule.
const USUAL_NODES: usize = 3;
/// What is drawn for a plan must not be what its schedule draws from the same seed.
const OTHER: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a schedule is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// All random choices of the schedule come from it.
    pub seed: u64,
    /// How many nodes there are.
    pub nodes: usize,
    /// Which faults may happen.
    pub faults: Vec<FaultKind>,
    /// How many of them.
    pub count: usize,
    /// How many clients listen.
    pub clients: usize,
    /// How many writers write.
    pub writers: usize,
    /// No fault begins later than this after the nodes were ready.
    pub time: Duration,
}

/// What was asked for; the rest is by default.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// See [`Plan`].
    pub nodes: Option<usize>,
    /// Any, if there are none.
    pub faults: Vec<FaultKind>,
    /// See [`Plan`].
    pub count: Option<usize>,
    /// See [`Plan`].
    pub clients: Option<usize>,
    /// See [`Plan`].
    pub writers: Option<usize>,
    /// See [`Plan`].
    pub time: Option<Duration>,
    /// Whether it is one of many short schedules, which differ in their nodes and numbers of
    /// faults, or a long one.
    pub is_campaign: bool,
}

impl Plan {
    /// Whether faults and pauses are short.
    pub(super) fn is_short(&self) -> bool {
        self.time < SHORT
    }
}

impl Wish {
    /// The plan of that seed.
    ///
    /// # Errors
    /// A fault is impossible on so many nodes; the text says why.
    pub fn plan(&self, seed: u64) -> Result<Plan, String> {
        let mut rng = Rng::with_seed(seed ^ OTHER);
        let nodes = self.nodes(&mut rng)?;
        let drawn = rng.usize(3..=5);
        let by_default = |campaign, alone| if self.is_campaign { campaign } else { alone };
        let time = if self.is_campaign { SHORT_TIME } else { LONG_TIME };
        Ok(Plan {
            seed,
            nodes,
            faults: match self.faults.is_empty() {
                true => possible_on(nodes),
                false => self.faults.clone(),
            },
            count: self.count.unwrap_or(by_default(drawn, 100)),
            clients: self.clients.unwrap_or(by_default(24, 200)),
            writers: self.writers.unwrap_or(by_default(10, 30)),
            time: self.time.unwrap_or(time),
        })
    }

    /// How many nodes there are: as many as asked for, else a number on which all faults are
    /// possible.
    fn nodes(&self, rng: &mut Rng) -> Result<usize, String> {
        let numbers = match (self.nodes, self.is_campaign) {
            (Some(asked), _) => vec![asked],
            (None, true) => CAMPAIGN_NODES.to_vec(),
            (None, false) => vec![USUAL_NODES, 1],
        };
        let impossible = |nodes: usize| {
            let reasons =
                self.faults.iter().filter_map(|one| Some((*one, one.impossible_on(nodes)?)));
            reasons.map(|(kind, why)| (nodes, kind, why)).next()
        };
        let possible: Vec<usize> =
            numbers.iter().copied().filter(|nodes| impossible(*nodes).is_none()).collect();
        match (possible.first(), numbers.first().and_then(|nodes| impossible(*nodes))) {
            (None, Some((nodes, kind, why))) => {
                Err(format!("--faults {}: not with --nodes {nodes}: {why}", kind.name()))
            }
            (Some(first), _) if !self.is_campaign => Ok(*first),
            (_, _) => Ok(possible.get(rng.usize(..possible.len().max(1))).copied().unwrap_or(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::FAULTS;
    use super::*;

    #[test]
    fn schedules_of_a_campaign_differ_in_nodes_and_faults() {
        let wish = Wish { is_campaign: true, ..Wish::default() };
        let plans: Vec<Plan> = (0..200).map(|seed| wish.plan(seed).unwrap()).collect();
        for nodes in [1, 2, 3] {
            let of = plans.iter().filter(|plan| plan.nodes == nodes);
            assert!(of.clone().count() > 10, "{nodes}");
            assert!(of.clone().all(|plan| plan.faults == possible_on(nodes)));
        }
        assert!((3..=5).all(|count| plans.iter().any(|plan| plan.count == count)));
        assert!(plans.iter().all(Plan::is_short));
        assert_eq!(wish.plan(7), wish.plan(7));
    }

    #[test]
    fn what_is_asked_for_is_done_and_one_schedule_is_long() {
        let usual = Wish::default().plan(1).unwrap();
        assert_eq!((usual.nodes, usual.clients, usual.count), (3, 200, 100));
        assert!(!usual.is_short() && usual.faults == possible_on(3));
        let wish = Wish {
            nodes: Some(2),
            faults: vec![FaultKind::Cut],
            count: Some(9),
            clients: Some(8),
            writers: Some(7),
            time: Some(Duration::from_secs(6)),
            is_campaign: false,
        };
        let plan = wish.plan(5).unwrap();
        assert_eq!((plan.nodes, plan.count, plan.clients, plan.writers), (2, 9, 8, 7));
        assert_eq!((plan.faults, plan.time), (wish.faults, Duration::from_secs(6)));
    }

    #[test]
    fn nodes_are_chosen_for_the_faults_and_an_impossible_fault_is_refused() {
        for kind in FAULTS {
            for is_campaign in [true, false] {
                let wish = Wish { faults: vec![kind], is_campaign, ..Wish::default() };
                for plan in (0..50).map(|seed| wish.plan(seed).unwrap()) {
                    assert_eq!(kind.impossible_on(plan.nodes), None, "{kind:?} {plan:?}");
                }
            }
        }
        let faults = vec![FaultKind::Kill, FaultKind::Redis];
        let wish = Wish { nodes: Some(1), faults, ..Wish::default() };
        let refused = wish.plan(1).unwrap_err();
        assert!(refused.starts_with("--faults redis: not with --nodes 1"), "{refused}");
    }
}
