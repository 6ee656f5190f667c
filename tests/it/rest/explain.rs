//! Why a user was notified of an event, or was not.

use bellpull::storage::StoreOptions;
use bellpull_domain::delivery::Outcome;
use bellpull_domain::routing::{Channel, Channels};
use reqwest::Method;
use serde_json::{Value, json};

use super::deliveries::{lease, record, refused, team};
use super::{Team, column};
use crate::support::{Hub, Person, answer};

async fn newest(team: &Team, who: &Person) -> i64 {
    let (_, list) = team.hub.get(who, "/api/notifications/").await;
    list["results"][0]["id"].as_i64().unwrap()
}

async fn wish(team: &Team, who: &Person, events: Value) {
    let request = team.hub.request(Method::PUT, "/api/preferences/").bearer_auth(&who.token);
    let (status, told) = answer(request.json(&json!({ "events": events }))).await;
    assert_eq!(status, 200, "{told}");
}

/// A channel of an explanation.
fn way<'a>(told: &'a Value, channel: &str) -> &'a Value {
    let ways = told["channels"].as_array().unwrap();
    ways.iter().find(|way| way["channel"] == channel).unwrap()
}

fn reasons<'a>(told: &'a Value, channel: &str) -> Vec<&'a str> {
    let because = way(told, channel)["because"].as_array().unwrap();
    because.iter().map(|why| why["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_channel_without_a_delivery_says_which_of_the_reasons_it_is() {
    let channels = [Channel::Email, Channel::Push, Channel::Webhook];
    let options = StoreOptions {
        exclusive: true,
        channels: Channels::of(&channels),
        ..StoreOptions::default()
    };
    let team = Team::gather_on(Hub::start_on(|_| {}, options).await).await;
    let ticket = team.ticket_at("FINISHED").await;
    team.act(&team.carl, ticket, "approve").await;
    let explained = async || {
        let path = format!("/api/notifications/{}/explain/", newest(&team, &team.ada).await);
        let (status, told) = team.hub.get(&team.ada, &path).await;
        assert_eq!(status, 200, "{told}");
        told
    };
    let told = explained().await;
    assert_eq!(told["event"], "ticket_approved");
    // By itself the event goes out by WhatsApp, which is off, and not by e-mail, which is on.
    assert_eq!(reasons(&told, "EMAIL"), ["not_sent"]);
    assert_eq!(reasons(&told, "WHATSAPP"), ["channel_off", "no_address"]);
    assert_eq!(reasons(&told, "SMS"), ["channel_off", "not_sent", "no_address"]);
    assert_eq!(reasons(&told, "PUSH"), ["no_browser"]);
    assert_eq!(reasons(&told, "WEBHOOK"), ["no_webhook"]);
    let text = way(&told, "WEBHOOK")["text"].as_str().unwrap();
    assert_eq!(text, "Not sent here. The account has no active webhook for this event.");
    let asked = json!({"ticket_approved": {"EMAIL": true}});
    wish(&team, &team.ada, asked).await;
    assert_eq!(reasons(&explained().await, "EMAIL"), ["not_then"], "that has changed since");
    let body = json!({"recipients": [team.ada.id], "title": "Deploy", "message": "Done"});
    let (status, told) = team.hub.post(&team.admin, "/api/notifications/", body).await;
    assert_eq!(status, 202, "{told}");
    assert_eq!(reasons(&explained().await, "EMAIL"), ["not_chosen"]);
}

#[tokio::test]
async fn a_notification_says_why_and_what_became_of_it() {
    let team = team().await;
    wish(&team, &team.root, json!({"ticket_created": {"SMS": true}})).await;
    let ticket = team.raise(&team.carl, "Homepage not loading").await;
    let leased = lease(&team).await;
    let roots =
        leased.iter().find(|one| one.addressee.as_ref().unwrap().id.0 == team.root.id).unwrap();
    record(&team, roots, refused()).await;
    let id = newest(&team, &team.root).await;
    let path = format!("/api/notifications/{id}/explain/");
    let (status, told) = team.hub.get(&team.root, &path).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!((&told["event"], &told["ticket"]), (&json!("ticket_created"), &json!(ticket)));
    assert_eq!((&told["told"], &told["notification"]), (&json!(true), &json!(id)));
    assert_eq!(told["by"], team.carl.id);
    let because = json!([{"code": "admin", "text": "Admins are told of it."}]);
    assert_eq!(told["because"], because);
    let email = way(&told, "EMAIL");
    assert_eq!((&email["status"], &email["rule"]), (&json!("FAILED"), &json!(null)));
    assert_eq!(email["text"], "Given up after 1 attempt(s).");
    let attempt = &email["attempts"][0];
    assert_eq!((&attempt["number"], &attempt["took_ms"]), (&json!(1), &json!(12)));
    assert_eq!(attempt["outcome"], "refused");
    assert_eq!(attempt["detail"], "550 no such mailbox");
    let sms = way(&told, "SMS");
    assert_eq!((&sms["status"], &sms["rule"]), (&json!("SUPPRESSED"), &json!("no_address")));
    assert_eq!(way(&told, "WHATSAPP")["status"], Value::Null);
    assert_eq!(reasons(&told, "WHATSAPP"), ["channel_off", "no_address"]);
    assert_eq!(reasons(&told, "EMAIL"), [""; 0], "there is a delivery");
    // The same for other admins, and for no other role.
    assert_eq!(team.hub.get(&team.admin, &path).await, (200, told));
    for who in [&team.ada, &team.carl] {
        assert_eq!(team.hub.get(who, &path).await.0, 404);
    }
    assert_eq!(team.hub.get(&team.admin, "/api/notifications/99999/explain/").await.0, 404);
    // One that was deleted is explained still.
    assert_eq!(team.hub.delete(&team.root, &format!("/api/notifications/{id}/")).await.0, 204);
    let (_, told) = team.hub.get(&team.root, &path).await;
    assert!(told["deleted_at"].is_string(), "{told}");
}

#[tokio::test]
async fn a_ticket_says_of_each_step_who_was_told_and_why() {
    let team = team().await;
    wish(&team, &team.admin, json!({"work_finished": {"SYSTEM": false}})).await;
    let ticket = team.ticket_at("FINISHED").await;
    for one in lease(&team).await {
        record(&team, &one, Outcome::Sent { provider_id: None }).await;
    }
    let path = format!("/api/tickets/{ticket}/explain/");
    let explain = async |who: &Person, user: &Person| {
        let (status, list) = team.hub.get(who, &format!("{path}?user={}", user.id)).await;
        assert_eq!(status, 200, "{list}");
        let rows = list["results"].as_array().unwrap();
        let line = |row: &Value| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let told = row["told"].as_bool().unwrap();
            (text(&row["event"]), told, text(&row["because"][0]["code"]))
        };
        rows.iter().map(line).collect::<Vec<_>>()
    };
    let lines = |of: [(&str, bool, &str); 4]| of.map(|(e, t, b)| (e.to_owned(), t, b.to_owned()));
    let (created, assigned) = ("ticket_created", "ticket_assigned");
    let (started, finished) = ("work_started", "work_finished");
    let carls = [
        (created, false, "own_act"),
        (assigned, false, "not_concerned"),
        (started, true, "creator"),
        (finished, true, "creator"),
    ];
    assert_eq!(explain(&team.carl, &team.carl).await, lines(carls));
    assert_eq!(explain(&team.admin, &team.carl).await, lines(carls));
    let admins = [
        (created, true, "admin"),
        (assigned, false, "own_act"),
        (started, false, "not_concerned"),
        (finished, false, "preference"),
    ];
    assert_eq!(explain(&team.admin, &team.admin).await, lines(admins));
    let adas = [
        (created, false, "not_concerned"),
        (assigned, true, "assigned"),
        (started, false, "own_act"),
        (finished, false, "own_act"),
    ];
    assert_eq!(explain(&team.root, &team.ada).await, lines(adas));
    let (_, list) = team.hub.get(&team.ada, &path).await;
    let told = &list["results"][1];
    assert_eq!(way(told, "EMAIL")["text"], "The provider took it.");
    assert_eq!(list["results"][0]["channels"], json!([]));
    assert_eq!(column(&list, "user"), vec![json!(team.ada.id); 4]);
}

#[tokio::test]
async fn only_admins_ask_about_others_and_only_of_what_they_may_see() {
    let team = team().await;
    let ticket = team.raise(&team.carl, "Homepage not loading").await;
    let path = format!("/api/tickets/{ticket}/explain/");
    let of = |user: i64| format!("{path}?user={user}");
    assert_eq!(team.hub.get(&team.carl, &of(team.admin.id)).await.0, 403);
    assert_eq!(team.hub.get(&team.dora, &path).await.0, 404);
    assert_eq!(team.hub.get(&team.admin, "/api/tickets/999/explain/").await.0, 404);
    let (status, told) = team.hub.get(&team.admin, &of(999)).await;
    assert_eq!((status, &told["user"]), (400, &json!(["There is no such account."])));
    assert_eq!(team.hub.get(&team.admin, &format!("{path}?user=x")).await.0, 400);
    assert_eq!(team.hub.get(&team.admin, &format!("{path}?page=2")).await.0, 404);
}
