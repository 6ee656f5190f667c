//! A forgotten password, from the request to the next login, with a real mail server.

use std::net::SocketAddr;
use std::path::Path;

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::sink::{Mail, Sink};
use super::{Colleague, PATIENCE, until};
use crate::support::process::{Process, folder, run, run_ok};

/// Where users reach the hub from outside.
const PUBLIC: &str = "https://desk.example";

const RESET: &str = "/api/auth/password/reset/";
const CONFIRM: &str = "/api/auth/password/reset/confirm/";

fn serve(database: &Path, sink: &Sink, more: &[(&str, &str)]) -> Process {
    let url = sink.url();
    let mut settings = vec![
        ("BELLPULL_SMTP_URL", url.as_str()),
        ("BELLPULL_SMTP_FROM", "desk@example.com"),
        ("BELLPULL_RETRY_BASE_MS", "50"),
        ("BELLPULL_HTTP_PUBLIC_URL", PUBLIC),
    ];
    settings.extend(more);
    Process::serve(database, &settings)
}

/// A request without a token, or with one.
async fn ask(
    at: SocketAddr,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: &Value,
) -> (u16, Value) {
    let client = bellpull::tls::client().timeout(PATIENCE).build().unwrap();
    let mut request = client.request(method, format!("http://{at}{path}")).json(body);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
}

async fn post(at: SocketAddr, path: &str, body: Value) -> (u16, Value) {
    ask(at, Method::POST, path, None, &body).await
}

/// A login's access and refresh token.
async fn log_in(at: SocketAddr, username: &str, password: &str) -> Result<(String, String), u16> {
    let body = json!({"username": username, "password": password});
    let (status, answer) = post(at, "/api/auth/login/", body).await;
    let text = |key: &str| answer[key].as_str().unwrap().to_owned();
    if status == 200 { Ok((text("access"), text("refresh"))) } else { Err(status) }
}

async fn me(at: SocketAddr, token: &str) -> (u16, Value) {
    ask(at, Method::GET, "/api/auth/me/", Some(token), &Value::Null).await
}

struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// One that has been welcomed.
    async fn open(at: SocketAddr, token: &str) -> Self {
        let stream = TcpStream::connect(at).await.unwrap();
        let url = format!("ws://{at}/ws/?token={token}");
        let handshake = tokio_tungstenite::client_async(url, stream);
        let (mut socket, _) = timeout(PATIENCE, handshake).await.expect("in time").unwrap();
        let first = timeout(PATIENCE, socket.next()).await.expect("in time").unwrap().unwrap();
        assert!(first.to_string().contains("welcome"), "{first}");
        Self(socket)
    }

    /// The code with which it is closed.
    async fn closed(mut self) -> u16 {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("in time") {
                Some(Ok(Message::Close(Some(close)))) => return close.code.into(),
                Some(Ok(_)) => {}
                other => panic!("no closing frame: {other:?}"),
            }
        }
    }
}

/// The text of a mail without the encoding of its lines.
fn decoded(mail: &Mail) -> String {
    mail.text.replace("=\r\n", "").replace("=3D", "=")
}

/// The token in a mail's link to the page of that name.
fn token(mail: &Mail, page: &str) -> String {
    let (text, start) = (decoded(mail), format!("{PUBLIC}/account/{page}/#"));
    let (_, rest) = text.split_once(&start).unwrap_or_else(|| panic!("no link in {text}"));
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect()
}

/// Whether any file of the database has the text in it.
fn is_stored(database: &Path, text: &str) -> bool {
    let files = std::fs::read_dir(database.parent().unwrap()).unwrap();
    files
        .map(|file| std::fs::read(file.unwrap().path()).unwrap_or_default())
        .any(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_password_is_reset_by_mail_and_all_logins_end() {
    let Some(mut sink) = Sink::start().await else { return };
    let (folder, database) = folder();
    let hub = serve(&database, &sink, &[("BELLPULL_LOG_FILTER", "debug")]);
    let at = hub.address;
    let ada = Colleague::join(&database, "ada", "client", "");
    let root = Colleague::join(&database, "root", "super_admin", "");
    let (access, refresh) = log_in(at, "ada", "correct horse").await.unwrap();
    let socket = Socket::open(at, &access).await;

    assert_eq!(post(at, RESET, json!({"email": "ADA@example.com"})).await.0, 202);
    let mail = sink.mail().await;
    assert_eq!(mail.to, "ada@example.com");
    assert_eq!(mail.header("List-Unsubscribe"), "", "such a mail cannot be ended");
    assert!(mail.header("Content-Type").starts_with("multipart/alternative"), "{}", mail.text);
    let token = token(&mail, "password");

    // Nowhere but in the mail.
    until("it is sent", async || root.count(at, "EMAIL", "SENT").await == 1).await;
    let log = root.get(at, "/api/deliveries/").await;
    assert_eq!((&log["count"], &log["results"][0]["recipient"]), (&json!(1), &json!(ada.id)));
    let signature = token.rsplit('.').next().unwrap();
    assert!(!log.to_string().contains(signature) && !is_stored(&database, signature));
    assert_eq!(ada.get(at, "/api/notifications/").await["count"], 0, "not in the inbox");

    // An invalid password leaves the link usable.
    let confirm = |password: &str| json!({"token": token, "new_password": password});
    let (status, answer) = post(at, CONFIRM, confirm("short")).await;
    assert_eq!(status, 400);
    assert!(answer["new_password"][0].as_str().unwrap().contains("too short"), "{answer}");
    let mut forged = token.clone();
    let last = if forged.pop() == Some('A') { 'Q' } else { 'A' };
    forged.push(last);
    for bad in [forged.as_str(), "x", "", "a.b", &token[..token.len() - 4]] {
        let (status, answer) =
            post(at, CONFIRM, json!({"token": bad, "new_password": "battery staple"})).await;
        assert_eq!(status, 400, "{bad}");
        assert!(answer["token"][0].is_string(), "{answer}");
    }
    assert_eq!(me(at, &access).await.0, 200, "nothing has happened yet");

    assert_eq!(post(at, CONFIRM, confirm("battery staple")).await.0, 204);
    assert_eq!(socket.closed().await, 4401);
    assert_eq!(me(at, &access).await.0, 401);
    let body = json!({ "refresh": refresh });
    assert_eq!(post(at, "/api/auth/refresh/", body.clone()).await.0, 401);
    assert_eq!(log_in(at, "ada", "correct horse").await, Err(401));
    assert_eq!(post(at, CONFIRM, confirm("another staple")).await.0, 400, "used twice");
    let (new, _) = log_in(at, "ada", "battery staple").await.unwrap();
    assert_eq!(me(at, &new).await.0, 200);

    // The next process knows it too.
    assert!(hub.terminate().success());
    let hub = serve(&database, &sink, &[]);
    let at = hub.address;
    assert_eq!(me(at, &access).await.0, 401);
    assert_eq!(post(at, "/api/auth/refresh/", body).await.0, 401);
    assert_eq!(post(at, CONFIRM, confirm("another staple")).await.0, 400);
    assert_eq!(me(at, &new).await.0, 200);
    drop(folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_does_not_reveal_which_accounts_exist() {
    let Some(mut sink) = Sink::start().await else { return };
    let (_folder, database) = folder();
    let hub = serve(&database, &sink, &[]);
    let at = hub.address;
    let ada = Colleague::join(&database, "ada", "client", "");
    let bob = Colleague::join(&database, "bob", "client", "");
    let root = Colleague::join(&database, "root", "super_admin", "");
    let off = json!({"is_active": false});
    root.ask(at, Method::PATCH, &format!("/api/users/{}/", bob.id), &off).await;
    let mut answers = Vec::new();
    for email in ["unknown@example.com", "bob@example.com", "ada@example.com"] {
        answers.push(post(at, RESET, json!({ "email": email })).await);
    }
    assert_eq!(answers[0].0, 202);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let first = sink.mail().await;
    assert_eq!(first.to, "ada@example.com");

    // A few mails an hour go to one address; the answer stays the same.
    for _ in 0..5 {
        let answer = post(at, RESET, json!({"email": "ada@example.com"})).await;
        assert_eq!(answer, answers[0]);
    }
    let sent = async || root.count(at, "EMAIL", "SENT").await == 3;
    until("the others are sent", sent).await;
    let rest = sink.rest().await;
    assert_eq!(rest.len(), 2, "{rest:?}");

    // All links are good until one of them is used; then none is.
    let [one, two] = [&first, &rest[0]].map(|mail| token(mail, "password"));
    let confirm = |token: &str| json!({"token": token, "new_password": "battery staple"});
    assert_eq!(post(at, CONFIRM, confirm(&one)).await.0, 204);
    assert_eq!(post(at, CONFIRM, confirm(&two)).await.0, 400);

    // From one client no more than that many requests are taken.
    let mut last = (202, Value::Null);
    for n in 0..30 {
        last = post(at, RESET, json!({"email": format!("unknown{n}@example.com")})).await;
    }
    assert_eq!((last.0, &last.1["code"]), (429, &json!("throttled")));
    assert_eq!(ada.get(at, "/api/notifications/").await["count"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_password_voids_the_link_of_a_mail() {
    let Some(mut sink) = Sink::start().await else { return };
    let (_folder, database) = folder();
    let hub = serve(&database, &sink, &[]);
    let at = hub.address;
    Colleague::join(&database, "ada", "client", "");
    let root = Colleague::join(&database, "root", "super_admin", "");
    // The mail waits while the server is away, and is not sent once its link is void.
    sink.be("later").await;
    assert_eq!(post(at, RESET, json!({"email": "ada@example.com"})).await.0, 202);
    until("it was tried", async || root.newest(at, "EMAIL").await["attempts"].as_u64() >= Some(1))
        .await;
    let (access, _) = log_in(at, "ada", "correct horse").await.unwrap();
    let body = json!({"current_password": "correct horse", "new_password": "battery staple"});
    let changed = ask(at, Method::POST, "/api/auth/password/", Some(&access), &body).await;
    assert_eq!(changed.0, 204, "{changed:?}");
    until("it is held back", async || root.count(at, "EMAIL", "SUPPRESSED").await == 1).await;
    assert_eq!(root.newest(at, "EMAIL").await["rule"], "expired");
    sink.be("ok").await;
    assert!(sink.rest().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_leave_only_once_the_address_is_confirmed() {
    let Some(mut sink) = Sink::start().await else { return };
    let (_folder, database) = folder();
    let hub = serve(&database, &sink, &[]);
    let at = hub.address;
    let root = Colleague::join(&database, "root", "super_admin", "");
    let jane = json!({"username": "jane", "email": "jane@example.com",
        "password": "correct horse"});
    let (status, user) = post(at, "/api/auth/register/", jane).await;
    assert_eq!((status, &user["email_verified"]), (201, &json!(false)), "{user}");
    let to_jane = async |sink: &mut Sink| {
        loop {
            let mail = sink.mail().await; // root is told of the registration
            if mail.to == "jane@example.com" {
                return mail;
            }
        }
    };
    let token = token(&to_jane(&mut sink).await, "email");
    let (access, _) = log_in(at, "jane", "correct horse").await.unwrap();
    assert_eq!(me(at, &access).await.1["email_verified"], false);

    let raise = async |title: &str| {
        let body = json!({ "title": title });
        let ticket = ask(at, Method::POST, "/api/tickets/", Some(&access), &body).await.1;
        let open = format!("/api/tickets/{}/open/", ticket["id"]);
        root.post(at, &open, json!({})).await;
        ticket["id"].as_i64().unwrap()
    };
    let ticket = raise("One").await;
    until("it is held back", async || root.count(at, "EMAIL", "SUPPRESSED").await == 1).await;
    assert_eq!(root.newest(at, "EMAIL").await["rule"], "unverified");
    let path = format!("/api/tickets/{ticket}/explain/?user={}", user["id"]);
    let told = root.get(at, &path).await;
    let ways = told["results"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|one| one["channels"].as_array().unwrap().clone());
    let email = ways.into_iter().find(|way| way["rule"] == "unverified").expect("an explanation");
    assert!(email["text"].as_str().unwrap().contains("not confirmed"), "{email}");

    let path = "/api/auth/email/confirm/";
    assert_eq!(post(at, path, json!({"token": "x"})).await.0, 400);
    let as_password = json!({"token": token, "new_password": "battery staple"});
    assert_eq!(post(at, CONFIRM, as_password).await.0, 400, "a link is good for one thing");
    assert_eq!(post(at, path, json!({ "token": token })).await.0, 204);
    assert_eq!(post(at, path, json!({ "token": token })).await.0, 400, "used twice");
    until("it is known", async || me(at, &access).await.1["email_verified"] == true).await;
    raise("Two").await;
    assert_eq!(to_jane(&mut sink).await.header("Subject"), "Ticket Opened");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmation_is_sent_again_and_an_admins_word_is_enough() {
    let Some(mut sink) = Sink::start().await else { return };
    let (_folder, database) = folder();
    let hub = serve(&database, &sink, &[]);
    let at = hub.address;
    let jane = json!({"username": "jane", "email": "jane@example.com",
        "password": "correct horse"});
    let (_, user) = post(at, "/api/auth/register/", jane).await;
    sink.mail().await;
    let root = Colleague::join(&database, "root", "super_admin", "");
    let (access, _) = log_in(at, "jane", "correct horse").await.unwrap();
    let again = async || {
        ask(at, Method::POST, "/api/auth/email/resend/", Some(&access), &json!({})).await.0
    };
    assert_eq!(again().await, 202);
    let old = token(&sink.mail().await, "email");
    let statuses = [again().await, again().await, again().await, again().await];
    assert_eq!(statuses[3], 429, "{statuses:?}");

    // Another address, from an issuer that vouches for it.
    let change = json!({"email": "jane@elsewhere.example"});
    let path = format!("/api/users/{}/", user["id"]);
    let (status, after) = root.ask(at, Method::PATCH, &path, &change).await;
    assert_eq!((status, &after["email_verified"]), (200, &json!(true)), "{after}");
    let confirm = post(at, "/api/auth/email/confirm/", json!({ "token": old })).await;
    assert_eq!(confirm.0, 400, "it was for the address before");
    let made = json!({"username": "joe", "email": "joe@example.com", "password": "long enough"});
    assert_eq!(root.post(at, "/api/users/", made).await["email_verified"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_public_address_the_link_leads_to_the_one_the_hub_listens_on() {
    let Some(mut sink) = Sink::start().await else { return };
    let (_folder, database) = folder();
    let url = sink.url();
    let settings = [
        ("BELLPULL_SMTP_URL", url.as_str()),
        ("BELLPULL_SMTP_FROM", "desk@example.com"),
        ("BELLPULL_AUTH_VERIFY_EMAIL", "false"),
    ];
    let hub = Process::serve(&database, &settings);
    let at = hub.address;
    Colleague::join(&database, "ada", "client", "");
    assert_eq!(post(at, RESET, json!({"email": "ada@example.com"})).await.0, 202);
    let text = decoded(&sink.mail().await);
    assert!(text.contains(&format!("http://{at}/account/password/#")), "{text}");

    // Where addresses need no confirmation, none is requested.
    let jane = json!({"username": "jane", "email": "jane@example.com",
        "password": "correct horse"});
    assert_eq!(post(at, "/api/auth/register/", jane).await.0, 201);
    let (access, _) = log_in(at, "jane", "correct horse").await.unwrap();
    let root = Colleague::join(&database, "root", "super_admin", "");
    let ticket = json!({"title": "One"});
    let ticket = ask(at, Method::POST, "/api/tickets/", Some(&access), &ticket).await.1;
    sink.mail().await; // root's
    root.post(at, &format!("/api/tickets/{}/open/", ticket["id"]), json!({})).await;
    let mail = sink.mail().await;
    assert_eq!(
        (mail.to.as_str(), mail.header("Subject").as_str()),
        ("jane@example.com", "Ticket Opened")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sets_a_password_beside_a_running_hub() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let at = hub.address;
    let ada = Colleague::join(&database, "ada", "client", "");
    let (access, refresh) = log_in(at, "ada", "correct horse").await.unwrap();
    let socket = Socket::open(at, &access).await;
    let arguments = ["user", "password", "--username", "ada", "--password"];
    let line = run_ok(&database, &[&arguments[..], &["battery staple"]].concat());
    let user: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&user["id"], &user["username"]), (&json!(ada.id), &json!("ada")));
    assert_eq!(socket.closed().await, 4401);
    until("its tokens are refused", async || me(at, &access).await.0 == 401).await;
    assert_eq!(post(at, "/api/auth/refresh/", json!({ "refresh": refresh })).await.0, 401);
    assert_eq!(log_in(at, "ada", "correct horse").await, Err(401));
    assert!(log_in(at, "ada", "battery staple").await.is_ok());

    // Without e-mail this is the only way.
    let (status, answer) = post(at, RESET, json!({"email": "ada@example.com"})).await;
    let detail = answer["detail"].as_str().unwrap();
    assert_eq!(status, 403, "{answer}");
    assert!(detail.contains("smtp.url") && detail.contains("bellpull user password"), "{detail}");

    for (user, password, code, wanted) in [
        ("unknown", "battery staple", 1, "--username: there is no user unknown"),
        ("ada", "short", 2, "--password: This password is too short."),
    ] {
        let arguments = ["user", "password", "--username", user, "--password", password];
        let output = run(&database, &arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(wanted), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owners_new_address_gets_a_link_that_confirms_it() {
    let Some(mut sink) = Sink::start().await else { return };
    let (_folder, database) = folder();
    let hub = serve(&database, &sink, &[]);
    let at = hub.address;
    Colleague::join(&database, "ada", "client", "");
    let (access, _) = log_in(at, "ada", "correct horse").await.unwrap();
    let move_to = async |email: &str| {
        let body = json!({"email": email, "current_password": "correct horse"});
        ask(at, Method::PATCH, "/api/auth/me/", Some(&access), &body).await
    };
    let (status, after) = move_to("ada@elsewhere.example").await;
    assert_eq!((status, &after["email_verified"]), (200, &json!(false)), "{after}");
    let mail = sink.mail().await;
    assert_eq!(mail.to, "ada@elsewhere.example");
    let link = json!({"token": token(&mail, "email")});
    assert_eq!(post(at, "/api/auth/email/confirm/", link).await.0, 204);
    until("it is known", async || me(at, &access).await.1["email_verified"] == true).await;

    // Links go to a few new addresses an hour; one more changes nothing.
    let mut last = (200, Value::Null);
    for n in 0..4 {
        last = move_to(&format!("ada{n}@elsewhere.example")).await;
    }
    assert_eq!((last.0, &last.1["code"]), (429, &json!("throttled")), "{last:?}");
    assert_ne!(me(at, &access).await.1["email"], "ada3@elsewhere.example");
}
