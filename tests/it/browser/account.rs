//! The pages behind a mail's links, as a user opens them.

use bellpull::config::Secret;
use bellpull::delivery::account_link::AccountLinks;
use bellpull::storage::StoreOptions;
use bellpull_domain::account_link::{AccountLink, LinkPurpose};
use bellpull_domain::ids::UserId;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_port::account_links::{LinkTo, NewLink};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use super::Browser;
use super::debugger::{debugger, evaluate, until};
use crate::support::{Hub, SECRET, answer, owner};

/// Whether that part of the page is shown.
fn shows(part: &str) -> String {
    format!("document.querySelector('section:not([hidden])')?.id === '{part}'")
}

/// The link that a mail would bring.
async fn link(hub: &Hub, purpose: LinkPurpose, user: i64) -> AccountLink {
    let now = Timestamp::now();
    let new = NewLink { purpose, to: LinkTo::User(UserId(user)), now };
    assert!(hub.store().mail_link(new).await.unwrap());
    let until = now + SignedDuration::from_mins(1);
    let leased = hub.store().lease(&owner(), Channel::Email, 9.into(), now, until).await.unwrap();
    leased.last().unwrap().account_link.unwrap()
}

async fn fill(page: &str, first: &str, second: &str) {
    let expression = format!(
        "(() => {{ const form = document.querySelector('form'); \
         form.new_password.value = {}; form.again.value = {}; form.requestSubmit(); }})()",
        json!(first),
        json!(second)
    );
    evaluate(page, &expression).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_reset_and_an_address_confirmed_on_the_pages() {
    let channels = Channels::of(&[Channel::Email]);
    let options = StoreOptions { exclusive: true, channels, ..StoreOptions::default() };
    let hub = Hub::start_on(|_| {}, options).await;
    let links = AccountLinks::new(hub.base(), Secret::new(SECRET.to_owned()));
    let post = |path, body: Value| answer(hub.request(Method::POST, path).json(&body));
    let jane = json!({"username": "jane", "email": "jane@example.com",
        "password": "correct horse"});
    let (_, user) = post("/api/auth/register/", jane).await;
    let jane = user["id"].as_i64().unwrap();

    let confirmation = links.url(&link(&hub, LinkPurpose::Email, jane).await);
    let Some(browser) = Browser::open(&confirmation) else { return };
    let page = debugger(&browser, "/account/email/").await;
    until(&page, &shows("ask")).await;
    evaluate(&page, "document.querySelector('form').requestSubmit()").await;
    until(&page, &shows("done")).await;
    let root = hub.user("root", "super_admin").await;
    let path = format!("/api/users/{jane}/");
    assert_eq!(hub.get(&root, &path).await.1["email_verified"], true);
    drop(browser);

    let reset = links.url(&link(&hub, LinkPurpose::Password, jane).await);
    let Some(browser) = Browser::open(&reset) else { return };
    let page = debugger(&browser, "/account/password/").await;
    until(&page, &shows("ask")).await;
    fill(&page, "battery staple", "battery stable").await;
    until(&page, "document.querySelector('.error').textContent.includes('not the same')").await;
    fill(&page, "12345678", "12345678").await;
    until(&page, &shows("done")).await;
    until(&page, "location.hash === ''").await;
    let login = json!({"username": "jane", "password": "12345678"});
    assert_eq!(post("/api/auth/login/", login).await.0, 200);

    // The same link again, out of the mailbox.
    let again = format!("location.href = {}; location.reload()", json!(reset));
    evaluate(&page, &again).await;
    until(&page, &shows("ask")).await;
    fill(&page, "battery staple", "battery staple").await;
    until(&page, &shows("bad")).await;
    hub.stop().await;
}
