//! Escalations: WhatsApp first, then e-mail, until it is seen, or the ticket moves on.

use std::net::SocketAddr;
use std::path::Path;

use futures_util::{SinkExt, StreamExt};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::sink::Sink;
use super::whatsapp::Meta;
use super::{Colleague, until};
use crate::support::process::{Process, folder};

/// So far ahead that nothing is sent while a test runs.
const NEVER_S: u32 = 86_400;

struct House {
    hub: Process,
    sink: Sink,
    meta: Meta,
    carl: Colleague,
    ada: Colleague,
}

fn serve(database: &Path, sink: &Sink, whatsapp: &str) -> Process {
    Process::serve(
        database,
        &[
            ("BELLPULL_SMTP_URL", &sink.url()),
            ("BELLPULL_SMTP_FROM", "desk@example.com"),
            ("BELLPULL_WHATSAPP_TOKEN", "EAAG"),
            ("BELLPULL_WHATSAPP_PHONE_NUMBER_ID", "1055"),
            ("BELLPULL_WHATSAPP_API_URL", whatsapp),
        ],
    )
}

impl House {
    /// A hub with both channels, and what tells of new tickets: a client's, to an admin.
    async fn build(database: &Path, whatsapp_s: u32, email_s: u32) -> Option<(Self, String)> {
        let sink = Sink::start().await?;
        let meta = Meta::default();
        let url = meta.start().await;
        let hub = serve(database, &sink, &url);
        let carl = Colleague::join(database, "carl", "client", "");
        let ada = Colleague::join(database, "ada", "admin", "+4930123456");
        let steps = json!({"steps": [{"channel": "SYSTEM", "after_s": 0},
            {"channel": "WHATSAPP", "after_s": whatsapp_s},
            {"channel": "EMAIL", "after_s": email_s}]});
        let path = "/api/escalations/ticket_created/";
        let (status, told) = ada.ask(hub.address, Method::PUT, path, &steps).await;
        assert_eq!(status, 200, "{told}");
        Some((Self { hub, sink, meta, carl, ada }, url))
    }

    fn at(&self) -> SocketAddr {
        self.hub.address
    }

    /// When a channel's only delivery was sent, and how long after it was written.
    async fn sent_after_ms(&self, channel: &str) -> (Timestamp, i128) {
        let at = self.at();
        let sent = async || self.ada.count(at, channel, "SENT").await == 1;
        until(&format!("{channel} is sent"), sent).await;
        let row = self.ada.newest(at, channel).await;
        let list = self.ada.get(at, "/api/notifications/").await;
        let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
        let sent_at = time(&row["sent_at"]);
        let after = sent_at.duration_since(time(&list["results"][0]["created_at"]));
        (sent_at, after.as_millis())
    }

    /// The rule that has called off what waited for its e-mail.
    async fn called_off(&self) -> Value {
        let path = "/api/deliveries/?channel=EMAIL&status=SUPPRESSED";
        let list = self.ada.get(self.at(), path).await;
        assert_eq!(list["count"], 1, "{list}");
        list["results"][0]["rule"].clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unseen_notification_goes_through_all_steps() {
    let (_folder, database) = folder();
    let Some((mut house, _)) = House::build(&database, 1, 3).await else { return };
    house.carl.raise(house.at(), "Not viewed").await;
    let (first, whatsapp_ms) = house.sent_after_ms("WHATSAPP").await;
    let (second, email_ms) = house.sent_after_ms("EMAIL").await;
    assert!(whatsapp_ms >= 1_000 && email_ms >= 3_000, "{whatsapp_ms} {email_ms}");
    assert!(first < second);
    assert_eq!(house.meta.taken().len(), 1);
    assert_eq!(house.sink.mail().await.header("Subject"), "New Ticket Created");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_on_a_socket_calls_the_rest_off() {
    let (_folder, database) = folder();
    let Some((mut house, _)) = House::build(&database, 1, NEVER_S).await else { return };
    house.carl.raise(house.at(), "Viewed").await;
    house.sent_after_ms("WHATSAPP").await;
    assert_eq!(house.ada.newest(house.at(), "EMAIL").await["rule"], "escalation");
    let url = format!("ws://{}/ws/?token={}", house.at(), house.ada.token);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let read = json!({"type": "read", "id": "r1", "all": true});
    socket.send(Message::text(read.to_string())).await.unwrap();
    loop {
        let Some(Ok(Message::Text(text))) = socket.next().await else { panic!("no reply") };
        let frame: Value = serde_json::from_str(&text).unwrap();
        if frame["id"] == "r1" {
            assert_eq!((&frame["ok"], &frame["unread_count"]), (&json!(true), &json!(0)));
            break;
        }
    }
    // The reply was sent after the commit that called it off.
    assert_eq!(house.called_off().await, "seen");
    assert!(house.sink.rest().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_that_moves_on_calls_the_rest_off() {
    let (_folder, database) = folder();
    let Some((mut house, _)) = House::build(&database, 1, NEVER_S).await else { return };
    let id = house.carl.raise(house.at(), "Taken care of").await;
    house.sent_after_ms("WHATSAPP").await;
    house.ada.post(house.at(), &format!("/api/tickets/{id}/open/"), json!({})).await;
    assert_eq!(house.called_off().await, "moved_on");
    let sent = house.sink.mail().await;
    assert_eq!(
        (sent.to.as_str(), sent.header("Subject")),
        ("carl@example.com", "Ticket Opened".to_owned()),
        "what has no policy goes out at once"
    );
    assert!(house.sink.rest().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_outlive_a_kill() {
    let (_folder, database) = folder();
    let Some((mut house, whatsapp)) = House::build(&database, 2, 3).await else { return };
    house.carl.raise(house.at(), "No recipient online").await;
    let due_at = house.ada.newest(house.at(), "EMAIL").await["due_at"].clone();
    house.hub.kill();
    house.hub = serve(&database, &house.sink, &whatsapp);
    let (_, whatsapp_ms) = house.sent_after_ms("WHATSAPP").await;
    let (sent_at, email_ms) = house.sent_after_ms("EMAIL").await;
    assert!(whatsapp_ms >= 2_000 && email_ms >= 3_000, "{whatsapp_ms} {email_ms}");
    assert!(sent_at >= due_at.as_str().unwrap().parse::<Timestamp>().unwrap());
    assert_eq!(house.meta.taken().len(), 1);
    assert_eq!(house.sink.mails(1).await.len(), 1);
    assert!(house.sink.rest().await.is_empty());
}
