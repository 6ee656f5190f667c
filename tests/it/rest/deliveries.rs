//! `/api/deliveries/`: what left the house, for admins.

use bellpull::storage::StoreOptions;
use bellpull_domain::delivery::{Attempt, Leased, Outcome};
use bellpull_domain::routing::{Channel, Channels};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Team, column, ids, service};
use crate::support::{Hub, owner};

const PATH: &str = "/api/deliveries/";

/// A team whose hub makes e-mails and text messages.
pub(super) async fn team() -> Team {
    let channels = Channels::of(&[Channel::Email, Channel::Sms]);
    let options = StoreOptions { exclusive: true, channels, ..StoreOptions::default() };
    Team::gather_on(Hub::start_on(|_| {}, options).await).await
}

/// Leases all e-mails that are due.
pub(super) async fn lease(team: &Team) -> Vec<Leased> {
    let now = Timestamp::now();
    let until = now + SignedDuration::from_mins(2);
    team.hub.store().lease(&owner(), Channel::Email, 100.into(), now, until).await.unwrap()
}

/// Waits until an attempt came to that.
pub(super) async fn record(team: &Team, leased: &Leased, outcome: Outcome) {
    let (delivery, number, started_at) = (leased.id, leased.attempt, Timestamp::now());
    let attempt = Attempt { delivery, number, started_at, took_ms: 12, outcome, due_at: None };
    team.hub.store().record(vec![attempt]).await.unwrap();
}

pub(super) fn refused() -> Outcome {
    Outcome::Refused { error: "550 no such mailbox".to_owned() }
}

async fn list(team: &Team, query: &str) -> Value {
    let (status, list) = team.hub.get(&team.admin, &format!("{PATH}{query}")).await;
    assert_eq!(status, 200, "{list}");
    list
}

#[tokio::test]
async fn admins_see_what_became_of_each() {
    let team = team().await;
    team.raise(&team.carl, "Homepage not loading").await;
    // Two admins, each by e-mail; nothing goes by SMS.
    let leased = lease(&team).await;
    assert_eq!(leased.len(), 2);
    record(&team, &leased[0], refused()).await;
    record(&team, &leased[1], Outcome::Sent { provider_id: Some("m-1".to_owned()) }).await;
    let all = list(&team, "").await;
    assert_eq!(all["count"], 2);
    let row = list(&team, "?status=FAILED&channel=EMAIL").await["results"][0].clone();
    for (key, value) in [
        ("id", json!(leased[0].id)),
        ("notification", json!(leased[0].notification)),
        ("recipient", json!(team.root.id)),
        ("recipient_name", json!("root")),
        ("channel", json!("EMAIL")),
        ("channel_display", json!("Email")),
        ("status", json!("FAILED")),
        ("status_display", json!("Failed")),
        ("rule", json!(null)),
        ("attempts", json!(1)),
        ("leased_until", json!(null)),
        ("sent_at", json!(null)),
        ("provider_id", json!(null)),
        ("provider_status", json!(null)),
        ("error", json!("550 no such mailbox")),
    ] {
        assert_eq!(row[key], value, "{key} in {row}");
    }
    let sent = list(&team, "?status=SENT").await["results"][0].clone();
    assert_eq!((&sent["provider_id"], &sent["error"]), (&json!("m-1"), &json!(null)));
    assert!(sent["sent_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(list(&team, "?channel=SMS").await["count"], 0);
    let newest_first = ids(&all);
    assert_eq!(newest_first, [leased[1].id.0, leased[0].id.0]);
    let second = list(&team, "?page=2&page_size=1").await;
    assert_eq!(column(&second, "id"), [json!(leased[0].id)]);
    // Its recipient sees it in its inbox.
    let (_, inbox) = team.hub.get(&team.root, "/api/notifications/?notification_type=EMAIL").await;
    let row = &inbox["results"][0];
    assert_eq!((&row["status"], &row["notification_type"]), (&json!("FAILED"), &json!("EMAIL")));
    let shown = json!([{"channel": "EMAIL", "status": "FAILED", "attempts": 1, "sent_at": null,
        "error": "550 no such mailbox"}]);
    assert_eq!(row["deliveries"], shown);
    let (_, counts) = team.hub.get(&team.root, "/api/notifications/unread_count/").await;
    assert_eq!(counts["by_type"], json!({"EMAIL": 1, "SYSTEM": 1}));
}

#[tokio::test]
async fn what_failed_is_retried_and_nothing_else() {
    let team = team().await;
    team.raise(&team.carl, "Homepage not loading").await;
    let leased = lease(&team).await;
    let path = |at: usize| format!("{PATH}{}/retry/", leased[at].id);
    record(&team, &leased[0], refused()).await;
    let (status, told) = team.hub.post(&team.admin, &path(0), json!({})).await;
    assert_eq!((status, &told["status"], &told["attempts"]), (200, &json!("QUEUED"), &json!(1)));
    let again = lease(&team).await;
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].id, again[0].attempt, again[0].failures), (leased[0].id, 2, 0));
    for at in [0, 1] {
        let (status, told) = team.hub.post(&service(), &path(at), json!({})).await;
        assert_eq!((status, &told["code"]), (409, &json!("wrong_status")), "{told}");
    }
    let (status, _) = team.hub.post(&team.admin, "/api/deliveries/99999/retry/", json!({})).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn only_admins_look_and_what_is_asked_must_exist() {
    let team = team().await;
    for who in [&team.ada, &team.carl] {
        assert_eq!(team.hub.get(who, PATH).await.0, 403);
        assert_eq!(team.hub.post(who, "/api/deliveries/1/retry/", json!({})).await.0, 403);
    }
    let (status, told) = team.hub.get(&team.root, &format!("{PATH}?status=LOST&channel=FAX")).await;
    assert_eq!(status, 400);
    assert_eq!(told["status"], json!(["\"LOST\" is not a valid choice."]));
    assert_eq!(told["channel"], json!(["\"FAX\" is not a valid choice."]));
    assert_eq!(team.hub.get(&team.root, &format!("{PATH}?page=2")).await.0, 404);
}

#[tokio::test]
async fn what_waits_is_measured() {
    bellpull::telemetry::init_metrics();
    let team = team().await;
    team.raise(&team.carl, "Homepage not loading").await;
    let measured = async || {
        let response = team.hub.request(Method::GET, "/metrics").send().await.unwrap();
        let text = response.text().await.unwrap();
        let line = |channel: &str| {
            let name = format!("bellpull_deliveries_queued{{channel=\"{channel}\"}} ");
            let found = text.lines().find_map(|line| line.strip_prefix(&name).map(str::to_owned));
            found.unwrap_or_else(|| panic!("{name} in {text}"))
        };
        (line("EMAIL"), line("SMS"))
    };
    assert_eq!(measured().await, ("2".to_owned(), "0".to_owned()));
    lease(&team).await;
    assert_eq!(measured().await, ("0".to_owned(), "0".to_owned()));
}
