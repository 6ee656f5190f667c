//! The console that the hub serves, in Chromium: logged in by its own form and left open.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Browser;
use super::client::PATIENCE;
use super::debugger::{LOOK_EVERY, debugger, evaluate, until};
use crate::support::process::{Process, folder, person};

/// How many access tokens were renewed, by the hub's own count.
async fn renewals(at: SocketAddr) -> u64 {
    let client = bellpull::tls::client().build().unwrap();
    let text = client.get(format!("http://{at}/metrics")).send().await.unwrap().text().await;
    let text = text.unwrap();
    let of_refresh = |line: &&str| {
        line.starts_with("bellpull_http_requests_total{") && line.contains("/api/auth/refresh/")
    };
    let counts = text.lines().filter(of_refresh).filter_map(|line| line.rsplit(' ').next());
    counts.map(|count| count.parse::<u64>().unwrap()).sum()
}

/// A hub whose access tokens live so long, and its console, logged in.
async fn open(ttl_s: u32) -> Option<(Process, Browser, String, tempfile::TempDir)> {
    let (folder, database) = folder();
    let ttl = ttl_s.to_string();
    let hub = Process::serve(&database, &[("BELLPULL_AUTH_ACCESS_TTL_S", &ttl)]);
    person(&database, "root", "super_admin");
    let browser = Browser::open(&format!("http://{}/console/", hub.address))?;
    let socket = debugger(&browser, "/console/").await;
    until(&socket, "document.getElementById('login')?.onsubmit != null").await;
    let log_in = "const form = document.getElementById('login'); \
                  form.elements.username.value = 'root'; \
                  form.elements.password.value = 'correct horse'; form.requestSubmit(); true";
    evaluate(&socket, log_in).await;
    until(&socket, IS_LIVE).await;
    Some((hub, browser, socket, folder))
}

const IS_LIVE: &str = "document.getElementById('line').textContent === 'live'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_console_renews_its_token_once_in_two_thirds_of_its_life() {
    let Some((hub, _browser, socket, _folder)) = open(30).await else { return };
    let begun = Instant::now();
    while renewals(hub.address).await == 0 {
        assert!(begun.elapsed() < PATIENCE, "the token is never renewed");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    // The next one is due 20 s later.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let (made, took) = (renewals(hub.address).await, begun.elapsed());
    let due = took.as_secs() / 19;
    assert!(made <= due.max(1), "{made} renewals in {took:?}");
    assert!(evaluate(&socket, IS_LIVE).await == json!(true), "it is connected still");
}

/// `cargo test --test it -- --ignored --nocapture an_open_console_renews_at_most_fifteen`: prints
/// the count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes ten minutes"]
async fn an_open_console_renews_at_most_fifteen_times_in_ten_minutes_of_tokens_of_a_minute() {
    let Some((hub, _browser, socket, _folder)) = open(60).await else { return };
    tokio::time::sleep(Duration::from_secs(600)).await;
    let made = renewals(hub.address).await;
    println!("{made} renewals in 600 s");
    assert!((10..=15).contains(&made), "{made} renewals in 600 s");
    assert!(evaluate(&socket, IS_LIVE).await == json!(true), "it is connected still");
}
