//! What an admin has written, as a mail server takes it.

use reqwest::Method;
use serde_json::json;

use super::Colleague;
use super::sink::Sink;
use crate::support::process::{Process, folder};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_counts_for_the_next_mail_and_outlives_a_restart() {
    let Some(mut sink) = Sink::start().await else { return };
    let (_folder, database) = folder();
    let url = sink.url();
    let settings =
        [("BELLPULL_SMTP_URL", url.as_str()), ("BELLPULL_SMTP_FROM", "desk@example.com")];
    let hub = Process::serve(&database, &settings);
    let at = hub.address;
    let carl = Colleague::join(&database, "carl", "client", "");
    let ada = Colleague::join(&database, "ada", "admin", "");
    let (status, told) =
        ada.ask(at, Method::PUT, "/api/preferences/", &json!({"locale": "pt-br"})).await;
    assert_eq!((status, &told["locale"]), (200, &json!("pt-BR")));
    let path = "/api/templates/ticket_created/EMAIL/pt/";
    let template = json!({"subject": "{{ ticket.key }} {{ ticket.title }}",
        "text": "Olá, {{ name }}: {{ ticket.title }}", "html": "<p>{{ ticket.title }}</p>"});
    let (status, told) = ada.ask(at, Method::PUT, path, &template).await;
    assert_eq!(status, 201, "{told}");

    carl.raise(at, "<b>Slow & late").await;
    let mail = sink.mail().await;
    assert_eq!(mail.header("Subject"), "TKT-1 <b>Slow & late");
    assert!(mail.text.contains("<p>&lt;b&gt;Slow &amp; late</p>"), "{}", mail.text);
    assert!(mail.text.contains("ada: <b>Slow & late"), "{}", mail.text);

    assert!(hub.terminate().success());
    let hub = Process::serve(&database, &settings);
    let at = hub.address;
    carl.raise(at, "Two").await;
    assert_eq!(sink.mail().await.header("Subject"), "TKT-2 Two");
    let (status, _) = ada.ask(at, Method::DELETE, path, &json!({})).await;
    assert_eq!(status, 204);
    carl.raise(at, "Three").await;
    assert_eq!(sink.mail().await.header("Subject"), "New Ticket Created");
    assert!(hub.terminate().success());
}
