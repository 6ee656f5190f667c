//! `demo --data`: what a hub looks like that has been in use: twenty users, three projects, sixty
//! tickets, sends, e-mails of which some are refused, and a slow request.

use std::time::Duration;

use bellpull_config::delivery::SmtpConfig;
use bellpull_config::{Config, Secret};
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::client::Person;
use super::{PASSWORD, account};
use crate::app::App;

/// Those who act; the story's four are there already.
const ACTORS: [(&str, &str, &str); 6] = [
    ("mia_sales", "Mia Thompson", "client"),
    ("omar_shop", "عمر حداد", "client"),
    ("lena_books", "Lena Fischer", "client"),
    ("ben_dev", "Ben Carter", "developer"),
    ("yuki_dev", "Yuki Tanaka", "developer"),
    ("iris_lead", "Iris Novak", "admin"),
];
/// The others. The mail server refuses the addresses of the last two.
const OTHERS: [(&str, &str, &str); 10] = [
    ("paul_store", "Paul Adams", "client"),
    ("nora_desk", "Nora Lind", "client"),
    ("ivan_stock", "Ivan Petrov", "client"),
    ("chloe_web", "Chloé Martin", "developer"),
    ("sam_ops", "Sam Osei", "developer"),
    ("tara_qa", "Tara Singh", "developer"),
    ("hugo_app", "Hugo Silva", "developer"),
    ("emma_lead", "Emma Berg", "admin"),
    ("left_client", "Karl Weiss", "client"),
    ("left_dev", "Dana Cole", "developer"),
];
const PROJECTS: [(&str, &str); 2] = [("WEB", "Website"), ("APP", "Mobile app")];
const TITLES: [(&str, &str, &str); 12] = [
    ("Checkout fails with a gift card", "CRITICAL", "BUG"),
    ("Search finds nothing for umlauts", "MEDIUM", "BUG"),
    ("Export orders as CSV", "LOW", "FEATURE"),
    ("Invoice shows the wrong address", "HIGH", "BUG"),
    ("Dark theme for the dashboard", "LOW", "FEATURE"),
    ("Cannot reset my password", "HIGH", "SUPPORT"),
    ("Photos are rotated after upload", "MEDIUM", "BUG"),
    ("Remind customers of full baskets", "MEDIUM", "FEATURE"),
    ("لا تظهر صور المنتجات", "HIGH", "BUG"),
    ("How do I add a second user?", "LOW", "SUPPORT"),
    ("App closes when the camera opens", "CRITICAL", "BUG"),
    ("Page of an order loads for eight seconds", "HIGH", "BUG"),
];
const COMMENTS: [&str; 5] = [
    "I see this too, since the update of Monday.",
    "@sara_dev could you have a look?",
    "It works in a private window, so it may be the cache.",
    "Fixed on staging: please try again.",
    "Thank you, that helps!",
];
const TICKETS: usize = 60;
/// Far below what a login takes, whose password is hashed.
const SLOW: Duration = Duration::from_millis(20);

/// Settings with which there is something to see; e-mails go to a server of the demo's own.
pub(super) async fn prepare(config: &mut Config) -> Result<(), String> {
    config.slow.request = Some(SLOW);
    // One user here does the work of many.
    config.http.writes_per_s = 0;
    if config.delivery.smtp.is_some() {
        return Ok(());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    config.delivery.smtp = Some(SmtpConfig {
        url: Secret::new(format!("smtp://{address}")),
        from: "Bellpull <desk@example.com>".to_owned(),
        hello: None,
        ca_file: None,
        per_s: 0,
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take_mails(stream));
        }
    });
    Ok(())
}

/// A mail server that accepts mails and keeps none; it does not know those who left.
async fn take_mails(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut is_mail = false;
    stream.write_all(b"220 demo\r\n").await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let answer = match line.trim_end() {
            "." => "250 kept nowhere",
            _ if is_mail => "",
            "DATA" => "354 go on",
            to if to.starts_with("RCPT") && to.contains("left_") => "550 5.1.1 user unknown",
            _ => "250 ok",
        };
        is_mail = (is_mail || answer.starts_with("354")) && !answer.starts_with("250");
        if !answer.is_empty() {
            stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        }
        line.clear();
    }
    Ok(())
}

/// Fills the hub by requests, as its users would.
///
/// # Errors
/// The first request that was refused.
pub(super) async fn fill(app: &App) -> Result<(), String> {
    let hash = app.auth().hash_password(PASSWORD.to_owned()).await;
    let hash = hash.map_err(|error| error.to_string())?;
    for member in ACTORS.into_iter().chain(OTHERS) {
        let new = account(member, hash.clone())?;
        app.store().create_user(new, None).await.map_err(|error| error.to_string())?;
    }
    let url = app.url();
    let log_in = async |name: &'static str| Person::log_in(&url, name, "", PASSWORD).await;
    let root = log_in("root_admin").await?;
    let mut clients = Vec::new();
    let mut developers = Vec::new();
    for (name, _, role) in ACTORS {
        match role {
            "client" => clients.push(log_in(name).await?),
            "developer" => developers.push(log_in(name).await?),
            _ => {}
        }
    }
    let (ada, sara) = (log_in("ada_admin").await?, log_in("sara_dev").await?);
    developers.push(sara);
    let mut projects = vec![1];
    for (key, name) in PROJECTS {
        let body = json!({"key": key, "name": name});
        let project = made(&root, &url, "/api/projects/", body).await?;
        for member in clients.iter().chain(&developers) {
            let path = format!("/api/projects/{project}/members/");
            root.post(&url, &path, json!({"user": member.id})).await?;
        }
        projects.push(project);
    }
    for n in 0..TICKETS {
        let (title, priority, category) = TITLES[n % TITLES.len()];
        let body = json!({"title": title, "priority": priority, "category": category,
            "project": projects[n % projects.len()],
            "description": "What I did, what I expected, and what happened instead."});
        let client = &clients[n % clients.len()];
        let ticket = made(client, &url, "/api/tickets/", body).await?;
        work(&url, ticket, n, [client, &ada, &developers[n % developers.len()]]).await?;
    }
    send(&root, &url).await
}

/// What a request makes.
async fn made(who: &Person, url: &str, path: &str, body: Value) -> Result<i64, String> {
    let answer = who.post(url, path, body).await?;
    answer.body["id"].as_i64().ok_or(format!("{path} answered without an id"))
}

/// Takes each ticket so far, and no further.
async fn work(url: &str, ticket: i64, n: usize, who: [&Person; 3]) -> Result<(), String> {
    let [client, ada, developer] = who;
    let steps = [
        (ada, "open", json!({})),
        (ada, "assign", json!({"developers": [developer.id]})),
        (developer, "start_work", json!({})),
        (developer, "finish_work", json!({})),
        match n % 7 {
            6 => (client, "reject", json!({"reason": "It happens again on my phone."})),
            _ => (client, "approve", json!({})),
        },
    ];
    for (who, step, body) in steps.into_iter().take(n % 7) {
        who.post(url, &format!("/api/tickets/{ticket}/{step}/"), body).await?;
    }
    for nth in 0..n % 4 {
        let body = json!({"body": COMMENTS[(n + nth) % COMMENTS.len()]});
        let path = format!("/api/tickets/{ticket}/comments/");
        [ada, client, developer][nth % 3].post(url, &path, body).await?;
    }
    Ok(())
}

/// Messages to many, one of them for tomorrow.
async fn send(root: &Person, url: &str) -> Result<(), String> {
    let tomorrow = Timestamp::now() + 24.hours();
    for body in [
        json!({"recipients": "all", "title": "Deploy 2.16 finished",
            "message": "Version 2.16 is live.\nSee the release notes for what has changed.",
            "action_url": "https://example.com/releases/2.16", "channels": ["SYSTEM", "EMAIL"]}),
        json!({"recipients": "all", "title": "Planned maintenance on Sunday",
            "message": "The hub restarts between 6 and 7. You need to do nothing."}),
        json!({"recipients": "all", "title": "Maintenance starts soon", "message": "In one hour.",
            "send_at": tomorrow.to_string()}),
    ] {
        root.post(url, "/api/notifications/", body).await?;
    }
    Ok(())
}
