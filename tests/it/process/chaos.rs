//! Faults on nodes of their own, with the checker outside of them: twenty short schedules, and one
//! on several nodes whose faults last longer.
//!
//! `bellpull chaos` without options is the long one, `--schedules 1000` the campaign.

use serde_json::{Value, json};

use crate::support::process::{command, folder};
use crate::support::skip::skipped;

/// Runs schedules; nothing may be lost, doubled or out of order. The report, unless what they need
/// is not installed.
fn survives(arguments: &[&str]) -> Option<Value> {
    println!("{}", arguments.join(" "));
    let (_folder, database) = folder();
    let mut chaos = command(&database);
    chaos.env_remove("BELLPULL_DATABASE_URL");
    let output = chaos.args(["chaos", "--json"]).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("apt-get install") {
        skipped(&stderr);
        return None;
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stderr}\n{stdout}");
    let report: Value = serde_json::from_str(stdout.trim()).unwrap();
    for wrong in ["lost", "doubled", "out_of_order"] {
        assert_eq!(report[wrong], 0, "{report}");
    }
    for run in report["runs"].as_array().unwrap() {
        assert_eq!(run["surprises"], json!([]), "{run}");
    }
    Some(report)
}

/// Every schedule had faults, and enough happened in all of them together that something could have
/// been found.
fn is_worth(report: &Value, schedules: usize) {
    let runs = report["runs"].as_array().unwrap();
    assert_eq!((report["schedules"].as_u64().unwrap(), runs.len()), (schedules as u64, schedules));
    assert!(runs.iter().all(|run| run["kinds"] != json!({})), "{report}");
    assert!(report["faults"].as_u64() >= Some(schedules as u64 * 2), "{report}");
    let each = schedules as u64 * 20;
    assert!(report["acknowledged"].as_u64() > Some(each), "{report}");
    let checked = &report["checked"];
    for what in ["writes", "inbox_rows", "history_entries", "frames", "sockets"] {
        assert!(checked[what].as_u64() > Some(each), "{what}: {report}");
    }
}

#[test]
fn nothing_is_lost_in_known_short_schedules() {
    let report = survives(&["--schedules", "10", "--seed", "1700", "--nodes", "1", "--jobs", "2"]);
    let Some(report) = report else { return };
    is_worth(&report, 10);
}

#[test]
fn nothing_is_lost_in_any_short_schedules() {
    let seed = fastrand::u32(..).to_string();
    let report = survives(&["--schedules", "10", "--seed", &seed, "--jobs", "2"]);
    let Some(report) = report else { return };
    is_worth(&report, 10);
}

#[test]
fn nothing_is_lost_on_several_nodes_whose_faults_last() {
    let size = ["--faults-per-schedule", "6", "--clients", "40", "--writers", "8"];
    let faults = ["--seed", "4", "--faults", "freeze,kill,redis,postgres,cut"];
    let report = survives(&[&["--nodes", "3", "--seconds", "60"], &faults[..], &size].concat());
    let Some(report) = report else { return };
    is_worth(&report, 1);
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
