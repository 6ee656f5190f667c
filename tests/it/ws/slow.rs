//! A client that reads nothing for a while: of a stream it is shown the latest, of its inbox all.

use serde_json::{Value, json};

use super::{Raw, frame, handshake};
use crate::support::{Hub, Person};

const TICKETS: usize = 5;

/// What the user's sessions have not accepted, in bytes.
async fn waiting_bytes(hub: &Hub, root: &Person, of: &Person) -> u64 {
    fn find<'a>(node: &'a Value, path: &str) -> Option<&'a Value> {
        if node["path"] == path {
            return Some(node);
        }
        node["children"].as_array()?.iter().find_map(|child| find(child, path))
    }
    let (status, tree) = hub.get(root, "/api/operator/tree/").await;
    assert_eq!(status, 200, "{tree}");
    let user = find(&tree, &format!("user/{}", of.id)).unwrap_or_else(|| panic!("{tree}"));
    let sessions = user["observed"]["sessions"].as_array().unwrap_or_else(|| panic!("{user}"));
    sessions.iter().map(|session| session["waiting_bytes"].as_u64().unwrap()).sum()
}

/// A socket for everything that watches a project's tickets, on a line that takes little.
async fn watch(hub: &Hub, person: &Person) -> Raw {
    let mut raw = Raw::connect_narrow(hub.address()).await;
    let request = handshake(&format!("/ws/?token={}", person.token), &[]);
    assert_eq!(raw.request(&request).await.status, 101);
    assert_eq!(raw.next_text().await["type"], "welcome");
    let subscribe = json!({"type": "subscribe", "id": "s", "stream": "project:1:tickets"});
    raw.send(&frame(0x81, subscribe.to_string().as_bytes())).await;
    assert_eq!(raw.next_text().await["ok"], true);
    raw
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_pauses_is_not_closed_and_catches_up_with_the_latest() {
    let hub = Hub::start_with(|config| config.http.writes_per_s = 0).await;
    let (root, carl) = (hub.user("root", "super_admin").await, hub.user("carl", "client").await);
    let mut tickets = Vec::new();
    for n in 0..TICKETS {
        tickets.push(hub.ticket(&carl, &format!("ticket {n}")).await);
    }
    let slow = hub.user("slow", "admin").await;
    let mut raw = watch(&hub, &slow).await;
    // Comments until the kernel's buffers are full: each is shown, and none is merged.
    let text = "ü".repeat(10_000);
    let mut comments = 0;
    while waiting_bytes(&hub, &root, &slow).await == 0 {
        let path = format!("/api/tickets/{}/comments/", tickets[0]);
        let (status, answer) = hub.post(&carl, &path, json!({"body": text})).await;
        assert_eq!(status, 201, "{answer}");
        comments += 1;
        assert!(comments < 1_000, "the connection never was full");
    }
    // More changes than frames may wait, and notifications between them.
    for n in 0..100 {
        for ticket in &tickets {
            let path = format!("/api/tickets/{ticket}/");
            let (status, answer) = hub.patch(&carl, &path, json!({"title": n.to_string()})).await;
            assert_eq!(status, 200, "{answer}");
        }
        if n % 10 == 0 {
            let news = json!({"recipients": [slow.id], "title": n.to_string(), "message": "-"});
            let (status, answer) = hub.post(&root, "/api/notifications/", news).await;
            assert_eq!(status, 202, "{answer}");
        }
    }
    let (mut shown, mut titles, mut versions) = (0, Vec::new(), vec![0; TICKETS]);
    let mut updates = 0;
    while versions.iter().any(|version| *version < 101) || titles.len() < 10 {
        let frame = raw.next_text().await;
        match frame["type"].as_str().unwrap() {
            "comment_added" => shown += 1,
            "ticket_update" => {
                let id = &frame["data"]["ticket_id"];
                let nth = tickets.iter().position(|ticket| id == ticket).unwrap();
                let version = frame["data"]["version"].as_i64().unwrap();
                assert!(version > versions[nth], "{version} after {}", versions[nth]);
                versions[nth] = version;
                updates += 1;
            }
            "notification" if frame["event"] == "general" => {
                titles.push(frame["title"].as_str().unwrap().to_owned());
            }
            _ => {}
        }
    }
    assert_eq!(shown, comments);
    assert!(updates < 400, "{updates} of 500 updates were shown");
    let wanted: Vec<String> = (0..10).map(|n| (n * 10).to_string()).collect();
    assert_eq!(titles, wanted);
}
