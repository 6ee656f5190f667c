//! Long things: a thread of 1,000 comments, and a history of 1,000 steps.

use serde_json::json;

use super::super::page::Page;
use super::{Team, open};

const COUNT: usize = 1_000;

/// How many pages of a list were read.
async fn readings(page: &mut Page, list: &str) -> u64 {
    let script = format!(
        "new Set(performance.getEntriesByType('resource').map((one) => one.name) \
         .filter((name) => name.includes('/{list}/?'))).size"
    );
    page.run(&script).await.as_u64().unwrap()
}

/// The list opens at its newest row, the last; older ones come as one scrolls up, and what is in
/// sight stays there. `row` is what a row's element is, and `newest` and `oldest` what these have.
async fn can_be_read(page: &mut Page, list: &str, row: &str, newest: &str, oldest: &str) {
    page.run(&format!("window.rows = () => [...document.querySelectorAll('{row}')]; true")).await;
    let at_end = "((one) => one.getBoundingClientRect().bottom \
        <= one.closest('[role=group]').getBoundingClientRect().bottom)(rows().at(-1))";
    page.until(&format!("rows().at(-1)?.textContent.includes('{newest}') && {at_end}")).await;
    let opened = readings(page, list).await;
    assert!(opened <= 3, "{opened} pages to open {list}");
    let count = "rows().length";
    let rows = page.run(count).await.as_u64().unwrap();
    assert!(rows <= 300, "{list} opens with {rows} rows");
    while page.run(&format!("one('{row}', '{oldest}') === undefined")).await == json!(true) {
        let shown = page.run(count).await;
        page.run(
            "window.kept = rows()[0]; kept.closest('[role=group]').scrollTop = 0; \
             window.keptAt = kept.getBoundingClientRect().top",
        )
        .await;
        page.until(&format!("{count} > {shown}")).await;
        let jump = "Math.abs(kept.getBoundingClientRect().top - keptAt) <= 1";
        assert_eq!(page.run(jump).await, json!(true), "{list} jumps");
    }
    page.until(&format!("{count} === {COUNT}")).await;
    page.until("press('button', 'Newest')").await;
    page.until(at_end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_and_histories_of_a_thousand_open_at_the_newest_and_links_find_the_oldest() {
    let team = Team::gather().await;
    let (base, hub) = (team.hub.base(), &team.hub);
    let id = hub.ticket(&team.jane, "A long life").await;
    let at = format!("/api/tickets/{id}/");
    let mut comments = Vec::new();
    for n in 1..=COUNT {
        let body = json!({"body": format!("no. {n}.")});
        let (status, made) = hub.post(&team.jane, &format!("{at}comments/"), body).await;
        assert_eq!(status, 201, "{made}");
        comments.push(made["id"].as_i64().unwrap());
    }
    // Its creation is the first step.
    for n in 2..=COUNT {
        let (status, made) = hub.patch(&team.jane, &at, json!({"title": format!("t{n}")})).await;
        assert_eq!(status, 200, "{made}");
    }
    let (_, history) = hub.get(&team.jane, &format!("{at}history/")).await;
    assert_eq!(history["count"], COUNT);

    let view = format!("{base}/console/tickets/{id}");
    let comments_at = format!("{at}comments/");
    let Some(mut ada) = open(&base, &team.ada, "admin", &format!("tickets/{id}")).await else {
        return;
    };
    ada.until("one('h2', 'Comments')?.textContent.includes('1000')").await;
    can_be_read(&mut ada, "comments", ".comment", "no. 1000.", "no. 1.").await;
    can_be_read(&mut ada, "history", "[data-step]", "Edit", "Create").await;
    // Live, with all of it there.
    let body = json!({"body": "and one more"});
    assert_eq!(hub.post(&team.jane, &format!("{at}comments/"), body).await.0, 201);
    ada.until("one('.comment', 'and one more') !== undefined").await;

    let in_sight = |text: &str| {
        format!(
            "one('.linked')?.textContent.includes('{text}') && (({{ top, bottom }}) => top >= 0 \
             && bottom <= innerHeight)(one('.linked').getBoundingClientRect())"
        )
    };
    for nth in [0, 136, 555] {
        ada.go(&format!("{view}?comment={}", comments[nth])).await;
        ada.until(&in_sight(&format!("no. {}.", nth + 1))).await;
        assert!(readings(&mut ada, "comments").await <= 8);
        // What comes in later moves nothing.
        let at = "Math.round(one('.linked').getBoundingClientRect().top)";
        let before = ada.run(at).await;
        let body = json!({"body": format!("after {nth}")});
        assert_eq!(hub.post(&team.jane, &comments_at, body).await.0, 201);
        ada.until(&format!("one('.comment', 'after {nth}') !== undefined")).await;
        assert_eq!(ada.run(at).await, before, "the thread jumps");
    }
    for step in [1, 444] {
        ada.go(&format!("{view}?step={step}")).await;
        ada.until(&format!("one('.linked')?.dataset.step === '{step}'")).await;
        ada.until(&in_sight("jane")).await;
    }
    // One of another ticket is not searched for ever, and the rest is there.
    ada.go(&format!("{view}?comment=999999")).await;
    ada.until("one('.comment', 'and one more') !== undefined").await;
    team.hub.stop().await;
}
