//! What is followed live: before the line stands, in many projects, where it is refused, and after
//! it was taken away and given back.

use serde_json::{Value, json};

use super::super::page::Page;
use super::{Team, open};
use crate::support::{Hub, Person};

/// Frames come late: whatever the page asks over REST is answered before.
const SLOW_SOCKET: &str = "const Real = WebSocket; \
    window.WebSocket = class extends Real { \
        set onmessage(hear) { \
            super.onmessage = hear && ((frame) => setTimeout(() => hear(frame), 700)); } }";

/// Says that a stream is not told.
const IS_LOST: &str = "shows('does not report changes')";

async fn slow_socket(page: &mut Page) {
    page.call("Page.enable", json!({})).await;
    let source = json!({"source": SLOW_SOCKET});
    page.call("Page.addScriptToEvaluateOnNewDocument", source).await;
}

/// A closed project with the user as a member, and its address.
async fn project(team: &Team, key: &str, member: &Person) -> (i64, String) {
    let body = json!({"key": key, "name": format!("Project {key}")});
    let (status, made) = team.hub.post(&team.root, "/api/projects/", body).await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_i64().unwrap();
    join(&team.hub, &team.root, id, member).await;
    (id, format!("/api/projects/{id}/members/{}/", member.id))
}

async fn join(hub: &Hub, root: &Person, project: i64, who: &Person) {
    let path = format!("/api/projects/{project}/members/");
    let (status, answer) = hub.post(root, &path, json!({"user": who.id})).await;
    assert!(status < 300, "{answer}");
}

async fn raise(hub: &Hub, who: &Person, project: i64) -> i64 {
    let body = json!({"title": "The page is blank", "project": project});
    let (status, ticket): (u16, Value) = hub.post(who, "/api/tickets/", body).await;
    assert_eq!(status, 201, "{ticket}");
    ticket["id"].as_i64().unwrap()
}

async fn say(hub: &Hub, who: &Person, ticket: i64, text: &str) {
    let path = format!("/api/tickets/{ticket}/comments/");
    assert_eq!(hub.post(who, &path, json!({"body": text})).await.0, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_at_a_ticket_before_the_line_stands_is_seen() {
    let team = Team::gather().await;
    let base = team.hub.base();
    let id = team.hub.ticket(&team.jane, "The page is blank").await;
    let view = format!("tickets/{id}");
    let Some(mut jane) = open(&base, &team.jane, "client", &view).await else { return };
    let Some(mut ada) = open(&base, &team.ada, "admin", "inbox").await else { return };
    slow_socket(&mut ada).await;
    for _ in 0..3 {
        ada.go(&format!("{base}/console/inbox")).await;
        jane.until("!shows('Here now')").await;
        ada.go(&format!("{base}/console/{view}")).await;
        jane.until("shows('Here now: ada')").await;
        ada.until("shows('Here now: jane')").await;
    }
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_board_is_live_in_each_of_many_projects() {
    let team = Team::gather().await;
    let (base, hub) = (team.hub.base(), &team.hub);
    let mut last = 0;
    for n in 0..28 {
        last = project(&team, &format!("P{n}"), &team.dev).await.0;
    }
    let id = raise(hub, &team.jane, 1).await;
    let other = raise(hub, &team.root, last).await;
    let Some(mut dev) = open(&base, &team.dev, "developer", "tickets").await else { return };
    let card = |status: &str, id: i64| {
        format!("one('[data-status={status}] a[href$=\"/{id}\"]') !== undefined")
    };
    for ticket in [id, other] {
        dev.until(&card("NEW", ticket)).await;
        let open = format!("/api/tickets/{ticket}/open/");
        assert_eq!(hub.post(&team.root, &open, json!({})).await.0, 200);
        dev.until(&card("OPENED", ticket)).await;
    }
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_no_stream_tells_says_so_and_reads_by_itself() {
    let team = Team::gather().await;
    let (base, hub) = (team.hub.base(), &team.hub);
    let (web, member) = project(&team, "WEB", &team.jane).await;
    let id = raise(hub, &team.jane, web).await;
    assert!(hub.delete(&team.root, &member).await.0 < 300);
    let view = format!("tickets/{id}");
    // Her own ticket, in a project that is not hers any more.
    let Some(mut jane) = open(&base, &team.jane, "client", &view).await else { return };
    jane.until(IS_LOST).await;
    say(hub, &team.ada, id, "It is known").await;
    let title = json!({"title": "The page is white"});
    assert_eq!(hub.patch(&team.ada, &format!("/api/tickets/{id}/"), title).await.0, 200);
    jane.until("one('.comment')?.textContent.includes('It is known')").await;
    jane.until("one('h1')?.textContent === 'The page is white'").await;
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_membership_that_is_given_back_is_followed_again() {
    let team = Team::gather().await;
    let (base, hub) = (team.hub.base(), &team.hub);
    let (web, member) = project(&team, "WEB", &team.dev).await;
    let id = raise(hub, &team.root, web).await;
    let view = format!("tickets/{id}");
    let Some(mut dev) = open(&base, &team.dev, "developer", &view).await else { return };
    say(hub, &team.ada, id, "First").await;
    dev.until("one('.comment')?.textContent.includes('First')").await;
    assert!(hub.delete(&team.root, &member).await.0 < 300);
    // What may no longer be seen is not shown.
    dev.until("shows('There is no such ticket') && !shows('First')").await;
    join(hub, &team.root, web, &team.dev).await;
    dev.until(&format!("!{IS_LOST} && shows('First')")).await;
    say(hub, &team.ada, id, "Second").await;
    dev.until("one('.comment', 'Second') !== undefined").await;
    team.hub.stop().await;
}
