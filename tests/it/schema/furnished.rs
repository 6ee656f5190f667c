//! A hub with something of everything in it, and which of that each operation is to be tried on:
//! no login, no notification and no ticket in the right status can be guessed.

use bellpull::config::Secret;
use bellpull::delivery::account_link::AccountLinks;
use bellpull::delivery::link::{Links, Unsubscribe};
use bellpull::storage::StoreOptions;
use bellpull_domain::account_link::LinkPurpose;
use bellpull_domain::delivery::{Attempt, Outcome};
use bellpull_domain::ids::UserId;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::ticket::{Right, WORKFLOW};
use bellpull_port::account_links::{LinkTo, NewLink};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use crate::rest::way_to;
use crate::support::{Hub, Person, SECRET, answer, owner};

/// What is there.
pub(super) struct Furnished {
    pub(super) hub: Hub,
    /// Plays all but the developer's steps.
    pub(super) root: Person,
    /// On tickets 4, 6, 8 and 10.
    pub(super) developer: Person,
    /// Each step of the workflow, and a ticket on which it can be taken.
    next: Vec<(&'static str, i64)>,
    login: Value,
    refresh: Value,
    /// Of root's.
    notifications: Vec<i64>,
    failed_delivery: i64,
    /// Due next week.
    scheduled: i64,
    /// The token of a link.
    unsubscribe: String,
    /// Tokens of links that change accounts.
    confirm_email: String,
    reset_password: String,
}

impl Furnished {
    pub(super) async fn gather() -> Self {
        let channels = Channels::of(&[Channel::Email]);
        let options = StoreOptions { exclusive: true, channels, ..StoreOptions::default() };
        let hub = Hub::start_on(|_| {}, options).await;
        let root = hub.user("root", "super_admin").await;
        hub.user("admin", "admin").await;
        let developer = hub.user("ada", "developer").await;
        let client = hub.user("carl", "client").await;
        for title in ["One", "Two", "Three", "Four", "Five", "Six"] {
            hub.ticket(&client, title).await;
            hub.ticket(&root, title).await;
        }
        tickets(&hub, &root, &developer).await;
        projects(&hub, &root, &developer, &client).await;
        let failed_delivery = failed_delivery(&hub).await;
        let next = next(&hub, &root, &developer).await;
        let (login, refresh) = login(&hub).await;
        let confirm_email = account_link(&hub, LinkPurpose::Email, "joe").await;
        let reset_password = account_link(&hub, LinkPurpose::Password, "jim").await;
        let (_, inbox) = hub.get(&root, "/api/notifications/").await;
        let rows = inbox["results"].as_array().unwrap().iter();
        let notifications = rows.map(|row| row["id"].as_i64().unwrap()).collect();
        let (scheduled, unsubscribe) =
            (scheduled(&hub, &root).await, unsubscribe(&hub, &root).await);
        Self {
            hub,
            root,
            developer,
            next,
            login,
            refresh,
            notifications,
            failed_delivery,
            scheduled,
            unsubscribe,
            confirm_email,
            reset_password,
        }
    }

    /// Says in the document what each operation is to be tried on.
    pub(super) fn point_out(&self, document: &mut Value) {
        // The first variable of the path is `what`.
        let mut operation = |method: &str, path: &str, what: Value, body: Option<Value>| {
            let operation = &mut document["paths"][path][method];
            assert!(operation.is_object(), "there is no {method} {path}");
            let name = path.split(['{', '}']).nth(1).unwrap_or_default();
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            for parameter in parameters.into_iter().flatten() {
                if parameter["name"] == name {
                    parameter["example"] = what.clone();
                }
            }
            if let Some(body) = body {
                operation["requestBody"]["content"]["application/json"]["example"] = body;
            }
        };
        // Both a closed project and an account.
        operation("post", "/api/projects/{id}/members/", json!(2), Some(json!({"user": 1})));
        for (step, ticket) in &self.next {
            let body = match *step {
                "assign" => Some(json!({"developers": [self.developer.id]})),
                "reject" => Some(json!({"reason": "Still broken."})),
                _ => None,
            };
            operation("post", &format!("/api/tickets/{{id}}/{step}/"), json!(ticket), body);
        }
        operation("post", "/api/auth/login/", Value::Null, Some(self.login.clone()));
        let body = json!({"username": "played", "password": "correct horse"});
        operation("post", "/api/users/", Value::Null, Some(body));
        operation("put", "/api/users/{id}/", json!(471_100), Some(json!({"username": "brought"})));
        let body = json!({"url": "https://hooks.example.com/played"});
        operation("post", "/api/webhooks/", Value::Null, Some(body));
        operation("post", "/api/auth/refresh/", Value::Null, Some(self.refresh.clone()));
        let body = json!({ "token": self.confirm_email });
        operation("post", "/api/auth/email/confirm/", Value::Null, Some(body));
        let body = json!({"token": self.reset_password, "new_password": "battery staple"});
        operation("post", "/api/auth/password/reset/confirm/", Value::Null, Some(body));
        operation("post", "/api/deliveries/{id}/retry/", json!(self.failed_delivery), None);
        operation("delete", "/api/scheduled/{id}/", json!(self.scheduled), None);
        for method in ["get", "post"] {
            operation(method, "/unsubscribe/{token}/", json!(self.unsubscribe), None);
        }
        let one = "/api/notifications/{id}/";
        let [read, gone, ..] = self.notifications[..] else { panic!("{:?}", self.notifications) };
        let (read, gone) = (json!(read), json!(gone));
        operation("delete", one, gone, None);
        for (method, rest) in [
            ("get", ""),
            ("get", "explain/"),
            ("post", "mark_as_read/"),
            ("post", "mark_as_unread/"),
        ] {
            operation(method, &format!("{one}{rest}"), read.clone(), None);
        }
    }
}

async fn tickets(hub: &Hub, root: &Person, developer: &Person) {
    for (who, tickets, step) in [
        (root, &[1][..], "open"),
        (root, &[4, 6, 8, 10], "assign"),
        (developer, &[4, 8, 10], "start_work"),
        (developer, &[4, 10], "finish_work"),
    ] {
        for ticket in tickets {
            let path = format!("/api/tickets/{ticket}/{step}/");
            let (status, answer) =
                hub.post(who, &path, json!({"developers": [developer.id]})).await;
            assert_eq!(status, 200, "{step}: {answer}");
        }
    }
}

/// A ticket of root's for each step of the workflow, at a status from which it can be taken.
async fn next(hub: &Hub, root: &Person, developer: &Person) -> Vec<(&'static str, i64)> {
    let mut next = Vec::new();
    for rule in &WORKFLOW {
        let ticket = hub.ticket(root, rule.name).await;
        for before in way_to(rule.from[0]) {
            let is_developers = before.by == Right::AssignedDeveloper;
            let path = format!("/api/tickets/{ticket}/{}/", before.name);
            let body = json!({"developers": [developer.id]});
            let who = if is_developers { developer } else { root };
            assert_eq!(hub.post(who, &path, body).await.0, 200, "{path}");
        }
        next.push((rule.name, ticket));
    }
    next
}

async fn projects(hub: &Hub, root: &Person, developer: &Person, client: &Person) {
    let send = json!({"recipients": {"project": 2}, "title": "Soon", "message": "At ten."});
    for (path, body, wanted) in [
        ("/api/projects/", json!({"key": "WEB", "name": "Main Website"}), 201),
        ("/api/projects/2/members/", json!({"user": developer.id}), 201),
        ("/api/projects/2/members/", json!({"user": client.id}), 201),
        ("/api/tickets/1/comments/", json!({"body": "@ada, any news?"}), 201),
        ("/api/notifications/", send, 202),
    ] {
        let (status, answer) = hub.post(root, path, body).await;
        assert_eq!(status, wanted, "{path}: {answer}");
    }
}

/// An e-mail that its provider has refused for good.
async fn failed_delivery(hub: &Hub) -> i64 {
    let now = Timestamp::now();
    let until = now + SignedDuration::from_mins(60);
    let leased = hub.store().lease(&owner(), Channel::Email, 1.into(), now, until).await.unwrap();
    let [leased] = leased.as_slice() else { panic!("{leased:?}") };
    let outcome = Outcome::Refused { error: "550 no such mailbox".to_owned() };
    let (delivery, number) = (leased.id, leased.attempt);
    let attempt = Attempt { delivery, number, started_at: now, took_ms: 12, outcome, due_at: None };
    hub.store().record(vec![attempt]).await.unwrap();
    delivery.0
}

/// A message that waits for its time.
async fn scheduled(hub: &Hub, who: &Person) -> i64 {
    let send_at = Timestamp::now() + SignedDuration::from_hours(7 * 24);
    let body = json!({"recipients": "all", "title": "Later", "message": "A week on.",
        "send_at": send_at});
    let (status, answer) = hub.post(who, "/api/notifications/", body).await;
    assert_eq!((status, &answer["scheduled"]), (202, &json!(true)), "{answer}");
    answer["id"].as_i64().unwrap()
}

/// The token of a link that would be in a user's e-mail.
async fn unsubscribe(hub: &Hub, who: &Person) -> String {
    let secret = hub.store().setting("link_secret").await.unwrap().unwrap();
    let links = Links::new(Some(String::new()), Secret::new(secret));
    let what = Unsubscribe { user: UserId(who.id), event: "ticket_created".to_owned() };
    let link = links.unsubscribe(&what).unwrap();
    link.trim_matches('/').split_once('/').unwrap().1.to_owned()
}

/// The token of a link that would be in the e-mail to a newly registered user.
async fn account_link(hub: &Hub, purpose: LinkPurpose, name: &str) -> String {
    let (now, email) = (Timestamp::now(), format!("{name}@example.com"));
    let account = json!({"username": name, "email": email, "password": "correct horse"});
    let register = hub.request(Method::POST, "/api/auth/register/");
    assert_eq!(answer(register.json(&account)).await.0, 201);
    let to = LinkTo::Email(email);
    assert!(hub.store().mail_link(NewLink { purpose, to, now }).await.unwrap());
    let until = now + SignedDuration::from_mins(60);
    let leased = hub.store().lease(&owner(), Channel::Email, 100.into(), now, until).await.unwrap();
    let link = leased.iter().find_map(|one| one.account_link).expect("a link");
    AccountLinks::new(String::new(), Secret::new(SECRET.to_owned())).token(&link)
}

/// Requests that log in, and that continue a login.
async fn login(hub: &Hub) -> (Value, Value) {
    let login = json!({"username": "jane", "password": "correct horse"});
    let mut account = login.clone();
    account["email"] = json!("jane@example.com");
    let ask = |path, body| answer(hub.request(Method::POST, path).json(body));
    assert_eq!(ask("/api/auth/register/", &account).await.0, 201);
    let (status, tokens) = ask("/api/auth/login/", &login).await;
    assert_eq!(status, 200, "{tokens}");
    (login, json!({"refresh": tokens["refresh"]}))
}
