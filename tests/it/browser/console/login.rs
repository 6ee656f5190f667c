//! Signing in by the form, a forgotten password, and tokens that are renewed while it is open.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::client::PATIENCE;
use super::super::page::Page;
use super::IS_LIVE;
use crate::support::Hub;
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

/// A hub whose access tokens live so long, and its console, signed in.
async fn open(ttl_s: u32) -> Option<(Process, Page, tempfile::TempDir)> {
    let (folder, database) = folder();
    let ttl = ttl_s.to_string();
    let hub = Process::serve(&database, &[("BELLPULL_AUTH_ACCESS_TTL_S", &ttl)]);
    person(&database, "root", "super_admin");
    let url = format!("http://{}/console/", hub.address);
    let mut page = Page::open(&url, "/console/").await?;
    page.go(&url).await;
    page.until("fill('[name=username]', 'root')").await;
    page.run("fill('[name=password]', 'wrong'); press('button[type=submit]')").await;
    page.until("shows('No active account found')").await;
    page.run("fill('[name=password]', 'correct horse'); press('button[type=submit]')").await;
    page.until(IS_LIVE).await;
    Some((hub, page, folder))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_console_renews_its_token_once_in_two_thirds_of_its_life() {
    let Some((hub, mut page, _folder)) = open(30).await else { return };
    let begun = Instant::now();
    while renewals(hub.address).await == 0 {
        assert!(begun.elapsed() < PATIENCE, "the token is never renewed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // The next one is due 20 s later.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let (made, took) = (renewals(hub.address).await, begun.elapsed());
    let due = took.as_secs() / 19;
    assert!(made <= due.max(1), "{made} renewals in {took:?}");
    assert!(page.run(IS_LIVE).await == true, "it is connected still");
    page.run("press('a', 'Account')").await;
    page.until("press('button', 'Sign out')").await;
    page.until("shows('Forgot password') && sessionStorage.getItem('bellpull') === null").await;
}

/// `cargo test --test it -- --ignored --nocapture an_open_console_renews_at_most_fifteen`: prints
/// the count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes ten minutes"]
async fn an_open_console_renews_at_most_fifteen_times_in_ten_minutes_of_tokens_of_a_minute() {
    let Some((hub, mut page, _folder)) = open(60).await else { return };
    tokio::time::sleep(Duration::from_secs(600)).await;
    let made = renewals(hub.address).await;
    println!("{made} renewals in 600 s");
    assert!((10..=15).contains(&made), "{made} renewals in 600 s");
    assert!(page.run(IS_LIVE).await == true, "it is connected still");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_password_is_asked_for_and_a_language_is_chosen() {
    let hub = Hub::start().await;
    let url = format!("{}/console/", hub.base());
    let Some(mut page) = Page::open(&url, "/console/").await else { return };
    page.go(&url).await;
    page.until("press('button', 'Forgot password')").await;
    page.until("fill('[name=email]', 'jane@example.com')").await;
    page.run("press('button[type=submit]')").await;
    // This hub sends no mails, and says so.
    page.until("shows('smtp.url')").await;
    page.run("fill('select', 'ar')").await;
    page.until("document.documentElement.dir === 'rtl' && shows('نسيت كلمة المرور')").await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_username_with_an_at_sign_signs_in() {
    let hub = Hub::start().await;
    let body = serde_json::json!({"username": "mail@corp.example", "email": "m@example.com",
        "password": "correct horse"});
    let register = hub.request(reqwest::Method::POST, "/api/auth/register/").json(&body);
    assert_eq!(crate::support::answer(register).await.0, 201);
    let url = format!("{}/console/", hub.base());
    for name in ["mail@corp.example", "m@example.com"] {
        let Some(mut page) = Page::open(&url, "/console/").await else { return };
        page.go(&url).await;
        page.until(&format!("fill('[name=username]', '{name}')")).await;
        page.run("fill('[name=password]', 'correct horse'); press('button[type=submit]')").await;
        page.until(IS_LIVE).await;
    }
    // Registering by the form, too.
    let Some(mut page) = Page::open(&url, "/console/").await else { return };
    page.go(&url).await;
    page.until("press('button', 'Create an account')").await;
    page.until("fill('[name=username]', 'new@user')").await;
    page.run("fill('[name=email]', 'new@example.com'); fill('[name=password]', 'correct horse')")
        .await;
    page.run("press('button[type=submit]')").await;
    page.until(IS_LIVE).await;
    hub.stop().await;
}

/// A tab that is duplicated takes the login with it, and either may sleep.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicated_tab_signs_none_of_the_two_out() {
    let Some((hub, mut page, _folder)) = open(30).await else { return };
    let kept = page.run("sessionStorage.getItem('bellpull')").await;
    let until = async |count| {
        let begun = Instant::now();
        while renewals(hub.address).await < count {
            assert!(begun.elapsed() < 2 * PATIENCE, "the token is not renewed");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    // The first tab goes on while the other sleeps with what it has copied.
    until(2).await;
    let url = format!("http://{}/console/", hub.address);
    let Some(mut copy) = Page::open(&url, "/console/").await else { return };
    copy.until("location.pathname === '/console/' && document.readyState === 'complete'").await;
    copy.run(&format!("sessionStorage.setItem('bellpull', {kept})")).await;
    copy.go(&url).await;
    copy.until(IS_LIVE).await;
    until(5).await;
    for tab in [&mut page, &mut copy] {
        assert!(tab.run(IS_LIVE).await == true, "it is signed in still");
        tab.run("press('a', 'Account')").await;
        tab.until("shows('Sign out')").await;
    }
}
