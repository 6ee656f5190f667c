//! The operators' view: an actor that fails is seen, and restarted.

use super::{Team, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_actor_is_seen_within_a_second_and_restarted_by_hand() {
    let team = Team::gather().await;
    let id = team.hub.ticket(&team.jane, "Own").await;
    let base = team.hub.base();
    let Some(mut page) = open(&base, &team.root, "super_admin", "operators").await else { return };
    page.until("one('[data-ready=true]') !== undefined").await;
    let row = format!("document.querySelector('[data-path=\"ticket/{id}\"]')");
    page.until(&format!("{row}?.dataset.state === 'running'")).await;
    page.until("one('[data-path=\"user/4\"]') !== undefined || shows('user/')").await;

    // A button keeps the focus over readings of the tree.
    page.run("one('[data-path=\"users/0\"] .open-actor').focus()").await;
    team.hub.panic_at("users/1");
    let took = page.until("one('[data-path=\"users/1\"]')?.cells[5].textContent === '1'").await;
    println!("seen after {took:?}");
    page.until("one('.log')?.textContent.includes('users/1')").await;
    page.until("document.activeElement?.textContent === 'users/0'").await;

    page.until("press('button', 'Restart scheduler')").await;
    page.until("press('dialog button.primary', 'Restart')").await;
    page.until("one('.toasts')?.textContent.includes('scheduler restarts')").await;
    page.until("press('.open-actor', 'scheduler')").await;
    page.until("one('dialog')?.textContent.includes('operator (root)')").await;
    page.run("press('dialog button', 'Close'); fill('[placeholder=\"Search actors\"]', 'ticket/')")
        .await;
    page.until("document.querySelector('[data-path=\"scheduler\"]') === null").await;
    team.hub.stop().await;
}
