//! Escalation policies: drawn, made, changed and removed.

use serde_json::json;

use super::{Team, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_is_drawn_while_it_is_made_and_after() {
    let team = Team::gather().await;
    let base = team.hub.base();
    let Some(mut page) = open(&base, &team.ada, "admin", "escalations").await else { return };
    page.until("shows('No escalation policies')").await;
    page.run("press('button', 'New policy')").await;
    page.until("one('dialog [name=event]') !== undefined").await;
    page.run("fill('dialog [name=event]', 'ticket_created'); press('dialog button', 'Add a step')")
        .await;
    let drawn = |text: &str| format!("one('dialog ol')?.textContent.includes('{text}')");
    page.until(&drawn("15 min after the event")).await;
    page.run("press('dialog button', 'Save')").await;
    page.until("one('section ol')?.textContent.includes('14 min unseen')").await;
    let path = "/api/escalations/ticket_created/";
    let (_, policy) = team.hub.get(&team.ada, path).await;
    let wanted = json!([{"channel": "PUSH", "after_s": 60}, {"channel": "EMAIL", "after_s": 900}]);
    assert_eq!(policy["steps"], wanted, "{policy}");

    // What the hub refuses is said in the dialog, and nothing is lost.
    page.run("press('section button', 'Edit')").await;
    page.until("fill('dialog [type=number]', '9999999')").await;
    page.run("press('dialog button', 'Save')").await;
    page.until("one('dialog [role=alert]')?.textContent.includes('after_s')").await;
    page.run("fill('dialog [type=number]', '2'); press('dialog button', 'Save')").await;
    page.until("one('section ol')?.textContent.includes('2 min after the event')").await;

    page.run("press('section button', 'Delete')").await;
    page.until("press('dialog button.primary', 'Delete')").await;
    page.until("shows('No escalation policies')").await;
    assert_eq!(team.hub.get(&team.ada, path).await.0, 404);
    team.hub.stop().await;
}
