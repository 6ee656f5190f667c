//! Projects, their members, and the tickets that only these see.

use serde_json::{Value, json};

use super::{Team, column, ids, service};
use crate::support::Person;

/// Makes a closed project; its id.
async fn project(team: &Team, key: &str) -> i64 {
    let body = json!({"key": key, "name": format!("Project {key}")});
    let (status, project) = team.hub.post(&team.admin, "/api/projects/", body).await;
    assert_eq!(status, 201, "{project}");
    project["id"].as_i64().unwrap()
}

async fn join(team: &Team, project: i64, who: &Person) -> (u16, Value) {
    let path = format!("/api/projects/{project}/members/");
    team.hub.post(&team.admin, &path, json!({"user": who.id})).await
}

#[tokio::test]
async fn admins_make_projects() {
    let team = Team::gather().await;
    let body = json!({"key": "WEB", "name": " Main Website "});
    for (who, wanted) in [(&team.ada, 403), (&team.carl, 403), (&service(), 403)] {
        let (status, answer) = team.hub.post(who, "/api/projects/", body.clone()).await;
        assert_eq!((status, &answer["code"]), (wanted, &json!("permission_denied")));
    }
    let (status, made) = team.hub.post(&team.admin, "/api/projects/", body.clone()).await;
    let wanted = json!({"id": made["id"], "key": "WEB", "name": "Main Website", "is_open": false});
    assert_eq!((status, &made), (201, &wanted));
    let path = format!("/api/projects/{}/", made["id"]);
    assert_eq!(team.hub.get(&team.admin, &path).await, (200, made.clone()));
    let (_, members) = team.hub.get(&team.admin, &format!("{path}members/")).await;
    assert_eq!(ids(&members), [team.admin.id], "its creator is a member");
    for taken in ["WEB", "TKT"] {
        let body = json!({"key": taken, "name": "Another"});
        let (status, answer) = team.hub.post(&team.root, "/api/projects/", body).await;
        let wanted = json!({"key": ["A project with that key already exists."], "code": "invalid"});
        assert_eq!((status, answer), (400, wanted));
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_project() {
    let team = Team::gather().await;
    let pattern = "Enter 2 to 10 of the characters A-Z and 0-9, beginning with a letter.";
    let blank = "This field may not be blank.";
    for (key, text) in [
        (json!("web"), pattern),
        (json!("W"), pattern),
        (json!("1WEB"), pattern),
        (json!("WE-B"), pattern),
        (json!("ÄÖÜ"), pattern),
        (json!("PROJECT1234"), "Ensure this field has no more than 10 characters."),
        (json!(" "), blank),
        (json!(null), "This field may not be null."),
        (json!(7), "Not a valid string."),
    ] {
        let body = json!({"key": key, "name": "Name"});
        let (status, answer) = team.hub.post(&team.admin, "/api/projects/", body).await;
        assert_eq!((status, &answer["key"]), (400, &json!([text])), "{key}");
    }
    for (name, text) in [
        (json!(""), blank),
        (json!("x".repeat(256)), "Ensure this field has no more than 255 characters."),
        (json!("two\nlines"), "Control characters are not allowed."),
        (json!("a\u{0}b"), "Null characters are not allowed."),
    ] {
        let body = json!({"key": "WEB", "name": name});
        let (status, answer) = team.hub.post(&team.admin, "/api/projects/", body).await;
        assert_eq!((status, &answer["name"]), (400, &json!([text])), "{name}");
    }
    let (status, answer) = team.hub.post(&team.admin, "/api/projects/", json!({})).await;
    let required = json!(["This field is required."]);
    assert_eq!((status, &answer["key"], &answer["name"]), (400, &required, &required));
    let longest = json!({"key": "PROJECT123", "name": "x".repeat(255)});
    assert_eq!(team.hub.post(&team.admin, "/api/projects/", longest).await.0, 201);
}

#[tokio::test]
async fn who_sees_which_projects() {
    let team = Team::gather().await;
    let (one, other) = (project(&team, "ONE").await, project(&team, "OTHER").await);
    assert_eq!(join(&team, one, &team.carl).await.0, 201);
    assert_eq!(join(&team, other, &team.ada).await.0, 201);
    for (who, wanted) in [
        (&team.root, vec!["TKT", "ONE", "OTHER"]),
        (&team.admin, vec!["TKT", "ONE", "OTHER"]),
        (&service(), vec!["TKT", "ONE", "OTHER"]),
        (&team.carl, vec!["TKT", "ONE"]),
        (&team.ada, vec!["TKT", "OTHER"]),
        (&team.dora, vec!["TKT"]),
    ] {
        let (status, list) = team.hub.get(who, "/api/projects/").await;
        let wanted: Vec<Value> = wanted.into_iter().map(Value::from).collect();
        assert_eq!((status, column(&list, "key")), (200, wanted), "{}", who.username);
    }
    let (_, page) = team.hub.get(&team.carl, "/api/projects/?page=2&page_size=1").await;
    assert_eq!((ids(&page), &page["count"]), (vec![one], &json!(2)));
    for path in [format!("/api/projects/{one}/"), format!("/api/projects/{one}/members/")] {
        for (who, wanted) in [(&team.carl, 200), (&team.admin, 200), (&team.dora, 404)] {
            assert_eq!(team.hub.get(who, &path).await.0, wanted, "{path} by {}", who.username);
        }
        let hidden = team.hub.get(&team.dora, &path).await;
        assert_eq!(hidden, team.hub.get(&team.dora, "/api/projects/4711/").await);
    }
    let (status, unknown) = team.hub.get(&team.dora, "/api/projects/1/members/").await;
    assert_eq!((status, &unknown["count"]), (200, &json!(0)), "an open project keeps no list");
}

#[tokio::test]
async fn members_come_and_go() {
    let team = Team::gather().await;
    let web = project(&team, "WEB").await;
    let path = format!("/api/projects/{web}/members/");
    for who in [&team.ada, &team.carl] {
        let body = json!({"user": who.id});
        assert_eq!(team.hub.post(who, &path, body).await.0, 403);
        assert_eq!(team.hub.delete(who, &format!("{path}{}/", team.admin.id)).await.0, 403);
    }
    let (status, member) = join(&team, web, &team.ada).await;
    let wanted = json!({"id": team.ada.id, "username": "ada", "full_name": "",
        "role": "developer", "is_active": true});
    assert_eq!((status, &member), (201, &wanted), "without address and telephone");
    assert_eq!(join(&team, web, &team.ada).await, (200, wanted), "once is enough");
    let (_, list) = team.hub.get(&team.ada, &path).await;
    assert_eq!(ids(&list), [team.admin.id, team.ada.id]);
    let gone = format!("{path}{}/", team.ada.id);
    assert_eq!(team.hub.delete(&team.admin, &gone).await, (204, Value::Null));
    assert_eq!(team.hub.delete(&team.admin, &gone).await.0, 404);
    assert_eq!(team.hub.get(&team.ada, &path).await.0, 404);
    for nothing in ["4711", "x", "-1", "99999999999999999999"] {
        assert_eq!(team.hub.delete(&team.admin, &format!("{path}{nothing}/")).await.0, 404);
        let elsewhere = format!("/api/projects/{nothing}/members/");
        let body = json!({"user": team.ada.id});
        assert_eq!(team.hub.post(&team.admin, &elsewhere, body).await.0, 404);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_member() {
    let team = Team::gather().await;
    let path = format!("/api/projects/{}/members/", project(&team, "WEB").await);
    for (body, text) in [
        (json!({}), "This field is required."),
        (json!({"user": null}), "This field may not be null."),
        (json!({"user": "ada"}), "Incorrect type. Expected pk value, received str."),
        (json!({"user": [1]}), "Incorrect type. Expected pk value, received list."),
        (json!({"user": 4711}), "Invalid pk \"4711\" - object does not exist."),
    ] {
        let (status, answer) = team.hub.post(&team.admin, &path, body.clone()).await;
        assert_eq!((status, &answer["user"]), (400, &json!([text])), "{body}");
    }
    let body = json!({"user": team.ada.id});
    let (status, answer) = team.hub.post(&team.admin, "/api/projects/1/members/", body).await;
    let open = "This project is open to all users and has no list of members.";
    assert_eq!((status, &answer["user"]), (400, &json!([open])));
    let text = json!({"user": team.ada.id.to_string()});
    assert_eq!(team.hub.post(&team.admin, &path, text).await.0, 201, "as the clients' forms do");
}

#[tokio::test]
async fn a_closed_project_s_tickets_are_its_members_own() {
    let team = Team::gather().await;
    let web = project(&team, "WEB").await;
    let raise = |title: &str| json!({"title": title, "project": web});
    for who in [&team.carl, &team.ada] {
        let (status, answer) = team.hub.post(who, "/api/tickets/", raise("Out")).await;
        let text = format!("Invalid pk \"{web}\" - object does not exist.");
        assert_eq!((status, &answer["project"]), (400, &json!([text])), "as if it were not there");
    }
    for who in [&team.carl, &team.dora, &team.ada] {
        join(&team, web, who).await;
    }
    let (status, ticket) = team.hub.post(&team.carl, "/api/tickets/", raise("In")).await;
    assert_eq!((status, &ticket["key"]), (201, &json!("WEB-1")));
    assert_eq!(ticket["project_name"], "Project WEB");
    let (status, by_admin) = team.hub.post(&team.root, "/api/tickets/", raise("Root's")).await;
    assert_eq!((status, &by_admin["key"]), (201, &json!("WEB-2")), "an admin need not be on it");
    let path = format!("/api/tickets/{}/", ticket["id"]);
    let list = format!("/api/tickets/?project={web}");
    for (who, status, count) in [
        (&team.carl, 200, 1),
        (&team.ada, 200, 2),
        (&team.bob, 404, 0),
        (&team.dora, 404, 0),
        (&team.admin, 200, 2),
        (&team.root, 200, 2),
    ] {
        assert_eq!(team.hub.get(who, &path).await.0, status, "{}", who.username);
        let (_, found) = team.hub.get(who, &list).await;
        assert_eq!(found["count"], count, "{}", who.username);
    }
    // A developer sees what is of the list only as long as the name is on it.
    let gone = format!("/api/projects/{web}/members/{}/", team.ada.id);
    assert_eq!(team.hub.delete(&team.admin, &gone).await.0, 204);
    assert_eq!(team.hub.get(&team.ada, &path).await.0, 404);
    assert_eq!(team.hub.get(&team.ada, &list).await.1["count"], 0);
    assert_eq!(team.hub.post(&team.ada, "/api/tickets/", raise("Out")).await.0, 400);
}
