//! How the hub speaks to a mail server: encrypted or not at all, as whom, and whom it believes.

use std::path::Path;

use serde_json::Value;

use super::sink::Sink;
use super::{Colleague, until};
use crate::support::process::{Process, folder, run};

/// As the server has it, and as it stands in a URL.
const PASSWORD: &str = "p%40ss%3Aword%2F1";

fn serve(database: &Path, url: &str, ca_file: Option<&Path>) -> Process {
    let mut settings = vec![
        ("BELLPULL_SMTP_URL", url),
        ("BELLPULL_SMTP_FROM", "desk@example.com"),
        ("BELLPULL_RETRY_BASE_MS", "50"),
    ];
    settings.extend(ca_file.map(|file| ("BELLPULL_SMTP_CA_FILE", file.to_str().unwrap())));
    Process::serve(database, &settings)
}

/// The newest e-mail's delivery, once an attempt at it has come to nothing.
async fn tried(hub: &Process, ada: &Colleague) -> Value {
    let mut newest = Value::Null;
    let is_tried = async || {
        newest = ada.newest(hub.address, "EMAIL").await;
        newest["error"].is_string()
    };
    until("an attempt has come to nothing", is_tried).await;
    newest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_go_out_encrypted_and_authenticated() {
    for (tls, login, scheme, query) in [
        ("starttls", "PLAIN", "smtp", "?tls=required"),
        ("starttls", "LOGIN", "smtp", "?tls=opportunistic"),
        ("smtps", "PLAIN", "smtps", ""),
        ("smtps", "LOGIN", "smtps", ""),
    ] {
        let (folder, database) = folder();
        let ca_file = folder.path().join("ca.pem");
        let ca = ca_file.to_str().unwrap();
        let arguments = ["--tls", tls, "--ca", ca, "--login", login];
        let Some(mut sink) = Sink::start_with(&arguments).await else { return };
        let url = format!("{scheme}://desk:{PASSWORD}@127.0.0.1:{}{query}", sink.port);
        let hub = serve(&database, &url, Some(&ca_file));
        let carl = Colleague::join(&database, "carl", "client", "");
        let ada = Colleague::join(&database, "ada", "admin", "");
        carl.raise(hub.address, "One").await;
        let mail = sink.mail().await;
        assert!(mail.is_encrypted && mail.to == "ada@example.com", "{tls} {login}: {mail:?}");
        until("it is sent", async || ada.count(hub.address, "EMAIL", "SENT").await == 1).await;
        assert!(hub.terminate().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_a_trusted_certificate_is_sent_nothing() {
    for (tls, scheme, query) in [("starttls", "smtp", "?tls=required"), ("smtps", "smtps", "")] {
        let (folder, database) = folder();
        let ca_file = folder.path().join("ca.pem");
        let arguments = ["--tls", tls, "--ca", ca_file.to_str().unwrap()];
        let Some(mut sink) = Sink::start_with(&arguments).await else { return };
        let url = format!("{scheme}://127.0.0.1:{}{query}", sink.port);
        let hub = serve(&database, &url, None);
        let carl = Colleague::join(&database, "carl", "client", "");
        let ada = Colleague::join(&database, "ada", "admin", "");
        carl.raise(hub.address, "One").await;
        let delivery = tried(&hub, &ada).await;
        let error = delivery["error"].as_str().unwrap().to_lowercase();
        assert!(error.contains("certificate"), "{error}");
        assert_eq!(delivery["status"], "QUEUED", "it is the server's fault: {delivery}");
        assert!(sink.rest().await.is_empty());

        // Another host's name is not this one's, whichever CA has signed it.
        assert!(hub.terminate().success());
        let other = url.replace("127.0.0.1", "localhost");
        let hub = serve(&database, &other, Some(&ca_file));
        carl.raise(hub.address, "Two").await;
        let error = tried(&hub, &ada).await["error"].as_str().unwrap().to_lowercase();
        assert!(error.contains("certificate") || error.contains("connect"), "{error}");
        assert!(sink.rest().await.is_empty());
        assert!(hub.terminate().success());

        let hub = serve(&database, &url, Some(&ca_file));
        until("both are sent", async || ada.count(hub.address, "EMAIL", "SENT").await == 2).await;
        assert!(hub.terminate().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_encryption_gets_nothing_where_it_is_required() {
    let Some(mut sink) = Sink::start().await else { return };
    let (_folder, database) = folder();
    let hub = serve(&database, &format!("{}?tls=required", sink.url()), None);
    let carl = Colleague::join(&database, "carl", "client", "");
    let ada = Colleague::join(&database, "ada", "admin", "");
    carl.raise(hub.address, "One").await;
    let delivery = tried(&hub, &ada).await;
    assert_eq!(delivery["status"], "QUEUED", "{delivery}");
    let error = delivery["error"].as_str().unwrap();
    assert!(error.contains("STARTTLS"), "{error}");
    assert!(sink.rest().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_an_outage_and_shown_nowhere() {
    for login in ["PLAIN", "LOGIN"] {
        let (folder, database) = folder();
        let ca_file = folder.path().join("ca.pem");
        let ca = ca_file.to_str().unwrap();
        let arguments = ["--tls", "smtps", "--ca", ca, "--login", login];
        let Some(mut sink) = Sink::start_with(&arguments).await else { return };
        let url = format!("smtps://desk:hunter2@127.0.0.1:{}", sink.port);
        let hub = serve(&database, &url, Some(&ca_file));
        let carl = Colleague::join(&database, "carl", "client", "");
        let ada = Colleague::join(&database, "ada", "admin", "");
        carl.raise(hub.address, "One").await;
        let delivery = tried(&hub, &ada).await;
        assert_eq!(delivery["status"], "QUEUED", "no recipient's fault: {delivery}");
        let error = delivery["error"].as_str().unwrap();
        assert!(error.contains("535"), "{login}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
        assert!(sink.rest().await.is_empty());
        assert!(hub.terminate().success());

        let right = format!("smtps://desk:{PASSWORD}@127.0.0.1:{}", sink.port);
        let hub = serve(&database, &right, Some(&ca_file));
        sink.mail().await;
        assert!(hub.terminate().success());
    }
}

#[test]
fn certificates_that_cannot_be_read_stop_the_start() {
    let (folder, database) = folder();
    let garbage = folder.path().join("garbage.pem");
    std::fs::write(&garbage, "no certificate").unwrap();
    let missing = folder.path().join("missing.pem");
    for (url, file) in [
        ("smtps://mail.example", &garbage),
        ("smtps://mail.example", &missing),
        ("smtp://mail.example", &garbage),
    ] {
        let file = file.to_str().unwrap();
        let mut arguments = vec!["serve", "--listen", "127.0.0.1:0", "--smtp-url", url];
        arguments.extend(["--smtp-from", "desk@example.com", "--smtp-ca-file", file]);
        let output = run(&database, &arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.starts_with("bellpull: smtp.ca_file: "), "{stderr}");
    }
}
