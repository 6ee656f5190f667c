//! Reports and retention on SQLite: what is found by which index, and where reports look.

use bellpull_domain::routing::Channel;
use bellpull_port::ReportStore;
use bellpull_port::analytics::ReportFilter;
use jiff::{SignedDuration, Timestamp};
use sqlx::AssertSqlSafe;

use super::people::{at, person, tell};
use super::sqlite::{beside, expect_plans, file, hub, open};

#[tokio::test]
async fn reports_and_retention_find_their_rows_by_time() {
    let (_directory, url) = file();
    let store = open(&url, hub()).await;
    let plans = [
        (
            "SELECT id, event, created_at FROM messages INDEXED BY messages_created \
             WHERE (created_at, id) > (1, 2) AND created_at < 9 ORDER BY created_at, id LIMIT 5",
            "INDEX messages_created (created_at>? AND created_at<?)",
        ),
        (
            "SELECT id, due_at, sent_at, status FROM deliveries INDEXED BY deliveries_age \
             WHERE (due_at, id) > (1, 2) ORDER BY due_at, id LIMIT 5",
            "INDEX deliveries_age (due_at>?)",
        ),
    ];
    expect_plans(&store, &plans).await;
}

/// A message that was written long before its time, as one that was scheduled: between the two are
/// many segments, and its rows may be in the first or in those of its time.
#[tokio::test]
async fn rows_are_found_near_their_message_and_near_its_time() {
    let (_directory, url) = file();
    let store = open(&url, hub()).await;
    let ann = person(&store, "ann", "client").await;
    for event in ["early", "between", "late"] {
        tell(&store, event, &ann, &[ann.id]).await;
    }
    let mut other = beside(&store).await;
    let hour = at(0).as_second() / 3_600;
    // The three were written ten days apart, each with its notification. The first one's time is
    // moved to that of the last: its row stays where it is.
    let marks = (0..3).map(|n| format!("({}, {n}, {n}, 0)", hour + n * 240));
    let times =
        [480, 240, 480].map(|hours| (at(0) + SignedDuration::from_hours(hours)).as_millisecond());
    let mut statements = vec![
        "DELETE FROM id_marks".to_owned(),
        format!("INSERT INTO id_marks VALUES {}", marks.collect::<Vec<_>>().join(", ")),
    ];
    for (n, time) in times.iter().enumerate() {
        statements.push(format!("UPDATE messages SET created_at = {time} WHERE id = {}", n + 1));
    }
    for sql in statements {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut other).await.unwrap();
    }
    let events = async |from: i64, to: i64| {
        let time = |hours: i64| -> Timestamp { at(0) + SignedDuration::from_hours(hours) };
        let channel = Some(Channel::System);
        let filter = ReportFilter { from: time(from), to: time(to), event: None, channel };
        let rows = store.report(filter).await.unwrap().unwrap();
        rows.into_iter().map(|row| (row.event, row.sent)).collect::<Vec<_>>()
    };
    let row = |event: &str| (event.to_owned(), 1);
    assert_eq!(events(200, 300).await, [row("between")]);
    assert_eq!(events(400, 500).await, [row("early"), row("late")]);
}
