//! The operators' view: an actor that fails is seen, and restarted.

use bellpull::config::Secret;
use bellpull::config::delivery::SmtpConfig;

use super::{Team, open};
use crate::ws::Socket;

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
    let took = page.until("one('[data-path=\"users/1\"]')?.dataset.restarts === '1'").await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_hour_and_the_settings_are_shown() {
    bellpull::telemetry::init_metrics();
    let team = Team::gather().await;
    let base = team.hub.base();
    let Some(mut page) = open(&base, &team.root, "super_admin", "operators").await else { return };
    page.until("Number(one('[data-samples]')?.dataset.samples) > 1").await;
    page.until("parseFloat(one('[data-signal=memory]')?.textContent) > 1").await;
    page.until("document.querySelectorAll('[data-samples] polyline').length === 15").await;
    page.run("one('details summary').click()").await;
    page.run("fill('[placeholder=\"Search settings\"]', 'replay')").await;
    page.until("one('details table')?.textContent.includes('replay.limit')").await;
    team.hub.stop().await;
}

/// The cause is read in the page of the channel's actor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_fails_is_an_open_circuit_with_its_cause() {
    let team = Team::gather_with(|config| {
        let smtp = SmtpConfig {
            // Nothing listens on port 1.
            url: Secret::new("smtp://127.0.0.1:1".to_owned()),
            from: "Desk <desk@example.com>".to_owned(),
            hello: None,
            ca_file: None,
            per_s: 0,
        };
        config.delivery.smtp = Some(smtp);
    })
    .await;
    for n in 0..8 {
        team.hub.ticket(&team.jane, &format!("Ticket {n}")).await;
    }
    let base = team.hub.base();
    let Some(mut page) = open(&base, &team.root, "super_admin", "operators").await else { return };
    let row = "one('[data-path=\"channels/email\"]')";
    page.until(&format!("{row}?.textContent.includes('Circuit open')")).await;
    page.until(&format!("{row}.querySelector('.failure').textContent.includes('refused')")).await;
    page.until("press('.open-actor', 'channels/email')").await;
    page.until("one('dialog')?.textContent.includes('\"circuit\": \"open\"')").await;

    // Admins are not operators: they read it above the deliveries that wait.
    let Some(mut page) = open(&base, &team.ada, "admin", "deliveries").await else { return };
    page.until("one('.held')?.textContent.includes('is not being sent')").await;
    page.until("one('.held').textContent.includes('refused')").await;
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_logged_out_on_the_page_of_the_actor() {
    let team = Team::gather().await;
    let base = team.hub.base();
    let mut socket = Socket::established(&team.hub, &team.jane, "").await;
    let Some(mut page) = open(&base, &team.root, "super_admin", "operators").await else { return };
    let path = format!("user/{}", team.jane.id);
    page.until(&format!("press('.open-actor', '{path}')")).await;
    page.until("one('dialog [data-session]')?.textContent.includes('127.0.0.1')").await;
    page.run("press('dialog button', 'Log out')").await;
    page.until("press('dialog button.primary', 'Log out')").await;
    page.until("one('.toasts')?.textContent.includes('have ended')").await;
    assert_eq!(socket.next_close().await.0, 4401);
    team.hub.stop().await;
}
