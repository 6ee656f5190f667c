//! `kill -9` with very many in flight: after the next start each is sent, and what goes out twice
//! is the same message.

use std::collections::BTreeMap;

use serde_json::json;

use super::sink::Sink;
use super::{Colleague, until};
use crate::support::process::{Process, folder};

/// How many e-mails there are.
const MAILS: usize = 1_000;
/// How many are with the server at once.
const IN_FLIGHT: usize = 100;
/// How often the hub is killed.
const KILLS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kills_every_mail_is_sent_and_repeats_are_the_same_message() {
    let Some(mut sink) = Sink::start().await else { return };
    let (_folder, database) = folder();
    let url = sink.url();
    let in_flight = IN_FLIGHT.to_string();
    let serve = || {
        Process::serve(
            &database,
            &[
                ("BELLPULL_SMTP_URL", &url),
                ("BELLPULL_SMTP_FROM", "desk@example.com"),
                ("BELLPULL_RETRY_BASE_MS", "50"),
                ("BELLPULL_DELIVERY_IN_FLIGHT", &in_flight),
            ],
        )
    };
    let mut hub = serve();
    let root = Colleague::join(&database, "root", "super_admin", "");
    // Nobody answers while they are queued, so the first kill finds the most in flight.
    sink.be("hang").await;
    for n in 0..MAILS {
        let body = json!({
            "recipients": [root.id], "title": format!("Mail {n}"), "message": "x",
            "channels": ["SYSTEM", "EMAIL"],
        });
        root.post(hub.address, "/api/notifications/", body).await;
    }
    let at = hub.address;
    let busy = async || root.channel(at, "email").await["observed"]["in_flight"] == IN_FLIGHT;
    until("as many as may be are in flight", busy).await;
    hub.kill();
    sink.be("ok").await;
    for kill in 1..KILLS {
        hub = serve();
        let at = hub.address;
        let some = i64::try_from(kill * MAILS / (KILLS + 1)).unwrap();
        until("some are sent", async || root.count(at, "EMAIL", "SENT").await > some).await;
        hub.kill();
    }
    hub = serve();
    let at = hub.address;
    let all = i64::try_from(MAILS).unwrap();
    until("all are sent", async || root.count(at, "EMAIL", "SENT").await == all).await;

    let mut times: BTreeMap<(String, String), usize> = BTreeMap::new();
    for mail in sink.rest().await {
        *times.entry((mail.header("Message-ID"), mail.header("Subject"))).or_default() += 1;
    }
    // A message's id names its text: no two mails share one, and a repeat has its first's.
    assert_eq!(times.len(), MAILS);
    let again: usize = times.values().map(|times| times - 1).sum();
    println!("{again} of {MAILS} went out again over {KILLS} kills");
    assert!(again <= (KILLS - 1) * 4 * IN_FLIGHT, "{again} went out again");
    assert!(hub.terminate().success());
}
