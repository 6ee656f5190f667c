//! Two want the same at the same instant: one gets it.

use futures_util::future::join_all;
use serde_json::json;

use super::Caller;
use crate::support::process::{Process, folder};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_rivals_one_wins_and_one_notification_is_sent() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let rivals: Vec<Caller> = ["ada", "bob"]
        .iter()
        .map(|name| Caller::join(&database, hub.address, name, "admin"))
        .collect();
    let carl = Caller::join(&database, hub.address, "carl", "client");
    let mut socket = carl.socket("").await;
    let mut tickets = Vec::new();
    for round in 1..=40 {
        let id = carl.raise("Contested").await;
        let path = format!("/api/tickets/{id}/open/");
        let answers = join_all(rivals.iter().map(|rival| rival.post(&path, json!({})))).await;
        let mut codes: Vec<u16> = answers.iter().map(|answer| answer.0).collect();
        codes.sort_unstable();
        assert_eq!(codes, [200, 409], "{answers:?}");
        let frame = socket.next().await;
        assert_eq!(frame["notification_type"], "ticket_opened", "{frame}");
        assert_eq!((&frame["seq"], &frame["ticket"]["id"]), (&json!(round), &json!(id)));
        tickets.push((round, id));
    }
    socket.expect_nothing().await;
    assert_eq!(carl.inbox().await, tickets);
    assert!(hub.terminate().success());
}
