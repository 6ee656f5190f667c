//! Notifications: one's own, filtered, counted and marked; never another's.

use serde_json::{Value, json};

use super::{Team, column, ids};

/// The counts of a user's inbox.
async fn unread(team: &Team, who: &crate::support::Person) -> i64 {
    let (status, counts) = team.hub.get(who, "/api/notifications/unread_count/").await;
    assert_eq!(status, 200);
    assert_eq!(counts["count"], counts["unread_count"]);
    assert_eq!(counts["count"], counts["by_type"]["SYSTEM"]);
    counts["count"].as_i64().unwrap()
}

#[tokio::test]
async fn a_row_says_everything() {
    let team = Team::gather().await;
    let body = json!({"title": "Homepage not loading", "priority": "HIGH"});
    team.hub.post(&team.carl, "/api/tickets/", body).await;
    let (status, list) = team.hub.get(&team.admin, "/api/notifications/").await;
    assert_eq!((status, &list["count"]), (200, &json!(1)));
    let row = &list["results"][0];
    let text = "New High priority ticket created: Homepage not loading";
    for (key, value) in [
        ("seq", json!(1)),
        ("ticket", json!(1)),
        ("ticket_title", json!("Homepage not loading")),
        ("recipient", json!(team.admin.id)),
        ("recipient_name", json!("admin")),
        ("notification_type", json!("SYSTEM")),
        ("notification_type_display", json!("System Alert")),
        ("subject", json!("New Ticket Created")),
        ("message", json!(text)),
        ("status", json!("SENT")),
        ("status_display", json!("Sent")),
        ("is_read", json!(false)),
        ("read_at", json!(null)),
        ("event", json!("ticket_created")),
        ("type", json!("INFO")),
        ("title", json!("New Ticket Created")),
        ("body", json!(text)),
        ("action_url", json!("/tickets/1/")),
        ("metadata", json!({})),
        ("time_ago", json!("Just now")),
        ("sender", json!(team.carl.id)),
        ("priority", json!("HIGH")),
    ] {
        assert_eq!(row.get(key), Some(&value), "{key}");
    }
    assert_eq!(row["sent_at"], row["created_at"]);
    assert!(row["deliveries"].is_array());
    let one = format!("/api/notifications/{}/", row["id"]);
    assert_eq!(team.hub.get(&team.admin, &one).await, (200, row.clone()));
}

#[tokio::test]
async fn every_filter() {
    let team = Team::gather().await;
    let first = team.ticket_at("FINISHED").await;
    let second = team.raise(&team.carl, "Two").await;
    let (_, all) = team.hub.get(&team.admin, "/api/notifications/").await;
    let newest = ids(&all);
    assert_eq!(newest.len(), 3);
    let path = format!("/api/notifications/{}/mark-as-read/", newest[0]);
    assert_eq!(team.hub.post(&team.admin, &path, json!({})).await.0, 200);
    for (filter, wanted) in [
        ("is_read=true".to_owned(), vec![newest[0]]),
        ("is_read=False".to_owned(), vec![newest[1], newest[2]]),
        ("event=work_finished".to_owned(), vec![newest[1]]),
        ("event=unknowns".to_owned(), vec![]),
        (format!("ticket={second}"), vec![newest[0]]),
        ("project=1".to_owned(), newest.clone()),
        ("project=4711".to_owned(), vec![]),
        (format!("ticket={first}&is_read=false"), vec![newest[1], newest[2]]),
        ("type=INFO".to_owned(), newest.clone()),
        ("type=WARNING".to_owned(), vec![]),
        ("notification_type=SYSTEM".to_owned(), newest.clone()),
        ("since_seq=0".to_owned(), vec![newest[2], newest[1], newest[0]]),
        ("since_seq=2".to_owned(), vec![newest[0]]),
        ("since_seq=999".to_owned(), vec![]),
        ("page_size=1&page=2".to_owned(), vec![newest[1]]),
    ] {
        let path = format!("/api/notifications/?{filter}");
        let (status, list) = team.hub.get(&team.admin, &path).await;
        assert_eq!((status, ids(&list)), (200, wanted), "{filter}");
    }
    let (_, list) = team.hub.get(&team.admin, "/api/notifications/unread/").await;
    assert_eq!(ids(&list), newest[1..]);
    let bad = "is_read=perhaps&type=info&notification_type=PIGEON&ticket=x&project=x&since_seq=-1";
    let (status, answer) = team.hub.get(&team.admin, &format!("/api/notifications/?{bad}")).await;
    assert_eq!(status, 400);
    for name in ["is_read", "type", "notification_type", "ticket", "project", "since_seq"] {
        assert!(answer[name][0].is_string(), "{name} in {answer}");
    }
    assert_eq!(team.hub.get(&team.admin, "/api/notifications/?page=9").await.0, 404);
}

#[tokio::test]
async fn marks_are_counted_once_however_often_they_are_made() {
    let team = Team::gather().await;
    team.raise(&team.carl, "One").await;
    team.raise(&team.carl, "Two").await;
    let (_, list) = team.hub.get(&team.admin, "/api/notifications/").await;
    let id = ids(&list)[0];
    for (action, is_read, left, message) in [
        ("mark_as_read", true, 1, "Notification marked as read"),
        ("mark-as-read", true, 1, "Notification marked as read"),
        ("mark_as_unread", false, 2, "Notification marked as unread"),
        ("mark-as-unread", false, 2, "Notification marked as unread"),
    ] {
        let path = format!("/api/notifications/{id}/{action}/");
        let (status, answer) = team.hub.post(&team.admin, &path, json!({})).await;
        assert_eq!((status, &answer["message"]), (200, &json!(message)));
        assert_eq!(answer["notification"]["is_read"], is_read, "{action}");
        assert_eq!(answer["notification"]["read_at"].is_string(), is_read, "{action}");
        assert_eq!(unread(&team, &team.admin).await, left, "{action}");
    }
}

#[tokio::test]
async fn marking_all() {
    let team = Team::gather().await;
    let first = team.raise(&team.carl, "One").await;
    let second = team.raise(&team.carl, "Two").await;
    team.raise(&team.carl, "Three").await;
    let all = "/api/notifications/mark_all_as_read/";
    for (path, body, wanted, left) in [
        (format!("{all}?ticket={first}"), json!({}), 1, 2),
        (format!("{all}?notification_type=EMAIL"), json!({}), 0, 2),
        (all.to_owned(), json!({ "ticket": second }), 1, 1),
        ("/api/notifications/mark-all-as-read".to_owned(), json!({}), 1, 0),
        (all.to_owned(), json!({}), 0, 0),
    ] {
        let (status, answer) = team.hub.post(&team.admin, &path, body).await;
        let message = format!("{wanted} notification(s) marked as read");
        assert_eq!((status, answer), (200, json!({"message": message, "count": wanted})));
        assert_eq!(unread(&team, &team.admin).await, left, "{path}");
    }
    for bad in ["?ticket=x", "?notification_type=PIGEON"] {
        let path = format!("{all}{bad}");
        assert_eq!(team.hub.post(&team.admin, &path, json!({})).await.0, 400, "{bad}");
    }
    assert_eq!(unread(&team, &team.root).await, 3, "others' inboxes are theirs");
}

#[tokio::test]
async fn deleting() {
    let team = Team::gather().await;
    for title in ["One", "Two", "Three"] {
        team.raise(&team.carl, title).await;
    }
    let (_, list) = team.hub.get(&team.admin, "/api/notifications/").await;
    let path = format!("/api/notifications/{}/", ids(&list)[1]);
    assert_eq!(team.hub.delete(&team.admin, &path).await, (204, Value::Null));
    assert_eq!(team.hub.delete(&team.admin, &path).await.0, 404);
    assert_eq!(team.hub.get(&team.admin, &path).await.0, 404);
    assert_eq!(unread(&team, &team.admin).await, 2);
    let bad = "/api/notifications/delete-all/?ticket=x";
    assert_eq!(team.hub.delete(&team.admin, bad).await.0, 400, "a bad filter deletes nothing");
    let (status, answer) = team.hub.delete(&team.admin, "/api/notifications/delete-all/").await;
    let wanted = json!({"message": "2 notification(s) deleted", "count": 2});
    assert_eq!((status, answer), (200, wanted));
    assert_eq!(unread(&team, &team.admin).await, 0);
    let (_, list) = team.hub.get(&team.root, "/api/notifications/").await;
    assert_eq!(column(&list, "is_read"), [false, false, false]);
}

#[tokio::test]
async fn another_s_notification_is_not_there() {
    let team = Team::gather().await;
    team.raise(&team.carl, "One").await;
    let (_, list) = team.hub.get(&team.admin, "/api/notifications/").await;
    let id = ids(&list)[0];
    for who in [&team.root, &team.carl, &team.dora] {
        for id in [id, 4_711] {
            let path = format!("/api/notifications/{id}/");
            assert_eq!(team.hub.get(who, &path).await.0, 404, "{}", who.username);
            assert_eq!(team.hub.delete(who, &path).await.0, 404, "{}", who.username);
            for action in ["mark_as_read", "mark-as-unread"] {
                let path = format!("{path}{action}/");
                assert_eq!(team.hub.post(who, &path, json!({})).await.0, 404, "{path}");
            }
        }
    }
    let (_, row) = team.hub.get(&team.admin, &format!("/api/notifications/{id}/")).await;
    assert_eq!(row["is_read"], false);
}
