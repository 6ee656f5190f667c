//! Every command as a user types it: its output and its errors.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use super::Caller;
use crate::support::process::{Process, command, folder, person, run_ok};

/// The one line on stderr of a command that ends with this code, without the program's name.
pub(super) fn refused(database: &Path, code: i32, arguments: &[&str]) -> String {
    refused_with(database, code, arguments, &[])
}

fn refused_with(
    database: &Path,
    code: i32,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> String {
    let mut command = command(database);
    let output = command.args(arguments).envs(variables.iter().copied()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?} printed {:?}", output.stdout);
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    stderr.trim_end().strip_prefix("bellpull: ").expect(&stderr).to_owned()
}

#[test]
fn help_and_version_answer_a_newcomer() {
    let (_folder, database) = folder();
    // What each help must say: what one came for.
    let commands: [(&[&str], &[&str]); 10] = [
        (&[], &["demo", "serve", "migrate", "user", "token", "tree", "Examples:"]),
        (&["serve"], &["--listen", "BELLPULL_LISTEN", "bellpull.toml", "Examples:"]),
        (&["demo"], &["--once", "--nodes", "Ctrl-C"]),
        (&["migrate"], &["--database", "sqlite://PATH"]),
        (&["user"], &["create"]),
        (&["user", "create"], &["--password", "super_admin", "stdin", "Examples:"]),
        (&["token"], &["--ttl", "seconds", "curl"]),
        (&["tree"], &["--json", "--url", "Examples:"]),
        (&["load"], &["fan-out", "connect", "--plain", "--scale", "exit with 1", "Examples:"]),
        (&["load", "fan-out"], &["--baseline", "--burst", "--jwt-secret", "--publish-url"]),
    ];
    for (command, wanted) in commands {
        for flag in ["--help", "-h"] {
            let text = run_ok(&database, &[command, &[flag]].concat());
            for word in wanted {
                assert!(text.contains(word), "{command:?} {flag} does not say {word}:\n{text}");
            }
        }
        for flag in ["--version", "-V"] {
            let text = run_ok(&database, &[command, &[flag]].concat());
            assert!(text.ends_with(env!("CARGO_PKG_VERSION")), "{command:?} {flag}: {text}");
        }
    }
    assert!(!database.exists(), "no database was requested");
}

#[test]
fn variables_of_a_service_called_like_the_hub_are_no_settings() {
    let (_folder, database) = folder();
    let injected = [
        ("BELLPULL_SERVICE_HOST", "10.0.0.1"),
        ("BELLPULL_SERVICE_PORT", "8000"),
        ("BELLPULL_SERVICE_PORT_HTTP", "8000"),
        ("BELLPULL_PORT", "tcp://10.0.0.1:8000"),
        ("BELLPULL_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
        ("BELLPULL_PORT_8000_TCP_PROTO", "tcp"),
        ("BELLPULL_PORT_8000_TCP_PORT", "8000"),
        ("BELLPULL_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("BELLPULL_METRICS_SERVICE_HOST", "10.0.0.2"),
    ];
    for arguments in [&["migrate"][..], &["config", "--effective"], &["user", "list"]] {
        let output = command(&database).envs(injected).args(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {stderr}");
    }
    for (name, value) in [("BELLPULL_PORT", "8000"), ("BELLPULL_LISTNE", "127.0.0.1:1")] {
        let output = command(&database).envs(injected).env(name, value).arg("migrate").output();
        let stderr = String::from_utf8(output.unwrap().stderr).unwrap();
        assert!(stderr.starts_with(&format!("bellpull: {name}: no such setting")), "{stderr}");
    }
}

#[test]
fn wrong_usage_is_one_line_that_names_what_is_wrong() {
    let (_folder, database) = folder();
    let create = ["user", "create", "--username", "x", "--password", "long enough", "--role"];
    let cases: &[(&[&str], &str)] = &[
        (&["sreve"], "sreve"),
        (&["serve", "--lisen", "1"], "'--listen'"),
        (&["serve", "--listen", "nowhere"], "--listen: nowhere"),
        (&["serve", "--listen", "127.0.0.1:70000"], "--listen: "),
        (&["serve", "--ws-max-frame", "-1"], "--ws-max-frame: -1 is not"),
        (&["serve", "--auth-registration", "maybe"], "--auth-registration: maybe is neither"),
        (&["serve", "--dialect", "klingon"], "--dialect: klingon is not one of"),
        (&["serve", "--log", "xml"], "--log: xml"),
        (&["serve", "--log-filter", "bellpull=loud"], "--log-filter: "),
        (&["serve", "--http-allowed-origins", "example.com"], "--http-allowed-origins: "),
        (&["serve", "--redis", "http://:hunter2@localhost"], "--redis: not a URL such as redis"),
        (&["serve", "--database", "postgres://a:hunter2@b"], "--database: names no database"),
        (&["migrate", "--database", "postgresql://a:hun/ter2@b/c"], "--database: not a URL such"),
        (&["migrate", "--database", "postgres://a:hunter2@127.0.0.1:1/c"], "127.0.0.1:1/c: "),
        (&["migrate", "--database", "mysql://a:hunter2@b/c"], "--database: mysql"),
        (&["serve", "--ws-ping-after-s", "80"], "ws.silent_max_s: must be greater"),
        (&["serve", "--auth-public-key-file", "/no.pem"], "auth.public_key_file: /no.pem"),
        (&["serve", "--auth-jwks-file", "/no.json"], "auth.jwks_file: /no.json"),
        (&["serve", "--config", "/no.toml"], "--config: /no.toml"),
        (&["migrate", "--database", "sqlite:///no/such/place.db"], "database_url: "),
        (&["serve", "--database", "sqlite:///no/such/place.db"], "database_url: "),
        (&["token"], "--user"),
        (&["token", "--user", "x", "--service", "y"], "--service"),
        (&["token", "--service", "a b"], "--service: must be"),
        (&["token", "--service", "x", "--ttl", "3601"], "--ttl: a service token"),
        (&["token", "--user", "x", "--ttl", "0"], "--ttl"),
        (&["token", "--user", "x", "--ttl", "-5"], "--ttl"),
        (&["token", "--user", "x", "--ttl", "1h"], "--ttl"),
        (&["user", "create"], "--username"),
        (&["tree", "--url", "ftp://x", "--token", "t"], "--url: ftp://x"),
        (&["tree", "--url", "x", "--token", "t"], "--url: x"),
        (&[&create[..], &["Super Admin"]].concat(), "--role: "),
        (&[&create[..], &["client", "--email", "unknown"]].concat(), "--email: "),
        (&[&create[..], &["client", "--phone", "12345"]].concat(), "--phone: "),
        (
            &[&create[..], &["client", "--database", "sqlite::memory:"]].concat(),
            "database_url: sqlite::memory:",
        ),
    ];
    for (arguments, wanted) in cases {
        let line = refused(&database, 2, arguments);
        assert!(line.contains(wanted), "{arguments:?}: {line}");
        assert!(!line.contains("hunter2"), "{line}");
        let is_named_twice = line.matches(": auth").count() + line.matches("auth: ").count() > 0;
        assert!(!is_named_twice, "{line}");
    }
    for (name, value) in [("x y", "long enough"), ("", "long enough"), ("x", "short"), ("x", "")] {
        let (wanted, arguments) = (
            if name == "x" { "--password: " } else { "--username: " },
            ["user", "create", "--role", "client", "--username", name, "--password", value],
        );
        assert!(refused(&database, 2, &arguments).starts_with(wanted), "{arguments:?}");
    }
}

#[test]
fn variables_and_files_are_checked_as_flags_are() {
    let (folder, database) = folder();
    for (variable, value, wanted) in [
        ("BELLPULL_LISTN", "1", "BELLPULL_LISTN: no such setting; did you mean BELLPULL_LISTEN?"),
        ("BELLPULL_QUUX", "1", "BELLPULL_QUUX: no such setting"),
        ("BELLPULL_WS_MAX_FRAME", "many", "BELLPULL_WS_MAX_FRAME: many is not a number of bytes"),
        ("BELLPULL_REDIS_URL", "x", "BELLPULL_REDIS_URL: not a URL such as"),
        ("BELLPULL_CONFIG", "/no.toml", "BELLPULL_CONFIG: /no.toml"),
    ] {
        for command in [&["serve"][..], &["migrate"], &["token", "--user", "x"], &["tree"]] {
            let line = refused_with(&database, 2, command, &[(variable, value)]);
            assert!(line.starts_with(wanted), "{command:?}: {line}");
        }
    }
    for (text, wanted) in [
        (
            "[ws]\nmax_fram = 1",
            "bellpull.toml: ws.max_fram: no such setting; did you mean ws.max_f",
        ),
        ("ws = 3", "bellpull.toml: ws: "),
        ("listen = 8000", "bellpull.toml: listen: 8000 is not an address"),
        ("[auth]\nregistration = \"perhaps\"", "bellpull.toml: auth.registration: perhaps"),
        ("[http]\nallowed_origins = [1]", "bellpull.toml: http.allowed_origins: "),
        ("jwt_secret = \"hunter2", "bellpull.toml: line 1: "),
        ("listen = \"127.0.0.1:1\"\n[ws", "bellpull.toml: line 2: "),
        ("redis_url = \"x\"", "bellpull.toml: redis_url: not a URL such"),
    ] {
        std::fs::write(folder.path().join("bellpull.toml"), text).unwrap();
        for command in [&["serve"][..], &["migrate"]] {
            let line = refused(&database, 2, command);
            assert!(line.starts_with(wanted), "{text:?}: {line}");
            assert!(!line.contains("hunter2"), "{line}");
        }
    }
    // A flag counts before its variable, a variable before the file: the last two are wrong alone.
    let other = folder.path().join("flag.db");
    std::fs::write(folder.path().join("bellpull.toml"), "log = \"text\"\nlog_filter = \"debug\"\n")
        .unwrap();
    run_ok(&database, &["migrate", "--database", &format!("sqlite://{}", other.display())]);
    assert!(other.exists() && !database.exists());
}

#[test]
fn accounts_are_made_and_have_tokens() {
    let (_folder, database) = folder();
    let create = |more: &[&str]| {
        let text =
            run_ok(&database, &[&["user", "create", "--password", "correct horse"], more].concat());
        assert_eq!(text.lines().count(), 1, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let ada = create(&[
        "--username=ada",
        "--role=super_admin",
        "--email=ada@example.com",
        "--full-name=Ada Lovelace",
        "--whatsapp-number=+4915112345678",
        "--phone=+4930123456",
    ]);
    for (key, value) in [
        ("id", json!(1)),
        ("username", json!("ada")),
        ("email", json!("ada@example.com")),
        ("full_name", json!("Ada Lovelace")),
        ("role", json!("super_admin")),
        ("whatsapp_number", json!("+4915112345678")),
        ("phone", json!("+4930123456")),
        ("is_active", json!(true)),
    ] {
        assert_eq!(ada[key], value, "{ada}");
    }
    assert!(!ada.to_string().contains("argon2"), "{ada}");
    assert_eq!(create(&["--username=bob", "--role=student"])["id"], 2);
    // A name may be a number: it names that user, not the user with that id.
    assert_eq!(create(&["--username=1", "--role=client"])["id"], 3);

    let again = ["user", "create", "--username=ada", "--password=correct horse", "--role=client"];
    assert_eq!(
        refused(&database, 1, &again),
        "--username: a user with that username already exists"
    );
    let email = [
        "user",
        "create",
        "--username=eve",
        "--password=correct horse",
        "--role=client",
        "--email=Ada@Example.com",
    ];
    assert_eq!(refused(&database, 1, &email), "--email: a user with that email already exists");
    for (name, role, code, wanted) in [
        ("Ada", "client", 1, "--username: it looks like another user's username"),
        ("\u{430}da", "client", 1, "--username: it looks like another user's username"),
        (
            "eve",
            "super-admin",
            2,
            "--role: \"super-admin\" looks like the built-in role \"super_admin\": choose another \
             name.",
        ),
    ] {
        let line =
            ["user", "create", "--password=correct horse", "--username", name, "--role", role];
        assert_eq!(refused(&database, code, &line), wanted);
    }
    assert!(refused(&database, 1, &["token", "--user", "unknown"]).contains("no user unknown"));
    assert!(refused(&database, 1, &["token", "--user", "4711"]).contains("no user 4711"));

    for (user, id) in [("ada", 1), ("bob", 2), ("2", 2), ("1", 3)] {
        let token = run_ok(&database, &["token", "--user", user, "--ttl", "60"]);
        assert!(!token.contains(char::is_whitespace), "{token}");
        let claims = claims(&token);
        assert_eq!(claims["user_id"], id, "{user}");
        let lives = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert_eq!(lives, 60);
    }
}

/// What a token says, unchecked.
fn claims(token: &str) -> Value {
    use base64::Engine;
    let part = token.split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn a_password_can_come_from_stdin() {
    let (_folder, database) = folder();
    let mut child = command(&database)
        .args(["user", "create", "--username=ada", "--password", "-", "--role=client"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"long enough\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(!String::from_utf8_lossy(&output.stdout).contains("long enough"));
}

#[test]
fn migrating_twice_is_migrating_once() {
    let (_folder, database) = folder();
    for _ in 0..2 {
        assert!(run_ok(&database, &["migrate"]).ends_with("hub.db is up to date"));
    }
    person(&database, "ada", "admin");
    run_ok(&database, &["migrate"]);
    run_ok(&database, &["token", "--user", "ada"]);
    assert_eq!(files_beside(&database), ["hub.db"], "a command leaves one file behind");
    std::fs::write(&database, "this is no database, and never was one").unwrap();
    let wanted = "database_url: cannot open database";
    assert!(refused(&database, 2, &["migrate"]).starts_with(wanted));
    assert!(refused(&database, 2, &["serve"]).starts_with(wanted));
}

#[test]
fn what_only_looks_and_what_cannot_start_leaves_no_database_behind() {
    let (folder, database) = folder();
    let missing = format!(
        "database_url: no database at {}: run `bellpull serve` or `bellpull user create` first",
        database.display()
    );
    let notify = ["notify", "--user-id", "1", "--title", "t", "--message", "m"];
    for command in [&["tree"][..], &["token", "--user", "ada"], &notify] {
        assert_eq!(refused(&database, 2, command), missing);
        assert_eq!(files_beside(&database), [""; 0], "{command:?}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    for setting in ["--listen", "--operator-listen"] {
        let arguments = match setting {
            "--listen" => vec!["serve", setting, &at],
            _ => vec!["serve", "--listen", "127.0.0.1:0", setting, &at],
        };
        let line = refused(&database, 2, &arguments);
        assert!(line.contains(&format!("listen: cannot listen on {at}: ")), "{line}");
        assert_eq!(files_beside(&database), [""; 0], "{setting}");
    }
    let nowhere = folder.path().join("no/such");
    let url = format!("sqlite://{}/hub.db", nowhere.display());
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"], &["tree"]] {
        let line = refused(&database, 2, &[command, &["--database", &url]].concat());
        assert_eq!(line, format!("database_url: the folder {} does not exist", nowhere.display()));
    }
}

#[test]
fn an_access_token_that_lives_too_short_is_refused() {
    let (_folder, database) = folder();
    let line = refused(&database, 2, &["serve", "--auth-access-ttl-s", "29"]);
    assert_eq!(line, "--auth-access-ttl-s: 29 is not a number of seconds from 30 to 31536000");
}

/// The names in the database's folder.
pub(super) fn files_beside(database: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(database.parent().unwrap()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_back_end_has_a_token_for_as_long_as_it_needs() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[("BELLPULL_AUTH_SERVICE_TTL_S", "1800")]);
    let ada = Caller::join(&database, hub.address, "ada", "admin");
    let name = ["token", "--service", "billing", "--ttl"];
    for (ttl, status) in [("1800", 202), ("3600", 401)] {
        let token = run_ok(&database, &[&name[..], &[ttl]].concat());
        let billing = Caller { token, ..ada.clone() };
        let body = json!({"recipients": [ada.id], "title": "Paid", "message": "m"});
        let (answered, told) = billing.post("/api/notifications/", body).await;
        assert_eq!(answered, status, "{told}");
    }
}
