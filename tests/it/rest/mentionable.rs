//! All users whom a comment would notify are offered while it is written, however many there are.

use serde_json::{Value, json};

use super::Team;
use crate::support::Person;

/// More accounts than are read at once.
const MANY: usize = 620;

/// The usernames that are offered.
async fn offered(team: &Team, who: &Person, ticket: i64, text: &str) -> Vec<String> {
    let path = format!("/api/tickets/{ticket}/mentionable/?text={text}");
    let (status, answer) = team.hub.get(who, &path).await;
    assert_eq!(status, 200, "{answer}");
    let name = |row: &Value| row["username"].as_str().unwrap().to_owned();
    answer["results"].as_array().unwrap().iter().map(name).collect()
}

#[tokio::test]
async fn one_of_many_accounts_members_and_authors_is_offered() {
    let team = Team::gather().await;
    for n in 0..MANY {
        team.hub.user(&format!("developer{n}"), "developer").await;
    }
    let zara = team.hub.user("Zara", "developer").await;
    let zoe = team.hub.user("zo\u{e9}", "admin").await;
    let ticket = team.raise(&team.carl, "One").await;
    assert_eq!(offered(&team, &team.admin, ticket, "hello%20@zA").await, ["Zara"]);
    assert_eq!(offered(&team, &team.admin, ticket, "@ar").await, ["carl", "Zara"]);
    assert_eq!(offered(&team, &team.admin, ticket, "@developer").await.len(), 6);
    // No client but the one whose ticket it is.
    assert_eq!(offered(&team, &team.admin, ticket, "@do").await, Vec::<String>::new());

    // A client is offered all authors of comments, however old these are, and no other users.
    let comments = format!("/api/tickets/{ticket}/comments/");
    for n in 0..110 {
        let body = json!({"body": format!("no. {n}")});
        assert_eq!(team.hub.post(&team.carl, &comments, body).await.0, 201);
    }
    assert_eq!(offered(&team, &team.carl, ticket, "@z").await, Vec::<String>::new());
    assert_eq!(team.hub.post(&zoe, &comments, json!({"body": "Hello"})).await.0, 201);
    assert_eq!(offered(&team, &team.carl, ticket, "@ZO%C3%89").await, ["zo\u{e9}"]);

    // A member of a closed project, all of its members.
    let body = json!({"key": "WEB", "name": "Web"});
    let (_, web) = team.hub.post(&team.root, "/api/projects/", body).await;
    let members = format!("/api/projects/{}/members/", web["id"]);
    let filling = (0..MANY as i64).map(|n| n + team.dora.id + 1).chain([team.carl.id, zara.id]);
    for id in filling {
        let (status, answer) = team.hub.post(&team.root, &members, json!({"user": id})).await;
        assert!(status < 300, "{answer}");
    }
    let body = json!({"title": "Two", "project": web["id"]});
    let (_, second) = team.hub.post(&team.carl, "/api/tickets/", body).await;
    let second = second["id"].as_i64().unwrap();
    assert_eq!(offered(&team, &team.carl, second, "@zar").await, ["Zara"]);
    assert_eq!(offered(&team, &team.carl, second, "@bob").await, Vec::<String>::new());
    team.hub.stop().await;
}
