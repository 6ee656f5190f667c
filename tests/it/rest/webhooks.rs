//! `/api/webhooks/`: whose they are, and what may be said of them.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Team, ids, service};
use crate::support::{Hub, Person, answer};

const PATH: &str = "/api/webhooks/";

async fn make(team: &Team, who: &Person, body: Value) -> Value {
    let (status, made) = team.hub.post(who, PATH, body).await;
    assert_eq!(status, 201, "{made}");
    made
}

fn path(hook: &Value) -> String {
    format!("{PATH}{}/", hook["id"])
}

#[tokio::test]
async fn every_user_has_webhooks_of_their_own() {
    let team = Team::gather().await;
    let url = "https://hooks.example/bellpull";
    let made = make(&team, &team.carl, json!({"url": url})).await;
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() > 30, "{made}");
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("secret");
    assert_eq!(team.hub.get(&team.carl, &path(&made)).await, (200, shown.clone()));
    for (key, value) in [
        ("user", json!(team.carl.id)),
        ("project", json!(null)),
        ("url", json!(url)),
        ("events", json!([])),
        ("description", json!("")),
        ("is_active", json!(true)),
        ("failures", json!(0)),
        ("off_reason", json!(null)),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
    let changes = json!({"events": ["mentioned"], "description": "Bot", "is_active": false});
    let (status, changed) = team.hub.patch(&team.carl, &path(&made), changes).await;
    assert_eq!((status, &changed["events"]), (200, &json!(["mentioned"])));
    assert_eq!((&changed["url"], &changed["is_active"]), (&json!(url), &json!(false)));
    assert!(changed.get("secret").is_none());
    let (_, list) = team.hub.get(&team.carl, PATH).await;
    assert_eq!(list["results"], json!([changed]));

    // Not even the mightiest sees another's.
    for who in [&team.dora, &team.root, &service()] {
        assert_eq!(team.hub.get(who, &path(&made)).await.0, 404, "{}", who.username);
        assert_eq!(team.hub.patch(who, &path(&made), json!({})).await.0, 404);
        assert_eq!(team.hub.delete(who, &path(&made)).await.0, 404);
        for act in ["rotate-secret", "test"] {
            let acted = team.hub.post(who, &format!("{}{act}/", path(&made)), json!({})).await;
            assert_eq!(acted.0, 404, "{act}");
        }
        assert_eq!(team.hub.get(who, PATH).await.1["count"], 0);
    }
    assert_eq!(team.hub.delete(&team.carl, &path(&made)).await.0, 204);
    assert_eq!(team.hub.get(&team.carl, &path(&made)).await.0, 404);
    let unknown = answer(team.hub.request(Method::GET, PATH)).await;
    assert_eq!(unknown.0, 401);
}

#[tokio::test]
async fn a_projects_webhooks_are_the_admins() {
    let team = Team::gather().await;
    let body = json!({"url": "https://hooks.example/", "project": 1});
    for who in [&team.ada, &team.carl] {
        assert_eq!(team.hub.post(who, PATH, body.clone()).await.0, 403);
        assert_eq!(team.hub.get(who, &format!("{PATH}?project=1")).await.0, 403);
    }
    let made = make(&team, &team.admin, body.clone()).await;
    assert_eq!((&made["user"], &made["project"]), (&json!(null), &json!(1)));
    let by_service = make(&team, &service(), body).await;
    let own = make(&team, &team.root, json!({"url": "https://own.example/"})).await;
    for who in [&team.admin, &team.root] {
        let (_, list) = team.hub.get(who, &format!("{PATH}?project=1")).await;
        assert_eq!(ids(&list), [made["id"].as_i64().unwrap(), by_service["id"].as_i64().unwrap()]);
        assert_eq!(team.hub.get(who, &path(&made)).await.0, 200);
    }
    assert_eq!(team.hub.get(&team.root, PATH).await.1["count"], 3);
    assert_eq!(team.hub.get(&team.admin, PATH).await.1["count"], 2);
    assert_eq!(team.hub.get(&team.admin, &path(&own)).await.0, 404);
    assert_eq!(team.hub.get(&team.carl, &path(&made)).await.0, 404);
    let personal = json!({"url": "https://hooks.example/"});
    assert_eq!(team.hub.post(&service(), PATH, personal).await.0, 403, "it is no user");
    let unknown = json!({"url": "https://hooks.example/", "project": 99});
    let (status, refused) = team.hub.post(&team.admin, PATH, unknown).await;
    assert_eq!((status, refused["project"][0].is_string()), (400, true));
}

#[tokio::test]
async fn what_is_wrong_with_a_webhook() {
    let team = Team::gather().await;
    let good = "https://hooks.example/";
    for (body, field) in [
        (json!({}), "url"),
        (json!({"url": null}), "url"),
        (json!({"url": ""}), "url"),
        (json!({"url": "hooks.example"}), "url"),
        (json!({"url": "http://hooks.example/"}), "url"),
        (json!({"url": "ftp://hooks.example/"}), "url"),
        (json!({"url": "https://u:p@hooks.example/"}), "url"),
        (json!({"url": "https://127.0.0.1/"}), "url"),
        (json!({"url": "https://[::ffff:10.0.0.1]/"}), "url"),
        (json!({"url": "https://0x7f.1/"}), "url"),
        (json!({"url": format!("{good}{}", "x".repeat(2_048))}), "url"),
        (json!({"url": good, "events": "mentioned"}), "events"),
        (json!({"url": good, "events": [""]}), "events"),
        (json!({"url": good, "events": vec!["x"; 51]}), "events"),
        (json!({"url": good, "description": "x".repeat(256)}), "description"),
        (json!({"url": good, "is_active": "yes"}), "is_active"),
        (json!({"url": good, "project": "x"}), "project"),
    ] {
        let (status, refused) = team.hub.post(&team.admin, PATH, body.clone()).await;
        assert_eq!(status, 400, "{body}: {refused}");
        assert!(refused[field][0].is_string(), "{body}: {refused}");
    }
    let made = make(&team, &team.carl, json!({"url": good})).await;
    let (status, _) = team.hub.patch(&team.carl, &path(&made), json!({"url": "x"})).await;
    assert_eq!(status, 400);
    for _ in 1..10 {
        make(&team, &team.carl, json!({"url": good})).await;
    }
    let (status, refused) = team.hub.post(&team.carl, PATH, json!({"url": good})).await;
    assert_eq!((status, &refused["code"]), (409, &json!("too_many")));
    make(&team, &team.dora, json!({"url": good})).await;
}

#[tokio::test]
async fn a_closed_port_is_said_and_tries_are_counted() {
    let hub = Hub::start_with(|config| {
        config.delivery.outside = bellpull::config::outside::Outside::Any;
    });
    let team = Team::gather_on(hub.await).await;
    // No server listens there any more.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let made = make(&team, &team.carl, json!({"url": url, "is_active": false})).await;
    let test = format!("{}test/", path(&made));
    for _ in 0..10 {
        let (status, tried) = team.hub.post(&team.carl, &test, json!({})).await;
        assert_eq!((status, &tried["ok"], &tried["status"]), (200, &json!(false), &json!(null)));
        assert!(tried["error"].as_str().unwrap().starts_with("cannot be reached"), "{tried}");
        assert!(tried["took_ms"].is_u64());
    }
    assert_eq!(team.hub.post(&team.carl, &test, json!({})).await.0, 429);
}

#[tokio::test]
async fn a_test_tells_private_names_from_unknown_ones_neither_by_text_nor_by_time() {
    let team = Team::gather().await;
    let mut told = Vec::new();
    for url in ["https://localhost/", "https://no-such-name.invalid/"] {
        let made = make(&team, &team.carl, json!({ "url": url })).await;
        let began = std::time::Instant::now();
        let test = format!("{}test/", path(&made));
        let (status, tried) = team.hub.post(&team.carl, &test, json!({})).await;
        assert_eq!((status, &tried["ok"], &tried["status"]), (200, &json!(false), &json!(null)));
        let took_ms = tried["took_ms"].as_u64().unwrap();
        assert!(took_ms.is_multiple_of(1_000) && took_ms > 0, "{tried}");
        assert!(began.elapsed().as_millis() >= u128::from(took_ms), "{tried}");
        told.push(tried["error"].clone());
    }
    assert_eq!(told[0], told[1]);
}
