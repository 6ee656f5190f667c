//! The link in an e-mail, from the server that took it to the e-mails that no longer come.

use std::net::SocketAddr;

use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::sink::{Mail, Sink};
use super::{Colleague, until};
use crate::support::process::{Process, folder};

/// What people reach the hub by, from outside.
const PUBLIC: &str = "https://desk.example";

/// What a mail program posts (RFC 8058).
const ONE_CLICK: &str = "List-Unsubscribe=One-Click";

/// A mail's link, as it is reached from here.
fn link(mail: &Mail, at: SocketAddr) -> String {
    let link = mail.header("List-Unsubscribe");
    let link = link.strip_prefix('<').and_then(|link| link.strip_suffix('>')).unwrap();
    link.replace(PUBLIC, &format!("http://{at}"))
}

async fn ask(method: Method, url: &str) -> Response {
    let client = bellpull::tls::client().build().unwrap();
    client.request(method, url).send().await.unwrap()
}

async fn post(url: &str, kind: &str, body: &str) -> u16 {
    let request = bellpull::tls::client().build().unwrap().post(url);
    let response = request.header("Content-Type", kind).body(body.to_owned()).send().await;
    response.unwrap().status().as_u16()
}

async fn gets_mail(who: &Colleague, at: SocketAddr, event: &str) -> Value {
    who.get(at, "/api/preferences/").await["events"][event]["EMAIL"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mails_link_ends_its_kind_and_nothing_else() {
    let Some(mut sink) = Sink::start().await else { return };
    let (folder, database) = folder();
    let log = folder.path().join("log");
    let url = sink.url();
    let settings = [
        ("BELLPULL_SMTP_URL", url.as_str()),
        ("BELLPULL_SMTP_FROM", "desk@example.com"),
        ("BELLPULL_HTTP_PUBLIC_URL", PUBLIC),
        ("BELLPULL_LOG_FILTER", "trace"),
    ];
    let hub = Process::serve_logged(&database, &settings, &log);
    let at = hub.address;
    let carl = Colleague::join(&database, "carl", "client", "");
    let ada = Colleague::join(&database, "ada", "admin", "");
    carl.raise(at, "One").await;
    let mail = sink.mail().await;
    let link = link(&mail, at);

    // Scanners of mail follow links: to look changes nothing.
    let looked = ask(Method::GET, &link).await;
    assert_eq!(
        (looked.status().as_u16(), &looked.headers()["cache-control"]),
        (200, &"no-store".parse().unwrap())
    );
    let policy = looked.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert_eq!(looked.headers()["referrer-policy"], "no-referrer");
    let page = looked.text().await.unwrap();
    assert!(page.contains("<strong>New Ticket Created</strong>"), "{page}");
    assert!(page.contains("<form method=\"post\">") && !page.contains("<script"), "{page}");
    assert_eq!(ask(Method::HEAD, &link).await.status(), 200);
    assert_eq!(gets_mail(&ada, at, "ticket_created").await, true);

    let form = "application/x-www-form-urlencoded";
    assert_eq!(post(&link, form, ONE_CLICK).await, 200);
    assert_eq!(post(&link, form, ONE_CLICK).await, 200, "again");
    assert_eq!(gets_mail(&ada, at, "ticket_created").await, false);
    assert_eq!(gets_mail(&ada, at, "mentioned").await, true);
    let id = carl.raise(at, "Two").await;
    until("it is held back", async || ada.count(at, "EMAIL", "SUPPRESSED").await == 1).await;
    let newest = ada.newest(at, "EMAIL").await;
    assert_eq!(newest["rule"], "unsubscribed", "{newest}");
    // What she has not ended still comes.
    carl.post(at, &format!("/api/tickets/{id}/comments/"), json!({"body": "@ada?"})).await;
    let mail = sink.mail().await;
    assert_eq!(mail.header("Subject"), "You Were Mentioned");
    assert!(sink.rest().await.is_empty(), "no e-mail of the second ticket");

    // The other form that a mail program may use.
    let mentioned = self::link(&mail, at);
    let parts = "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\n\
                 One-Click\r\n--x--\r\n";
    assert_eq!(post(&mentioned, "multipart/form-data; boundary=x", parts).await, 200);
    assert_eq!(gets_mail(&ada, at, "mentioned").await, false);

    // She thinks again.
    let body = json!({"events": {"ticket_created": {"EMAIL": true}}});
    ada.ask(at, Method::PUT, "/api/preferences/", &body).await;
    carl.raise(at, "Three").await;
    assert_eq!(sink.mail().await.to, "ada@example.com");

    assert!(hub.terminate().success());
    let log = std::fs::read_to_string(log).unwrap();
    for link in [link, mentioned] {
        let token = link.trim_end_matches('/').rsplit('/').next().unwrap().to_owned();
        assert!(!log.contains(&token), "a link stands in the log");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_the_hub_did_not_make_is_told_so_and_ends_nothing() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let at = hub.address;
    let root = Colleague::join(&database, "root", "super_admin", "");
    // `1:ticket_created`, with a signature of the right length.
    let forged = "MTp0aWNrZXRfY3JlYXRlZA.AAAAAAAAAAAAAAAAAAAAAA";
    for token in [forged, "MTp0aWNrZXRfY3JlYXRlZA", "x", "%FF", "%00", "a.b"] {
        for method in [Method::GET, Method::POST] {
            let url = format!("http://{at}/unsubscribe/{token}/");
            let answer = ask(method.clone(), &url).await;
            assert_eq!(answer.status(), 404, "{method} {token}");
            assert!(answer.headers().contains_key("content-security-policy"));
            let page = answer.text().await.unwrap();
            assert!(page.contains("This link does not work"), "{method} {token}: {page}");
        }
    }
    assert_eq!(gets_mail(&root, at, "ticket_created").await, true);
}
