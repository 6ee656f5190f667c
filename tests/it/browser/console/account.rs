//! The account's own view: its name, its address and its password.

use super::{Team, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_changes_the_name_and_an_address_asks_for_the_password() {
    let team = Team::gather().await;
    let base = team.hub.base();
    let Some(mut page) = open(&base, &team.jane, "client", "account").await else { return };
    page.until("one('[name=full_name]') !== undefined").await;
    page.until("one('button', 'Save').disabled").await;
    page.run("fill('[name=full_name]', 'Jane Doe')").await;
    page.until("one('[name=current_password]') === undefined && press('button', 'Save')").await;
    page.until("one('.toasts')?.textContent.includes('Saved')").await;
    page.until("one('nav .foot')?.textContent.includes('Jane Doe')").await;
    let (_, me) = team.hub.get(&team.jane, "/api/auth/me/").await;
    assert_eq!(me["full_name"], "Jane Doe", "{me}");

    // Another address: the hub refuses it without the right password, and says so.
    page.run("fill('[name=email]', 'jane@elsewhere.example')").await;
    page.until("one('[name=current_password]') !== undefined").await;
    page.run("fill('[name=current_password]', 'a guess')").await;
    page.until("press('button', 'Save')").await;
    page.until("one('[role=alert]')?.textContent.includes('not your current password')").await;
    let (_, me) = team.hub.get(&team.jane, "/api/auth/me/").await;
    assert_eq!(me["email"], "jane@example.com", "{me}");
    team.hub.stop().await;
}
