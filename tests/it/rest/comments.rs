//! Comments: who may read and write them, and who is told.

use serde_json::{Value, json};

use super::{Team, column, service};
use crate::support::Person;

async fn comment(team: &Team, who: &Person, ticket: i64, body: &str) -> Value {
    let path = format!("/api/tickets/{ticket}/comments/");
    let (status, comment) = team.hub.post(who, &path, json!({ "body": body })).await;
    assert_eq!(status, 201, "{comment}");
    comment
}

#[tokio::test]
async fn a_comment_is_for_those_who_see_the_ticket() {
    let team = Team::gather().await;
    let id = team.raise(&team.carl, "One").await;
    let path = format!("/api/tickets/{id}/comments/");
    let made = comment(&team, &team.carl, id, "Any news?\n— Carl").await;
    let wanted = json!({"id": made["id"], "ticket": id, "author": "carl",
        "author_id": team.carl.id, "body": "Any news?\n— Carl", "mentions": [],
        "created_at": made["created_at"]});
    assert_eq!(made, wanted);
    comment(&team, &team.ada, id, "Soon.").await;
    comment(&team, &team.root, id, "Good.").await;
    for who in [&team.carl, &team.ada, &team.admin] {
        let (status, list) = team.hub.get(who, &path).await;
        let bodies = [json!("Any news?\n— Carl"), json!("Soon."), json!("Good.")];
        assert_eq!((status, column(&list, "body")), (200, bodies.to_vec()), "oldest first");
    }
    let (_, page) = team.hub.get(&team.carl, &format!("{path}?page=2&page_size=2")).await;
    assert_eq!((&page["count"], column(&page, "author")), (&json!(3), vec![json!("root")]));
    assert_eq!(team.hub.get(&team.carl, &format!("{path}?page=3&page_size=2")).await.0, 404);
    let missing = team.hub.get(&team.dora, "/api/tickets/4711/comments/").await;
    assert_eq!(team.hub.get(&team.dora, &path).await, missing);
    for body in [json!({"body": "Hello"}), json!({})] {
        assert_eq!(team.hub.post(&team.dora, &path, body).await.0, 404, "rights come first");
    }
    let (status, answer) = team.hub.post(&service(), &path, json!({"body": "x"})).await;
    assert_eq!((status, &answer["code"]), (403, &json!("permission_denied")));
    assert_eq!(team.hub.delete(&team.admin, &format!("/api/tickets/{id}/")).await.0, 204);
    assert_eq!(team.hub.get(&team.carl, &path).await.0, 404);
    assert_eq!(team.hub.post(&team.carl, &path, json!({"body": "Late"})).await.0, 404);
}

#[tokio::test]
async fn what_is_wrong_with_a_comment() {
    let team = Team::gather().await;
    let id = team.raise(&team.carl, "One").await;
    let path = format!("/api/tickets/{id}/comments/");
    for (body, text) in [
        (json!({}), "This field is required."),
        (json!({"body": null}), "This field may not be null."),
        (json!({"body": 7}), "Not a valid string."),
        (json!({"body": " \n\t "}), "This field may not be blank."),
        (json!({"body": "a\u{0}b"}), "Null characters are not allowed."),
        (json!({"body": "a\u{7}b"}), "Control characters are not allowed."),
        (
            json!({"body": "ä".repeat(10_001)}),
            "Ensure this field has no more than 10000 characters.",
        ),
    ] {
        let (status, answer) = team.hub.post(&team.carl, &path, body).await;
        assert_eq!((status, &answer["body"]), (400, &json!([text])));
    }
    let longest = "ä".repeat(10_000);
    assert_eq!(comment(&team, &team.carl, id, &longest).await["body"], json!(longest));
    let (_, list) = team.hub.get(&team.carl, &path).await;
    assert_eq!(list["count"], 1, "nothing of the others was kept");
}

#[tokio::test]
async fn a_mentioned_user_who_may_see_it_is_notified_once() {
    let team = Team::gather().await;
    let id = team.raise(&team.carl, "One").await;
    comment(&team, &team.ada, id, "@carl @bob, @ada @dora @unknown: see @bob.").await;
    for (who, wanted) in [(&team.carl, 1), (&team.bob, 1), (&team.ada, 0), (&team.dora, 0)] {
        let path = "/api/notifications/?event=mentioned";
        let (_, list) = team.hub.get(who, path).await;
        assert_eq!(list["count"], wanted, "{}", who.username);
        if wanted == 1 {
            let row = &list["results"][0];
            assert_eq!(row["title"], "You Were Mentioned");
            assert_eq!(
                row["message"],
                "ada mentioned you on TKT-1: @carl @bob, @ada @dora @unknown: see @bob."
            );
            assert_eq!((&row["ticket"], &row["sender"]), (&json!(id), &json!(team.ada.id)));
        }
    }
}

#[tokio::test]
async fn a_mention_is_told_to_those_it_names_however_it_is_written() {
    let team = Team::gather().await;
    let han = team.hub.user("李雷", "developer").await;
    let umlaut = team.hub.user("jürgen", "developer").await;
    let long = team.hub.user("ada.l", "developer").await;
    let id = team.raise(&team.carl, "Lamp").await;
    let path = format!("/api/tickets/{id}/comments/");
    let told = async |who: &Person| {
        let list = team.hub.get(who, "/api/notifications/?event=mentioned").await.1;
        list["count"].as_i64().unwrap()
    };
    let everyone = [&team.bob, &team.ada, &han, &umlaut, &long];
    for (body, names) in [
        ("@Bob please", &["bob"][..]),
        ("@BOB.Thanks", &["bob"]),
        ("@JÜRGEN!", &["jürgen"]),
        ("@ju\u{308}rgen", &["jürgen"]),
        ("请@李雷 看一下", &["李雷"]),
        ("@ada.l and @ada.", &["ada.l", "ada"]),
        ("https://x.example/@bob", &[]),
        ("```\n@bob\n```\nand `@ada`", &[]),
        ("mail bob@ada.example", &[]),
    ] {
        let mut before = Vec::new();
        for who in everyone {
            before.push(told(who).await);
        }
        let (status, made) = team.hub.post(&team.carl, &path, json!({"body": body})).await;
        assert_eq!(status, 201, "{made}");
        for (who, before) in everyone.into_iter().zip(before) {
            let more = i64::from(names.contains(&who.username.as_str()));
            assert_eq!(told(who).await, before + more, "{body}: {}", who.username);
        }
    }
    team.hub.stop().await;
}
