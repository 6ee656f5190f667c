//! `/api/escalations/`: policies, and what people see of their steps.

use reqwest::Method;
use serde_json::{Value, json};

use super::deliveries::team;
use super::{Team, column, service};
use crate::support::{Person, answer};

const PATH: &str = "/api/escalations/";

async fn put(team: &Team, who: &Person, event: &str, steps: Value) -> (u16, Value) {
    let request = team.hub.request(Method::PUT, &format!("{PATH}{event}/"));
    answer(request.bearer_auth(&who.token).json(&json!({ "steps": steps }))).await
}

#[tokio::test]
async fn admins_set_see_and_take_away_policies() {
    let team = team().await;
    let steps = json!([{"channel": "EMAIL", "after_s": 900}, {"channel": "SYSTEM", "after_s": 0},
        {"channel": "PUSH", "after_s": 60}]);
    let (status, told) = put(&team, &team.admin, "ticket_assigned", steps).await;
    assert_eq!((status, &told["event"]), (200, &json!("ticket_assigned")), "{told}");
    let sorted = json!([{"channel": "SYSTEM", "after_s": 0}, {"channel": "PUSH", "after_s": 60},
        {"channel": "EMAIL", "after_s": 900}]);
    assert_eq!(told["steps"], sorted);
    assert!(told["updated_at"].as_str().unwrap().ends_with('Z'));
    let path = format!("{PATH}ticket_assigned/");
    assert_eq!(team.hub.get(&team.root, &path).await, (200, told));
    // Any event that a sender may name.
    let one = json!([{"channel": "SMS", "after_s": 5}]);
    assert_eq!(put(&team, &service(), "Feuer%20im%20Haus", one.clone()).await.0, 200);
    let (_, list) = team.hub.get(&team.admin, PATH).await;
    assert_eq!(column(&list, "event"), ["Feuer im Haus", "ticket_assigned"]);
    let (_, second) = team.hub.get(&team.admin, &format!("{PATH}?page_size=1&page=2")).await;
    assert_eq!(column(&second, "event"), ["ticket_assigned"]);
    for (wanted, left) in [(204, 1), (404, 1)] {
        assert_eq!(team.hub.delete(&team.admin, &path).await.0, wanted);
        assert_eq!(team.hub.get(&team.admin, PATH).await.1["count"], left);
    }
    assert_eq!(team.hub.get(&team.admin, &path).await.0, 404);
    for who in [&team.ada, &team.carl] {
        assert_eq!(put(&team, who, "mentioned", one.clone()).await.0, 403);
        assert_eq!(team.hub.get(who, PATH).await.0, 403);
        assert_eq!(team.hub.delete(who, &path).await.0, 403);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_policy_is_told() {
    let team = team().await;
    for steps in [
        json!([]),
        json!({}),
        json!([{"channel": "FAX", "after_s": 1}]),
        json!([{"channel": "SMS", "after_s": 604_801}]),
        json!([{"channel": "SMS", "after_s": 1}, {"channel": "SMS", "after_s": 2}]),
        json!([{"channel": "SYSTEM", "after_s": 1}]),
        json!(null),
    ] {
        let (status, told) = put(&team, &team.admin, "mentioned", steps.clone()).await;
        assert_eq!((status, &told["code"]), (400, &json!("invalid")), "{steps}");
        assert!(told["steps"].is_array(), "{told}");
    }
    for event in ["x".repeat(65), "%20a".to_owned(), "a%0Ab".to_owned(), "%FF".to_owned()] {
        let steps = json!([{"channel": "SMS", "after_s": 1}]);
        assert_eq!(put(&team, &team.admin, &event, steps).await.0, 404, "{event}");
    }
    assert_eq!(team.hub.get(&team.admin, PATH).await.1["count"], 0);
}

#[tokio::test]
async fn an_explanation_says_until_when_and_why_not() {
    let team = team().await;
    let steps = json!([{"channel": "EMAIL", "after_s": 3_600}]);
    assert_eq!(put(&team, &team.admin, "ticket_created", steps).await.0, 200);
    let ticket = team.raise(&team.carl, "One").await;
    let of_root = async |who: &Person| {
        let (_, list) = team.hub.get(who, "/api/notifications/").await;
        let id = list["results"][0]["id"].as_i64().unwrap();
        let (_, told) = team.hub.get(who, &format!("/api/notifications/{id}/explain/")).await;
        let way = told["channels"].as_array().unwrap().iter().find(|way| way["channel"] == "EMAIL");
        (id, way.unwrap().clone())
    };
    let (id, way) = of_root(&team.root).await;
    assert_eq!((&way["status"], &way["rule"]), (&json!("QUEUED"), &json!("escalation")));
    let due_at = way["due_at"].as_str().unwrap();
    assert_eq!(way["text"], format!("Goes out at {due_at}, unless it is seen by then."));
    let path = format!("/api/notifications/{id}/mark_as_read/");
    assert_eq!(team.hub.post(&team.root, &path, json!({})).await.0, 200);
    let (_, way) = of_root(&team.root).await;
    assert_eq!((&way["status"], &way["rule"]), (&json!("SUPPRESSED"), &json!("seen")));
    assert!(way["text"].as_str().unwrap().contains("seen"), "{way}");
    // Another admin has not seen it, until the ticket is another's business.
    assert_eq!(of_root(&team.admin).await.1["rule"], "escalation");
    assert_eq!(team.act(&team.root, ticket, "open").await.0, 200);
    let (_, way) = of_root(&team.admin).await;
    assert_eq!((&way["status"], &way["rule"]), (&json!("SUPPRESSED"), &json!("moved_on")));
    assert!(way["text"].as_str().unwrap().contains("moved on"), "{way}");
}

#[tokio::test]
async fn what_was_shown_may_be_sent_back() {
    let hub = crate::support::Hub::start().await;
    let ada = hub.user("ada", "admin").await;
    let put = async |path: &str, body: &serde_json::Value| {
        let request = hub.request(reqwest::Method::PUT, path).bearer_auth(&ada.token);
        crate::support::answer(request.json(body)).await
    };
    let steps = serde_json::json!({"steps": [{"channel": "SYSTEM", "after_s": 0}]});
    let policy = "/api/escalations/ticket_created/";
    assert_eq!(put(policy, &steps).await.0, 200);
    for path in [policy, "/api/templates/mentioned/EMAIL/en/"] {
        let (_, mut shown) = hub.get(&ada, path).await;
        let (status, answer) = put(path, &shown).await;
        assert!((200..300).contains(&status), "{path}: {answer}");
        let (_, again) = hub.get(&ada, path).await;
        shown = again;
        shown["event"] = "mentioned_not".into();
        let (status, answer) = put(path, &shown).await;
        assert_eq!((status, answer["event"].is_array()), (400, true), "{path}: {answer}");
    }
}
