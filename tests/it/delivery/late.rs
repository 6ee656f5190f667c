//! What has waited goes by what its recipient has done meanwhile.

use reqwest::Method;
use serde_json::{Value, json};

use super::scripted::Scripted;
use super::{Colleague, until};
use crate::support::process::{Process, folder};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_waited_goes_only_to_who_still_wants_and_may_have_it() {
    let server = Scripted::default();
    let url = server.start().await;
    let (_folder, database) = folder();
    let settings = [
        ("BELLPULL_SMTP_URL", url.as_str()),
        ("BELLPULL_SMTP_FROM", "desk@example.com"),
        ("BELLPULL_RETRY_BASE_MS", "50"),
        ("BELLPULL_RETRY_ATTEMPTS", "100"),
    ];
    let hub = Process::serve(&database, &settings);
    let at = hub.address;
    let root = Colleague::join(&database, "root", "super_admin", "");
    let carl = Colleague::join(&database, "carl", "client", "");
    server.answer(&[("RCPT", "450 later")]);
    let tell = async |event: &str, is_critical: bool| {
        let body = json!({ "recipients": [carl.id], "title": event, "message": "x", "event": event,
            "channels": ["SYSTEM", "EMAIL"], "critical": is_critical });
        root.post(at, "/api/notifications/", body).await;
        let newest = carl.get(at, "/api/notifications/?page_size=1").await;
        newest["results"][0]["id"].as_i64().unwrap()
    };
    let (read, deleted) = (tell("read_it", false).await, tell("delete_it", false).await);
    let (unwanted, critical) = (tell("unwanted", false).await, tell("unwanted", true).await);
    let wanted = tell("wanted", false).await;
    let ticket = carl.raise(at, "Ours").await;
    let count = async |status| root.count(at, "EMAIL", status).await;
    // Five to carl, and one to root about the ticket.
    until("all were tried", async || {
        let all = root.get(at, "/api/deliveries/?channel=EMAIL&page_size=50").await;
        let all = all["results"].as_array().unwrap().clone();
        all.len() == 6 && all.iter().all(|one| one["error"].is_string())
    })
    .await;
    let patch = async |who: &Colleague, method, path: &str, body: Value| {
        let (status, answer) = who.ask(at, method, path, &body).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
    };
    carl.post(at, &format!("/api/notifications/{read}/mark_as_read/"), json!({})).await;
    patch(&carl, Method::DELETE, &format!("/api/notifications/{deleted}/"), json!({})).await;
    let wish = json!({ "events": { "unwanted": { "EMAIL": false } } });
    patch(&carl, Method::PATCH, "/api/preferences/", wish).await;
    patch(&root, Method::DELETE, &format!("/api/tickets/{ticket}/"), json!({})).await;
    // An attempt that was begun before may still be in progress.
    until("what must not go out is held back", async || count("SUPPRESSED").await == 4).await;
    server.answer(&[]);
    until("none waits", async || count("QUEUED").await == 0).await;
    assert_eq!((count("SENT").await, count("SUPPRESSED").await, count("FAILED").await), (2, 4, 0));
    let all = root.get(at, "/api/deliveries/?channel=EMAIL&page_size=50").await;
    let rule = |notification: i64| {
        let all = all["results"].as_array().unwrap();
        let one = all.iter().find(|one| one["notification"] == notification).unwrap();
        (one["status"].as_str().unwrap().to_owned(), one["rule"].clone())
    };
    let suppressed = |by: &str| ("SUPPRESSED".to_owned(), json!(by));
    assert_eq!(rule(read), suppressed("seen"));
    assert_eq!(rule(deleted), suppressed("seen"));
    assert_eq!(rule(unwanted), suppressed("preference"));
    assert_eq!((rule(critical).0, rule(wanted).0), ("SENT".to_owned(), "SENT".to_owned()));
    let of_root = all["results"].as_array().unwrap().iter().find(|one| one["recipient"] == root.id);
    assert_eq!(of_root.unwrap()["rule"], "not_visible");
    let mut taken = server.taken();
    taken.sort();
    assert_eq!(taken, ["carl@example.com", "carl@example.com"]);
    assert!(hub.terminate().success());
}
