//! Forms and lists of tickets and users while a colleague works on the same.

use serde_json::json;

use super::{Team, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_saves_what_its_user_changed_against_the_version_that_it_opened() {
    let team = Team::gather().await;
    let (base, hub) = (team.hub.base(), &team.hub);
    let id = hub.ticket(&team.jane, "The page is blank").await;
    let path = format!("/api/tickets/{id}/");
    let text = json!({"description": "as it was"});
    assert_eq!(hub.patch(&team.jane, &path, text).await.0, 200);
    let view = format!("tickets/{id}");
    let Some(mut ada) = open(&base, &team.ada, "admin", &view).await else { return };
    ada.until("press('button', 'Edit')").await;
    ada.until("one('dialog [name=description]')?.value === 'as it was'").await;
    ada.run("fill('[name=title]', 'The page is white')").await;
    // A colleague changes another field; the page behind the form shows it.
    let text = json!({"description": "a colleague's text"});
    assert_eq!(hub.patch(&team.jane, &path, text).await.0, 200);
    ada.until("one('.text')?.textContent.includes('colleague')").await;
    ada.run("press('dialog button[type=submit]', '')").await;
    ada.until("one('dialog [role=alert]')?.textContent.includes('other fields')").await;
    ada.until("one('dialog [name=description]').value.includes('colleague')").await;
    ada.run("press('dialog button[type=submit]', '')").await;
    ada.until("one('dialog') === undefined && shows('The page is white')").await;
    let saved = hub.get(&team.jane, &path).await.1;
    assert_eq!(
        (&saved["title"], &saved["description"]),
        (&json!("The page is white"), &json!("a colleague's text"))
    );

    // The same field: both texts are shown, and the typed one is kept.
    ada.until("press('button', 'Edit')").await;
    ada.until("fill('[name=description]', 'what ada typed')").await;
    let text = json!({"description": "what jane saved"});
    assert_eq!(hub.patch(&team.jane, &path, text).await.0, 200);
    ada.run("press('dialog button[type=submit]', '')").await;
    ada.until("one('[data-theirs=description]')?.textContent.includes('what jane saved')").await;
    ada.until("one('dialog [name=description]').value === 'what ada typed'").await;
    assert_eq!(hub.get(&team.jane, &path).await.1["description"], "what jane saved");
    ada.run("press('dialog button[type=submit]', '')").await;
    ada.until("one('dialog') === undefined").await;
    assert_eq!(hub.get(&team.jane, &path).await.1["description"], "what ada typed");
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_comment_can_be_reached_and_the_newest_are_in_sight() {
    let team = Team::gather().await;
    let (base, hub) = (team.hub.base(), &team.hub);
    let id = hub.ticket(&team.jane, "A long thread").await;
    let path = format!("/api/tickets/{id}/comments/");
    for n in 1..=131 {
        let (status, answer) =
            hub.post(&team.jane, &path, json!({"body": format!("no. {n}.")})).await;
        assert_eq!(status, 201, "{answer}");
    }
    let Some(mut ada) = open(&base, &team.ada, "admin", &format!("tickets/{id}")).await else {
        return;
    };
    let newest = |text: &str| {
        format!(
            "((one) => one.textContent.includes('{text}') && one.getBoundingClientRect().bottom \
             <= one.closest('[role=group]').getBoundingClientRect().bottom) \
            ([...document.querySelectorAll('.comment')].at(-1))"
        )
    };
    ada.until(&newest("no. 131.")).await;
    // An own one is shown, also to a user who reads older ones.
    ada.run("one('.comment').closest('[role=group]').scrollTop = 0").await;
    ada.until("one('button', 'Newest') !== undefined").await;
    ada.run("fill('textarea[name=comment]', 'My own answer')").await;
    ada.until("press('button', 'Comment')").await;
    ada.until(&format!("{} && one('button', 'Newest') === undefined", newest("My own answer")))
        .await;
    let (status, _) = hub.post(&team.jane, &path, json!({"body": "and another"})).await;
    assert_eq!(status, 201);
    ada.until(&newest("and another")).await;
    while ada.run("one('.comment', 'no. 1.') === undefined").await == json!(true) {
        ada.run("one('.comment').closest('[role=group]').scrollTop = 0").await;
        ada.until("press('button', 'older') || one('.comment', 'no. 1.') !== undefined").await;
    }
    let count = "document.querySelectorAll('.comment').length";
    ada.until(&format!("{count} === 133")).await;
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_form_does_not_switch_an_account_on_again() {
    let team = Team::gather().await;
    let (base, hub) = (team.hub.base(), &team.hub);
    let Some(mut ada) = open(&base, &team.ada, "admin", "users").await else { return };
    ada.until("press('button', 'Edit dev')").await;
    ada.until("one('dialog input[type=tel]') !== undefined").await;
    let path = format!("/api/users/{}/", team.dev.id);
    let change = json!({"is_active": false, "full_name": "Dev Leaver"});
    assert_eq!(hub.patch(&team.ada, &path, change).await.0, 200);
    ada.run("fill('dialog input[type=tel]', '+4915100000009')").await;
    ada.run("press('dialog button[type=submit]', '')").await;
    // It is told that another admin was faster, sees what that one changed, and saves again.
    ada.until("one('dialog')?.textContent.includes('Another user has changed other fields')").await;
    ada.until("press('dialog button[type=submit]', '')").await;
    ada.until("one('dialog') === undefined").await;
    let saved = hub.get(&team.ada, &path).await.1;
    assert_eq!((&saved["is_active"], &saved["full_name"]), (&json!(false), &json!("Dev Leaver")));
    assert_eq!(saved["whatsapp_number"], "+4915100000009");
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_with_the_longest_title_can_be_edited() {
    let team = Team::gather().await;
    let (base, hub) = (team.hub.base(), &team.hub);
    let title = "long ".repeat(51);
    let id = hub.ticket(&team.jane, &title).await;
    let Some(mut jane) = open(&base, &team.jane, "client", &format!("tickets/{id}")).await else {
        return;
    };
    jane.until("press('button', 'Edit')").await;
    jane.until("one('dialog [name=title]')?.value.length === 254").await;
    // Typed, not set: a browser judges the length only of what its user has changed.
    jane.run(
        "one('dialog [name=title]').focus(); one('dialog [name=title]').setSelectionRange(0, 4)",
    )
    .await;
    jane.call("Input.insertText", json!({"text": "Long"})).await;
    jane.until("press('dialog button[type=submit]', '')").await;
    jane.until("one('dialog') === undefined && one('h1')?.textContent.startsWith('Long ')").await;
    let saved = hub.get(&team.jane, &format!("/api/tickets/{id}/")).await.1;
    assert_eq!(saved["title"].as_str().unwrap().len(), 254, "{saved}");
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_typed_of_a_ticket_that_is_deleted_is_shown() {
    let team = Team::gather().await;
    let (base, hub) = (team.hub.base(), &team.hub);
    let id = hub.ticket(&team.jane, "One").await;
    let Some(mut ada) = open(&base, &team.ada, "admin", &format!("tickets/{id}")).await else {
        return;
    };
    ada.until("fill('textarea[name=comment]', 'half a sentence')").await;
    ada.until("Object.keys(localStorage).some((key) => key.includes('.comment.'))").await;
    assert!(hub.delete(&team.jane, &format!("/api/tickets/{id}/")).await.0 < 300);
    ada.until("shows('There is no such ticket')").await;
    ada.until("one('textarea[readonly]')?.value === 'half a sentence'").await;
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_that_another_has_saved_is_not_replaced_unseen() {
    let team = Team::gather().await;
    let (base, hub) = (team.hub.base(), &team.hub);
    let view = "templates?event=ticket_opened";
    let Some(mut ada) = open(&base, &team.ada, "admin", view).await else { return };
    ada.until("fill('form input', 'By ada: {{ title }}')").await;
    let path = "/api/templates/ticket_opened/EMAIL/en/";
    let (_, template) = hub.get(&team.root, path).await;
    let other = json!({"subject": "By root: {{ title }}", "text": template["text"],
        "html": template["html"]});
    let request = hub.request(reqwest::Method::PUT, path).bearer_auth(&team.root.token);
    assert!(crate::support::answer(request.json(&other)).await.0 < 300);
    ada.until("press('button', 'Save')").await;
    ada.until("one('[data-theirs=subject]')?.textContent.includes('By root')").await;
    assert_eq!(hub.get(&team.root, path).await.1["subject"], "By root: {{ title }}");
    ada.until("press('button', 'Save')").await;
    ada.until("one('.toasts')?.textContent.includes('Saved')").await;
    assert_eq!(hub.get(&team.root, path).await.1["subject"], "By ada: {{ title }}");
    team.hub.stop().await;
}
