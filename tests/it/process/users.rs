//! `user list` and `user set`, beside a running hub.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::process::{Process, folder, person, run, run_ok};

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn accounts_are_listed_and_changed() {
    let (_folder, database) = folder();
    for name in ["user0", "user1", "user2"] {
        let create = ["user", "create", "--password", "correct horse", "--role", "client"];
        run_ok(&database, &[&create[..], &["--username", name]].concat());
    }
    person(&database, "root", "super_admin");
    assert_eq!(rows(&run_ok(&database, &["user", "list"])).len(), 4);
    let admins = rows(&run_ok(&database, &["user", "list", "--role", "super_admin"]));
    assert_eq!((admins.len(), &admins[0]["username"]), (1, &json!("root")));
    let found = rows(&run_ok(&database, &["user", "list", "--search", "SER1"]));
    assert_eq!((found.len(), &found[0]["username"]), (1, &json!("user1")));

    let set = ["user", "set", "--username", "user1"];
    let more = ["--role", "developer", "--email", "one@example.com", "--full-name", "One"];
    let changed = rows(&run_ok(&database, &[&set[..], &more].concat()));
    let shown = ["role", "email", "full_name", "is_active"].map(|key| changed[0][key].clone());
    assert_eq!(shown, [json!("developer"), json!("one@example.com"), json!("One"), json!(true)]);

    for (arguments, code, says) in [
        (&["--username", "missing", "--active", "false"][..], 1, "there is no user missing"),
        (&["--username", "user1"], 2, "nothing is to be changed"),
        (&["--username", "user1", "--active", "maybe"], 2, "--active"),
        (&["--username", "user1", "--email", "nowhere"], 2, "--email"),
        (&["--username", "user2", "--email", "one@example.com"], 1, "--email"),
        (&["--username", "root", "--role", "client"], 1, "no active super admin"),
    ] {
        let output = run(&database, &[&["user", "set"], arguments].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(says), "{arguments:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_switched_off_loses_its_login_at_a_running_hub() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let (_, token) = person(&database, "ada", "admin");
    let client = bellpull::tls::client().build().unwrap();
    let ask = || async {
        let url = format!("http://{}/api/auth/me/", hub.address);
        client.get(url).bearer_auth(&token).send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask().await, 200);
    run_ok(&database, &["user", "set", "--username", "ada", "--active", "false"]);
    let begun = Instant::now();
    while ask().await == 200 {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is never noticed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(ask().await, 401);
    assert!(hub.terminate().success());
}
