//! The power fails at many moments: what was acknowledged is there afterwards.

use std::path::PathBuf;
use std::time::Duration;

use bellpull::storage::sqlite::inspect;
use bellpull_load::chaos::power::{PowerOutcome, PowerPlan, run};
use bellpull_load::disk::{Disk, Loss, Replay};
use serde_json::json;

use crate::support::process::{Process, UNLIMITED, person};
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
    // Fifteen of the cuts are spread evenly: together they compare about 7.5 times what there is.
    assert!(outcome.compared > 5 * outcome.acknowledged, "{outcome:?}");
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

/// At its end a hub copies the log into the file and removes it. No part of that log may come back
/// over the newer file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_loss_after_the_hub_ended_leaves_the_file_whole() {
    const TICKETS: i64 = 60;
    const LAST: usize = 20;
    let disk = match Disk::recorded() {
        Ok(disk) => disk,
        Err(error) => return skipped(&error.to_string()),
    };
    let database = disk.path().join("hub.db");
    let (_, token) = person(&database, "boss", "admin");
    let hub = Process::serve(&database, &[UNLIMITED]);
    let client = bellpull::tls::client().build().unwrap();
    for n in 0..TICKETS {
        let url = format!("http://{}/api/tickets/", hub.address);
        let body = json!({"title": format!("Ticket {n}"), "description": "x".repeat(3_000)});
        let answer = client.post(url).bearer_auth(&token).json(&body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 201);
    }
    assert!(hub.terminate().success());
    let recording = disk.take_recording();
    let end = recording.operations.len();
    let mut replay = Replay::new(&recording);
    for at in end - LAST..=end {
        replay.advance(at);
        for seed in 0..12 {
            let folder = tempfile::tempdir().unwrap();
            replay.write_to(folder.path(), Loss { seed, sector: 512 }).unwrap();
            let file = folder.path().join("hub.db");
            let cut = format!("seed {seed}, {} operations before the end", end - at);
            inspect(&file).unwrap_or_else(|damage| panic!("{cut}: {damage}"));
            let found = rusqlite::Connection::open(&file).unwrap();
            let count = "SELECT count(*) FROM tickets";
            let count: i64 = found.query_row(count, (), |row| row.get(0)).unwrap();
            assert_eq!(count, TICKETS, "{cut}");
        }
    }
}
