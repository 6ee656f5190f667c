//! The REST edge, request by request.

mod analytics;
mod audit;
mod auth;
mod bad_input;
mod bulk;
mod by_hand;
mod comments;
mod console;
mod deliveries;
mod escalations;
mod explain;
mod limits;
mod mentionable;
mod nodes;
mod notifications;
mod odd_clients;
mod once;
mod operator;
mod passwords;
mod preferences;
mod profile;
mod projects;
mod proxies;
mod raw_heads;
mod reads;
mod rights;
mod scheduled;
mod sends;
mod signals;
mod slow;
mod stream;
mod strict;
mod templates;
mod tickets;
mod users;
mod versions;
mod visibility;
mod webhooks;
mod workflow;

use std::collections::VecDeque;

use serde_json::{Value, json};

use bellpull::auth::issue::Issuer;
use bellpull::config::Secret;
use bellpull_domain::ticket::{Right, Rule, Status, WORKFLOW};
use bellpull_port::Clock;
use bellpull_port::clock::SystemClock;

use crate::support::{Hub, Person, SECRET};

/// A hub and its users: `ada` and `bob` are developers, `carl` and `dora` clients.
struct Team {
    hub: Hub,
    root: Person,
    admin: Person,
    ada: Person,
    bob: Person,
    carl: Person,
    dora: Person,
}

impl Team {
    async fn gather() -> Self {
        Self::gather_on(Hub::start().await).await
    }

    /// The same on a hub of one's own.
    async fn gather_on(hub: Hub) -> Self {
        Self {
            root: hub.user("root", "super_admin").await,
            admin: hub.user("admin", "admin").await,
            ada: hub.user("ada", "developer").await,
            bob: hub.user("bob", "developer").await,
            carl: hub.user("carl", "client").await,
            dora: hub.user("dora", "client").await,
            hub,
        }
    }

    /// Raises a ticket; its id.
    async fn raise(&self, who: &Person, title: &str) -> i64 {
        let (status, ticket) = self.hub.post(who, "/api/tickets/", json!({ "title": title })).await;
        assert_eq!(status, 201, "{ticket}");
        ticket["id"].as_i64().unwrap()
    }

    /// Tries a step of the workflow.
    async fn act(&self, who: &Person, ticket: i64, action: &str) -> (u16, Value) {
        let body = match action {
            "assign" => json!({ "developers": [self.ada.id] }),
            _ => json!({}),
        };
        self.hub.post(who, &format!("/api/tickets/{ticket}/{action}/"), body).await
    }

    /// A ticket of `carl`'s that has come so far; `ada` is on it from `ASSIGNED` on.
    async fn ticket_at(&self, status: &str) -> i64 {
        let id = self.raise(&self.carl, "Homepage not loading").await;
        for rule in way_to(Status::from_name(status).unwrap()) {
            let who = match rule.by {
                Right::Admin | Right::CreatorOrAdmin => &self.admin,
                Right::AssignedDeveloper => &self.ada,
                Right::Creator => &self.carl,
            };
            let (code, answer) = self.act(who, id, rule.name).await;
            assert_eq!(code, 200, "{}: {answer}", rule.name);
        }
        id
    }
}

/// The shortest way of a new ticket to a status.
pub(crate) fn way_to(status: Status) -> Vec<&'static Rule> {
    let mut ways = VecDeque::from([(Status::New, Vec::new())]);
    while let Some((at, way)) = ways.pop_front() {
        if at == status {
            return way;
        }
        let next = WORKFLOW.iter().filter(|rule| rule.from.contains(&at) && way.len() < 10);
        ways.extend(next.map(|rule| (rule.to, [&way[..], &[rule]].concat())));
    }
    panic!("no way leads to {status:?}");
}

/// The `id`s of a list, in its order.
fn ids(list: &Value) -> Vec<i64> {
    column(list, "id").iter().map(|id| id.as_i64().unwrap()).collect()
}

/// One key of all rows of a list.
fn column(list: &Value, key: &str) -> Vec<Value> {
    let rows = list["results"].as_array().unwrap_or_else(|| panic!("no list: {list}"));
    rows.iter().map(|row| row[key].clone()).collect()
}

/// Our own command line: an account that exists nowhere.
fn service() -> Person {
    let issuer = Issuer::new(&Secret::new(SECRET.to_owned()));
    let token = issuer.service(SystemClock.now()).unwrap();
    Person { id: 0, username: "service".to_owned(), token }
}

/// An actor of the tree.
async fn actor(hub: &Hub, root: &Person, path: &str) -> Value {
    fn find(actor: &Value, path: &str) -> Option<Value> {
        if actor["path"] == path {
            return Some(actor.clone());
        }
        actor["children"].as_array()?.iter().find_map(|child| find(child, path))
    }
    let (status, tree) = hub.get(root, "/api/operator/tree/").await;
    assert_eq!(status, 200, "{tree}");
    find(&tree, path).unwrap_or_else(|| panic!("no {path} in {tree}"))
}
