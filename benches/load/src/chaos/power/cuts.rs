//! When the power fails.

use fastrand::Rng;

use super::PowerPlan;
use super::record::Recorded;
use crate::disk::Loss;

/// How near to a start or an end of the hub a cut is that is meant for it, in operations.
const NEAR: usize = 40;
/// The sizes of sectors, in bytes.
const SECTORS: [usize; 2] = [512, 4_096];

/// A power loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// So many operations were done.
    pub(super) at: usize,
    pub(super) loss: Loss,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { at, loss: Loss { seed, sector } } = self;
        write!(f, "the cut at operation {at} (seed {seed}, sectors of {sector} bytes)")
    }
}

/// All cuts of a plan, in the order of operations: at the end, every fourth while the hub starts or
/// ends, every eighth while the first accounts are made, and the others spread over the rest of the
/// recording, each at random in an equal part of it.
pub(super) fn cuts(plan: &PowerPlan, recorded: &Recorded) -> Vec<Cut> {
    let total = recorded.recording.operations.len();
    let moments = &recorded.moments;
    let mut rng = Rng::with_seed(plan.seed);
    let spread = total.saturating_sub(recorded.accounts_at);
    let parts = (1..plan.cuts).filter(|n| !matches!(n % 8, 1 | 2 | 6)).count().max(1);
    let mut part = 0;
    let cut = |n: usize| {
        let at = match n % 8 {
            _ if n == 0 => total,
            1 => rng.usize(..=recorded.accounts_at),
            2 | 6 if !moments.is_empty() => {
                let near = moments[rng.usize(..moments.len())] + rng.usize(..=2 * NEAR);
                near.saturating_sub(NEAR).min(total)
            }
            _ => {
                let begin = recorded.accounts_at + spread * (part % parts) / parts;
                part += 1;
                (begin + rng.usize(..=spread.div_ceil(parts))).min(total)
            }
        };
        Cut { at, loss: Loss { seed: rng.u64(..), sector: SECTORS[rng.usize(..SECTORS.len())] } }
    };
    let mut cuts: Vec<Cut> = (0..plan.cuts).map(cut).collect();
    cuts.sort_by_key(|cut| cut.at);
    cuts
}
