//! `idle`: the memory of a connected user without activity.

use std::time::{Duration, Instant};

use super::Outcome;
use crate::LoadError;
use crate::clock::figure;
use crate::plan::Plan;
use crate::readings::{Memory, all_memory};
use crate::target::Target;
use crate::workers::Workers;

/// The interval of memory readings.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// It is stable when it stays within this …
const SETTLED_KIB: u64 = 64;
/// … for this many readings: memory that a server frees seconds after a handshake is not idle
/// memory.
const LOOKS: u32 = 10;
/// After this it is used in any case.
const SETTLE_MAX: Duration = Duration::from_secs(20);

/// The server's memory before and after all have connected.
pub(super) fn run(
    plan: &Plan,
    target: &Target,
    workers: &mut Workers,
) -> Result<Outcome, LoadError> {
    let pids = &target.pids;
    if pids.is_empty() {
        let why = "--pid: memory is measured of a process: say which, or use --spawn";
        return Err(LoadError::wrong(why));
    }
    let before = settled(pids)?;
    workers.connect(plan.pace, 0)?;
    // Memory of the handshakes is freed before the reading.
    let after = settled(pids)?;
    let tally = workers.reset()?;
    let mut outcome = Outcome { faults: tally.faults, ..Outcome::default() };
    let each =
        |after: u64, before: u64| figure(after.saturating_sub(before)) / figure(tally.open.max(1));
    outcome.add("users", "users", figure(tally.open), 0);
    let rss = each(after.rss_kib, before.rss_kib);
    outcome.add("rss_kib_per_user", "KiB per user", rss, 2);
    if after.pss_kib > 0 {
        let pss = each(after.pss_kib, before.pss_kib);
        outcome.add("pss_kib_per_user", "PSS per user", pss, 2);
    }
    outcome.add("rss_before_mib", "MiB before", figure(before.rss_kib) / 1024.0, 1);
    outcome.add("rss_after_mib", "MiB after", figure(after.rss_kib) / 1024.0, 1);
    Ok(outcome)
}

/// Memory once it has stopped changing.
fn settled(pids: &[u32]) -> Result<Memory, LoadError> {
    let begun = Instant::now();
    let mut seen = all_memory(pids)?;
    let mut same = 0;
    while same < LOOKS && begun.elapsed() < SETTLE_MAX {
        std::thread::sleep(LOOK_EVERY);
        let now = all_memory(pids)?;
        same = if now.rss_kib.abs_diff(seen.rss_kib) <= SETTLED_KIB { same + 1 } else { 0 };
        seen = now;
    }
    Ok(seen)
}
