//! A board of tickets, the family with a socket for each project's tickets and one for who is
//! there: notifications, tickets, presence, a crash in between, and what happens to a user who
//! loses the right to watch.
//!
//! Two people on front ends of different makes see each other.

mod roster;

use std::time::{Duration, Instant};

use bellpull::wire::Dialect;
use serde_json::{Value, json};

use self::roster::Roster;
use super::{FrontEnd, Make, greeting, hub, take_time};
use crate::support::{Hub, Person};

/// A project with its people.
struct Team {
    hub: Hub,
    root: Person,
    john: Person,
    jane: Person,
    project: i64,
}

impl Team {
    async fn gather() -> Self {
        let hub = hub(Dialect::Project).await;
        let root = hub.user("root", "super_admin").await;
        let john = hub.user("john_doe", "developer").await;
        let jane = hub.user("jane", "client").await;
        let made = json!({"key": "PROJ", "name": "Main Website"});
        let (status, project) = hub.post(&root, "/api/projects/", made).await;
        assert_eq!(status, 201, "{project}");
        let project = project["id"].as_i64().unwrap();
        for member in [&john, &jane] {
            let path = format!("/api/projects/{project}/members/");
            assert_eq!(hub.post(&root, &path, json!({"user": member.id})).await.0, 201);
        }
        Self { hub, root, john, jane, project }
    }

    /// Raises a ticket in the project.
    async fn raise(&self, who: &Person, title: &str) -> i64 {
        let body = json!({"title": title, "project": self.project});
        let (status, ticket) = self.hub.post(who, "/api/tickets/", body).await;
        assert_eq!(status, 201, "{ticket}");
        ticket["id"].as_i64().unwrap()
    }

    async fn act(&self, who: &Person, ticket: i64, action: &str, body: Value) {
        let path = format!("/api/tickets/{ticket}/{action}/");
        let (status, answer) = self.hub.post(who, &path, body).await;
        assert!((200..300).contains(&status), "{action}: {answer}");
    }

    async fn assign(&self, ticket: i64) {
        self.act(&self.root, ticket, "assign", json!({"developers": [self.john.id]})).await;
    }
}

/// The frame of a ticket with its assignee.
fn assigned(ticket: i64, number: i64, title: &str) -> Value {
    json!({
        "id": format!("ticket_{ticket}_assigned"),
        "notification_type": "ticket_assigned",
        "title": "Ticket Assigned",
        "message": format!("You were assigned to PROJ-{number}: {title}"),
        "ticket_id": ticket,
        "ticket_key": format!("PROJ-{number}"),
        "seq": number,
    })
}

/// What of a notification can be known before, the toast being shown.
async fn toast(bell: &mut FrontEnd) -> Value {
    let mut frame = bell.hears().await;
    assert_eq!(frame["type"], "notification_message", "{frame}");
    let data = &mut frame["data"];
    take_time(data, "timestamp");
    let id = data.as_object_mut().unwrap().remove("notification_id").unwrap();
    assert!(id.is_i64(), "{id}");
    assert_eq!(bell.says().await, json!({"toast": data["id"]}));
    frame["data"].take()
}

fn update(action: &str, ticket: i64, title: &str, status: &Value, version: i64) -> Value {
    let data = json!({"ticket_id": ticket, "key": format!("PROJ-{ticket}"), "title": title,
        "status": status, "version": version});
    json!({"type": "ticket_update", "action": action, "data": data})
}

/// Opens a tab on the project; greeted there.
async fn watch(front: &mut FrontEnd, team: &Team, who: &Person, tab: &str, stream: &str) {
    front.does(json!(["watch", tab, team.project, stream]));
    assert_eq!(front.hears_in(tab).await, greeting(who));
}

async fn notifications(team: &Team, johns: &mut FrontEnd, first: i64) {
    assert_eq!(johns.hears().await, greeting(&team.john));
    assert_eq!(toast(johns).await, assigned(first, 1, "Fix login bug"));
    johns.does(json!(["ping", 7]));
    assert_eq!(johns.hears().await, json!({"type": "pong", "timestamp": 7}));
    // What is about no ticket goes by its own row.
    let body = json!({"recipients": [team.john.id], "title": "Maintenance",
        "message": "At ten.", "event": "maintenance"});
    let (status, sent) = team.hub.post(&team.root, "/api/notifications/", body).await;
    assert_eq!(status, 202, "{sent}");
    let id = &sent["notification"]["id"];
    let wanted = json!({"id": format!("notification_{id}"), "notification_type": "maintenance",
        "title": "Maintenance", "message": "At ten.", "ticket_id": null, "ticket_key": null,
        "seq": 2});
    assert_eq!(toast(johns).await, wanted);
    // Away and back: what happened meanwhile, once.
    johns.does(json!(["leave"]));
    assert_eq!(johns.says().await, json!({"closed": 1000}));
    let second = team.raise(&team.jane, "Logo is gone").await;
    team.assign(second).await;
    johns.does(json!(["come_back_since"]));
    assert_eq!(johns.hears().await, greeting(&team.john));
    let wanted = assigned(second, 2, "Logo is gone");
    let mut data = toast(johns).await;
    assert_eq!(data["seq"], 3);
    data["seq"] = json!(2);
    assert_eq!(data, wanted);
    johns.hears_nothing().await;
}

async fn tickets(team: &Team, johns: &mut FrontEnd, janes: &mut FrontEnd) {
    watch(johns, team, &team.john, "board", "tickets").await;
    watch(janes, team, &team.jane, "board", "tickets").await;
    let title = "Fix the search";
    let new = json!({"id": 1, "name": "New", "color": "#1890ff"});
    let opened = json!({"id": 2, "name": "Opened", "color": "#13c2c2"});
    let ticket = team.raise(&team.jane, title).await;
    let path = format!("/api/tickets/{ticket}/");
    let mut wanted = vec![update("created", ticket, title, &new, 1)];
    team.act(&team.root, ticket, "open", json!({})).await;
    wanted.push(update("updated", ticket, title, &opened, 2));
    let renamed = "Fix search";
    let (status, answer) = team.hub.patch(&team.root, &path, json!({"title": renamed})).await;
    assert_eq!(status, 200, "{answer}");
    wanted.push(update("updated", ticket, renamed, &opened, 3));
    for wanted in wanted {
        for front in [&mut *johns, &mut *janes] {
            assert_eq!(front.hears_in("board").await, wanted);
        }
    }
    assert_eq!(toast(janes).await["id"], format!("ticket_{ticket}_opened"));

    let words = json!({"body": "@john_doe, when?"});
    team.act(&team.jane, ticket, "comments", words).await;
    for front in [&mut *johns, &mut *janes] {
        let mut added = front.hears_in("board").await;
        let comment = &mut added["data"]["comment"];
        take_time(comment, "created_at");
        assert!(comment.as_object_mut().unwrap().remove("id").unwrap().is_i64());
        let comment =
            json!({"author": "jane", "author_id": team.jane.id, "body": "@john_doe, when?"});
        let data = json!({"ticket_id": ticket, "comment": comment});
        assert_eq!(added, json!({"type": "comment_added", "data": data}));
    }
    let mentioned = toast(johns).await;
    assert_eq!(mentioned["id"], format!("ticket_{ticket}_mentioned"));
    let text = format!("jane mentioned you on PROJ-{ticket}: @john_doe, when?");
    assert_eq!(mentioned["message"], text);

    assert_eq!(team.hub.delete(&team.root, &path).await.0, 204);
    for front in [&mut *johns, &mut *janes] {
        let gone = front.hears_in("board").await;
        assert_eq!(gone, update("deleted", ticket, renamed, &opened, 4));
    }
    // A client is told of what it may see: not of others' tickets.
    let others = team.raise(&team.root, "Between ourselves").await;
    let told = johns.hears_in("board").await;
    assert_eq!(told, update("created", others, "Between ourselves", &new, 1));
    janes.hears_nothing_in("board").await;
}

/// Three tabs, one join, one leave; and the frames about present users.
async fn presence(team: &Team, johns: &mut FrontEnd, janes: &mut FrontEnd, ticket: i64) {
    let (john, jane) = (&team.john, &team.jane);
    let idle = |who: &Person| {
        let (id, name) = (who.id, &who.username);
        json!({"user_id": id, "username": name, "viewing": null, "typing": []})
    };
    let state = |users: Value| json!({"type": "presence_state", "users": users});
    let status = |action: &str| {
        json!({"type": "user_status", "action": action, "username": john.username,
            "user_id": john.id})
    };
    watch(janes, team, jane, "room", "presence").await;
    assert_eq!(janes.hears_in("room").await, state(json!([idle(jane)])));
    for tab in ["one", "two", "three"] {
        watch(johns, team, john, tab, "presence").await;
        assert_eq!(johns.hears_in(tab).await, state(json!([idle(john), idle(jane)])));
    }
    assert_eq!(janes.hears_in("room").await, status("joined"));
    janes.hears_nothing_in("room").await;

    let looking = |at: Value| {
        json!({"type": "ticket_viewing", "user_id": john.id, "username": john.username,
            "ticket_id": at})
    };
    let typing = |is_typing: bool| {
        json!({"type": "user_typing", "user_id": john.id, "username": john.username,
            "ticket_id": ticket, "is_typing": is_typing})
    };
    johns.does(json!(["look_at", "one", ticket]));
    assert_eq!(janes.hears_in("room").await, looking(json!(ticket)));
    let typed = Instant::now();
    johns.does(json!(["type_on", "one", ticket, true]));
    assert_eq!(janes.hears_in("room").await, typing(true));
    // A user who connects now sees it at once.
    watch(janes, team, jane, "late", "presence").await;
    let busy = json!({"user_id": john.id, "username": john.username, "viewing": ticket,
        "typing": [ticket]});
    assert_eq!(janes.hears_in("late").await, state(json!([busy, idle(jane)])));
    janes.does(json!(["close_tab", "late"]));
    assert_eq!(janes.says_of(Some("late")).await, json!({"closed": 1000}));
    // He stops without a word.
    assert_eq!(janes.hears_in("room").await, typing(false));
    assert!(typed.elapsed() >= Duration::from_secs(5), "{:?}", typed.elapsed());
    // And with one.
    for is_typing in [true, false] {
        johns.does(json!(["type_on", "two", ticket, is_typing]));
        assert_eq!(janes.hears_in("room").await, typing(is_typing));
    }
    johns.does(json!(["look_at", "one", null]));
    assert_eq!(janes.hears_in("room").await, looking(Value::Null));
    for tab in ["one", "two", "three"] {
        // His own sockets were told nothing about himself.
        johns.hears_nothing_in(tab).await;
    }
    for tab in ["one", "two"] {
        johns.does(json!(["close_tab", tab]));
        assert_eq!(johns.says_of(Some(tab)).await, json!({"closed": 1000}));
    }
    janes.hears_nothing_in("room").await;
    johns.does(json!(["close_tab", "three"]));
    assert_eq!(janes.hears_in("room").await, status("left"));
    assert_eq!(johns.says_of(Some("three")).await, json!({"closed": 1000}));
}

/// The project's actor dies: tickets are closed to resume, presence is right again by itself.
async fn crashes(team: &Team, johns: &mut FrontEnd, janes: &mut FrontEnd, ticket: i64) {
    watch(johns, team, &team.john, "room", "presence").await;
    johns.hears_in("room").await;
    janes.hears_in("room").await;
    johns.does(json!(["look_at", "room", ticket]));
    janes.hears_in("room").await;
    let path = format!("/api/operator/actors/project/{}/restart/", team.project);
    let mut took = Vec::new();
    for _ in 0..3 {
        let crash = Instant::now();
        assert_eq!(team.hub.post(&team.root, &path, json!({})).await.0, 200);
        Roster::again(janes, "room")
            .await
            .until(janes, |roster| {
                roster.names() == ["jane", "john_doe"] && roster.looks(team.john.id) == Some(ticket)
            })
            .await;
        Roster::again(johns, "room")
            .await
            .until(johns, |roster| roster.names() == ["jane", "john_doe"])
            .await;
        took.push(crash.elapsed());
        for (front, who) in [(&mut *johns, &team.john), (&mut *janes, &team.jane)] {
            assert_eq!(front.says_of(Some("board")).await, json!({"closed": 1012}));
            watch(front, team, who, "board", "tickets").await;
        }
    }
    // One of them may have met a busy machine.
    assert!(took.iter().any(|took| *took < Duration::from_secs(1)), "{took:?}");
    let ticket = team.raise(&team.jane, "After the crash").await;
    for front in [&mut *johns, &mut *janes] {
        let told = front.hears_in("board").await;
        assert_eq!(
            (&told["action"], &told["data"]["ticket_id"]),
            (&json!("created"), &json!(ticket))
        );
    }
    // Nothing else changed in the rooms.
    for front in [johns, janes] {
        front.hears_nothing_in("room").await;
    }
}

/// A removed member watches no further, and cannot come back.
async fn withdrawal(team: &Team, johns: &mut FrontEnd, janes: &mut FrontEnd) {
    let path = format!("/api/projects/{}/members/{}/", team.project, team.jane.id);
    assert_eq!(team.hub.delete(&team.root, &path).await.0, 200);
    for tab in ["room", "board"] {
        assert_eq!(janes.says_of(Some(tab)).await, json!({"closed": 4403}));
    }
    let left = json!({"type": "user_status", "action": "left", "username": "jane",
        "user_id": team.jane.id});
    assert_eq!(johns.hears_in("room").await, left);
    johns.hears_nothing_in("board").await;
    janes.does(json!(["watch", "room", team.project, "presence"]));
    assert_eq!(janes.says_of(Some("room")).await, json!({"closed": 1006}), "a refused handshake");
    janes.hears_nothing().await;
    // Another role is another right to everything.
    let path = format!("/api/users/{}/", team.john.id);
    assert_eq!(team.hub.patch(&team.root, &path, json!({"role": "client"})).await.0, 200);
    for tab in [None, Some("room"), Some("board")] {
        assert_eq!(johns.says_of(tab).await, json!({"closed": 1012}));
    }
}

async fn whole_session(his: Make, hers: Make) {
    let team = Team::gather().await;
    let first = team.raise(&team.jane, "Fix login bug").await;
    team.assign(first).await;
    let Some(mut johns) = FrontEnd::start(his, "project", &team.hub, &team.john).await else {
        return;
    };
    let Some(mut janes) = FrontEnd::start(hers, "project", &team.hub, &team.jane).await else {
        return;
    };
    assert_eq!(janes.hears().await, greeting(&team.jane));
    notifications(&team, &mut johns, first).await;
    tickets(&team, &mut johns, &mut janes).await;
    presence(&team, &mut johns, &mut janes, first).await;
    crashes(&team, &mut johns, &mut janes, first).await;
    withdrawal(&team, &mut johns, &mut janes).await;
    team.hub.stop().await;
    assert_eq!(janes.says().await, json!({"closed": 1012}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_chromium_and_with_nodes_ws() {
    whole_session(Make::Chromium, Make::Node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_pythons_websockets_and_in_chromium() {
    whole_session(Make::Python, Make::Chromium).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nodes_ws_and_pythons_websockets() {
    whole_session(Make::Node, Make::Python).await;
}
