//! What operators do by hand: end a session, open or close a channel's circuit.

use serde_json::{Value, json};

use super::{Team, actor};
use crate::support::{Hub, Person};
use crate::ws::Socket;

/// The paths that the audit log has of an operator.
async fn audited(hub: &Hub, root: &Person) -> Vec<Value> {
    let (status, log) = hub.get(root, "/api/audit/").await;
    assert_eq!(status, 200, "{log}");
    super::column(&log, "path")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_ends_one_session_and_its_client_comes_back() {
    let team = Team::gather().await;
    let mut first = Socket::established(&team.hub, &team.ada, "").await;
    let mut second = Socket::established(&team.hub, &team.ada, "").await;
    let path = format!("user/{}", team.ada.id);
    let sessions = actor(&team.hub, &team.root, &path).await["observed"]["sessions"].clone();
    assert_eq!(sessions.as_array().map(Vec::len), Some(2), "{sessions}");
    assert!(sessions[0]["seq"].is_number(), "{sessions}");
    assert_eq!(sessions[0]["by"], "socket");
    assert_eq!(sessions[0]["dialect"], "incident");
    let peer = sessions[0]["peer"].as_str().unwrap();
    assert!(peer.starts_with("127.0.0.1:"), "{peer}");
    let id = sessions[0]["id"].as_u64().unwrap();
    let base = format!("/api/operator/users/{}/sessions", team.ada.id);
    let close = format!("{base}/{id}/close/");
    assert_eq!(team.hub.post(&team.admin, &close, json!({})).await.0, 403);
    let (status, done) = team.hub.post(&team.root, &close, json!({})).await;
    assert_eq!(status, 200, "{done}");
    let wanted = (1012, r#"{"retry_after_ms":1000}"#.to_owned());
    assert_eq!(first.next_close().await, wanted);
    second.expect_nothing().await;
    let mut again = Socket::established(&team.hub, &team.ada, "").await;
    again.expect_nothing().await;

    assert_eq!(team.hub.post(&team.root, &close, json!({})).await.0, 404, "it is over");
    for missing in ["4711/close/", "x/close/", "-1/close/", "1/close/?node=missing"] {
        let path = format!("{base}/{missing}");
        assert_eq!(team.hub.post(&team.root, &path, json!({})).await.0, 404, "{missing}");
    }
    let none = "/api/operator/users/4711/sessions/1/close/";
    assert_eq!(team.hub.post(&team.root, none, json!({})).await.0, 404);
    assert_eq!(team.hub.post(&team.root, &close, json!({"x": 1})).await.0, 400);
    assert!(audited(&team.hub, &team.root).await.contains(&json!(close)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watched_actor_shows_its_last_messages() {
    let team = Team::gather().await;
    let id = team.raise(&team.carl, "One").await;
    let path = format!("ticket/{id}");
    let watch = format!("/api/operator/actors/{path}/trace/");
    assert_eq!(team.hub.post(&team.admin, &watch, json!({})).await.0, 403);
    let messages = async |path| actor(&team.hub, &team.root, path).await["messages"].clone();
    assert_eq!(messages(&path).await, Value::Null);
    let (status, answer) = team.hub.post(&team.root, &watch, json!({})).await;
    assert_eq!((status, &answer["path"]), (200, &json!(path)), "{answer}");
    assert_eq!(team.act(&team.admin, id, "open").await.0, 200);
    let shown = messages(&path).await;
    assert_eq!(shown["until"], answer["until"]);
    let last = shown["last"].as_array().unwrap();
    let names: Vec<&str> = last.iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(!names.is_empty() && !names.contains(&"Observe"), "{names:?}");
    assert!(last.iter().all(|one| one["took_us"].is_u64() && one["at"].is_string()), "{shown}");
    assert!(!shown.to_string().contains("One"), "nothing of the content: {shown}");
    assert_eq!(messages("users/0").await, Value::Null, "others are not watched");

    // Supervisors, single actors and channels too; and it can be ended.
    for path in ["hub", "users/0", "scheduler", "channels", "channels/webhook"] {
        let watch = format!("/api/operator/actors/{path}/trace/");
        let (status, answer) = team.hub.post(&team.root, &watch, json!({"for_s": 60})).await;
        assert_eq!(status, 200, "{path}: {answer}");
        assert!(messages(path).await["last"].is_array(), "{path}");
        assert_eq!(team.hub.post(&team.root, &watch, json!({"for_s": 0})).await.0, 200);
        assert_eq!(messages(path).await, Value::Null, "{path}");
    }
    for bad in [json!({"for_s": -1}), json!({"for_s": 3_601}), json!({"x": 1})] {
        assert_eq!(team.hub.post(&team.root, &watch, bad).await.0, 400);
    }
    for missing in ["ticket/4711", "users/99", "nothing"] {
        let watch = format!("/api/operator/actors/{missing}/trace/");
        assert_eq!(team.hub.post(&team.root, &watch, json!({})).await.0, 404, "{missing}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_opens_and_closes_a_circuit() {
    let team = Team::gather().await;
    let path = "/api/operator/channels/webhook/circuit/";
    let circuit = async || {
        let observed = actor(&team.hub, &team.root, "channels/webhook").await["observed"].clone();
        (observed["circuit"].clone(), observed["held_open"].clone(), observed["trouble"].clone())
    };
    assert_eq!(circuit().await, (json!("closed"), Value::Null, Value::Null));
    assert_eq!(team.hub.post(&team.admin, path, json!({"state": "open"})).await.0, 403);
    for (bad, field) in [
        (json!({}), "state"),
        (json!({"state": "ajar"}), "state"),
        (json!({"state": "open", "for_s": 0}), "for_s"),
        (json!({"state": "open", "for_s": 604_801}), "for_s"),
        (json!({"state": "closed", "for_s": 5}), "for_s"),
        (json!({"state": "open", "why": "x"}), "why"),
    ] {
        let (status, problem) = team.hub.post(&team.root, path, bad.clone()).await;
        assert_eq!(status, 400, "{bad}");
        assert!(problem[field].is_array(), "{bad}: {problem}");
    }
    let (status, done) = team.hub.post(&team.root, path, json!({"state": "open"})).await;
    assert_eq!(
        (status, &done["message"]),
        (200, &json!("the circuit of WEBHOOK is open until it is closed"))
    );
    let (open, held, trouble) = circuit().await;
    assert_eq!((open, trouble), (json!("open"), json!("opened by operator root")));
    assert_eq!((&held["operator"], &held["until"]), (&json!("root"), &Value::Null));
    let timed = json!({"state": "open", "for_s": 600});
    assert_eq!(team.hub.post(&team.root, path, timed).await.0, 200);
    assert!(circuit().await.1["until"].is_string());
    assert_eq!(team.hub.post(&team.root, path, json!({"state": "closed"})).await.0, 200);
    assert_eq!(circuit().await, (json!("closed"), Value::Null, Value::Null));

    let open = json!({"state": "open"});
    for missing in ["pigeon", "email", "in_app"] {
        let path = format!("/api/operator/channels/{missing}/circuit/");
        assert_eq!(team.hub.post(&team.root, &path, open.clone()).await.0, 404, "{missing}");
    }
    let elsewhere = format!("{path}?node=missing");
    assert_eq!(team.hub.post(&team.root, &elsewhere, open).await.0, 404);
    assert!(audited(&team.hub, &team.root).await.contains(&json!(path)));
}
