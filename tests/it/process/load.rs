//! The load tester: what it measures of our own hub, and that no fault of a server escapes it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::cli::refused;
use crate::support::process::{Process, command, folder, run};
use crate::support::skip::skipped;

/// What the tool says of a run that must go well.
fn measured(arguments: &[&str]) -> Value {
    let (_folder, database) = folder();
    let output = run(&database, &[&["load"], arguments, &["--json"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    assert!(stderr.is_empty(), "{arguments:?}: {stderr}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&result["ok"], &result["format"]), (&Value::from(true), &Value::from(1)));
    for row in result["rows"].as_array().unwrap() {
        for fault in ["gaps", "doubles", "reorders", "missing", "refused", "ended"] {
            assert_eq!(row["faults"][fault], 0, "{row}");
        }
    }
    result
}

fn figure(row: &Value, key: &str) -> f64 {
    row["figures"][key].as_f64().unwrap_or_else(|| panic!("no {key} in {row}"))
}

#[test]
fn idle_tells_the_memory_of_each_user_at_each_size() {
    let (folder, _) = folder();
    let picture = folder.path().join("idle.svg");
    let result = measured(&["idle", "--scale", "20,60", "--plot", picture.to_str().unwrap()]);
    let rows = result["rows"].as_array().unwrap();
    let sizes: Vec<f64> = rows.iter().map(|row| figure(row, "users")).collect();
    assert_eq!((result["workload"].as_str(), sizes), (Some("idle"), vec![20.0, 60.0]));
    for row in rows {
        let before = figure(row, "rss_before_mib");
        assert!(before > 5.0 && figure(row, "rss_after_mib") >= before, "{row}");
        assert!(figure(row, "rss_kib_per_user") >= 0.0);
    }
    let picture = std::fs::read_to_string(picture).unwrap();
    assert!(picture.contains("Memory of an idle user") && picture.contains("</svg>"));
}

#[test]
fn connect_tells_the_rate_of_several_runs_and_processes() {
    let result = measured(&["connect", "--users", "50", "--runs", "2", "--processes", "2"]);
    let rows = result["rows"].as_array().unwrap();
    let runs: Vec<&Value> = rows.iter().map(|row| &row["run"]).collect();
    assert_eq!(runs, [&Value::from(1), &Value::from(2), &Value::from("median")]);
    for row in rows {
        assert!(figure(row, "users_per_s") > 1.0, "{row}");
        assert!(figure(row, "ready_p99_ms") >= figure(row, "handshake_p50_ms"), "{row}");
        assert!(figure(row, "server_us_per_user") >= 0.0 && figure(row, "tool_us_per_user") >= 0.0);
        let each = if row["run"] == "median" { 100 } else { 50 };
        assert_eq!(row["latencies"]["ready"]["count"], each, "{row}");
    }
    let slow = measured(&["connect", "--users", "20", "--rate", "100"]);
    let rate = figure(&slow["rows"][0], "users_per_s");
    assert!(rate > 10.0 && rate < 130.0, "{rate}");
}

#[test]
fn each_read_wait_is_measured_by_itself() {
    let arguments = ["fan-out", "--users", "20", "--rounds", "2", "--baseline"];
    let result = measured(&[&arguments[..], &["--read-wait", "0,300"]].concat());
    let of = |all: &Value| -> Vec<(String, u64)> {
        let one = |row: &Value| {
            (row["server"].as_str().unwrap().to_owned(), row["read_wait_us"].as_u64().unwrap())
        };
        all.as_array().unwrap().iter().map(one).collect()
    };
    let named = |rows: [(&str, u64); 4]| rows.map(|(name, wait)| (name.to_owned(), wait)).to_vec();
    let rows = [("bellpull", 0), ("bare loop", 0), ("bellpull", 300), ("bare loop", 300)];
    assert_eq!(of(&result["rows"]), named(rows));
    let ratios = of(&result["ratios"]);
    assert_eq!(ratios, [("bellpull".to_owned(), 0), ("bellpull".to_owned(), 300)]);
}

#[test]
fn fan_out_is_compared_with_the_bare_loop() {
    let arguments = ["fan-out", "--users", "40", "--rounds", "3", "--burst", "4", "--baseline"];
    let result = measured(&arguments);
    let rows = result["rows"].as_array().unwrap();
    let servers: Vec<&str> = rows.iter().map(|row| row["server"].as_str().unwrap()).collect();
    assert_eq!(servers, ["bellpull", "bare loop"]);
    for row in rows {
        assert_eq!(row["latencies"]["frame"]["count"], 40 * 3, "{row}");
        assert_eq!(row["latencies"]["burst_frame"]["count"], 40 * 3 * 4, "{row}");
        assert!(figure(row, "frame_p50_ms") <= figure(row, "frame_p99_ms"), "{row}");
        assert!((380.0..420.0).contains(&figure(row, "frame_bytes")), "{row}");
        assert!(figure(row, "frames_per_s") > 1.0 && figure(row, "burst_frames_per_s") > 1.0);
    }
    let ratio = &result["ratios"][0];
    assert_eq!((&ratio["server"], &ratio["to"]), (&rows[0]["server"], &rows[1]["server"]));
    let wanted = figure(&rows[0], "frames_per_s") / figure(&rows[1], "frames_per_s");
    assert!((ratio["ratios"]["frames_per_s"].as_f64().unwrap() - wanted).abs() < 1e-6);
}

#[test]
fn tickets_notify_everyone_involved_through_their_life_cycle() {
    let result = measured(&["tickets", "--lives", "12", "--parallel", "3", "--users", "12"]);
    let row = &result["rows"][0];
    // Three admins: three hear of a creation, one of each of the next, four of the last two.
    assert_eq!(row["latencies"]["frame"]["count"], 12 * (3 + 1 + 1 + 1 + 4 + 4), "{row}");
    assert_eq!(row["latencies"]["answer"]["count"], 12 * 6, "{row}");
    assert!(figure(row, "transitions_per_s") > 1.0 && figure(row, "notifications_per_s") > 1.0);
    assert!(figure(row, "frame_p99_ms") > 0.0, "{row}");
}

#[test]
fn a_cluster_is_started_and_measured_by_node() {
    let (_folder, database) = folder();
    let arguments = ["load", "tickets", "--lives", "6", "--parallel", "2", "--users", "6"];
    let output = run(&database, &[&arguments[..], &["--nodes", "2", "--json"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("apt-get install") {
        return skipped(&stderr);
    }
    assert!(output.status.success(), "{stderr}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &result["rows"][0];
    assert_eq!(row["server"], "2 nodes");
    let nodes = row["nodes"].as_array().unwrap();
    let sum = |key: &str| nodes.iter().map(|node| node[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((nodes.len(), sum("sockets")), (2, 6), "{row}");
    assert!(nodes.iter().all(|node| node["frames"].as_u64() > Some(0)), "{row}");
    assert!(sum("cpu_us") > 0, "{row}");
    assert_eq!(row["latencies"]["answer"]["count"], 6 * 6, "{row}");
}

#[test]
fn a_returning_user_finds_the_whole_backlog() {
    let arguments = ["replay", "--users", "20", "--backlog", "15", "--processes", "2"];
    let result = measured(&arguments);
    let row = &result["rows"][0];
    assert_eq!(row["latencies"]["caught_up"]["count"], 20, "{row}");
    let ratio = figure(row, "replayed_per_s") / figure(row, "users_per_s");
    assert!((ratio - 15.0).abs() < 1e-6, "{row}");
}

#[test]
fn a_mixed_day_loses_nothing_and_tells_how_memory_went() {
    let arguments = ["mixed", "--for", "3", "--users", "30", "--staff", "8"];
    let rates = ["--transitions", "40", "--fan-outs", "2", "--returns", "10"];
    let result = measured(&[&arguments[..], &rates].concat());
    let row = &result["rows"][0];
    assert_eq!(figure(row, "fan_outs"), 6.0, "{row}");
    assert_eq!(row["latencies"]["fan_out_frame"]["count"], 6 * 22, "{row}");
    assert_eq!(row["latencies"]["answer"]["count"], 3 * 40, "{row}");
    assert!(figure(row, "returns") > 5.0, "{row}");
    assert!(figure(row, "rss_end_mib") > 5.0, "{row}");
    assert!(row["figures"]["rss_growth_kib_per_min"].is_number(), "{row}");
}

#[test]
fn a_hub_that_runs_is_measured_with_tokens_of_another_issuer() {
    let (_folder, database) = folder();
    let secret = "a secret that another issuer signs with, too";
    let settings = [("BELLPULL_JWT_SECRET", secret), ("BELLPULL_AUTH_AUTO_PROVISION", "true")];
    let hub = Process::serve(&database, &settings);
    let url = format!("ws://{}", hub.address);
    let result = measured(&[
        "fan-out",
        "--url",
        &url,
        "--jwt-secret",
        secret,
        "--users",
        "101..130",
        "--rounds",
        "2",
    ]);
    assert_eq!(result["rows"][0]["latencies"]["frame"]["count"], 30 * 2);
    let wrong = run(&database, &["load", "connect", "--url", &url, "--jwt-secret", "another"]);
    assert_eq!(wrong.status.code(), Some(1));
    let stderr = String::from_utf8(wrong.stderr).unwrap();
    assert!(stderr.contains("1000 refused (HTTP/1.1 403 Forbidden)"), "{stderr}");
}

/// The sender of a run is an admin after it: as a listener it would hear of tickets as well.
#[test]
fn accounts_with_roles_of_another_run_are_named_and_not_taken_for_faults() {
    let secret = "a secret that another issuer signs with, too";
    // A hub applies the role of each token, or keeps that of the first.
    for (claims, refused) in [("always", None), ("first", Some("1051 is admin, not student"))] {
        let (_folder, database) = folder();
        let settings = [
            ("BELLPULL_JWT_SECRET", secret),
            ("BELLPULL_AUTH_AUTO_PROVISION", "true"),
            ("BELLPULL_AUTH_CLAIMS", claims),
        ];
        let hub = Process::serve(&database, &settings);
        let url = format!("ws://{}", hub.address);
        let load = |users: &str| {
            let line = ["load", "mixed", "--url", &url, "--jwt-secret", secret, "--users", users];
            let output = run(&database, &[&line[..], &["--for", "2", "--json"]].concat());
            let told = [output.stdout, output.stderr].concat();
            (output.status.code(), String::from_utf8(told).unwrap())
        };
        for _ in 0..2 {
            let (code, told) = load("1001..1050");
            assert_eq!(code, Some(0), "{claims}: {told}");
        }
        let (code, told) = load("1001..1080");
        match refused {
            None => assert_eq!(code, Some(0), "{claims}: {told}"),
            Some(says) => {
                assert_eq!(code, Some(2), "{claims}: {told}");
                assert!(told.contains(says), "{claims}: {told}");
            }
        }
    }
}

#[test]
fn a_hub_that_limits_writes_is_told_from_one_that_fails() {
    let (_folder, database) = folder();
    let secret = "a secret that another issuer signs with, too";
    let settings = [
        ("BELLPULL_JWT_SECRET", secret),
        ("BELLPULL_AUTH_AUTO_PROVISION", "true"),
        ("BELLPULL_HTTP_WRITES_PER_S", "1"),
    ];
    let hub = Process::serve(&database, &settings);
    let url = format!("ws://{}", hub.address);
    let line = ["load", "tickets", "--url", &url, "--jwt-secret", secret, "--users", "101..112"];
    let refused = run(&database, &[&line[..], &["--lives", "40", "--parallel", "3"]].concat());
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("start it with BELLPULL_HTTP_WRITES_PER_S=0"), "{stderr}");
}

/// A server that does with each message what a test says: the `seq`s of the frames that it makes
/// of the n-th.
fn server(seqs: fn(u64) -> Vec<u64>, is_plain: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let sockets = Arc::new(Mutex::new(Vec::<TcpStream>::new()));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            let Some(head) = request(&mut stream) else { continue };
            if head.starts_with("GET ") {
                let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
                let head = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                     Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(&frame(r#"{"type":"connection_established"}"#)).unwrap();
                sockets.lock().unwrap().push(stream);
                continue;
            }
            let sockets = Arc::clone(&sockets);
            std::thread::spawn(move || {
                let mut next = Some(head);
                for n in 0.. {
                    let Some(text) = next.take() else { return };
                    let at = text.find("bpl:").unwrap();
                    let mark: String = text[at..].chars().take_while(|c| *c != 'x').collect();
                    for seq in seqs(n) {
                        let text = match is_plain {
                            // The mark's own count is what is judged.
                            true => {
                                let parts: Vec<&str> = mark.split(':').collect();
                                format!("bpl:{}:{seq}:{}:", parts[1], parts[3])
                            }
                            false => format!(r#"{{"message":"{mark}","seq":{seq}}}"#),
                        };
                        for socket in sockets.lock().unwrap().iter_mut() {
                            let _ = socket.write_all(&frame(&text)); // it may have left
                        }
                    }
                    stream.write_all(b"HTTP/1.1 202 A\r\nContent-Length: 2\r\n\r\n{}").unwrap();
                    next = request(&mut stream);
                }
            });
        }
    });
    address
}

fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(short) if short < 126 => frame.push(short),
        _ => {
            frame.push(126);
            frame.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// A whole request; `None` once there are no more.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("Content-Length: ").nth(1).unwrap_or("0");
            if body.len() >= length.lines().next().unwrap().parse().unwrap() {
                return Some(text);
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}

fn against(address: SocketAddr, is_plain: bool) -> Output {
    let (folder, database) = folder();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "one\ntwo\nthree\n").unwrap();
    let (url, tokens) = (format!("http://{address}"), tokens.to_str().unwrap().to_owned());
    let publish = format!("http://{address}/publish");
    let mut arguments = vec!["load", "fan-out", "--url", &url, "--rounds", "4", "--timeout", "2"];
    if is_plain {
        arguments.extend(["--users", "3", "--plain", "--ready", "established"]);
        arguments.extend(["--publish-url", &publish, "--burst", "3"]);
    } else {
        arguments.extend(["--tokens", &tokens, "--sender-token", "four"]);
    }
    run(&database, &arguments)
}

#[test]
fn a_server_of_another_make_replays_only_what_it_keeps() {
    // It keeps nothing: a returning user finds nothing, and that is reported.
    let address = server(|n| vec![n], true);
    let (url, publish) = (format!("http://{address}"), format!("http://{address}/publish"));
    let (_folder, database) = folder();
    let arguments = ["load", "replay", "--url", &url, "--plain", "--publish-url", &publish];
    let more = ["--users", "3", "--backlog", "2", "--timeout", "2"];
    let output = run(&database, &[&arguments[..], &more].concat());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("6 missing"), "{stderr}");
}

#[test]
fn a_message_that_is_refused_ends_the_run_at_once_and_says_where() {
    let address = server(|n| vec![n], true);
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let (url, elsewhere) = (format!("ws://{address}"), format!("http://{}/nowhere/", hub.address));
    let line = ["load", "fan-out", "--users", "3", "--timeout", "86400", "--plain", "--url", &url];
    let refused = run(&database, &[&line[..], &["--publish-url", &elsewhere]].concat());
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{stderr}");
    let wanted = format!("1 failed requests ({elsewhere}: 404 ");
    assert!(stderr.contains(&wanted) && !stderr.contains("missing"), "{stderr}");
    let unknown = ["--publish-url", "http://127.0.0.1:9/x"];
    let refused = run(&database, &[&line[..], &unknown].concat());
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert!(stderr.contains("messages go to http://127.0.0.1:9/x: "), "{stderr}");
    let silent = ["load", "connect", "--users", "3", "--timeout", "1", "--plain", "--url", &url];
    let silent = run(&database, &[&silent[..], &["--ready", "no such word"]].concat());
    let stderr = String::from_utf8(silent.stderr).unwrap();
    assert!(stderr.contains("0 of 3 sockets were open; 3 were upgraded"), "{stderr}");
}

#[test]
fn a_run_that_is_ended_leaves_nothing_behind() {
    let (folder, database) = folder();
    let temporary = folder.path().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let mut tool = command(&database)
        .args(["load", "mixed", "--for", "600", "--users", "60"])
        .env("TMPDIR", &temporary)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let threads = format!("/proc/{}/task", tool.id());
    let begun = std::time::Instant::now();
    let children = loop {
        // Any thread of the tool may have started them.
        let tasks = std::fs::read_dir(&threads).unwrap();
        let of = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children"));
        let texts: Vec<String> = tasks.map(|task| of(task.unwrap()).unwrap_or_default()).collect();
        let all: Vec<String> =
            texts.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect();
        if all.len() == 2 {
            break all; // the hub, and the tool's own process
        }
        assert!(begun.elapsed().as_secs() < 60, "no hub and worker: {all:?}");
    };
    let pid = tool.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(tool.wait().unwrap().code(), Some(1));
    let mut stderr = String::new();
    tool.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(stderr.contains("ended by a signal"), "{stderr}");
    for child in children {
        assert!(!Path::new(&format!("/proc/{child}")).exists(), "{child} lives");
    }
    assert_eq!(std::fs::read_dir(temporary).unwrap().count(), 0, "something is left");
}

#[test]
fn every_fault_of_a_server_fails_the_run_and_is_named() {
    type Fault = fn(u64) -> Vec<u64>;
    let cases: [(Fault, bool, &str); 8] = [
        // Each message's n-th frame for all of three sockets; four rounds.
        (|n| if n == 2 { vec![] } else { vec![n] }, false, "3 missing"),
        (|n| vec![n + u64::from(n > 1)], false, "3 gaps"),
        (|n| if n == 3 { vec![3, 3] } else { vec![n] }, false, "3 doubles"),
        (|n| vec![[0, 2, 1, 3][n as usize]], false, "3 reorders"),
        (|n| if n == 3 { vec![3, 0] } else { vec![n] }, true, "3 doubles"),
        (|n| vec![[0, 2, 1, 3][n as usize]], true, "3 reorders"),
        (|n| vec![n * 2], true, "9 gaps"),
        (|n| if n == 2 { vec![] } else { vec![n] }, true, "3 missing"),
    ];
    for (fault, is_plain, wanted) in cases {
        let output = against(server(fault, is_plain), is_plain);
        let stderr = String::from_utf8(output.stderr).unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{wanted}: {stderr}");
        assert!(stderr.contains(wanted), "{wanted}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stdout.contains("WRONG: ") && stdout.contains(wanted), "{wanted}: {stdout}");
    }
    for is_plain in [false, true] {
        let output = against(server(|n| vec![n], is_plain), is_plain);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn wrong_options_are_named() {
    let (folder, database) = folder();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    let empty = empty.to_str().unwrap();
    let local = ["--url", "ws://127.0.0.1:9"];
    let cases: &[(&[&str], &str)] = &[
        (&["idel"], "idel"),
        (&["idle", "--users", "0"], "--users"),
        (&["idle", "--users", "5..1"], "--users"),
        (&["idle", "--users", "1..5"], "--users: FROM..TO goes with --jwt-secret"),
        (&["idle", "--scale", "1,x"], "--scale"),
        (&["idle", "--scale", "5", "--users", "9"], "--scale: "),
        (&["idle", "--url", "wss://x"], "--url: wss://x is encrypted"),
        (&["idle", "--url", "x"], "--url: x is neither"),
        (&["idle", "--source", "here"], "--source"),
        (&["idle", "--jwt-secret", "x"], "--url"),
        (&["idle", "--users", "900000"], "RLIMIT_NOFILE"),
        (&["idle", "--spawn", "--spawn"], "--spawn: bellpull is there twice"),
        (&[&["idle"], &local[..], &["--tokens", empty]].concat(), "--tokens: "),
        (&[&["idle"], &local[..], &["--tokens", "/no/file"]].concat(), "--tokens: /no/file"),
        (&[&["idle"], &local[..], &["--users", "1"]].concat(), "--pid: "),
        (&[&["fan-out"], &local[..], &["--users", "1"]].concat(), "--publish-url: "),
        (&[&["idle"], &local[..], &["--pid", "1", "--pid", "2"]].concat(), "--pid: "),
        (&["fan-out", "--size", "0"], "--size"),
        (&[&["tickets", "--plain"], &local[..]].concat(), "--plain: "),
        (&["tickets", "--users", "1"], "--users: 1 are too few for tickets, the least is 3: "),
        (&["tickets", "--scale", "40,2"], "--users: 2 are too few for tickets"),
        (&["mixed", "--users", "8", "--staff", "8"], "the least is 9: beside the --staff"),
        (&["mixed", "--returns", "-1"], "--returns"),
        (&["mixed", "--transitions", "0"], "--transitions"),
        (&["replay", "--backlog", "0"], "--backlog"),
        (&["connect", "--rate", "5", "--concurrency", "5"], "--concurrency"),
    ];
    for (arguments, wanted) in cases {
        let line = refused(&database, 2, &[&["load"], *arguments].concat());
        assert!(line.contains(wanted), "{arguments:?}: {line}");
    }
    let gone = ["load", "idle", "--url", "ws://127.0.0.1:9", "--users", "1", "--pid", "4294967295"];
    assert!(refused(&database, 1, &gone).starts_with("--pid: process 4294967295"));
    let no_hub = ["load", "idle", "--users", "1", "--spawn=/no/such/program"];
    assert!(refused(&database, 1, &no_hub).starts_with("--spawn: /no/such/program"));
}
