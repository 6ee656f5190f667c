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
    let none = json!({"unassigned": []});
    assert_eq!(team.hub.delete(&team.admin, &gone).await, (200, none));
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
    let removed = team.hub.delete(&team.admin, &gone).await;
    assert_eq!(removed, (200, json!({"unassigned": []})));
    assert_eq!(team.hub.get(&team.ada, &path).await.0, 404);
    assert_eq!(team.hub.get(&team.ada, &list).await.1["count"], 0);
    assert_eq!(team.hub.post(&team.ada, "/api/tickets/", raise("Out")).await.0, 400);
}

/// What a user was told of an event: title and body of each.
async fn told(team: &Team, who: &Person, event: &str) -> Vec<(String, String)> {
    let path = format!("/api/notifications/?event={event}");
    let (_, page) = team.hub.get(who, &path).await;
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    page["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (text(row, "title"), text(row, "body")))
        .collect()
}

#[tokio::test]
async fn a_removed_member_is_taken_off_open_tickets_and_not_assigned_anew() {
    let team = Team::gather().await;
    let web = project(&team, "WEB").await;
    for who in [&team.carl, &team.ada, &team.bob] {
        join(&team, web, who).await;
    }
    let mut tickets = Vec::new();
    for title in ["Alone", "Both", "Done"] {
        let body = json!({"title": title, "project": web});
        let (_, ticket) = team.hub.post(&team.carl, "/api/tickets/", body).await;
        tickets.push(ticket["id"].as_i64().unwrap());
    }
    let [alone, both, done] = tickets[..] else { panic!("{tickets:?}") };
    let assign = async |ticket: i64, who: &[&Person]| {
        let ids: Vec<i64> = who.iter().map(|one| one.id).collect();
        let path = format!("/api/tickets/{ticket}/assign/");
        team.hub.post(&team.admin, &path, json!({ "developers": ids })).await
    };
    assert_eq!(assign(alone, &[&team.ada]).await.0, 200);
    assert_eq!(assign(both, &[&team.ada, &team.bob]).await.0, 200);
    assert_eq!(assign(done, &[&team.ada]).await.0, 200);
    for (who, action) in
        [(&team.ada, "start_work"), (&team.ada, "finish_work"), (&team.carl, "approve")]
    {
        assert_eq!(team.act(who, done, action).await.0, 200, "{action}");
    }
    assert_eq!(team.act(&team.ada, both, "start_work").await.0, 200);
    let member = format!("/api/projects/{web}/members/{}/", team.ada.id);
    let removed = team.hub.delete(&team.root, &member).await;
    assert_eq!(removed, (200, json!({"unassigned": [alone, both]})));
    for (ticket, left) in [(alone, vec![]), (both, vec![team.bob.id]), (done, vec![team.ada.id])] {
        let (_, now) = team.hub.get(&team.admin, &format!("/api/tickets/{ticket}/")).await;
        assert_eq!(now["assigned_to"], json!(left), "{now}");
    }
    let (_, history) = team.hub.get(&team.admin, &format!("/api/tickets/{both}/history/")).await;
    let last = history["results"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&last["action"], &last["by"]),
        (&json!("unassign"), &json!(team.root.id)),
        "{last}"
    );
    assert_eq!(last["note"], "ada");
    // No way in is left.
    assert_eq!(team.hub.get(&team.ada, &format!("/api/tickets/{both}/")).await.0, 404);
    assert_eq!(team.act(&team.ada, both, "finish_work").await.0, 404);
    let (status, refused) = assign(alone, &[&team.bob, &team.ada]).await;
    let text = format!("Not members of the ticket's project: {} (ada).", team.ada.id);
    assert_eq!((status, &refused["developers"]), (400, &json!([text])), "{refused}");
    assert_eq!(assign(alone, &[&team.bob]).await.0, 200);
    // All whom it concerns are told, but not the one who did it.
    for (who, count) in [
        (&team.carl, 2),
        (&team.admin, 2),
        (&team.ada, 2),
        (&team.bob, 1),
        (&team.root, 0),
        (&team.dora, 0),
    ] {
        let told = told(&team, who, "ticket_unassigned").await;
        assert_eq!(told.len(), count, "{} {told:?}", who.username);
        if count > 0 {
            let wanted =
                ("Ticket Unassigned".to_owned(), "root took ada off WEB-2: Both".to_owned());
            assert!(told.contains(&wanted), "{told:?}");
        }
    }
    // A second time there is nothing to remove.
    assert_eq!(team.hub.delete(&team.root, &member).await.0, 404);
    // A developer who is assigned in the open project needs no membership.
    let open = team.raise(&team.carl, "Open").await;
    assert_eq!(team.act(&team.admin, open, "assign").await.0, 200);
}

#[tokio::test]
async fn a_removal_and_assignments_at_once_leave_no_assignment() {
    let team = Team::gather().await;
    let web = project(&team, "WEB").await;
    join(&team, web, &team.carl).await;
    let body = json!({"title": "Race", "project": web});
    let (_, ticket) = team.hub.post(&team.carl, "/api/tickets/", body).await;
    let assign = format!("/api/tickets/{}/assign/", ticket["id"]);
    let member = format!("/api/projects/{web}/members/{}/", team.ada.id);
    for round in 0..20 {
        join(&team, web, &team.ada).await;
        let assigning = team.hub.post(&team.admin, &assign, json!({"developers": [team.ada.id]}));
        let removing = team.hub.delete(&team.root, &member);
        let (assigned, removed) = tokio::join!(assigning, removing);
        assert_eq!(removed.0, 200, "{removed:?}");
        assert!([200, 400, 503].contains(&assigned.0), "{assigned:?}");
        let (_, now) = team.hub.get(&team.admin, &format!("/api/tickets/{}/", ticket["id"])).await;
        assert_eq!(now["assigned_to"], json!([]), "round {round}");
    }
}
