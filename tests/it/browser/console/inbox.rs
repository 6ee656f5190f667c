//! The inbox: keys, marks, undo, and many rows.

use serde_json::json;

use super::super::page::Page;
use super::{Team, open};

async fn unread(team: &Team) -> i64 {
    let (_, count) = team.hub.get(&team.ada, "/api/notifications/unread_count/").await;
    count["count"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inbox_is_worked_through_by_keys_and_a_deletion_is_undone() {
    let team = Team::gather().await;
    for title in ["First", "Second", "Third"] {
        team.hub.ticket(&team.jane, title).await;
    }
    let base = team.hub.base();
    let Some(mut page) = open(&base, &team.ada, "admin", "inbox").await else { return };
    page.until("document.querySelectorAll('.item.unread').length === 3").await;
    // The newest is the first.
    page.run("key('j')").await;
    page.until("one('.item.current')?.textContent.includes('Third')").await;
    page.run("key('j'); key('e')").await;
    page.until("!one('.item.current')?.classList.contains('unread')").await;
    page.until("one('.item.current')?.textContent.includes('Second')").await;
    page.until("one('nav .count')?.textContent === '2'").await;
    assert_eq!(unread(&team).await, 2);
    page.run("key('u')").await;
    page.until("one('nav .count')?.textContent === '3'").await;
    assert_eq!(unread(&team).await, 3);

    page.run("key('#')").await;
    page.until("document.querySelectorAll('.item').length === 2").await;
    page.until("press('.toast button', 'Undo')").await;
    page.until("document.querySelectorAll('.item').length === 3").await;
    page.run("key('#')").await;
    // It is deleted when the undo has passed.
    page.until("one('[data-count]')?.dataset.count === '2'").await;
    let (_, rows) = team.hub.get(&team.ada, "/api/notifications/").await;
    assert_eq!(rows["count"], 2, "{rows}");

    // A page that is left before the undo has passed loses no deletion.
    page.run("key('#')").await;
    page.until("document.querySelectorAll('.item').length === 1").await;
    page.go(&format!("{base}/console/tickets")).await;
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    loop {
        let (_, rows) = team.hub.get(&team.ada, "/api/notifications/").await;
        if rows["count"] == 1 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{rows}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    page.go(&format!("{base}/console/inbox")).await;
    page.until(super::IS_LIVE).await;

    // What comes in is shown by itself, and moves neither the focus nor what keys act on.
    page.until("document.querySelectorAll('.item').length === 1").await;
    page.run("key('j')").await;
    let is_left = "document.activeElement.ariaCurrent === 'true' \
        && !document.activeElement.closest('.item.current')?.textContent.includes('Fourth')";
    page.until(is_left).await;
    team.hub.ticket(&team.jane, "Fourth").await;
    page.until(&format!("one('.item')?.textContent.includes('Fourth') && {is_left}")).await;
    is_read_in_full(&team, &mut page).await;
    // So is what another client has marked.
    team.hub.post(&team.ada, "/api/notifications/mark_all_as_read/", json!({})).await;
    page.until("document.querySelectorAll('.item.unread').length === 0").await;
    page.until("document.querySelector('nav .count') === null").await;
    page.run("press('button', 'Unread')").await;
    page.until("shows('No notifications match')").await;
    page.run("key('?')").await;
    page.until("one('dialog')?.textContent.includes('Keyboard shortcuts')").await;
    team.hub.stop().await;
}

/// A message has its title first; it is read to its end, followed and gone back from, by keys.
async fn is_read_in_full(team: &Team, page: &mut Page) {
    let message = format!("Version 2.16 is live.\n{}the end", "More of it. ".repeat(40));
    let send = json!({"recipients": [team.ada.id], "title": "Deploy finished",
        "message": message, "action_url": "https://deploy.example/2.16"});
    assert_eq!(team.hub.post(&team.root, "/api/notifications/", send).await.0, 202);
    page.until("one('.item .title')?.textContent === 'Deploy finished'").await;
    page.run("key('k'); key('k')").await;
    page.until("one('.item.current .title')?.textContent === 'Deploy finished'").await;
    page.run("document.activeElement.click()").await;
    page.until("one('[data-reading]')?.textContent.includes('the end')").await;
    let link = "one('[data-reading] a').href === 'https://deploy.example/2.16'";
    assert_eq!(page.run(link).await, json!(true));
    page.until("!one('.item.current').classList.contains('unread')").await;
    // The next one, of a ticket.
    page.run("key('j')").await;
    page.until("one('[data-reading] a')?.textContent.includes('Fourth')").await;
    page.run("key('o')").await;
    page.until("one('h1')?.textContent === 'Fourth'").await;
    page.run("history.back()").await;
    page.until("one('.item.current .title')?.textContent === 'Fourth'").await;
    page.until("one('[data-reading] a')?.textContent.includes('Fourth')").await;
    page.run("key('Escape')").await;
    page.until("one('[data-reading]') === undefined").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inbox_is_narrowed_to_a_project() {
    let team = Team::gather().await;
    let (status, project) =
        team.hub.post(&team.root, "/api/projects/", json!({"key": "WEB", "name": "Website"})).await;
    assert_eq!(status, 201, "{project}");
    team.hub.ticket(&team.jane, "Of the first project").await;
    let ticket = json!({"title": "Of the website", "project": project["id"]});
    let (status, answer) = team.hub.post(&team.root, "/api/tickets/", ticket).await;
    assert_eq!(status, 201, "{answer}");
    let base = team.hub.base();
    let Some(mut page) = open(&base, &team.ada, "admin", "inbox").await else { return };
    page.until("document.querySelectorAll('.item').length === 2").await;
    page.until(
        "[...document.querySelectorAll('option')].some((one) => one.text === 'WEB · Website')",
    )
    .await;
    page.run(&format!("fill('select:has(option[value=\"{0}\"])', '{0}')", project["id"])).await;
    page.until("document.querySelectorAll('.item').length === 1").await;
    page.until("one('.item').textContent.includes('Of the website')").await;
    // All that is shown is marked, and nothing else; that is undone, or done when the page is left.
    page.until("press('button', 'Mark all shown')").await;
    page.until("one('.toast')?.textContent.includes('1 marked') && !one('.item.unread')").await;
    page.until("press('.toast button', 'Undo')").await;
    page.until("one('.item.unread') !== undefined").await;
    assert_eq!(unread(&team).await, 2);
    page.until("press('button', 'Mark all shown')").await;
    page.until("one('.toast') !== undefined && !one('.item.unread')").await;
    page.go(&format!("{base}/console/inbox")).await;
    page.until("one('nav .count')?.textContent === '1'").await;
    assert_eq!(unread(&team).await, 1);
    page.go(&format!("{base}/console/inbox?project={}", project["id"])).await;
    page.until("document.querySelectorAll('.item').length === 1 && !one('.item.unread')").await;
    // The address has the filter, so that it can be kept as a bookmark.
    let place = format!("location.search.includes('project={}')", project["id"]);
    page.until(&place).await;
    page.go(&format!("{base}/console/inbox?project=4711")).await;
    page.until("shows('No notifications match')").await;
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_thousand_rows_only_those_in_view_are_in_the_document() {
    const ROWS: usize = 10_000;
    let team = Team::gather().await;
    let one = json!({"recipients": [team.ada.id], "title": "News", "message": "Something"});
    let requests = (0..ROWS).map(|_| team.hub.post(&team.root, "/api/notifications/", one.clone()));
    let mut requests = futures_util::stream::iter(requests);
    let sending = futures_util::StreamExt::buffer_unordered(&mut requests, 64);
    let sent =
        futures_util::StreamExt::filter(sending, |(status, _)| std::future::ready(*status == 202));
    assert_eq!(futures_util::StreamExt::count(sent).await, ROWS);
    let base = team.hub.base();
    let Some(mut page) = open(&base, &team.ada, "admin", "inbox").await else { return };
    page.until(&format!("one('[data-count]')?.dataset.count === '{ROWS}'")).await;
    // 120 frames from the first row to the last: the longest pause between two of them.
    let scroll = "new Promise((done) => {
        const list = document.querySelector('.list');
        const step = list.scrollHeight / 120;
        let before = performance.now(), longest = 0, count = 0;
        const frame = (now) => {
            longest = Math.max(longest, now - before);
            before = now;
            const rows = document.querySelectorAll('.list li').length;
            if (++count > 120) return done({ longest, rows });
            list.scrollTop += step;
            requestAnimationFrame(frame);
        };
        requestAnimationFrame(frame);
    })";
    let seen = page.run(scroll).await;
    println!("longest frame {} ms, {} rows in the document", seen["longest"], seen["rows"]);
    assert!(seen["rows"].as_u64().unwrap() < 60, "only rows in view are in the document: {seen}");
    // The last rows are read, too.
    page.until("document.querySelectorAll('.item').length > 5").await;
    page.until("document.querySelectorAll('.waiting').length === 0").await;
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_notifications_is_not_a_reading_for_each() {
    let team = Team::gather().await;
    for n in 0..50 {
        team.hub.ticket(&team.jane, &format!("Ticket {n}")).await;
    }
    let base = team.hub.base();
    let Some(mut page) = open(&base, &team.ada, "admin", "inbox").await else { return };
    page.until("one('[data-count]')?.dataset.count === '50'").await;
    page.until("one('nav .count')?.textContent === '50'").await;
    let readings = "performance.getEntriesByType('resource') \
                    .filter((one) => one.name.includes('/api/notifications/?')).length";
    let readings = page.run(readings).await.as_u64().unwrap();
    assert!((1..25).contains(&readings), "{readings} readings for 50 notifications");
    team.hub.stop().await;
}
