//! The admins' views: users, a message to many, templates, projects.

use serde_json::json;

use super::{Team, open};
use crate::ws::Socket;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admins_change_users_and_see_deliveries() {
    let team = Team::gather().await;
    let base = team.hub.base();
    let Some(mut page) = open(&base, &team.ada, "admin", "users?search=jane").await else { return };
    page.until("press('button', 'Edit jane')").await;
    page.until("one('dialog [type=email]')?.value === 'jane@example.com'").await;
    page.run(
        "fill('dialog label:first-of-type input', 'Jane Client'); \
         press('dialog button[type=submit]')",
    )
    .await;
    page.until("one('td', 'Jane Client') !== undefined").await;
    let (_, user) = team.hub.get(&team.ada, &format!("/api/users/{}/", team.jane.id)).await;
    assert_eq!(user["full_name"], "Jane Client");
    let mut socket = Socket::established(&team.hub, &team.jane, "").await;
    page.run("press('button', 'Edit jane')").await;
    page.until("press('dialog button', 'Log out')").await;
    page.until("press('dialog button.primary', 'Log out')").await;
    page.until("one('.toasts')?.textContent.includes('All logins of jane have ended')").await;
    assert_eq!(socket.next_close().await.0, 4401);
    page.run("press('nav a', 'Deliveries')").await;
    page.until("shows('No deliveries')").await;
    page.run("press('nav a', 'Audit log')").await;
    page.until("one('td', 'PATCH /api/users/{id}/') !== undefined").await;
    page.until("one('nav a', 'Operators') === undefined").await;
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_counted_sent_and_one_for_later_cancelled() {
    let team = Team::gather().await;
    let base = team.hub.base();
    let Some(mut page) = open(&base, &team.ada, "admin", "sends").await else { return };
    let fill = "fill('[name=send-title]', 'Maintenance'); \
                fill('[name=send-message]', 'At ten.'); press('form button[type=submit]')";
    page.until("shows('Nothing is being sent')").await;
    page.run(fill).await;
    page.until("one('dialog')?.textContent.includes('goes to 4 users')").await;
    page.until("press('dialog button.primary', 'Send')").await;
    page.until("one('.toasts')?.textContent.includes('Sent.')").await;
    let (_, rows) = team.hub.get(&team.jane, "/api/notifications/").await;
    assert_eq!(rows["results"][0]["title"], "Maintenance", "{rows}");

    let tomorrow = "new Date(Date.now() + 86_400_000).toISOString().slice(0, 16)";
    page.run(&format!("fill('[type=datetime-local]', {tomorrow})")).await;
    page.run(fill).await;
    page.until("press('dialog button.primary', 'Send')").await;
    page.until("one('.send')?.textContent.includes('Scheduled')").await;
    page.until("press('.send button', 'Cancel')").await;
    page.until("press('dialog button.primary', 'Cancel the send')").await;
    page.until("shows('Nothing is being sent')").await;
    let (_, list) = team.hub.get(&team.ada, "/api/scheduled/").await;
    assert_eq!(list["count"], 0, "{list}");
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_is_previewed_while_it_is_written_and_a_project_gets_a_member() {
    let team = Team::gather().await;
    let base = team.hub.base();
    let Some(mut page) = open(&base, &team.ada, "admin", "templates").await else { return };
    page.until("fill('form input', 'Look: {{ title }}')").await;
    page.until("one('section strong')?.textContent.startsWith('Look: ')").await;
    page.run("fill('form input', 'Look: {{ title')").await;
    page.until("one('[role=alert]') !== undefined").await;
    page.run("fill('form input', 'Look: {{ title }}')").await;
    page.until("one('[role=alert]') === undefined && press('button', 'Save')").await;
    page.until("shows('own text')").await;
    let (_, template) = team.hub.get(&team.ada, "/api/templates/ticket_created/EMAIL/en/").await;
    assert_eq!(template["subject"], "Look: {{ title }}");

    let project = json!({"key": "WEB", "name": "Main Website"});
    let (status, project) = team.hub.post(&team.ada, "/api/projects/", project).await;
    assert_eq!(status, 201, "{project}");
    page.run("press('nav a', 'Projects')").await;
    page.until("press('.projects a', 'WEB')").await;
    // Its creator is its first member.
    page.until("one('h2', 'Members')?.textContent.includes('1')").await;
    page.until("fill('section [type=search]', 'jane')").await;
    page.until("press('section button', 'Add')").await;
    page.until("one('h2', 'Members')?.textContent.includes('2')").await;
    let path = format!("/api/projects/{}/members/", project["id"]);
    let (_, members) = team.hub.get(&team.ada, &path).await;
    let ids: Vec<_> = members["results"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&json!(team.jane.id), &json!(team.ada.id)], "{members}");
    page.run("press('nav a', 'Analytics')").await;
    page.until("shows('By channel') || shows('Nothing was sent')").await;
    team.hub.stop().await;
}
