//! An inbox in a side panel, the family whose clients ask for everything over the socket.

use bellpull::wire::Dialect;
use serde_json::{Value, json};

use super::{FrontEnd, Make, greeting, hub, take_time};
use crate::support::{Hub, Person};

/// A notification as this family shows it, pushed or listed, without its id and time.
fn shown(title: &str, own_type: &str, sender: &Person, seq: i64) -> Value {
    json!({"title": title, "message": "Please look", "type": own_type, "data": {}, "link": null,
        "sender_id": sender.id, "seq": seq, "read": false})
}

/// A shown notification without its time and id; and the id.
fn checked(mut notification: Value) -> (Value, i64) {
    take_time(&mut notification, "created_at");
    let id = notification.as_object_mut().unwrap().remove("id").unwrap();
    (notification, id.as_i64().unwrap())
}

/// The next frame is that notification; its id.
async fn pushed(front: &mut FrontEnd, wanted: &Value) -> i64 {
    let mut frame = front.hears().await;
    assert_eq!(frame["type"], "notification", "{frame}");
    let (notification, id) = checked(frame["notification"].take());
    assert_eq!(&notification, wanted);
    assert_eq!(front.says().await, json!({"bell": wanted["title"]}));
    id
}

fn sent(id: i64) -> Value {
    json!({"type": "notification_sent", "success": true, "notification_id": id})
}

/// Asks for a part of the inbox; the ids in it, how many there are, how many are unread.
async fn list(front: &mut FrontEnd, part: Value) -> (Vec<i64>, i64, i64) {
    front.does(json!(["show", part]));
    let mut frame = front.hears().await;
    assert_eq!(frame["type"], "notifications_list", "{frame}");
    let (total, unread) = (frame["total"].as_i64().unwrap(), frame["unread_count"].as_i64());
    let Value::Array(rows) = frame["notifications"].take() else { panic!("a list: {frame}") };
    (rows.into_iter().map(|row| checked(row).1).collect(), total, unread.unwrap())
}

/// She is sent what she is sent, in each of the spellings of the field.
async fn sending(johns: &mut FrontEnd, janes: &mut FrontEnd, john: &Person, jane: &Person) -> i64 {
    let more = json!({"data": {"request": 7}, "link": "/requests/7/"});
    johns.does(json!(["notify", jane.id, "First", "Please look", more]));
    let mut wanted = shown("First", "approval", john, 1);
    (wanted["data"], wanted["link"]) = (json!({"request": 7}), json!("/requests/7/"));
    let first = pushed(janes, &wanted).await;
    assert_eq!(johns.hears().await, sent(first));
    johns.does(json!(["notify_of_type", jane.id, "Second", "Please look", "leave_request"]));
    let second = pushed(janes, &shown("Second", "leave_request", john, 2)).await;
    assert_eq!(johns.hears().await, sent(second));

    // To whom she may: herself. The answer and the notification come in either order.
    janes.does(json!(["notify", jane.id, "Third", "Please look", {}]));
    let (mut answer, mut own) = (None, None);
    while answer.is_none() || own.is_none() {
        let said = janes.says().await;
        match said["frame"]["type"].as_str() {
            Some("notification_sent") => answer = Some(said["frame"].clone()),
            Some("notification") => own = Some(checked(said["frame"]["notification"].clone())),
            _ => assert_eq!(said, json!({"bell": "Third"})),
        }
    }
    let (notification, third) = own.unwrap();
    assert_eq!(notification, shown("Third", "approval", jane, 3));
    assert_eq!(answer, Some(sent(third)));
    // And to whom not.
    janes.does(json!(["notify", john.id, "No", "Please look", {}]));
    let mut refused = janes.hears().await;
    let error = refused.as_object_mut().unwrap().remove("error").unwrap();
    assert!(error.as_str().is_some_and(|text| text.ends_with('.')), "{error}");
    let wanted = json!({"type": "notification_sent", "notification_id": null, "success": false,
        "code": "permission_denied"});
    assert_eq!(refused, wanted);
    johns.hears_nothing().await;
    third
}

/// What she does with her three, the youngest of which is `third`.
async fn marking(hub: &Hub, janes: &mut FrontEnd, jane: &Person, third: i64) {
    let (ids, total, unread) = list(janes, json!({})).await;
    assert_eq!((ids[0], total, unread), (third, 3, 3), "the newest first");
    let (page, total, _) = list(janes, json!({"limit": 1, "offset": 1})).await;
    assert_eq!((page.as_slice(), total), (&ids[1..2], 3));

    janes.does(json!(["read", ids[1]]));
    let wanted = json!({"type": "notification_marked_read", "notification_id": ids[1],
        "success": true});
    assert_eq!(janes.hears().await, wanted);
    assert_eq!(list(janes, json!({})).await, (ids.clone(), 3, 2));
    // Another user's, or one that does not exist, is not hers.
    janes.does(json!(["read", 4_711]));
    let wanted = json!({"type": "notification_marked_read", "notification_id": 4_711,
        "success": false});
    assert_eq!(janes.hears().await, wanted);
    janes.does(json!(["read_all"]));
    let wanted = json!({"type": "all_notifications_marked_read", "success": true, "count": 2});
    assert_eq!(janes.hears().await, wanted);
    janes.does(json!(["remove", third]));
    let wanted = json!({"type": "notification_deleted", "notification_id": third,
        "success": true});
    assert_eq!(janes.hears().await, wanted);
    assert_eq!(list(janes, json!({})).await, (ids[1..].to_vec(), 2, 0));
    // REST says the same.
    let (_, counts) = hub.get(jane, "/api/notifications/unread_count/").await;
    assert_eq!(counts["unread_count"], 0);
    assert_eq!(hub.get(jane, &format!("/api/notifications/{third}/")).await.0, 404);
}

async fn whole_session(his: Make, hers: Make) {
    let hub = hub(Dialect::Inbox).await;
    let (john, jane) = (hub.user("john", "admin").await, hub.user("jane", "client").await);
    let Some(mut johns) = FrontEnd::start(his, "inbox", &hub, &john).await else { return };
    let Some(mut janes) = FrontEnd::start(hers, "inbox", &hub, &jane).await else { return };
    assert_eq!(johns.hears().await, greeting(&john));
    assert_eq!(janes.hears().await, greeting(&jane));
    let third = sending(&mut johns, &mut janes, &john, &jane).await;
    marking(&hub, &mut janes, &jane, third).await;

    janes.does(json!(["ping", 7]));
    assert_eq!(janes.hears().await, json!({"type": "pong", "timestamp": 7}));
    for (bad, code) in [
        ("nonsense", "invalid_json"),
        (r#"{"type":"mark_unread"}"#, "unknown_type"),
        (r#"{"type":"mark_read"}"#, "missing_field"),
        (r#"{"type":"get_notifications","limit":0}"#, "invalid_field"),
    ] {
        janes.does(json!(["blurt", bad]));
        let error = janes.hears().await;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{bad}");
        assert!(error["message"].is_string(), "{error}");
    }

    // Away and back: what came meanwhile, once; what was read and removed does not come again.
    janes.does(json!(["leave"]));
    assert_eq!(janes.says().await, json!({"closed": 1000}));
    johns.does(json!(["notify", jane.id, "Fourth", "Please look", {}]));
    assert_eq!(johns.hears().await["success"], true);
    janes.does(json!(["come_back"]));
    assert_eq!(janes.hears().await, greeting(&jane));
    let mut frame = janes.hears().await;
    let (mut fourth, id) = checked(frame["notification"].take());
    assert!(fourth["seq"].as_i64().unwrap() > 3, "{fourth}");
    fourth["seq"] = json!(4);
    assert_eq!(fourth, shown("Fourth", "approval", &john, 4));
    assert_eq!(janes.says().await, json!({"bell": "Fourth"}));
    let (ids, total, unread) = list(&mut janes, json!({})).await;
    assert_eq!((ids[0], total, unread), (id, 3, 1));
    janes.hears_nothing().await;
    hub.stop().await;
    for front in [&mut johns, &mut janes] {
        assert_eq!(front.says().await, json!({"closed": 1012}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_chromium_and_with_nodes_ws() {
    whole_session(Make::Chromium, Make::Node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_pythons_websockets_and_in_chromium() {
    whole_session(Make::Python, Make::Chromium).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nodes_ws_and_pythons_websockets() {
    whole_session(Make::Node, Make::Python).await;
}
