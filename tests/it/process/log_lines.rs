//! Log lines for a machine, and the metrics of a service that sees little of its machine.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::process::{Process, command, folder, run};
use crate::support::skip::skipped;

/// Whatever a start fails over, what it says is read by the collector of the log.
#[test]
fn a_start_that_fails_says_so_in_json_if_the_log_is_json() {
    let (folder, database) = folder();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    fs::write(folder.path().join("json.toml"), "log = \"json\"\nlisten = 7").unwrap();
    for (variables, arguments, about) in [
        (&[("BELLPULL_LOG", "json")][..], &["serve", "--listen", &taken][..], "listen"),
        (&[("BELLPULL_LOG", "json"), ("BELLPULL_WS_MAX_FRAME", "x")], &["serve"], "WS_MAX_FRAME"),
        (&[("BELLPULL_LOG", "json")], &["serve", "--lisen", "x"], "--lisen"),
        (&[], &["serve", "--log=json", "--listen", "x"], "--listen"),
        (&[], &["serve", "--config", "json.toml"], "listen"),
        (&[("BELLPULL_CONFIG", "json.toml")], &["migrate"], "listen"),
        (
            &[("BELLPULL_LOG", "json"), ("BELLPULL_DATABASE_URL", "sqlite:///proc/none/hub.db")],
            &["migrate"],
            "/proc/none",
        ),
    ] {
        let mut command = command(&database);
        let output = command.envs(variables.iter().copied()).args(arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(about), "{arguments:?}: {text}");
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{text}"));
            for key in ["timestamp", "level", "message", "target"] {
                assert!(line[key].is_string(), "{key}: {line}");
            }
        }
    }
    // A user's command, and a log in text, keep their line.
    let output = run(&database, &["serve", "--listen", "x"]);
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("bellpull: --listen: "));
}

/// The shipped unit has `ProcSubset=pid`, which hides `/proc/stat`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_is_seen_where_proc_shows_processes_only() {
    const HIDE: &str = "mount --bind /dev/null /proc/stat";
    let (folder, database) = folder();
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        command.stdin(Stdio::null());
        command
    };
    if !unshare(HIDE).status().is_ok_and(|status| status.success()) {
        return skipped("no file of one's own can be mounted here");
    }
    let mut wrapped = unshare(&format!("{HIDE} && exec \"$@\""));
    wrapped.arg(env!("CARGO_BIN_EXE_bellpull"));
    let begun = jiff::Timestamp::now().as_duration().as_secs_f64();
    let hub = Process::serve_as(wrapped, &database, &[], &folder.path().join("log"));
    let client = bellpull::tls::client().build().unwrap();
    let text = client.get(format!("http://{}/metrics/", hub.address)).send().await.unwrap();
    let text = text.text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("process_start_time_seconds "));
    let at: f64 = line.expect("it is there").parse().unwrap();
    assert!((begun - 2.0..begun + 60.0).contains(&at), "{at}, began at {begun}");
}
