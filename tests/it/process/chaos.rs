//! Faults on several nodes, with the checker outside of them: short schedules of a few faults.
//!
//! `bellpull chaos` without options is the long one.

use serde_json::Value;

use crate::support::process::{command, folder};
use crate::support::skip::skipped;

/// Runs a schedule of a few faults; nothing may be lost, doubled or out of order.
fn survives(seed: &str, nodes: &str, faults: &str) {
    println!("seed {seed}");
    let (_folder, database) = folder();
    let arguments = ["chaos", "--seed", seed, "--nodes", nodes, "--faults", faults, "--json"];
    let size = ["--faults-per-schedule", "6", "--clients", "40", "--writers", "8"];
    let time = ["--seconds", "20"];
    let mut chaos = command(&database);
    chaos.env_remove("BELLPULL_DATABASE_URL");
    let output = chaos.args(arguments).args(size).args(time).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("apt-get install") {
        return skipped(&stderr);
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stderr}\n{stdout}");
    let report: Value = serde_json::from_str(stdout.trim()).unwrap();
    for wrong in ["lost", "doubled", "out_of_order"] {
        assert_eq!(report[wrong], 0, "{report}");
    }
    assert_eq!(report["schedules"], 1);
    assert!(report["faults"].as_u64() > Some(0), "{report}");
    assert!(report["acknowledged"].as_u64() > Some(20), "{report}");
    let run = &report["runs"][0];
    assert!(run["frames"].as_u64() > Some(100), "{report}");
    assert_eq!(run["surprises"], serde_json::json!([]), "{report}");
}

#[test]
fn nothing_is_lost_in_a_known_schedule() {
    survives("4", "3", "freeze,kill,redis,postgres,cut");
}

#[test]
fn nothing_is_lost_in_any_schedule() {
    let seed = fastrand::u32(..).to_string();
    survives(&seed, "3", "kill,rolling,redis,postgres,cut");
}

#[test]
fn nothing_is_lost_on_one_node() {
    let seed = fastrand::u32(..).to_string();
    survives(&seed, "1", "kill,freeze,rolling");
}

#[test]
fn a_fault_that_does_not_exist_is_refused() {
    let (_folder, database) = folder();
    for (arguments, why) in [
        (&["chaos", "--faults", "flood"][..], "freeze"),
        (&["chaos", "--nodes", "1", "--faults", "redis"], "SQLite"),
    ] {
        let refused = command(&database).args(arguments).output().unwrap();
        assert_eq!(refused.status.code(), Some(2));
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(text.contains("--faults") && text.contains(why), "{text}");
    }
}
