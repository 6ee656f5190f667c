//! Every view by the rules of axe, in both themes, and in narrow windows.

use reqwest::Method;
use serde_json::json;

use super::super::page::Page;
use super::{Team, open};
use crate::clients::tools;
use crate::support::{answer, skip};

const VIEWS: [&str; 18] = [
    "inbox",
    "inbox?open=1",
    "inbox?group=ticket",
    "tickets",
    "tickets?view=list",
    "tickets/1",
    "preferences",
    "integrations",
    "account",
    "users",
    "projects",
    "sends",
    "templates",
    "escalations",
    "deliveries",
    "analytics",
    "audit",
    "operators",
];

/// What can be seen whole only by scrolling it sideways.
const CUT: &str = "[...document.querySelectorAll('.scroll, .board')] \
    .filter((one) => one.scrollWidth > one.clientWidth + 1).map(nameOf).join()";

/// What axe finds, as text.
async fn violations(page: &mut Page) -> String {
    let found = page
        .run(
            "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => \
             violations.map((one) => `${one.id}: ${one.nodes[0].html.slice(0, 200)}`).join('\\n'))",
        )
        .await;
    found.as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_view_is_accessible_and_fits_narrow_windows() {
    let file = tools().join("node/node_modules/axe-core/axe.min.js");
    let Ok(axe) = std::fs::read_to_string(&file) else {
        return skip::skipped(&format!("axe-core is not in {}", tools().display()));
    };
    let team = Team::gather().await;
    team.hub.ticket(&team.jane, "The page is blank").await;
    let steps = json!([{"channel": "PUSH", "after_s": 60}, {"channel": "SMS", "after_s": 900}]);
    let path = "/api/escalations/ticket_created/";
    let policy = team.hub.request(Method::PUT, path).bearer_auth(&team.ada.token);
    assert_eq!(answer(policy.json(&json!({"steps": steps}))).await.0, 200);
    let base = team.hub.base();
    let Some(mut page) = open(&base, &team.root, "super_admin", "inbox").await else { return };
    let mut found = Vec::new();
    for view in VIEWS {
        page.go(&format!("{base}/console/{view}")).await;
        page.until(super::IS_LIVE).await;
        page.until("document.querySelector('h1') !== null").await;
        page.run(&axe).await;
        for theme in ["light", "dark"] {
            page.theme(theme).await;
            for width in [390, 1280, 1920] {
                page.resize(width).await;
                let wide = page.run("document.documentElement.scrollWidth - innerWidth").await;
                if wide.as_i64() > Some(0) {
                    found.push(format!("{view} at {width}: {wide} px too wide"));
                }
                let cut = page.run(CUT).await;
                if width == 390 && cut != "" {
                    found.push(format!("{view} at {width}: cut: {cut}"));
                }
                let text = violations(&mut page).await;
                if !text.is_empty() {
                    found.push(format!("{view}, {theme}, {width}: {text}"));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    team.hub.stop().await;
}
