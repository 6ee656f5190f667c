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
    for what in ["writes", "inbox_rows", "rows", "history_entries", "frames", "sockets"] {
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

/// Two nodes; a fault happens so often, within so many seconds.
fn survives_on_two_nodes(fault: &str, times: u64, seconds: &str) {
    let often = times.to_string();
    let what = ["--seed", "1", "--nodes", "2", "--faults", fault, "--faults-per-schedule", &often];
    let size = ["--seconds", seconds, "--clients", "24", "--writers", "8"];
    let Some(report) = survives(&[&what[..], &size].concat()) else { return };
    assert!(report["runs"][0]["kinds"][fault].as_u64() >= Some(times / 2), "{report}");
    assert!(report["acknowledged"].as_u64() > Some(20), "{report}");
    assert!(report["checked"]["rows"].as_u64() > Some(100), "{report}");
}

#[test]
fn what_postgresql_loses_in_a_crash_is_not_acknowledged() {
    survives_on_two_nodes("crash", 8, "45");
}

#[test]
fn nodes_go_on_after_their_connections_to_postgresql_fell_silent() {
    survives_on_two_nodes("silence", 4, "40");
}

#[test]
fn nothing_is_lost_while_postgresql_is_far_away() {
    survives_on_two_nodes("latency", 4, "30");
}

#[test]
fn nothing_is_lost_when_a_standby_takes_the_place_of_postgresql() {
    survives_on_two_nodes("failover", 2, "30");
}

#[test]
fn what_redis_says_and_carries_does_no_harm() {
    survives_on_two_nodes("garbage", 9, "40");
}

#[test]
fn nodes_on_a_copy_of_the_database_do_not_disturb_those_on_the_original() {
    survives_on_two_nodes("copy", 2, "30");
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
