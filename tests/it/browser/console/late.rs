//! What happens while another user, a slow line or a second window is there.

use serde_json::json;

use super::super::page::Page;
use super::{Team, open};

/// Gives the page what was held; what it showed is looked at before it can read again.
const RELEASED: &str = "release(); new Promise((done) => setTimeout(done, 20))";

/// Holds the answers to requests whose address has a text, until `release()`.
fn hold(text: &str) -> String {
    format!(
        "window.held = []; window.realFetch ??= window.fetch; \
         window.fetch = async (path, init) => {{ \
            const answer = await realFetch(path, init); \
            if (String(path).includes({}) && window.held) \
                await new Promise((done) => window.held.push(done)); \
            return answer; }}; \
         window.release = () => {{ const all = held; window.held = null; \
            all.forEach((done) => done()); return true; }}",
        json!(text)
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_answer_does_not_show_an_earlier_status() {
    let team = Team::gather().await;
    let (base, hub) = (team.hub.base(), &team.hub);
    let id = hub.ticket(&team.jane, "The page is blank").await;
    let view = format!("tickets/{id}");
    let Some(mut ada) = open(&base, &team.ada, "admin", &view).await else { return };
    ada.until("one('h1')?.textContent === 'The page is blank'").await;
    ada.run(&hold(&format!("/api/tickets/{id}/"))).await;
    let path = format!("/api/tickets/{id}/");
    assert_eq!(hub.patch(&team.jane, &path, json!({"title": "Second"})).await.0, 200);
    ada.until("window.held?.length > 0").await;
    let open = format!("{path}open/");
    assert_eq!(hub.post(&team.root, &open, json!({"version": 2})).await.0, 200);
    // Its answers are not held: they come before the held ones.
    ada.run("window.late = window.held; window.held = null").await;
    ada.until("one('dl')?.textContent.includes('Opened')").await;
    ada.run("window.held = late").await;
    ada.run(RELEASED).await;
    let shown = "one('dl').textContent.includes('Opened') && shows('Second')";
    assert_eq!(ada.run(shown).await, json!(true));
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_selection_that_ends_outside_a_dialog_loses_nothing_and_closing_asks() {
    let team = Team::gather().await;
    let base = team.hub.base();
    let Some(mut jane) = open(&base, &team.jane, "client", "tickets").await else { return };
    jane.resize(1280).await;
    jane.until("press('button', 'New ticket')").await;
    jane.until("fill('[name=title]', 'What jane typed')").await;
    let place = jane
        .run("(({ x, y }) => [x + 20, y + 10])(one('dialog [name=title]').getBoundingClientRect())")
        .await;
    for (kind, x, y) in [
        ("mousePressed", place[0].clone(), place[1].clone()),
        ("mouseMoved", json!(5), json!(5)),
        ("mouseReleased", json!(5), json!(5)),
    ] {
        let event = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
        jane.call("Input.dispatchMouseEvent", event).await;
    }
    jane.until("one('dialog [name=title]')?.value === 'What jane typed'").await;
    jane.until("one('[role=alertdialog]') === undefined").await;
    for kind in ["mousePressed", "mouseReleased"] {
        let event = json!({"type": kind, "x": 5, "y": 5, "button": "left", "clickCount": 1});
        jane.call("Input.dispatchMouseEvent", event).await;
    }
    jane.until("press('[role=alertdialog] button', 'Keep editing')").await;
    jane.until("one('dialog [name=title]')?.value === 'What jane typed'").await;
    jane.until("press('dialog button', 'Cancel')").await;
    jane.until("press('[role=alertdialog] button', 'Discard')").await;
    jane.until("one('dialog') === undefined").await;
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chips_and_offers_are_those_whom_the_hub_notifies() {
    let team = Team::gather().await;
    let (base, hub) = (team.hub.base(), &team.hub);
    hub.user("jürgen", "developer").await;
    let id = hub.ticket(&team.jane, "One").await;
    let path = format!("/api/tickets/{id}/comments/");
    let body = json!({"body": "@jürgen, write to support@example.com, not to @stranger (@DEV)"});
    let (status, made) = hub.post(&team.jane, &path, body).await;
    assert_eq!(status, 201, "{made}");
    let view = format!("tickets/{id}");
    let Some(mut ada) = open(&base, &team.ada, "admin", &view).await else { return };
    let chips = "[...document.querySelectorAll('.comment .badge')].map((one) => one.textContent)";
    ada.until(&format!("JSON.stringify({chips}) === '[\"@jürgen\",\"@DEV\"]'")).await;
    ada.run(
        "fill('textarea[name=comment]', 'see (@jü'); \
             one('textarea').setSelectionRange(8, 8); \
             one('textarea').dispatchEvent(new Event('input', { bubbles: true }))",
    )
    .await;
    ada.until("one('[role=option]', '@jürgen') !== undefined").await;
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typed_text_survives_a_reload_and_a_past_time_is_never_ahead() {
    let team = Team::gather().await;
    let (base, hub) = (team.hub.base(), &team.hub);
    let id = hub.ticket(&team.jane, "One").await;
    let view = format!("tickets/{id}");
    let Some(mut ada) = open(&base, &team.ada, "admin", &view).await else { return };
    ada.until("fill('textarea[name=comment]', 'half a sentence')").await;
    ada.go(&format!("{base}/console/{view}")).await;
    let has_draft = "one('textarea[name=comment]')?.value === 'half a sentence' && shows('Draft')";
    ada.until(has_draft).await;
    // Within the app, too.
    ada.run("window.realFetch = window.fetch; press('nav a', 'Preferences')").await;
    ada.until("shows('Quiet hours')").await;
    // A change that is refused is not shown as made.
    ada.run(
        "window.fetch = async (path, init) => init?.method === 'PUT' \
            ? new Response('{\"detail\": \"Too fast.\"}', { status: 429 }) \
            : realFetch(path, init); \
         window.box = one('td input[type=checkbox]'); window.was = box.checked; box.click()",
    )
    .await;
    ada.until("shows('Too fast.') && box.checked === was").await;
    ada.run("window.fetch = realFetch; history.back()").await;
    ada.until(has_draft).await;
    // The device's clock is ten minutes behind.
    let behind = json!({"source": "const now = Date.now; Date.now = () => now() - 600_000;"});
    ada.call("Page.enable", json!({})).await;
    ada.call("Page.addScriptToEvaluateOnNewDocument", behind).await;
    ada.go(&format!("{base}/console/{view}")).await;
    ada.until("one('[data-step] time')?.textContent === 'now'").await;
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_left_is_shown_where_developers_are_assigned_and_can_be_taken_off() {
    let team = Team::gather().await;
    let (base, hub) = (team.hub.base(), &team.hub);
    let other = hub.user("dora", "developer").await;
    let id = hub.ticket(&team.jane, "One").await;
    let assign = format!("/api/tickets/{id}/assign/");
    let (status, answer) = hub.post(&team.ada, &assign, json!({"developers": [team.dev.id]})).await;
    assert_eq!(status, 200, "{answer}");
    let path = format!("/api/users/{}/", team.dev.id);
    assert_eq!(hub.patch(&team.root, &path, json!({"role": "client"})).await.0, 200);
    let view = format!("tickets/{id}");
    let Some(mut ada) = open(&base, &team.ada, "admin", &view).await else { return };
    ada.until("press('button', 'Assign')").await;
    ada.until("one('dialog li', '@dev')?.textContent.includes('Client')").await;
    ada.run("one('dialog li', '@dev').querySelector('input').click()").await;
    ada.until("one('dialog li', '@dora') !== undefined").await;
    ada.run("one('dialog li', '@dora').querySelector('input').click()").await;
    ada.until("press('dialog button[type=submit]', '')").await;
    ada.until("one('dialog') === undefined").await;
    let saved = hub.get(&team.ada, &format!("/api/tickets/{id}/")).await.1;
    assert_eq!(saved["assigned_to"], json!([other.id]));
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_of_an_earlier_key_do_not_replace_those_of_a_later_one() {
    let team = Team::gather().await;
    let (base, hub) = (team.hub.base(), &team.hub);
    for title in ["alpha", "alphabet", "apple", "ant"] {
        hub.ticket(&team.jane, title).await;
    }
    let Some(mut ada) = open(&base, &team.ada, "admin", "tickets?view=list").await else { return };
    let rows = "[...document.querySelectorAll('tbody a')].map((one) => one.textContent).join()";
    ada.until(&format!("({rows}).split(',').length === 4")).await;
    ada.run(&hold("search=al&")).await;
    ada.run("fill('input[type=search]', 'al')").await;
    ada.until("window.held?.length > 0").await;
    ada.run("fill('input[type=search]', 'alphab')").await;
    ada.until(&format!("{rows} === 'alphabet'")).await;
    ada.run(RELEASED).await;
    assert_eq!(ada.run(rows).await, "alphabet");
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_deleted_rows_stay_deleted_when_the_page_is_left() {
    // The limit of writes as it is by default.
    let team = Team::gather_with(|config| config.http.writes_per_s = 10).await;
    let (base, hub) = (team.hub.base(), &team.hub);
    for n in 0..100 {
        let body = json!({"recipients": [team.jane.id], "title": format!("no. {n}"),
            "message": "At ten."});
        let sent = hub.post(&team.root, "/api/notifications/", body).await;
        assert_eq!(sent.0, 202, "{}", sent.1);
    }
    let Some(mut jane) = open(&base, &team.jane, "client", "inbox").await else { return };
    jane.until("one('[data-count]')?.dataset.count === '100'").await;
    jane.run("one('.list').scrollTop = one('.list').scrollHeight").await;
    jane.until("one('.item', 'no. 0') !== undefined").await;
    jane.run("one('.tools input[type=checkbox]').click()").await;
    jane.until("press('.tools button', 'Delete')").await;
    jane.until("one('.toasts')?.textContent.includes('100')").await;
    jane.call("Page.navigate", json!({"url": "about:blank"})).await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let (_, left) = hub.get(&team.jane, "/api/notifications/").await;
        if left["count"] == 0 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{} are left", left["count"]);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    team.hub.stop().await;
}

/// Opens an address in another tab of the same user, and waits for its field of a comment.
async fn second_tab(page: &mut Page, url: &str) {
    let open = format!("window.second = window.open({}); true", json!(url));
    let params = json!({"expression": open, "userGesture": true});
    page.call("Runtime.evaluate", params).await;
    page.until(&format!("{SECOND} !== null")).await;
}

const SECOND: &str = "window.second.document.querySelector('textarea[name=comment]')";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tabs_of_one_user_keep_each_its_own_text_and_one_that_is_gone_leaves_it() {
    let team = Team::gather().await;
    let (base, hub) = (team.hub.base(), &team.hub);
    let id = hub.ticket(&team.jane, "One").await;
    let view = format!("{base}/console/tickets/{id}");
    let Some(mut ada) = open(&base, &team.ada, "admin", &format!("tickets/{id}")).await else {
        return;
    };
    let has = |text: &str| format!("one('textarea[name=comment]')?.value === '{text}'");
    let second_has = |text: &str| format!("{SECOND}?.value === '{text}'");
    ada.until("fill('textarea[name=comment]', 'typed in the first')").await;
    second_tab(&mut ada, &view).await;
    // What is typed in one tab is no draft of the other.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    ada.until(&second_has("")).await;
    ada.run(&format!(
        "{SECOND}.value = 'typed in the second'; \
         {SECOND}.dispatchEvent(new window.second.Event('input', {{ bubbles: true }}))"
    ))
    .await;
    ada.run("window.second.location.reload()").await;
    ada.until(&format!("{SECOND} !== null && {}", second_has("typed in the second"))).await;
    ada.until(&has("typed in the first")).await;
    // Sending one leaves the other.
    ada.until("press('button', 'Comment')").await;
    ada.until(&has("")).await;
    ada.run("window.second.location.reload()").await;
    ada.until(&second_has("typed in the second")).await;
    ada.run("window.second.close()").await;
    ada.until("window.second.closed").await;
    ada.go(&view).await;
    ada.until(&format!("{} && shows('Draft')", has("typed in the second"))).await;
    ada.until("one('.comment')?.textContent.includes('typed in the first')").await;
    team.hub.stop().await;
}
