//! The console that the hub serves, in Chromium, used as its users do.

mod accessibility;
mod account;
mod admins;
mod escalations;
mod inbox;
mod interleaved;
mod late;
mod login;
mod long;
mod operators;
mod outage;
mod people;
mod streams;
mod tickets;

use bellpull::config::Config;
use serde_json::json;

use super::page::Page;
use crate::support::{Hub, Person};

/// A view of the console for a user who has signed in; `None` where there is no browser.
async fn open(base: &str, who: &Person, role: &str, view: &str) -> Option<Page> {
    let mut page = Page::open(&format!("{base}/console/"), "/console/").await?;
    let user = json!({"id": who.id, "username": who.username, "full_name": "", "role": role});
    let kept = json!({"user": user, "access": who.token, "refresh": ""}).to_string();
    page.until("location.pathname === '/console/' && document.readyState === 'complete'").await;
    page.run(&format!("sessionStorage.setItem('bellpull', {})", json!(kept))).await;
    page.go(&format!("{base}/console/{view}")).await;
    page.until(IS_LIVE).await;
    Some(page)
}

/// The live connection stands.
const IS_LIVE: &str = "document.querySelector('[data-state=live]') !== null";

/// A hub with a client, an admin, a developer and a super admin.
struct Team {
    hub: Hub,
    jane: Person,
    ada: Person,
    dev: Person,
    root: Person,
}

impl Team {
    async fn gather() -> Self {
        Self::gather_with(|_| {}).await
    }

    async fn gather_with(change: impl FnOnce(&mut Config)) -> Self {
        let hub = Hub::start_with(change).await;
        let jane = hub.user("jane", "client").await;
        let ada = hub.user("ada", "admin").await;
        let dev = hub.user("dev", "developer").await;
        let root = hub.user("root", "super_admin").await;
        Self { hub, jane, ada, dev, root }
    }
}
