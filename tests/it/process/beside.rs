//! Commands on the database of a hub that runs.

use serde_json::json;

use super::Caller;
use super::cli::refused;
use crate::support::process::{Process, folder, person, run, run_ok};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_work_beside_a_running_hub() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let root = Caller::join(&database, hub.address, "root", "super_admin");
    let (status, me) = root.get("/api/auth/me/").await;
    assert_eq!((status, &me["username"]), (200, &json!("root")));
    // Accounts of both doors, in turns: no id twice, and the hub knows all of them at once.
    let carl = Caller::join(&database, hub.address, "carl", "client");
    let mut ids = vec![root.id, carl.id];
    for n in 0..3 {
        let body = json!({"username": format!("rest{n}"), "password": "long enough",
            "email": format!("rest{n}@example.com"), "role": "client"});
        let (status, user) = root.post("/api/users/", body).await;
        assert_eq!(status, 201, "{user}");
        ids.push(user["id"].as_i64().unwrap());
        ids.push(person(&database, &format!("cli{n}"), "admin").0);
    }
    assert_eq!(ids, (1..=8).collect::<Vec<_>>());
    // An admin who was made a moment ago hears of the next ticket.
    let late = Caller::join(&database, hub.address, "late", "admin");
    let mut socket = late.socket("").await;
    let ticket = carl.raise("One").await;
    assert_eq!(socket.next().await["ticket"]["id"], ticket);
    assert!(run_ok(&database, &["migrate"]).ends_with("up to date"));
    let login = json!({"username": "late", "password": "correct horse"});
    assert_eq!(late.post("/api/auth/login/", login).await.0, 200);

    let second = refused(&database, 2, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(second.starts_with("database_url: ") && second.contains("another hub"), "{second}");
    assert!(hub.terminate().success());
    let output = run(&database, &["token", "--user", "late"]);
    assert!(output.status.success());
}

/// What an admin changes is acknowledged only with its entry in the audit log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_without_its_entry_in_the_audit_log_is_not_acknowledged() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let root = Caller::join(&database, hub.address, "root", "super_admin");
    let project = |key: &str| json!({"key": key, "name": key});
    assert_eq!(root.post("/api/projects/", project("ONE")).await.0, 201);
    let connection = rusqlite::Connection::open(&database).unwrap();
    let sql =
        "CREATE TRIGGER no_audit BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'x'); END";
    connection.execute_batch(sql).unwrap();
    let (status, told) = root.post("/api/projects/", project("TWO")).await;
    assert_eq!(status, 503, "{told}");
    // A refusal and a read are what they are.
    assert_eq!(root.post("/api/projects/", project("ONE")).await.0, 400);
    assert_eq!(root.get("/api/projects/").await.0, 200);
    connection.execute_batch("DROP TRIGGER no_audit").unwrap();
    assert_eq!(root.post("/api/projects/", project("THREE")).await.0, 201);
    let entries: i64 = connection
        .query_row("SELECT count(*) FROM audit_log WHERE status = 201", (), |row| row.get(0))
        .unwrap();
    assert_eq!(entries, 2);
    hub.kill();
}
