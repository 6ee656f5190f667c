//! Two users on one ticket: each sees at once what the other does.

use super::{Team, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_users_work_on_one_ticket() {
    let team = Team::gather().await;
    let base = team.hub.base();
    let Some(mut jane) = open(&base, &team.jane, "client", "tickets").await else { return };
    jane.until("press('button', 'New ticket')").await;
    jane.until("fill('[name=title]', 'The page is blank')").await;
    jane.run("fill('[name=description]', 'In Safari.'); press('dialog button[type=submit]')").await;
    jane.until("one('h1')?.textContent === 'The page is blank'").await;

    let Some(mut ada) = open(&base, &team.ada, "admin", "tickets").await else { return };
    ada.until("press('[data-status=NEW] a', 'The page is blank')").await;
    ada.until("press('button', 'Open')").await;
    jane.until("one('dl')?.textContent.includes('Opened')").await;
    jane.until("shows('Here now: ada')").await;
    ada.until("shows('Here now: jane')").await;

    ada.until("press('button', 'Assign')").await;
    ada.until("press('dialog li label input', '')").await;
    ada.until("press('dialog button[type=submit]')").await;
    jane.until("one('dl')?.textContent.includes('Assigned')").await;
    // She may not list users, and sees who works on her ticket.
    jane.until("one('dl')?.textContent.includes('dev')").await;

    // A mention is completed, and what is typed is shown while it is.
    ada.run(
        "fill('textarea[name=comment]', 'What does @ja'); \
         one('textarea').setSelectionRange(13, 13); \
         one('textarea').dispatchEvent(new Event('input', { bubbles: true }))",
    )
    .await;
    jane.until("shows('ada is typing')").await;
    ada.until("one('[role=option]', '@jane') !== undefined").await;
    ada.run(
        "one('[role=option] button').dispatchEvent(new MouseEvent('mousedown', { bubbles: true }))",
    )
    .await;
    ada.until("one('textarea').value === 'What does @jane '").await;
    ada.run("fill('textarea[name=comment]', 'What does @jane see?')").await;
    ada.until("press('button', 'Comment')").await;
    jane.until("shows('@jane see?')").await;
    jane.until("one('nav .count') !== undefined").await;

    let Some(mut dev) = open(&base, &team.dev, "developer", "tickets?assigned_to=").await else {
        return;
    };
    dev.until("press('[data-status=ASSIGNED] a', 'The page is blank')").await;
    dev.until("press('button', 'Start work')").await;
    dev.until("press('button', 'Finish work')").await;
    jane.until("press('button', 'Reject')").await;
    jane.until("fill('dialog textarea', 'Still white')").await;
    jane.until("press('dialog button[type=submit]')").await;
    dev.until("shows('Still white')").await;
    dev.until("press('button', 'Start work')").await;
    dev.until("press('button', 'Finish work')").await;
    jane.until("press('button', 'Approve')").await;
    ada.until("one('dl')?.textContent.includes('Approved')").await;
    jane.until("press('button', 'Why was I notified?')").await;
    jane.until("one('dialog')?.textContent.includes('Work finished')").await;
    team.hub.stop().await;
}
