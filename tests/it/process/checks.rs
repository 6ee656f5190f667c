//! `check`, `config`, `completions` and `man`, as an operator uses them before a hub runs.

use serde_json::Value;

use crate::support::process::{Process, command, folder, person, run, run_ok};

fn lines(text: &[u8]) -> Vec<Value> {
    let text = String::from_utf8(text.to_vec()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The state and the detail of one check.
fn of(lines: &[Value], check: &str) -> (String, String) {
    let line = lines.iter().find(|line| line["check"] == check).unwrap();
    let text = |key: &str| line[key].as_str().unwrap().to_owned();
    (text("state"), text("detail"))
}

#[test]
fn what_works_is_told_before_a_hub_runs_and_beside_it() {
    let (_folder, database) = folder();
    let check = || {
        let output = run(&database, &["check", "--json", "--listen", "127.0.0.1:0"]);
        (output.status.code(), lines(&output.stdout))
    };
    let (code, told) = check();
    assert_eq!((code, of(&told, "database").0), (Some(0), "off".to_owned()), "{told:?}");
    assert!(!database.exists(), "a check makes nothing");
    person(&database, "ada", "admin");
    let hub = Process::serve(&database, &[]);
    let (code, told) = check();
    let (state, detail) = of(&told, "database");
    assert_eq!((code, state.as_str()), (Some(0), "ok"), "{told:?}");
    assert!(detail.contains("; 1 users, 0 tickets"), "{detail}");
    assert_eq!(of(&told, "listen").0, "ok");
    assert_eq!(of(&told, "e-mail"), ("off".to_owned(), "smtp.url is not set".to_owned()));
    let listen = hub.address.to_string();
    let output = run(&database, &["check", "--listen", &listen]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&format!("{listen} is in use")), "{text}");
    let is_ready = || run(&database, &["check", "--running", "--listen", &listen]).status.code();
    assert_eq!(is_ready(), Some(0));
    assert!(hub.terminate().success());
    assert_eq!(is_ready(), Some(1));
}

#[test]
fn what_does_not_work_is_named_and_fails_the_command() {
    let (_folder, database) = folder();
    std::fs::write(&database, "no database, but a text of some length ".repeat(9)).unwrap();
    // Nothing listens on port 1.
    let output = command(&database)
        .args(["check", "--json", "--listen", "127.0.0.1:0"])
        .args(["--mail", "ada@example.com", "--webhook", "http://127.0.0.1:1/hook"])
        .env("BELLPULL_SMTP_URL", "smtp://user:hunter2@127.0.0.1:1")
        .env("BELLPULL_SMTP_FROM", "Desk <desk@example.com>")
        .env("BELLPULL_REDIS_URL", "redis://:hunter2@127.0.0.1:1")
        .env("BELLPULL_WHATSAPP_TOKEN", "hunter2")
        .env("BELLPULL_WHATSAPP_PHONE_NUMBER_ID", "1")
        .env("BELLPULL_WHATSAPP_API_URL", "http://127.0.0.1:1/v1")
        .env("BELLPULL_SMS_ACCOUNT", "AC1")
        .env("BELLPULL_SMS_TOKEN", "hunter2")
        .env("BELLPULL_SMS_FROM", "+4912345678")
        .env("BELLPULL_SMS_API_URL", "http://127.0.0.1:1/v1")
        .output()
        .unwrap();
    let told = lines(&output.stdout);
    for check in ["database", "Redis", "e-mail", "WhatsApp", "SMS", "webhook"] {
        assert_eq!(of(&told, check).0, "failed", "{told:?}");
    }
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("6 checks failed"), "{stderr}");
    assert_eq!(output.status.code(), Some(1));
    assert!(!format!("{told:?}{stderr}").contains("hunter2"), "{told:?}{stderr}");
}

#[test]
fn the_reference_is_a_file_that_a_hub_reads() {
    let (folder, database) = folder();
    let reference = run_ok(&database, &["config"]);
    std::fs::write(folder.path().join("bellpull.toml"), &reference).unwrap();
    let changed = ["config", "--effective", "--changed", "--json", "--replay-limit", "7"];
    let changed: Value = serde_json::from_str(&run_ok(&database, &changed)).unwrap();
    let changed = changed.as_array().unwrap();
    let keys: Vec<&str> = changed.iter().map(|one| one["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["database_url", "replay.limit", "log_filter"]);
    assert_eq!(
        (&changed[1]["value"], &changed[1]["place"]),
        (&"7".into(), &"--replay-limit".into())
    );
    let text = run_ok(&database, &["config", "--effective"]);
    assert!(text.contains("BELLPULL_DATABASE_URL"), "{text}");
    let refused = run(&database, &["config", "--json"]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn packages_have_completions_and_manual_pages() {
    let (folder, database) = folder();
    for shell in ["bash", "zsh", "fish"] {
        let text = run_ok(&database, &["completions", shell]);
        assert!(text.contains("backup") && text.contains("bellpull"), "{shell}");
    }
    let pages = folder.path().join("man");
    let told = run_ok(&database, &["man", pages.to_str().unwrap()]);
    let count = std::fs::read_dir(&pages).unwrap().count();
    assert!(count > 20 && told.starts_with(&format!("{count} pages")), "{told}");
    for (page, says) in [("bellpull.1", "backup"), ("bellpull-user-create.1", "\\-\\-username")] {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.starts_with(".ie") || text.contains(".TH"), "{page}");
        assert!(text.contains(says), "{page}: {text}");
    }
}
