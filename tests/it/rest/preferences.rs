//! `/api/preferences/`: wishes, and how notifications go by them.

use reqwest::Method;
use serde_json::{Value, json};

use super::deliveries::team;
use super::{Team, service};
use crate::support::{Hub, Person, answer};

const PATH: &str = "/api/preferences/";

async fn put(team: &Team, who: &Person, body: Value) -> (u16, Value) {
    answer(team.hub.request(Method::PUT, PATH).bearer_auth(&who.token).json(&body)).await
}

/// The deliveries of a user's newest notification: channel and status.
async fn newest(team: &Team, who: &Person) -> Vec<(Value, Value)> {
    let (_, list) = team.hub.get(who, "/api/notifications/").await;
    let deliveries = list["results"][0]["deliveries"].as_array().unwrap();
    deliveries.iter().map(|one| (one["channel"].clone(), one["status"].clone())).collect()
}

#[tokio::test]
async fn what_was_never_wished_for_is_shown_as_it_counts() {
    let team = team().await;
    let (status, told) = team.hub.get(&team.carl, PATH).await;
    assert_eq!(status, 200);
    assert_eq!(told["events"].as_object().unwrap().len(), 9);
    let all_three = json!({"SYSTEM": true, "EMAIL": true, "WHATSAPP": true, "SMS": false, "PUSH": true,
            "WEBHOOK": true});
    assert_eq!(told["events"]["ticket_created"], all_three);
    assert_eq!(told["events"]["ticket_approved"]["EMAIL"], false);
    assert_eq!((&told["quiet_hours"], &told["email_digest"]), (&json!(null), &json!("off")));
    // What was read can be written, and then means the same.
    let (status, again) = put(&team, &team.carl, told.clone()).await;
    assert_eq!((status, again), (200, told));
}

#[tokio::test]
async fn a_put_merges() {
    let team = team().await;
    let quiet = json!({"start": "22:00", "end": "07:00", "timezone": "Europe/Berlin",
        "days": ["fri", "mon"]});
    let body = json!({"events": {"mentioned": {"EMAIL": false}, "lunch": {"SMS": true}},
        "quiet_hours": quiet});
    let (status, told) = put(&team, &team.carl, body).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["quiet_hours"]["days"], json!(["mon", "fri"]));
    let body = json!({"events": {"mentioned": {"SMS": true}}, "email_digest": "daily"});
    let (_, told) = put(&team, &team.carl, body).await;
    let mentioned = &told["events"]["mentioned"];
    assert_eq!((&mentioned["EMAIL"], &mentioned["SMS"]), (&json!(false), &json!(true)));
    assert_eq!(told["events"]["lunch"]["SMS"], true);
    assert_eq!(
        (&told["email_digest"], &told["quiet_hours"]["end"]),
        (&json!("daily"), &json!("07:00"))
    );
    let (_, told) = put(&team, &team.carl, json!({"quiet_hours": null})).await;
    assert_eq!((&told["quiet_hours"], &told["email_digest"]), (&json!(null), &json!("daily")));
    assert_eq!(team.hub.get(&team.carl, PATH).await.1, told);
    // They are the caller's own.
    let (_, doras) = team.hub.get(&team.dora, PATH).await;
    assert_eq!(doras["events"]["mentioned"]["EMAIL"], true);
}

#[tokio::test]
async fn what_is_wrong_is_told_and_nothing_is_changed() {
    let team = team().await;
    let before = team.hub.get(&team.carl, PATH).await;
    for (field, bad) in [
        ("events", json!({"mentioned": {"FAX": true}})),
        ("events", json!({"mentioned": {"EMAIL": "yes"}})),
        ("events", json!(null)),
        (
            "events",
            Value::Object((0..201).map(|n| (format!("e{n}"), json!({"SMS": true}))).collect()),
        ),
        ("quiet_hours", json!({"start": "22:00"})),
        ("quiet_hours", json!(7)),
        ("email_digest", json!("weekly")),
        ("email_digest", json!(null)),
    ] {
        let (status, told) = put(&team, &team.carl, json!({ field: bad })).await;
        assert_eq!((status, &told["code"]), (400, &json!("invalid")), "{field} {bad}");
        assert!(told[field].is_array(), "{told}");
    }
    assert_eq!(team.hub.get(&team.carl, PATH).await, before);
    assert_eq!(put(&team, &service(), json!({})).await.0, 403);
    assert_eq!(answer(team.hub.request(Method::GET, PATH)).await.0, 401);
}

#[tokio::test]
async fn a_tickets_life_goes_by_wishes() {
    let team = team().await;
    let body = json!({"events": {"ticket_created": {"EMAIL": false, "SMS": true}}});
    assert_eq!(put(&team, &team.admin, body).await.0, 200);
    let body = json!({"events": {"ticket_created": {"SYSTEM": false}}});
    assert_eq!(put(&team, &team.root, body).await.0, 200);
    team.raise(&team.carl, "One").await;
    // The admin has no telephone: that is recorded too.
    let held_back = |channel: &str| (json!(channel), json!("SUPPRESSED"));
    assert_eq!(newest(&team, &team.admin).await, [held_back("EMAIL"), held_back("SMS")]);
    let (_, roots) = team.hub.get(&team.root, "/api/notifications/").await;
    assert_eq!(roots["count"], 0);
    let (_, list) = team.hub.get(&team.admin, "/api/deliveries/?status=SUPPRESSED").await;
    let rules: Vec<&Value> =
        list["results"].as_array().unwrap().iter().map(|row| &row["rule"]).collect();
    assert_eq!(rules, [&json!("no_address"), &json!("preference")]);
    // What is critical passes.
    let body = json!({"recipients": {"role": "admin"}, "title": "Fire", "message": "Out!",
        "event": "ticket_created", "channels": ["EMAIL"], "critical": true});
    assert_eq!(team.hub.post(&team.admin, "/api/notifications/", body).await.0, 202);
    let goes_out = vec![(json!("EMAIL"), json!("QUEUED"))];
    assert_eq!(newest(&team, &team.admin).await, goes_out);
    assert_eq!(newest(&team, &team.root).await, goes_out);
}

#[tokio::test]
async fn a_digest_is_due_in_its_user_s_time_zone_or_in_the_hub_s() {
    let hub = Hub::start_with(|config| {
        config.delivery.digest_timezone = Some("Asia/Kolkata".to_owned());
    })
    .await;
    let (ada, bob) = (hub.user("ada", "client").await, hub.user("bob", "client").await);
    let put = async |who: &Person, body: Value| {
        answer(hub.request(Method::PUT, PATH).bearer_auth(&who.token).json(&body)).await
    };
    assert_eq!(put(&ada, json!({"locale": "de"})).await.1["timezone"], json!(null));
    let daily = json!({"email_digest": "daily"});
    assert_eq!(put(&ada, daily.clone()).await.1["timezone"], "Asia/Kolkata");
    let own = json!({"email_digest": "hourly", "timezone": "Europe/Berlin"});
    assert_eq!(put(&ada, own).await.1["timezone"], "Europe/Berlin");
    assert_eq!(put(&ada, daily.clone()).await.1["timezone"], "Europe/Berlin");
    let quiet = json!({"start": "22:00", "end": "07:00", "timezone": "America/New_York"});
    put(&bob, json!({"quiet_hours": quiet})).await;
    assert_eq!(put(&bob, daily).await.1["timezone"], json!(null), "that of the quiet hours");
    for bad in [json!("Europe/Atlantis"), json!(""), json!(7)] {
        let (status, told) = put(&bob, json!({"timezone": bad})).await;
        assert_eq!((status, told["timezone"].is_array()), (400, true), "{told}");
    }
    assert_eq!(put(&bob, json!({"timezone": null})).await.0, 200);
}
