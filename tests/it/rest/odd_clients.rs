//! What clients send that is not quite what the document says, and what it means.

use reqwest::Method;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::{Value, json};

use super::Team;
use crate::support::answer;

#[tokio::test]
async fn an_absent_body_may_be_null_or_white_space() {
    let team = Team::gather().await;
    for (nth, body) in ["null", " ", "\r\n", " null\n", ""].into_iter().enumerate() {
        let id = team.raise(&team.carl, &format!("Ticket {nth}")).await;
        for path in [
            format!("/api/tickets/{id}/open/"),
            "/api/notifications/mark_all_as_read/".to_owned(),
            "/api/auth/ws-ticket/".to_owned(),
        ] {
            let request = team.hub.request(Method::POST, &path).bearer_auth(&team.admin.token);
            let request = request.header(CONTENT_TYPE, "application/json").body(body);
            let (status, found) = answer(request).await;
            assert_eq!(status, 200, "{path} {body:?}: {found}");
        }
        let request = team.hub.request(Method::POST, "/api/tickets/").bearer_auth(&team.carl.token);
        let (status, found) =
            answer(request.header(CONTENT_TYPE, "application/json").body(body)).await;
        assert_eq!(
            (status, &found["title"]),
            (400, &json!(["This field is required."])),
            "{body:?}"
        );
    }
    team.hub.stop().await;
}

#[tokio::test]
async fn a_compressed_body_is_415_and_a_number_that_cannot_be_kept_400() {
    let team = Team::gather().await;
    let post = |path: &str| team.hub.request(Method::POST, path).bearer_auth(&team.admin.token);
    let request = post("/api/tickets/").header(CONTENT_ENCODING, "gzip");
    let request = request.header(CONTENT_TYPE, "application/json").body(vec![0x1f, 0x8b, 8, 0]);
    let (status, found) = answer(request).await;
    assert_eq!((status, &found["code"]), (415, &json!("unsupported_media_type")), "{found}");
    assert!(found["detail"].as_str().unwrap().contains("gzip"), "{found}");
    let send = |metadata: &str| {
        let to = team.carl.id;
        let body = format!(
            r#"{{"recipients": [{to}], "title": "t", "message": "m", "metadata": {metadata}}}"#
        );
        answer(post("/api/notifications/").header(CONTENT_TYPE, "application/json").body(body))
    };
    for lost in ["18446744073709551617", "-9223372036854775809", "0.12345678901234567890123"] {
        let (status, found) = send(&format!(r#"{{"id": {lost}}}"#)).await;
        assert_eq!((status, &found["code"]), (400, &json!("parse_error")), "{found}");
        assert!(found["detail"].as_str().unwrap().contains(lost), "{found}");
    }
    let kept = r#"{"id": 18446744073709551615, "of": -9223372036854775808, "part": 0.1}"#;
    assert_eq!(send(kept).await.0, 202);
    let (_, inbox) = team.hub.get(&team.carl, "/api/notifications/").await;
    let wanted: Value = serde_json::from_str(kept).unwrap();
    assert_eq!(inbox["results"][0]["metadata"], wanted);
    team.hub.stop().await;
}

#[tokio::test]
async fn a_login_takes_whichever_name_is_there() {
    let team = Team::gather().await;
    let post = |path: &str, body: &Value| answer(team.hub.request(Method::POST, path).json(body));
    for (username, email) in [("eve", "eve@x.example"), ("mail@corp.example", "m@x.example")] {
        let account = json!({"username": username, "email": email, "password": "correct horse 7"});
        assert_eq!(post("/api/auth/register/", &account).await.0, 201);
    }
    let eve = "eve@x.example";
    for (body, wanted) in [
        (json!({"username": "", "email": eve}), "eve"),
        (json!({"username": null, "email": eve}), "eve"),
        (json!({"username": "eve", "email": ""}), "eve"),
        (json!({"username": "eve", "email": null}), "eve"),
        (json!({"username": eve}), "eve"),
        (json!({"username": "mail@corp.example"}), "mail@corp.example"),
        (json!({"username": "m@x.example"}), "mail@corp.example"),
    ] {
        let mut body = body;
        body["password"] = json!("correct horse 7");
        let (status, found) = post("/api/auth/login/", &body).await;
        assert_eq!((status, &found["user"]["username"]), (200, &json!(wanted)), "{body}: {found}");
    }
    for body in [json!({"username": "", "email": " "}), json!({}), json!({"email": null})] {
        let mut body = body;
        body["password"] = json!("correct horse 7");
        let (status, found) = post("/api/auth/login/", &body).await;
        assert_eq!(
            (status, &found["username"]),
            (400, &json!(["This field is required."])),
            "{body}"
        );
    }
    team.hub.stop().await;
}

#[tokio::test]
async fn a_logout_needs_the_refresh_token_alone() {
    let team = Team::gather().await;
    let post = |path: &str, body: Value| team.hub.request(Method::POST, path).json(&body);
    let account = json!({"username": "eve", "email": "e@x.example", "password": "correct horse 7"});
    assert_eq!(answer(post("/api/auth/register/", account.clone())).await.0, 201);
    for access in [None, Some("expired"), Some("of another")] {
        let (_, tokens) = answer(post("/api/auth/login/", account.clone())).await;
        let refresh = json!({"refresh": tokens["refresh"]});
        let expired = team.hub.token_expiring_in(&team.carl, -60);
        let request = post("/api/auth/logout/", refresh.clone());
        let request = match access {
            None => request,
            Some("expired") => request.bearer_auth(expired),
            Some(_) => request.bearer_auth(&team.carl.token),
        };
        let (status, found) = answer(request).await;
        let (wanted, after) = if access == Some("of another") { (401, 200) } else { (200, 401) };
        assert_eq!(status, wanted, "{access:?}: {found}");
        assert_eq!(answer(post("/api/auth/refresh/", refresh)).await.0, after, "{access:?}");
    }
    for body in [json!({}), json!({"refresh": "not a token"})] {
        assert_eq!(answer(post("/api/auth/logout/", body.clone())).await.0, 401, "{body}");
    }
    team.hub.stop().await;
}

#[tokio::test]
async fn what_was_shown_may_be_sent_back() {
    let team = Team::gather().await;
    let id = team.ticket_at("ASSIGNED").await;
    let webhook = json!({"url": "https://hooks.example.com/carl"});
    let (_, hook) = team.hub.post(&team.carl, "/api/webhooks/", webhook).await;
    for (who, path) in [
        (&team.carl, format!("/api/tickets/{id}/")),
        (&team.root, format!("/api/users/{}/", team.carl.id)),
        (&team.carl, "/api/auth/me/".to_owned()),
        (&team.carl, format!("/api/webhooks/{}/", hook["id"])),
    ] {
        let (_, shown) = team.hub.get(who, &path).await;
        let (status, found) = team.hub.patch(who, &path, shown.clone()).await;
        assert_eq!(status, 200, "{path}: {found}");
        let mut other = shown;
        other["created_at"] = json!("2001-01-01T00:00:00.000Z");
        if path.contains("tickets") {
            other["created_by"] = json!(team.dora.id);
            other["status"] = json!("NEW");
            let (status, found) = team.hub.patch(who, &path, other).await;
            let read_only = json!(["This field is read-only."]);
            assert_eq!((status, &found["created_by"]), (400, &read_only), "{path}");
            assert!(found["status"].to_string().contains("read-only"), "{found}");
            assert_eq!(found.get("project"), None, "{found}");
        } else if !path.contains("me") {
            assert_eq!(team.hub.patch(who, &path, other).await.0, 400, "{path}");
        }
    }
    team.hub.stop().await;
}

#[tokio::test]
async fn what_shows_nothing_is_blank_and_no_line_changes_its_direction() {
    let team = Team::gather().await;
    let blank = json!(["This field may not be blank."]);
    for invisible in ["\u{200b}", "\u{feff}", "\u{ad}\u{3164}", "\u{2060}", "\u{202e}", "\u{2800}"]
    {
        let (status, found) =
            team.hub.post(&team.carl, "/api/tickets/", json!({"title": invisible})).await;
        assert_eq!((status, &found["title"]), (400, &blank), "{invisible:?}");
        let project = json!({"key": "WEB", "name": invisible});
        let (status, found) = team.hub.post(&team.admin, "/api/projects/", project).await;
        assert_eq!((status, &found["name"]), (400, &blank), "{invisible:?}");
        let name = json!({"full_name": invisible});
        let (status, found) = team.hub.patch(&team.carl, "/api/auth/me/", name).await;
        let wanted = if invisible == "\u{202e}" {
            (400, json!(["Characters that change the direction of text are not allowed."]))
        } else {
            (200, json!(""))
        };
        assert_eq!((status, found["full_name"].clone()), wanted, "{invisible:?}");
    }
    let id = team.raise(&team.carl, "Lamp").await;
    let comments = format!("/api/tickets/{id}/comments/");
    let (status, found) = team.hub.post(&team.carl, &comments, json!({"body": "\u{200b}\n"})).await;
    assert_eq!((status, &found["body"]), (400, &blank));
    for bad in ["invoice\u{202e}gpj", "\u{2066}a\u{2069}", "a\u{2028}b", "a\u{2029}b"] {
        for (who, path, field) in
            [(&team.carl, "/api/tickets/", "title"), (&team.carl, "/api/auth/me/", "full_name")]
        {
            let body = json!({field: bad});
            let (status, found) = match field {
                "title" => team.hub.post(who, path, body).await,
                _ => team.hub.patch(who, path, body).await,
            };
            assert_eq!(status, 400, "{path} {bad:?}: {found}");
        }
    }
    let (_, made) =
        team.hub.post(&team.carl, "/api/tickets/", json!({"title": "a\u{200f}b"})).await;
    assert_eq!(made["title"], "ab");
    let arabic = "\u{200f}مرحبا (1)\u{61c}";
    let (_, made) = team.hub.post(&team.carl, "/api/tickets/", json!({"title": arabic})).await;
    assert_eq!(made["title"], arabic);
    // Several lines keep what they have: code and quotations.
    let (status, _) =
        team.hub.post(&team.carl, &comments, json!({"body": "a\u{202e}b\u{2028}c"})).await;
    assert_eq!(status, 201);
    team.hub.stop().await;
}
