//! A school's bell, the family that is told of registrations and of what becomes of each row.

use bellpull::wire::Dialect;
use reqwest::Method;
use serde_json::{Value, json};

use super::{FrontEnd, Make, greeting, hub};
use crate::support::{Hub, answer};

/// Registers a user; returns the new account.
async fn register(hub: &Hub, username: &str, full_name: &str) -> Value {
    let body = json!({"username": username, "email": format!("{username}@example.com"),
        "password": "correct horse", "full_name": full_name, "role": "student"});
    let request = hub.request(Method::POST, "/api/auth/register/").json(&body);
    let (status, user) = answer(request).await;
    assert_eq!(status, 201, "{user}");
    user
}

/// The frame for a registration, without values that are not known before.
fn registered(user: &Value, seq: i64) -> Value {
    let (name, email) = (user["full_name"].as_str().unwrap(), user["email"].as_str().unwrap());
    let notification = json!({
        "type": "user_registration",
        "title": "New User Registration",
        "body": format!("A new Student has registered: {name} ({email})"),
        "action_url": format!("/admin/accounts/customuser/{}/change/", user["id"]),
        "is_read": false,
        "time_ago": "Just now",
        "metadata": {"user_id": user["id"], "user_email": email, "user_full_name": name,
            "user_role": "student"},
        "seq": seq,
    });
    json!({"type": "new_notification", "notification": notification})
}

/// A frame without its id and its time; and the id.
fn checked(mut frame: Value) -> (Value, i64) {
    let row = frame["notification"].as_object_mut().unwrap();
    let created_at = row.remove("created_at").unwrap();
    assert!(created_at.as_str().unwrap().ends_with('Z'), "{created_at}");
    let id = row.remove("id").unwrap().as_i64().unwrap();
    (frame, id)
}

async fn whole_session(make: Make) {
    let hub = hub(Dialect::Academy).await;
    let root = hub.user("principal", "super_admin").await;
    let john = register(&hub, "john", "John Doe").await;
    let Some(mut bell) = FrontEnd::start(make, "academy", &hub, &root).await else { return };

    // The greeting, the backlog, a live one.
    assert_eq!(bell.hears().await, greeting(&root));
    let (frame, first) = checked(bell.hears().await);
    assert_eq!(frame, registered(&john, 1));
    assert_eq!(bell.says().await, json!({"badge": 1}));
    let jane = register(&hub, "jane", "Jane Roe").await;
    let (frame, second) = checked(bell.hears().await);
    assert_eq!(frame, registered(&jane, 2));
    assert_eq!(bell.says().await, json!({"badge": 2}));
    bell.does(json!(["ping", 7]));
    assert_eq!(bell.hears().await, json!({"type": "pong", "timestamp": 7}));

    // What is marked over REST shows here, with the count as it is then.
    for (action, is_read, unread) in [("mark_as_read", true, 1), ("mark_as_unread", false, 2)] {
        let path = format!("/api/notifications/{first}/{action}/");
        let (status, marked) = hub.post(&root, &path, json!({})).await;
        assert_eq!(status, 200, "{marked}");
        let wanted = json!({"type": "notification_updated", "notification_id": first,
            "is_read": is_read, "unread_count": unread});
        assert_eq!(bell.hears().await, wanted);
        assert_eq!(bell.says().await, json!({ "badge": unread }));
    }
    let (status, _) = hub.delete(&root, &format!("/api/notifications/{second}/")).await;
    assert_eq!(status, 204);
    let gone = bell.hears().await;
    assert_eq!(gone["type"], "notification_updated");
    assert_eq!((&gone["notification_id"], &gone["unread_count"]), (&json!(second), &json!(1)));
    assert_eq!(gone["deleted"], true);
    assert_eq!(bell.says().await, json!({"badge": 1}));

    // Away and back: what was born meanwhile, once.
    bell.does(json!(["leave"]));
    assert_eq!(bell.says().await, json!({"closed": 1000}));
    let jim = register(&hub, "jim", "Jim Poe").await;
    bell.does(json!(["come_back_since"]));
    assert_eq!(bell.hears().await, greeting(&root));
    let mut row = checked(bell.hears().await).0;
    let seq = row["notification"]["seq"].as_i64().unwrap();
    assert!(seq > 2, "{seq}");
    row["notification"]["seq"] = json!(3);
    assert_eq!(row, registered(&jim, 3));
    assert_eq!(bell.says().await, json!({"badge": 2}));
    bell.hears_nothing().await;
    hub.stop().await;
    assert_eq!(bell.says().await, json!({"closed": 1012}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_chromium() {
    whole_session(Make::Chromium).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_pythons_websockets() {
    whole_session(Make::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nodes_ws() {
    whole_session(Make::Node).await;
}
