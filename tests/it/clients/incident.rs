//! Ticket alerts, the family that switches on `notification_type`.

use bellpull::wire::Dialect;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{FrontEnd, Make, greeting, hub};

/// A frame of this family, whole.
fn alert(event: &str, message: &str, ticket: &Value, seq: i64, id: &Value) -> Value {
    let mut snapshot = json!({"project_name": "Default", "created_by": "jane_client"});
    for key in ["id", "title", "priority", "priority_display", "category", "created_at"] {
        snapshot[key] = ticket[key].clone();
    }
    // The same time: frames leave out the zeros at the end of its fraction.
    let created_at: Timestamp = ticket["created_at"].as_str().unwrap().parse().unwrap();
    snapshot["created_at"] = json!(created_at.to_string());
    json!({"notification_type": event, "message": message, "ticket": snapshot, "id": id,
        "seq": seq})
}

/// What a frame says, with its ticket's status and its time looked at and put aside.
fn checked(mut frame: Value, status: &str) -> Value {
    assert_eq!(frame["ticket"]["status"], status, "{frame}");
    let frame_object = frame.as_object_mut().unwrap();
    let timestamp = frame_object.remove("timestamp").unwrap();
    assert!(timestamp.as_str().unwrap().ends_with('Z'), "{timestamp}");
    frame["ticket"].as_object_mut().unwrap().remove("status");
    frame
}

async fn whole_session(make: Make) {
    let hub = hub(Dialect::Incident).await;
    let admin = hub.user("john_admin", "admin").await;
    let client = hub.user("jane_client", "client").await;

    // Raised before the front end is there, so that it also hears a backlog.
    let raise = async |title: &str, priority: &str| {
        let body = json!({"title": title, "priority": priority, "category": "BUG"});
        let (status, ticket) = hub.post(&client, "/api/tickets/", body).await;
        assert_eq!(status, 201, "{ticket}");
        ticket
    };
    let first = raise("Homepage not loading", "HIGH").await;
    let Some(mut john) = FrontEnd::start(make, "incident", &hub, &admin).await else { return };

    assert_eq!(john.hears().await, greeting(&admin));
    let backlog = john.hears().await;
    let text = "New High priority ticket created: Homepage not loading";
    let wanted = alert("ticket_created", text, &first, 1, &backlog["id"]);
    assert_eq!(checked(backlog, "NEW"), wanted);
    assert_eq!(
        john.says().await,
        json!({"shown": format!("High · Homepage not loading · {text}")})
    );

    john.does(json!(["ping", 1_735_036_200_000_i64]));
    assert_eq!(john.hears().await, json!({"type": "pong", "timestamp": 1_735_036_200_000_i64}));
    john.does(json!(["ping"]));
    assert!(john.hears().await["timestamp"].as_i64().unwrap() > 1_735_036_200_000);

    let second = raise("Checkout broken", "CRITICAL").await;
    let live = john.hears().await;
    let text = "New Critical priority ticket created: Checkout broken";
    let wanted = alert("ticket_created", text, &second, 2, &live["id"]);
    assert_eq!(checked(live, "NEW"), wanted);
    john.says().await;

    // What it should not have sent is told, and the socket stays.
    john.does(json!(["blurt", "not JSON"]));
    let error = john.hears().await;
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("invalid_json")));
    assert!(error["message"].is_string(), "{error}");
    assert_eq!(john.says().await, json!({"unknown": "error"}));

    // Away: what happens meanwhile comes once, in order, before anything else.
    john.does(json!(["leave"]));
    assert_eq!(john.says().await, json!({"closed": 1000}));
    raise("Third", "LOW").await;
    raise("Fourth", "LOW").await;
    john.does(json!(["come_back_since"]));
    assert_eq!(john.hears().await, greeting(&admin));
    for (seq, title) in [(3, "Third"), (4, "Fourth")] {
        let frame = john.hears().await;
        assert_eq!((&frame["seq"], &frame["ticket"]["title"]), (&json!(seq), &json!(title)));
        john.says().await;
    }
    john.does(json!(["leave"]));
    assert_eq!(john.says().await, json!({"closed": 1000}));
    // This family's own clients ask for nothing: they get what they never got.
    raise("Fifth", "LOW").await;
    john.does(json!(["come_back"]));
    assert_eq!(john.hears().await, greeting(&admin));
    assert_eq!(john.hears().await["seq"], 5);
    john.says().await;
    john.hears_nothing().await;

    // The hub stops: the front end learns the code for "come back".
    hub.stop().await;
    assert_eq!(john.says().await, json!({"closed": 1012}));
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
