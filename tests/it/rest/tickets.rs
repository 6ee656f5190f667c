//! Tickets: creating, editing, lists and their filters.

use bellpull_domain::ticket::{Right, WORKFLOW};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::{Team, column, ids};

#[tokio::test]
async fn only_a_title_is_needed() {
    let team = Team::gather().await;
    let body = json!({"title": "  Homepage not loading "});
    let (status, ticket) = team.hub.post(&team.carl, "/api/tickets/", body).await;
    assert_eq!(status, 201);
    for (key, value) in [
        ("id", json!(1)),
        ("key", json!("TKT-1")),
        ("project", json!(1)),
        ("project_name", json!("Default")),
        ("title", json!("Homepage not loading")),
        ("description", json!("")),
        ("priority", json!("MEDIUM")),
        ("priority_display", json!("Medium")),
        ("category", json!("OTHER")),
        ("status", json!("NEW")),
        ("status_display", json!("New")),
        ("created_by", json!(team.carl.id)),
        ("created_by_name", json!("carl")),
        ("assigned_to", json!([])),
        ("version", json!(1)),
    ] {
        assert_eq!(ticket[key], value, "{key}");
    }
    for key in ["created_at", "updated_at"] {
        assert!(ticket[key].as_str().is_some_and(|time| time.ends_with('Z')), "{key}");
    }
    assert_eq!(team.hub.get(&team.carl, "/api/tickets/1/").await, (200, ticket));
}

#[tokio::test]
async fn all_that_is_wrong_with_a_new_ticket_is_told_at_once() {
    let team = Team::gather().await;
    let body = json!({"title": " ", "description": 5, "priority": "urgent", "category": null,
        "project": "web"});
    let (status, answer) = team.hub.post(&team.carl, "/api/tickets/", body).await;
    let wanted = json!({
        "title": ["This field may not be blank."],
        "description": ["Not a valid string."],
        "priority": ["\"urgent\" is not a valid choice."],
        "category": ["This field may not be null."],
        "project": ["A valid integer is required."],
        "code": "invalid",
    });
    assert_eq!((status, answer), (400, wanted));
    for (body, field) in [
        (json!({}), "title"),
        (json!({"title": "x".repeat(256)}), "title"),
        (json!({"title": "a\u{0}b"}), "title"),
        (json!({"title": "a\nb"}), "title"),
        (json!({"title": ["x"]}), "title"),
        (json!({"title": "x", "description": "y".repeat(20_001)}), "description"),
        (json!({"title": "x", "project": 99}), "project"),
    ] {
        let (status, answer) = team.hub.post(&team.carl, "/api/tickets/", body.clone()).await;
        assert_eq!(status, 400, "{body}");
        assert!(answer[field][0].is_string(), "{field} in {answer}");
    }
    let body = json!({"title": "ü".repeat(255), "description": "y\n".repeat(10_000)});
    assert_eq!(team.hub.post(&team.carl, "/api/tickets/", body).await.0, 201);
    let (_, list) = team.hub.get(&team.root, "/api/tickets/").await;
    assert_eq!(list["count"], 1, "what is refused is not stored");
}

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let team = Team::gather().await;
    let id = team.raise(&team.carl, "Before").await;
    let path = format!("/api/tickets/{id}/");
    let body = json!({"title": "After", "priority": "CRITICAL", "unknown": 1});
    let (status, ticket) = team.hub.patch(&team.carl, &path, body).await;
    assert_eq!((status, &ticket["title"], &ticket["version"]), (200, &json!("After"), &json!(2)));
    assert_eq!((&ticket["priority"], &ticket["category"]), (&json!("CRITICAL"), &json!("OTHER")));
    let stale = json!({"title": "Again", "version": 1});
    let (status, answer) = team.hub.patch(&team.admin, &path, stale).await;
    assert_eq!((status, &answer["code"]), (409, &json!("conflict")));
    // Bad fields are told to those who may edit; others hear that they may not.
    let bad = json!({"title": ""});
    assert_eq!(team.hub.patch(&team.carl, &path, bad.clone()).await.0, 400);
    assert_eq!(team.hub.patch(&team.ada, &path, bad.clone()).await.0, 403);
    assert_eq!(team.hub.patch(&team.dora, &path, bad).await.0, 404);
}

#[tokio::test]
async fn a_patch_of_the_status_says_what_to_do_instead() {
    let team = Team::gather().await;
    let id = team.raise(&team.carl, "One").await;
    let body = json!({"status": "APPROVED", "assigned_to": [3], "created_by": 1, "project": 2,
        "title": "Two"});
    let path = format!("/api/tickets/{id}/");
    let (status, answer) = team.hub.patch(&team.carl, &path, body).await;
    assert_eq!(status, 400);
    assert!(answer["status"][0].as_str().unwrap().contains("approve"));
    assert!(answer["assigned_to"][0].as_str().unwrap().contains("assign"));
    for key in ["created_by", "project"] {
        assert!(answer[key][0].is_string(), "{key} in {answer}");
    }
    let (_, ticket) = team.hub.get(&team.carl, &path).await;
    assert_eq!((&ticket["status"], &ticket["title"]), (&json!("NEW"), &json!("One")));
}

#[tokio::test]
async fn a_deleted_ticket_is_gone() {
    let team = Team::gather().await;
    let id = team.raise(&team.carl, "One").await;
    let path = format!("/api/tickets/{id}/");
    assert_eq!(team.hub.delete(&team.ada, &path).await.0, 403);
    assert_eq!(team.hub.delete(&team.dora, &path).await.0, 404);
    assert_eq!(team.hub.delete(&team.carl, &path).await, (204, Value::Null));
    assert_eq!(team.hub.delete(&team.carl, &path).await.0, 404);
    assert_eq!(team.hub.get(&team.root, &path).await.0, 404);
    assert_eq!(team.hub.get(&team.root, &format!("{path}history/")).await.0, 404);
    assert_eq!(team.act(&team.root, id, "open").await.0, 404);
    let next = team.raise(&team.carl, "Two").await;
    assert!(next > id, "an id is never used twice");
}

#[tokio::test]
async fn all_who_see_a_ticket_see_its_developers_names() {
    let team = Team::gather().await;
    let id = team.ticket_at("OPENED").await;
    let path = format!("/api/tickets/{id}/assignees/");
    let (status, none) = team.hub.get(&team.carl, &path).await;
    assert_eq!((status, &none["count"], ids(&none)), (200, &json!(0), vec![]), "{none}");
    let named = json!({"full_name": "Ada Lovelace"});
    team.hub.patch(&team.root, &format!("/api/users/{}/", team.ada.id), named).await;
    let body = json!({"developers": [team.bob.id, team.ada.id]});
    let assigned = team.hub.post(&team.admin, &format!("/api/tickets/{id}/assign/"), body).await;
    assert_eq!(assigned.0, 200, "{assigned:?}");
    let (_, all) = team.hub.get(&team.carl, &path).await;
    let of = |name: &str| all["results"].as_array().unwrap().iter().find(|one| one["name"] == name);
    let wanted = json!({"id": team.ada.id, "username": "ada", "name": "Ada Lovelace"});
    assert_eq!((all["count"].as_i64(), of("Ada Lovelace")), (Some(2), Some(&wanted)), "{all}");
    assert!(of("bob").is_some(), "a user without a full name: {all}");
    let order = &assigned.1["assigned_to"];
    assert_eq!(&json!(ids(&all)), order);
    let (_, second) = team.hub.get(&team.carl, &format!("{path}?page=2&page_size=1")).await;
    assert_eq!(json!(ids(&second)), json!([order[1]]), "{second}");
    assert_eq!(team.hub.get(&team.dora, &path).await.0, 404, "she does not see the ticket");
}

#[tokio::test]
async fn every_filter() {
    let team = Team::gather().await;
    let opened = team.ticket_at("OPENED").await;
    let started = team.ticket_at("IN_PROGRESS").await;
    let body = json!({"title": "100% of Zebras_", "description": "stripes", "priority": "HIGH"});
    let (_, ticket) = team.hub.post(&team.dora, "/api/tickets/", body).await;
    let zebra = ticket["id"].as_i64().unwrap();
    for (filter, wanted) in [
        (String::new(), vec![zebra, started, opened]),
        ("status=OPENED".to_owned(), vec![opened]),
        ("status=".to_owned(), vec![zebra, started, opened]),
        ("priority=HIGH".to_owned(), vec![zebra]),
        ("project=1".to_owned(), vec![zebra, started, opened]),
        ("project=2".to_owned(), vec![]),
        (format!("assigned_to={}", team.ada.id), vec![started]),
        (format!("created_by={}", team.dora.id), vec![zebra]),
        ("search=zebra".to_owned(), vec![zebra]),
        ("search=STRIPES".to_owned(), vec![zebra]),
        (format!("search=TKT-{opened}"), vec![opened]),
        ("search=100%25+of".to_owned(), vec![zebra]),
        ("search=stri+zeb".to_owned(), vec![zebra]),
        // Without a letter or a digit nothing is found.
        ("search=%25".to_owned(), vec![]),
        ("search=%22*".to_owned(), vec![]),
        (format!("status=NEW&created_by={}", team.carl.id), vec![]),
    ] {
        let (status, list) = team.hub.get(&team.root, &format!("/api/tickets/?{filter}")).await;
        assert_eq!((status, ids(&list)), (200, wanted), "{filter}");
        assert_eq!(list["count"], ids(&list).len(), "{filter}");
    }
}

#[tokio::test]
async fn bad_filters_are_named() {
    let team = Team::gather().await;
    let path = "/api/tickets/?status=new&project=x&priority=1&assigned_to=me&created_by=1.5";
    let (status, answer) = team.hub.get(&team.root, path).await;
    assert_eq!((status, &answer["code"]), (400, &json!("invalid")));
    for name in ["status", "project", "priority", "assigned_to", "created_by"] {
        assert!(answer[name][0].is_string(), "{name} in {answer}");
    }
    assert_eq!(answer["status"], json!(["\"new\" is not a valid choice."]));
}

#[tokio::test]
async fn pages_follow_each_other_and_end() {
    let team = Team::gather().await;
    for n in 1..=25 {
        team.raise(&team.carl, &format!("Ticket {n}")).await;
    }
    let (mut seen, mut pages) = (Vec::new(), 0);
    let mut path = Some("/api/tickets/?status=NEW&page_size=10".to_owned());
    while let Some(at) = path {
        let (status, list) = team.hub.get(&team.carl, &at).await;
        assert_eq!((status, &list["count"]), (200, &json!(25)));
        seen.extend(ids(&list));
        pages += 1;
        assert_eq!(list["previous"].is_null(), pages == 1);
        path = list["next"].as_str().map(|next| {
            assert!(next.contains("status=NEW"), "{next}");
            next.strip_prefix(&team.hub.base()).expect("an absolute address").to_owned()
        });
    }
    assert_eq!(pages, 3);
    assert_eq!(seen, (1..=25).rev().collect::<Vec<i64>>());
    for (query, wanted) in [
        ("page=2", 200),
        ("page=3", 404),
        ("page=0", 404),
        ("page=-1", 404),
        ("page=x", 404),
        ("page=99999999999999999999", 404),
        ("page=1&page_size=1000000", 200),
        ("page=1000&page_size=100", 404),
    ] {
        let (status, answer) = team.hub.get(&team.carl, &format!("/api/tickets/?{query}")).await;
        assert_eq!(status, wanted, "{query}: {answer}");
        if status == 404 {
            assert_eq!(answer["detail"], "Invalid page.", "{query}");
        }
    }
    let (_, list) = team.hub.get(&team.carl, "/api/tickets/").await;
    assert_eq!(column(&list, "title").len(), 20);
    let (_, list) = team.hub.get(&team.dora, "/api/tickets/").await;
    let empty = json!({"count": 0, "next": null, "previous": null, "results": []});
    assert_eq!(list, empty, "the first page of nothing is a page");
}

#[tokio::test]
async fn an_action_on_another_version_than_was_seen_is_a_conflict() {
    let team = Team::gather().await;
    for rule in &WORKFLOW {
        let id = team.ticket_at(rule.from[0].as_str()).await;
        let path = format!("/api/tickets/{id}/{}/", rule.name);
        let who = match rule.by {
            Right::Admin | Right::CreatorOrAdmin => &team.admin,
            Right::AssignedDeveloper => &team.ada,
            Right::Creator => &team.carl,
        };
        let (_, shown) = team.hub.get(who, &format!("/api/tickets/{id}/")).await;
        let seen = shown["version"].as_i64().unwrap();
        let body = |version: i64| match rule.name {
            "assign" => json!({"developers": [team.ada.id], "version": version}),
            _ => json!({"version": version}),
        };
        for other in [seen - 1, seen + 1, 0] {
            let (status, found) = team.hub.post(who, &path, body(other)).await;
            assert_eq!((status, &found["code"]), (409, &json!("conflict")), "{path}: {found}");
        }
        let stranger = team.hub.post(&team.dora, &path, body(seen - 1)).await;
        assert_eq!(stranger.0, 404, "rights come first: {path}");
        let (status, done) = team.hub.post(who, &path, body(seen)).await;
        assert_eq!((status, &done["version"]), (200, &json!(seen + 1)), "{path}: {done}");
        // It has moved on: that is said, not only that its status does not allow the action.
        let (status, found) = team.hub.post(who, &path, body(seen)).await;
        assert_eq!((status, &found["code"]), (409, &json!("conflict")), "{path}: {found}");
    }
    team.hub.stop().await;
}

/// A node remembers the projects of new tickets; what it remembers gives no right.
#[tokio::test]
async fn a_project_that_was_closed_takes_no_ticket_of_others() {
    if crate::support::sqlite_only() {
        return;
    }
    let team = Team::gather().await;
    team.raise(&team.carl, "While it is open").await;
    let options = SqliteConnectOptions::new().filename(team.hub.database());
    let mut beside = options.connect().await.unwrap();
    for (sql, wanted) in [
        ("UPDATE projects SET is_open = 0, name = 'Closed' WHERE id = 1", 400),
        ("UPDATE projects SET is_open = 1, name = 'Again' WHERE id = 1", 201),
    ] {
        sqlx::query(sql).execute(&mut beside).await.unwrap();
        let (status, made) =
            team.hub.post(&team.carl, "/api/tickets/", json!({"title": "T"})).await;
        assert_eq!(status, wanted, "{sql}: {made}");
    }
    let (status, made) = team.hub.post(&team.admin, "/api/tickets/", json!({"title": "T"})).await;
    assert_eq!((status, &made["project_name"]), (201, &json!("Again")));
    beside.close().await.unwrap();
    team.hub.stop().await;
}
