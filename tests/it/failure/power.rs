//! The power fails at many moments: what was acknowledged is there afterwards.

use std::path::PathBuf;
use std::time::Duration;

use bellpull::storage::sqlite::inspect;
use bellpull_load::chaos::power::{PowerOutcome, PowerPlan, run};

use crate::support::skip::skipped;

fn plan(cuts: usize) -> PowerPlan {
    PowerPlan {
        seed: u64::from(fastrand::u32(..)),
        cuts,
        jobs: 2,
        clients: 24,
        writers: 15,
        time: Duration::from_secs(6),
        has_false_syncs: false,
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_bellpull"))),
        inspect,
    }
}

/// `None`, told, where no file system can be mounted.
async fn cut(plan: &PowerPlan) -> Option<PowerOutcome> {
    println!("seed {}", plan.seed);
    match run(plan, |line| println!("{line}")).await {
        Ok(outcome) => Some(outcome),
        Err(error) if error.to_string().contains("apt-get install") => {
            skipped(&error.to_string());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_every_power_loss() {
    let Some(outcome) = cut(&plan(25)).await else { return };
    println!("{outcome:?}");
    assert!(outcome.findings.is_empty(), "see above; the disk is {:?}", outcome.kept);
    assert_eq!((outcome.cuts, outcome.failed), (25, 0));
    assert!(outcome.acknowledged > 50, "{outcome:?}");
    assert!(outcome.compared > 10 * outcome.acknowledged, "{outcome:?}");
    assert_eq!(outcome.surprises, [""; 0]);
}

/// The checker can fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_whose_syncs_do_nothing_loses_what_was_acknowledged() {
    let time = Duration::from_secs(3);
    let few = PowerPlan { seed: 1, time, has_false_syncs: true, ..plan(14) };
    let Some(outcome) = cut(&few).await else { return };
    println!("{outcome:?}");
    assert!(outcome.failed > 0, "{outcome:?}");
    assert!(!outcome.findings.is_empty());
    std::fs::remove_dir_all(outcome.kept.unwrap()).unwrap();
}
