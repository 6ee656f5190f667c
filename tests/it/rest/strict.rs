//! What a client sends and the hub does not take is named, never ignored.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Team, service};
use crate::support::{Hub, Person, answer};

async fn ask(hub: &Hub, who: &Person, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = hub.request(Method::from_bytes(method.as_bytes()).unwrap(), path);
    answer(request.bearer_auth(&who.token).json(body)).await
}

/// Bodies that the hub takes at its own resources: as they are, the answer is a success.
fn good_bodies(team: &Team, webhook: i64) -> Vec<(&'static str, String, Value)> {
    let user = format!("/api/users/{}/", team.carl.id);
    let template = "/api/templates/ticket_created/EMAIL/en/".to_owned();
    let text = json!({"subject": "New", "text": "{{ title }}"});
    let hook = json!({"url": "https://hooks.example.com/a"});
    let send = json!({"recipients": [team.carl.id], "title": "T", "message": "M"});
    vec![
        ("POST", "/api/users/".into(), json!({"username": "eve", "password": "correct horse"})),
        ("PATCH", user, json!({"full_name": "Carl"})),
        ("PUT", "/api/preferences/".into(), json!({"email_digest": "daily"})),
        ("PATCH", "/api/preferences/".into(), json!({"email_digest": "off"})),
        ("PUT", template.clone(), text.clone()),
        ("POST", format!("{template}preview/"), text),
        (
            "PUT",
            "/api/escalations/ticket_created/".into(),
            json!({"steps": [{"channel": "EMAIL", "after_s": 60}]}),
        ),
        ("POST", "/api/webhooks/".into(), hook.clone()),
        ("PATCH", format!("/api/webhooks/{webhook}/"), json!({"description": "x"})),
        ("POST", format!("/api/webhooks/{webhook}/rotate-secret/"), json!({})),
        ("POST", "/api/projects/".into(), json!({"key": "WEB", "name": "Web"})),
        ("POST", "/api/notifications/".into(), send),
        ("POST", "/api/operator/actors/tickets/0/restart/".into(), json!({})),
    ]
}

#[tokio::test]
async fn an_unknown_field_is_refused_by_name_at_our_own_resources() {
    let team = Team::gather().await;
    let hook = json!({"url": "https://hooks.example.com/b"});
    let (_, hook) = team.hub.post(&team.root, "/api/webhooks/", hook).await;
    let mut taken = Vec::new();
    for (method, path, body) in good_bodies(&team, hook["id"].as_i64().unwrap()) {
        let mut more = body.clone();
        more["colour"] = json!("red");
        let (status, told) = ask(&team.hub, &team.root, method, &path, &more).await;
        let wanted = json!({"colour": ["Unknown field."], "code": "invalid"});
        if (status, &told) != (400, &wanted) {
            taken.push(format!("{method} {path}: {status} {told}"));
        }
        let (status, told) = ask(&team.hub, &team.root, method, &path, &body).await;
        if !(200..300).contains(&status) {
            taken.push(format!("{method} {path} as it should be: {status} {told}"));
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
}

#[tokio::test]
async fn a_misspelt_field_is_told_what_it_may_have_been_and_a_field_to_read_only_is_one() {
    let team = Team::gather().await;
    let path = format!("/api/users/{}/", team.carl.id);
    let wrong = json!({"fullname": "Carl", "password": "another one", "username": "karl"});
    let (status, told) = team.hub.patch(&team.admin, &path, wrong).await;
    assert_eq!(status, 400, "{told}");
    assert_eq!(told["fullname"], json!(["Unknown field. Did you mean \"full_name\"?"]));
    assert_eq!(told["username"], json!(["This field is read-only."]));
    let password = told["password"][0].as_str().unwrap();
    assert!(password.contains("POST /api/auth/password/"), "{told}");
    let nested = json!({"events": {"ticket_created": {"EMIAL": true}}, "email_digset": "daily"});
    let (status, told) = ask(&team.hub, &team.carl, "PUT", "/api/preferences/", &nested).await;
    assert_eq!(status, 400, "{told}");
    assert_eq!(told["email_digset"], json!(["Unknown field. Did you mean \"email_digest\"?"]));
    assert!(told["events"][0].as_str().unwrap().contains("\"EMAIL\""), "{told}");
}

#[tokio::test]
async fn preferences_refuse_unknown_keys_at_every_level_and_a_patch_is_a_put() {
    let team = Team::gather().await;
    let before = team.hub.get(&team.carl, "/api/preferences/").await;
    let quiet = json!({"start": "22:00", "end": "07:00", "timezone": "Europe/Berlin"});
    let mut stray = quiet.clone();
    stray["timezon"] = json!("UTC");
    for (field, bad) in [
        ("events", json!({"ticket_creatd": {"EMAIL": false}})),
        ("events", json!({"ticket_created": {"FAX": false}})),
        ("quiet_hours", stray),
        ("language", json!("de")),
    ] {
        for method in ["PUT", "PATCH"] {
            let body = json!({ field: bad });
            let (status, told) =
                ask(&team.hub, &team.carl, method, "/api/preferences/", &body).await;
            assert_eq!(status, 400, "{method} {body}: {told}");
            assert!(told[field][0].is_string(), "{told}");
        }
    }
    assert_eq!(team.hub.get(&team.carl, "/api/preferences/").await, before);
    let good = json!({"quiet_hours": quiet, "events": {"lunch": {"SMS": true}}});
    let (status, told) = team.hub.patch(&team.carl, "/api/preferences/", good).await;
    assert_eq!((status, &told["quiet_hours"]["end"]), (200, &json!("07:00")), "{told}");
    assert_eq!(told["events"]["lunch"]["SMS"], true, "a sender's own event may be any name");
}

#[tokio::test]
async fn what_front_ends_write_may_have_fields_of_their_own() {
    let team = Team::gather().await;
    let hub = &team.hub;
    let body = json!({"title": "One", "colour": "red"});
    let (status, ticket) = hub.post(&team.carl, "/api/tickets/", body).await;
    assert_eq!(status, 201, "{ticket}");
    let path = format!("/api/tickets/{}/", ticket["id"]);
    let edit = json!({"description": "More", "colour": "red"});
    assert_eq!(hub.patch(&team.carl, &path, edit).await.0, 200);
    for (who, more, body) in [
        (&team.admin, "open/", json!({"colour": "red"})),
        (&team.admin, "assign/", json!({"developers": [team.ada.id], "colour": "red"})),
        (&team.carl, "comments/", json!({"body": "Any news?", "colour": "red"})),
    ] {
        let (status, told) = hub.post(who, &format!("{path}{more}"), body).await;
        assert!((200..300).contains(&status), "{more}: {status} {told}");
    }
    // But what is not understood must not widen what a bulk call marks or deletes.
    let marks = json!({"colour": "red"});
    let all = "/api/notifications/mark_all_as_read/";
    assert_eq!(hub.post(&team.admin, all, marks).await.0, 400);
    let login = json!({"username": "carl", "password": "wrong one", "remember": true});
    assert_eq!(hub.post(&team.carl, "/api/auth/login/", login).await.0, 401);
}

#[tokio::test]
async fn an_order_that_a_list_does_not_have_is_refused() {
    let team = Team::gather().await;
    for title in ["One", "Two", "Three"] {
        team.raise(&team.carl, title).await;
    }
    for bad in ["title", "-updated_at", "colour", "created_at,id"] {
        let path = format!("/api/tickets/?ordering={bad}");
        let (status, told) = team.hub.get(&team.carl, &path).await;
        assert_eq!(status, 400, "{bad}: {told}");
        assert!(told["ordering"][0].as_str().unwrap().contains("-created_at"), "{told}");
    }
    for good in ["", "-id", "-created_at"] {
        let path = format!("/api/tickets/?ordering={good}");
        let (status, list) = team.hub.get(&team.carl, &path).await;
        let newest_first = [json!("Three"), json!("Two"), json!("One")];
        assert_eq!((status, super::column(&list, "title")), (200, newest_first.to_vec()));
    }
    let (status, told) = team.hub.get(&team.carl, "/api/projects/?ordering=key").await;
    assert_eq!(status, 400, "{told}");
    // Other unknown parameters are ignored, as in the clients' own framework.
    assert_eq!(team.hub.get(&team.carl, "/api/tickets/?colour=red").await.0, 200);
}

#[tokio::test]
async fn each_wrong_entry_of_a_list_of_developers_is_named() {
    let team = Team::gather().await;
    let ticket = team.raise(&team.carl, "One").await;
    let path = format!("/api/tickets/{ticket}/assign/");
    let (ada, carl) = (team.ada.id, team.carl.id);
    for (developers, wanted) in [
        (json!(ada), vec!["Expected a list of items but got type \"int\"."]),
        (json!([]), vec!["This list may not be empty."]),
        (
            json!([ada, "bob", null]),
            vec!["Entry 2, \"bob\": not an id (a number).", "Entry 3, null: not an id (a number)."],
        ),
        (
            json!([ada, 4711, "4712"]),
            vec!["Entry 2, 4711: there is no such user.", "Entry 3, 4712: there is no such user."],
        ),
        (json!([carl, ada]), vec!["Entry 1, CARL: user \"carl\" is not a developer."]),
    ] {
        let body = json!({"developers": developers});
        let (status, told) = team.hub.post(&team.admin, &path, body).await;
        let wanted: Vec<String> =
            wanted.iter().map(|text| text.replace("CARL", &carl.to_string())).collect();
        assert_eq!((status, &told["developers"]), (400, &json!(wanted)), "{developers}: {told}");
    }
    let body = json!({"developers": [ada, ada.to_string()]});
    assert_eq!(team.hub.post(&team.admin, &path, body).await.0, 200);
}

#[tokio::test]
async fn a_logout_that_ends_no_login_says_so() {
    let team = Team::gather().await;
    let logout = "/api/auth/logout/";
    for who in [&team.carl, &service()] {
        let (status, told) = team.hub.post(who, logout, json!({})).await;
        assert_eq!((status, &told["code"]), (400, &json!("no_login")), "{told}");
        assert_eq!(team.hub.get(who, "/api/auth/me/").await.0, 200, "the token stays valid");
    }
    let jane =
        json!({"username": "jane", "email": "jane@example.com", "password": "correct horse"});
    let john =
        json!({"username": "john", "email": "john@example.com", "password": "correct horse"});
    let mut people = Vec::new();
    for new in [jane, john] {
        assert_eq!(team.hub.post(&team.carl, "/api/auth/register/", new.clone()).await.0, 201);
        let (_, told) = team.hub.post(&team.carl, "/api/auth/login/", new).await;
        let text = |key: &str| told[key].as_str().unwrap().to_owned();
        let person = Person { id: 0, username: String::new(), token: text("access") };
        people.push((person, text("refresh")));
    }
    let [(jane, _), (_, johns)] = &people[..] else { unreachable!() };
    let (status, told) = team.hub.post(jane, logout, json!({"refresh": johns})).await;
    assert_eq!((status, &told["code"]), (401, &json!("token_not_valid")), "{told}");
    assert_eq!(team.hub.get(jane, "/api/auth/me/").await.0, 200);
    let foreign = json!({"refresh": johns});
    let (status, _) = team.hub.post(&team.carl, logout, foreign).await;
    assert_eq!(status, 401, "another's refresh token, by a token without a login");
    assert_eq!(team.hub.post(jane, logout, json!({})).await.0, 200);
    assert_eq!(team.hub.get(jane, "/api/auth/me/").await.0, 401);
}

#[tokio::test]
async fn roles_and_names_that_look_like_others_are_refused() {
    let team = Team::gather().await;
    let hub = &team.hub;
    let new = |name: &str, email: &str, role: &str| json!({"username": name, "email": email, "password": "correct horse", "role": role});
    let mut taken = Vec::new();
    for role in ["super-admin", "superadmin", "adm1n", "Admin", "\u{430}dmin", "deve1oper"] {
        for path in ["/api/auth/register/", "/api/users/"] {
            let body = new("eve", "eve@example.com", role);
            let (status, told) = hub.post(&team.root, path, body).await;
            if status != 400 || !told["role"][0].is_string() {
                taken.push(format!("{path} role {role}: {status} {told}"));
            }
        }
    }
    for (name, email, field) in [
        ("Carl", "other@example.com", "username"),
        ("c\u{430}rl", "other@example.com", "username"),
        ("\u{ff43}arl", "other@example.com", "username"),
        ("car1", "other@example.com", "username"),
        ("other", "CARL@example.com", "email"),
        ("other", "c\u{430}rl@example.com", "email"),
    ] {
        for path in ["/api/auth/register/", "/api/users/"] {
            let (status, told) = hub.post(&team.root, path, new(name, email, "client")).await;
            if status != 400 || !told[field][0].is_string() {
                taken.push(format!("{path} {name} {email}: {status} {told}"));
            }
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
    let body = json!({"email": "C\u{430}rl@example.com"});
    let (status, told) =
        hub.patch(&team.root, &format!("/api/users/{}/", team.dora.id), body).await;
    assert_eq!(status, 400, "{told}");
    // One's own address may be written in another way, and a name that was given up is free.
    let path = format!("/api/users/{}/", team.carl.id);
    for email in ["Carl@example.com", "carl.client@example.com"] {
        assert_eq!(hub.patch(&team.root, &path, json!({"email": email})).await.0, 200, "{email}");
    }
    let (status, told) =
        hub.post(&team.root, "/api/users/", new("karla", "carl@example.com", "student")).await;
    assert_eq!(status, 201, "{told}");
}

#[tokio::test]
async fn of_two_names_that_look_alike_and_come_at_once_one_is_made() {
    let team = Team::gather().await;
    let make = |name: &'static str| {
        let body = json!({"username": name, "password": "correct horse"});
        team.hub.post(&team.root, "/api/users/", body)
    };
    let (one, other) = tokio::join!(make("mallory"), make("Mallory"));
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 400], "{one:?} {other:?}");
}
