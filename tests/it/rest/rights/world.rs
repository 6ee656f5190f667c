//! A hub with resources of every kind, all of them of others than the caller.

use bellpull::storage::StoreOptions;
use bellpull_domain::ids::UserId;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_port::accounts::UserChanges;
use bellpull_port::push::NewSubscription;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use super::super::{Team, service};
use crate::support::{Hub, Person, answer, now_s, sign};

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Anonymous,
    /// Logged out; the access token has not expired.
    Ended,
    Deactivated,
    /// A refresh token where an access token belongs.
    Refresh,
    Client,
    /// A role without rights of its own.
    Student,
    /// On no project and no ticket.
    Developer,
    Admin,
    SuperAdmin,
    Service,
}

impl Role {
    pub(super) fn is_admin(self) -> bool {
        matches!(self, Self::Admin | Self::SuperAdmin | Self::Service)
    }
}

/// A caller, and a ticket that it raised itself.
pub(super) struct Caller {
    pub(super) token: Option<String>,
    pub(super) ticket: Option<i64>,
}

/// What belongs to others: `carl` is a client, `bob` a developer on a closed project of `admin`'s.
pub(super) struct World {
    team: Team,
    pub(super) project: i64,
    pub(super) ticket: i64,
    pub(super) notification: i64,
    pub(super) webhook: i64,
    pub(super) delivery: i64,
    pub(super) send: i64,
    /// A refresh token of another user's login, and one of a login that was never made.
    pub(super) refresh: String,
    pub(super) no_login: String,
}

/// Of a browser of `carl`'s.
pub(super) const ENDPOINT: &str = "https://push.example.com/carl";
const PASSWORD: &str = "correct horse";

impl World {
    pub(super) async fn gather() -> Self {
        let channels = Channels::of(&[Channel::Email]);
        let options = StoreOptions { exclusive: true, channels, ..StoreOptions::default() };
        let team = Team::gather_on(Hub::start_on(|_| {}, options).await).await;
        let project = made(&team, &team.admin, "projects/", json!({"key": "WEB", "name": "W"}));
        let project = project.await;
        let member = format!("/api/projects/{project}/members/");
        assert_eq!(team.hub.post(&team.admin, &member, json!({"user": team.bob.id})).await.0, 201);
        let ticket = json!({"title": "Hidden", "project": project});
        let ticket = made(&team, &team.bob, "tickets/", ticket).await;
        let assigned = json!({"developers": [team.bob.id]});
        let assign = format!("/api/tickets/{ticket}/assign/");
        assert_eq!(team.hub.post(&team.admin, &assign, assigned).await.0, 200);
        let webhook = json!({"url": "https://hooks.example.com/carl"});
        let webhook = made(&team, &team.carl, "webhooks/", webhook).await;
        let to = json!([team.carl.id]);
        let note = json!({"recipients": to, "title": "Private", "message": "For carl alone"});
        let (status, sent) = team.hub.post(&team.admin, "/api/notifications/", note).await;
        assert_eq!(status, 202, "{sent}");
        let send_at = Timestamp::now() + SignedDuration::from_hours(24);
        let later = json!({"recipients": to, "title": "Later", "message": "M", "send_at": send_at});
        let send = made(&team, &team.admin, "notifications/", later).await;
        for (path, body) in [
            ("templates/mentioned/EMAIL/en/", json!({"subject": "S", "text": "T"})),
            ("escalations/mentioned/", json!({"steps": [{"channel": "EMAIL", "after_s": 60}]})),
        ] {
            let request = team.hub.request(Method::PUT, &format!("/api/{path}"));
            let put = answer(request.bearer_auth(&team.root.token).json(&body)).await;
            assert!((200..300).contains(&put.0), "{path}: {put:?}");
        }
        let browser = NewSubscription {
            endpoint: ENDPOINT.to_owned(),
            lane: "push.example.com:443".to_owned(),
            p256dh: "key".to_owned(),
            auth: "secret".to_owned(),
            login: None,
        };
        let carl = UserId(team.carl.id);
        team.hub.store().subscribe(carl, browser, Timestamp::now()).await.unwrap();
        let (_, inbox) = team.hub.get(&team.carl, "/api/notifications/").await;
        let (_, deliveries) = team.hub.get(&team.admin, "/api/deliveries/").await;
        let first = |list: &Value| list["results"][0]["id"].as_i64().unwrap();
        let (notification, delivery) = (first(&inbox), first(&deliveries));
        let olga = login(&team, "olga").await;
        let refresh = olga["refresh"].as_str().unwrap().to_owned();
        let no_login = refresh_of_no_login(olga["user"]["id"].as_i64().unwrap());
        Self { team, project, ticket, notification, webhook, delivery, send, refresh, no_login }
    }

    pub(super) fn hub(&self) -> &Hub {
        &self.team.hub
    }

    pub(super) fn owner(&self) -> i64 {
        self.team.carl.id
    }

    pub(super) fn owner_name(&self) -> &str {
        &self.team.carl.username
    }

    pub(super) fn developer(&self) -> i64 {
        self.team.bob.id
    }

    pub(super) async fn caller(&self, role: Role) -> Caller {
        let hub = self.hub();
        let person = match role {
            Role::Anonymous => return Caller { token: None, ticket: None },
            Role::Ended | Role::Refresh => {
                let tokens = login(&self.team, "eve").await;
                let name = if role == Role::Ended { "access" } else { "refresh" };
                let token = tokens[name].as_str().unwrap().to_owned();
                let eve = Person { id: 0, username: "eve".to_owned(), token: token.clone() };
                if role == Role::Ended {
                    let ended = hub.post(&eve, "/api/auth/logout/", json!({})).await;
                    assert_eq!(ended.0, 200, "{ended:?}");
                }
                return Caller { token: Some(token), ticket: None };
            }
            Role::Deactivated => {
                let eve = hub.user("eve", "admin").await;
                let off = UserChanges { is_active: Some(false), ..UserChanges::default() };
                hub.store().update_user(UserId(eve.id), off).await.unwrap();
                return Caller { token: Some(eve.token), ticket: None };
            }
            Role::Service => return Caller { token: Some(service().token), ticket: None },
            Role::Client => hub.user("eve", "client").await,
            Role::Student => hub.user("eve", "student").await,
            Role::Developer => hub.user("eve", "developer").await,
            Role::Admin => hub.user("eve", "admin").await,
            Role::SuperAdmin => hub.user("eve", "super_admin").await,
        };
        let ticket = hub.ticket(&person, "Own").await;
        Caller { token: Some(person.token), ticket: Some(ticket) }
    }

    /// What belongs to others, as they see it.
    pub(super) async fn snapshot(&self) -> Vec<String> {
        let (carl, admin) = (&self.team.carl, &self.team.admin);
        let (ticket, project) = (self.ticket, self.project);
        let mut seen = Vec::new();
        for (who, path) in [
            (carl, "notifications/".to_owned()),
            (carl, "notifications/unread_count/".to_owned()),
            (carl, "preferences/".to_owned()),
            (carl, "webhooks/".to_owned()),
            (carl, "auth/me/".to_owned()),
            (admin, format!("tickets/{ticket}/")),
            (admin, format!("tickets/{ticket}/history/")),
            (admin, format!("tickets/{ticket}/comments/")),
            (admin, format!("projects/{project}/members/")),
            (admin, "projects/".to_owned()),
            (admin, "users/".to_owned()),
            (admin, "scheduled/".to_owned()),
            (admin, "templates/mentioned/EMAIL/en/".to_owned()),
            (admin, "escalations/".to_owned()),
            (admin, "webhooks/".to_owned()),
        ] {
            let (status, mut body) = self.hub().get(who, &format!("/api/{path}")).await;
            assert_eq!(status, 200, "{path}: {body}");
            // `Just now` does not last.
            for row in body["results"].as_array_mut().into_iter().flatten() {
                row.as_object_mut().unwrap().remove("time_ago");
            }
            seen.push(format!("{path} {body}"));
        }
        seen
    }

    /// Whether `carl`'s browser is subscribed; afterwards it is not.
    pub(super) async fn had_browser(&self) -> bool {
        let carl = UserId(self.team.carl.id);
        self.hub().store().unsubscribe(carl, ENDPOINT).await.unwrap()
    }
}

fn refresh_of_no_login(user: i64) -> String {
    sign(&json!({
        "user_id": user, "token_type": "refresh", "login": 471_100, "generation": 1,
        "iat": now_s(), "exp": now_s() + 3_600, "jti": "none",
    }))
}

async fn made(team: &Team, who: &Person, path: &str, body: Value) -> i64 {
    let (status, made) = team.hub.post(who, &format!("/api/{path}"), body).await;
    assert!((200..300).contains(&status), "{path}: {made}");
    made["id"].as_i64().unwrap()
}

/// Registers a user and logs it in.
async fn login(team: &Team, name: &str) -> Value {
    let account = json!({"username": name, "password": PASSWORD, "email": format!("{name}@x.com")});
    let request = |path: &str, body: Value| team.hub.request(Method::POST, path).json(&body);
    let (status, told) = answer(request("/api/auth/register/", account)).await;
    assert_eq!(status, 201, "{told}");
    let credentials = json!({"username": name, "password": PASSWORD});
    let (status, tokens) = answer(request("/api/auth/login/", credentials)).await;
    assert_eq!(status, 200, "{tokens}");
    tokens
}
