//! A fault in words.

use super::super::manner::{Manner, Silence};
use super::{DISKS, Fault, FaultKind, HALF_OPEN, SHIFTS, SLOW, garbage, latency, line, silence};
use crate::cluster::Shift;

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { target, time, .. } = self;
        match self.kind {
            FaultKind::Kill => write!(f, "kill node {target}, away {time:?}"),
            FaultKind::Freeze => write!(f, "freeze node {target} for {time:?}"),
            FaultKind::Rolling => f.write_str("rolling restart"),
            FaultKind::Redis => write!(f, "kill Redis, away {time:?}"),
            FaultKind::Postgres => f.write_str("restart PostgreSQL"),
            FaultKind::Crash => write!(f, "crash PostgreSQL ({target}), away {time:?}"),
            FaultKind::Cut => write!(f, "cut connections to PostgreSQL ({target})"),
            FaultKind::Silence => {
                let (Silence { flow, is_for_good, refuses, is_cut }, lanes) = silence(*target);
                write!(f, "connections {lanes:?} to PostgreSQL: {flow:?} for {time:?}")?;
                for (is, what) in [
                    (is_for_good, "old ones for good"),
                    (refuses, "new ones refused"),
                    (is_cut, "then cut"),
                ] {
                    f.write_str(if is { ", " } else { "" })?;
                    f.write_str(if is { what } else { "" })?;
                }
                Ok(())
            }
            FaultKind::Latency => {
                write!(f, "PostgreSQL {:?} away for {time:?}", latency(*target))
            }
            FaultKind::Garbage => {
                let (what, seed) = garbage(*target);
                write!(f, "Redis {} ({seed}) for {time:?}", what.name())
            }
            FaultKind::Failover => write!(f, "a standby of PostgreSQL, promoted after {time:?}"),
            FaultKind::Lag => write!(f, "a standby of PostgreSQL, promoted {time:?} behind"),
            FaultKind::Copy => {
                write!(f, "{} nodes on a copy of the database for {time:?}", target + 1)
            }
            FaultKind::Panic => write!(f, "kill actors ({target})"),
            FaultKind::Slow => {
                let (node, lane, flow) = line(*target, &SLOW);
                write!(f, "lines {lane} to node {node}: {flow:?} for {time:?}")
            }
            FaultKind::HalfOpen => {
                let (node, lane, (flow, is_cut)) = line(*target, &HALF_OPEN);
                let end = if is_cut { "then cut" } else { "then on" };
                write!(f, "lines {lane} to node {node}: {flow:?} for {time:?}, {end}")
            }
            FaultKind::Disk => write!(f, "disk {} for {time:?}", DISKS[target % DISKS.len()]),
            FaultKind::Clock => match SHIFTS[target % SHIFTS.len()] {
                Shift::None => f.write_str("clock right"),
                Shift::Ahead(by) => write!(f, "clock {by:?} ahead for {time:?}"),
                Shift::Behind(by) => write!(f, "clock {by:?} behind for {time:?}"),
            },
            FaultKind::Files => write!(f, "no more files for node {target} for {time:?}"),
            FaultKind::Provider => {
                let manner = Manner::FAULTS[target % Manner::FAULTS.len()];
                write!(f, "the provider {} for {time:?}", manner.name())
            }
        }
    }
}
