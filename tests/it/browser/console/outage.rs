//! The hub is killed under an open console, and comes back.

use super::super::line::{Line, Mood};
use super::open;
use crate::support::Person;
use crate::support::process::{Process, UNLIMITED, folder, person};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_console_shows_what_was_missed_while_the_hub_was_away() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[UNLIMITED]);
    let of = |username: &str, role: &str| {
        let (id, token) = person(&database, username, role);
        Person { id, username: username.to_owned(), token }
    };
    let (ada, jane) = (of("ada", "admin"), of("jane", "client"));
    let line = Line::to(hub.address, Mood::Good).await;
    let base = line.base();
    let Some(mut page) = open(&base, &ada, "admin", "inbox").await else { return };
    page.until("shows('You are all caught up')").await;
    hub.kill();
    page.until("shows('The live connection is interrupted')").await;
    let hub = Process::serve(&database, &[UNLIMITED]);
    line.lead(hub.address, Mood::Good);
    let client = bellpull::tls::client().build().unwrap();
    let ticket = serde_json::json!({"title": "Raised meanwhile"});
    let request = client.post(format!("{base}/api/tickets/")).bearer_auth(&jane.token);
    assert_eq!(request.json(&ticket).send().await.unwrap().status().as_u16(), 201);
    page.until("one('.item')?.textContent.includes('Raised meanwhile')").await;
    page.until(super::IS_LIVE).await;
    page.until("!shows('The live connection is interrupted')").await;
    assert!(hub.terminate().success());
}
