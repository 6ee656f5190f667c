//! `/api/analytics/`: what became of what was to be told.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use bellpull_domain::delivery::{Outcome, ProviderReport, ProviderStatus};
use bellpull_domain::routing::Channel;
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};

use super::deliveries::{lease, record, refused, team};
use super::{Team, service};

const PATH: &str = "/api/analytics/";

async fn figures(team: &Team, query: &str) -> Value {
    let (status, told) = team.hub.get(&team.admin, &format!("{PATH}{query}")).await;
    assert_eq!(status, 200, "{told}");
    told
}

/// The row of an event and a channel.
fn row(told: &Value, event: &str, channel: &str) -> Value {
    let is_it = |row: &&Value| row["event"] == event && row["channel"] == channel;
    told["results"].as_array().unwrap().iter().find(is_it).cloned().unwrap_or_default()
}

/// A connection of one's own, as another program would have.
async fn beside(team: &Team) -> SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(team.hub.database());
    options.connect().await.unwrap()
}

#[tokio::test]
async fn each_event_and_channel_has_its_figures() {
    let team = team().await;
    // Two admins by e-mail for each; root wants none of the second.
    team.raise(&team.carl, "One").await;
    let leased = lease(&team).await;
    record(&team, &leased[0], refused()).await;
    let taken = Outcome::Sent { provider_id: Some("m-1".to_owned()) };
    record(&team, &leased[1], taken).await;
    let store = team.hub.store();
    let now = Timestamp::now();
    let (provider_id, status) = ("m-1".to_owned(), ProviderStatus::Read);
    let report = ProviderReport { provider_id, status, error: None, at: now };
    let told = store.reported(Channel::Email, report, now).await;
    assert_eq!(told, Ok(true));
    let wish = json!({"events": {"ticket_created": {"EMAIL": false, "SMS": true}}});
    let put = team.hub.request(Method::PUT, "/api/preferences/").bearer_auth(&team.root.token);
    assert_eq!(crate::support::answer(put.json(&wish)).await.0, 200);
    team.raise(&team.carl, "Two").await;
    let (_, list) = team.hub.get(&team.admin, "/api/notifications/").await;
    let first = list["results"][1]["id"].as_i64().unwrap();
    let path = format!("/api/notifications/{first}/mark_as_read/");
    assert_eq!(team.hub.post(&team.admin, &path, json!({})).await.0, 200);

    let told = figures(&team, "").await;
    let email = row(&told, "ticket_created", "EMAIL");
    let wanted = json!({"event": "ticket_created", "channel": "EMAIL", "channel_display": "Email",
        "queued": 1, "sent": 1, "failed": 1, "suppressed": 1, "suppressed_by": {"preference": 1},
        "delivered": 1, "read_at_provider": 1, "notifications_read": 1,
        "time_to_read_p50_s": email["time_to_read_p50_s"],
        "time_to_read_p95_s": email["time_to_read_p95_s"]});
    assert_eq!(email, wanted);
    assert!((0..60).contains(&email["time_to_read_p50_s"].as_i64().unwrap()), "{email}");
    let sms = row(&told, "ticket_created", "SMS");
    assert_eq!((&sms["suppressed_by"], &sms["sent"]), (&json!({"no_address": 1}), &json!(0)));
    assert_eq!(sms["time_to_read_p50_s"], json!(null));
    let inbox = row(&told, "ticket_created", "SYSTEM");
    assert_eq!((&inbox["sent"], &inbox["notifications_read"]), (&json!(4), &json!(1)));

    let told = figures(&team, "?channel=SMS").await;
    assert_eq!(told["results"].as_array().unwrap().len(), 1);
    assert_eq!(figures(&team, "?event=mentioned").await["results"], json!([]));
    let today = Timestamp::now().strftime("%Y-%m-%d").to_string();
    let told = figures(&team, &format!("?from={today}&to={today}&channel=SYSTEM")).await;
    assert_eq!(told["results"][0]["sent"], 4);
    let before = figures(&team, "?from=2020-01-01&to=2020-12-31").await;
    assert_eq!(
        (&before["to"], &before["results"]),
        (&json!("2021-01-01T00:00:00.000Z"), &json!([]))
    );
}

#[tokio::test]
async fn a_spreadsheet_gets_a_table_without_formulas() {
    let team = team().await;
    let body = json!({"recipients": [team.carl.id], "title": "x", "message": "y",
        "event": "=cmd|' /C calc'!A0"});
    assert_eq!(team.hub.post(&team.admin, "/api/notifications/", body).await.0, 202);
    let ask = async |query: &str, accept: &str| {
        let request = team.hub.request(Method::GET, &format!("{PATH}{query}"));
        let request = request.bearer_auth(&team.admin.token).header("Accept", accept);
        let response = request.send().await.unwrap();
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, response.text().await.unwrap())
    };
    for (query, accept) in [("?format=csv", "*/*"), ("", "text/csv"), ("?format=csv", "text/html")]
    {
        let (kind, text) = ask(query, accept).await;
        assert_eq!(kind, "text/csv; charset=utf-8");
        let wanted = "event,channel,queued,sent,failed,suppressed,suppressed_by,delivered,\
                      read_at_provider,notifications_read,time_to_read_p50_s,time_to_read_p95_s\r\n\
                      \"'=cmd|' /C calc'!A0\",SYSTEM,0,1,0,0,\"\",0,0,0,,\r\n";
        assert_eq!(text, wanted);
    }
    assert_eq!(ask("?format=json", "text/csv").await.0, "application/json");
}

#[tokio::test]
async fn figures_are_for_admins_and_of_a_year_at_most() {
    let team = team().await;
    for who in [&team.carl, &team.ada] {
        assert_eq!(team.hub.get(who, PATH).await.0, 403);
    }
    assert_eq!(team.hub.get(&service(), PATH).await.0, 200);
    for (field, query) in [
        ("from", "?from=yesterday"),
        ("to", "?to=2026-02-30"),
        ("from", "?from=2026-01-02&to=2026-01-01"),
        ("from", "?from=2025-01-01&to=2026-01-02"),
        ("channel", "?channel=FAX"),
        ("format", "?format=xml"),
    ] {
        let (status, told) = team.hub.get(&team.admin, &format!("{PATH}{query}")).await;
        assert!(status == 400 && told[field].is_array(), "{query}: {status} {told}");
    }
    figures(&team, "?from=2024-01-01&to=2024-12-31").await;
}

/// What lies outside of the range is not visited, however much it is.
#[tokio::test]
async fn a_week_of_a_million_deliveries_is_counted_soon() {
    if crate::support::sqlite_only() {
        return;
    }
    let team = team().await;
    team.raise(&team.carl, "Long ago").await;
    let (_, list) = team.hub.get(&team.admin, "/api/notifications/").await;
    let id = list["results"][0]["id"].as_i64().unwrap();
    let mut connection = beside(&team).await;
    // A month ago there were a million, and since then an hour has a mark.
    let past_ms = (Timestamp::now() - SignedDuration::from_hours(30 * 24)).as_millisecond();
    let hour = past_ms / 3_600_000 + 48;
    for sql in [
        format!("UPDATE messages SET created_at = {past_ms}"),
        format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) \
             INSERT INTO deliveries (id, notification_id, recipient_id, channel, target_id, \
             status, leases, due_at) SELECT 1000 + i, {id}, {admin}, 'EMAIL', i, \
             CASE i % 10 WHEN 0 THEN 'FAILED' ELSE 'SENT' END, 1, i FROM n",
            admin = team.admin.id
        ),
        "DELETE FROM id_marks".to_owned(),
        format!("INSERT INTO id_marks VALUES ({hour}, 1, {id} + 1, 1001000)"),
    ] {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }
    let begun = std::time::Instant::now();
    assert_eq!(figures(&team, "").await["results"], json!([]));
    let week = begun.elapsed();
    assert!(week.as_millis() < 1_000, "{week:?}");
    let from = (Timestamp::now() - SignedDuration::from_hours(60 * 24)).to_string();
    let told = figures(&team, &format!("?from={from}&channel=EMAIL")).await;
    let email = row(&told, "ticket_created", "EMAIL");
    assert_eq!((&email["sent"], &email["failed"]), (&json!(900_000), &json!(100_000)));
    println!("a week beside a million: {week:?}; the million: {:?}", begun.elapsed() - week);
}

#[tokio::test]
async fn each_hours_first_notification_leaves_a_mark() {
    if crate::support::sqlite_only() {
        return;
    }
    let team = team().await;
    for title in ["One", "Two"] {
        team.raise(&team.carl, title).await;
    }
    let mut connection = beside(&team).await;
    let marks: Vec<(i64, i64, i64, i64)> =
        sqlx::query_as("SELECT * FROM id_marks").fetch_all(&mut connection).await.unwrap();
    let hour = Timestamp::now().as_second() / 3_600;
    assert_eq!((marks[0].1, marks[0].2, marks[0].3), (0, 0, 0), "before the first of all");
    assert!((hour - 1..=hour).contains(&marks[0].0), "{marks:?}");
    let from = Timestamp::from_second(marks[0].0 * 3_600).unwrap();
    let told = figures(&team, &format!("?from={from}&channel=SYSTEM")).await;
    assert_eq!(told["results"][0]["sent"], 4, "both of this hour, to two admins each");
}
