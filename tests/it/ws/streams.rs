//! A project's streams: on a socket of their own, and on the one for everything.

use serde_json::{Value, json};

use super::{Socket, closed_project, raise};
use crate::support::{Hub, Person};

const TICKETS: &str = "project:1:tickets";
const PRESENCE: &str = "project:1:presence";

/// A socket of a project's, past its greeting.
async fn project_socket(hub: &Hub, person: &Person, project: i64, stream: &str) -> Socket {
    let path = format!("/ws/projects/{project}/{stream}/?token={}", person.token);
    let mut socket = Socket::open_at(hub.address(), &path).await;
    let greeting = socket.next().await;
    assert_eq!(greeting["type"], "connection_established", "{greeting}");
    socket
}

async fn say(socket: &mut Socket, what: Value) {
    socket.say(what.to_string()).await;
}

/// Subscribes or unsubscribes; the answer.
async fn ask(socket: &mut Socket, what: &str, stream: &str) -> Value {
    say(socket, json!({"type": what, "id": what, "stream": stream})).await;
    let answer = socket.next().await;
    assert_eq!((&answer["type"], &answer["id"]), (&json!("reply"), &json!(what)), "{answer}");
    answer
}

/// The people of a `presence_state`, by their names.
fn names(state: &Value) -> Vec<&str> {
    assert_eq!(state["type"], "presence_state", "{state}");
    let users = state["users"].as_array().unwrap();
    let mut names: Vec<_> = users.iter().map(|user| user["username"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn what_happens_to_tickets_is_told_in_their_streams() {
    let hub = Hub::start().await;
    let (ada, carl) = (hub.user("ada", "admin").await, hub.user("carl", "client").await);
    let mut family = project_socket(&hub, &ada, 1, "tickets").await;
    let (mut one, _) = Socket::v1(&hub, &ada, "").await;
    assert_eq!(ask(&mut one, "subscribe", TICKETS).await["ok"], true);

    let ticket = raise(&hub, &carl, "Homepage not loading").await;
    let update = family.next().await;
    assert_eq!((&update["type"], &update["action"]), (&json!("ticket_update"), &json!("created")));
    assert_eq!(
        (&update["data"]["ticket_id"], &update["data"]["key"]),
        (&json!(ticket), &json!("TKT-1"))
    );
    assert_eq!(update["data"]["status"]["id"], 1, "{update}");
    // On the one socket it comes beside the notification, in either order, and by its name.
    let mut both = [one.next().await, one.next().await];
    both.sort_by_key(|frame| frame["type"].to_string());
    assert_eq!(both[0]["type"], "notification");
    let mut named = update.clone();
    named["stream"] = json!(TICKETS);
    assert_eq!(both[1], named);
    // The acting user receives list updates like all others, and no notification.
    let path = format!("/api/tickets/{ticket}/open/");
    assert_eq!(hub.post(&ada, &path, json!({})).await.0, 200);
    for socket in [&mut family, &mut one] {
        let update = socket.next().await;
        assert_eq!(update["action"], "updated", "{update}");
        assert_eq!(update["data"]["status"]["name"], "Opened", "{update}");
    }

    assert_eq!(ask(&mut one, "unsubscribe", TICKETS).await["ok"], true);
    raise(&hub, &carl, "Another").await;
    assert_eq!(one.next().await["type"], "notification");
    one.expect_nothing().await;
    assert_eq!(family.next().await["action"], "created");
    family.expect_nothing().await;
}

#[tokio::test]
async fn people_see_each_other_whichever_socket_they_are_on() {
    let hub = Hub::start().await;
    let carl = hub.user("carl", "client").await;
    let ticket = raise(&hub, &carl, "Homepage not loading").await;
    let ada = hub.user("ada", "admin").await;
    let (mut one, _) = Socket::v1(&hub, &ada, "").await;
    say(&mut one, json!({"type": "subscribe", "id": "s", "stream": PRESENCE})).await;
    let mut both = [one.next().await, one.next().await];
    both.sort_by_key(|frame| frame["type"].to_string());
    assert_eq!((names(&both[0]), &both[0]["stream"]), (vec!["ada"], &json!(PRESENCE)));
    assert_eq!((&both[1]["type"], &both[1]["ok"]), (&json!("reply"), &json!(true)));

    let mut carls = project_socket(&hub, &carl, 1, "presence").await;
    assert_eq!(names(&carls.next().await), ["ada", "carl"]);
    let status = |action: &str, who: &Person| {
        json!({"type": "user_status", "action": action, "username": who.username,
            "user_id": who.id})
    };
    let named = |mut frame: Value| {
        frame["stream"] = json!(PRESENCE);
        frame
    };
    assert_eq!(one.next().await, named(status("joined", &carl)));
    // Another tab of the same person's is no news.
    let mut tab = project_socket(&hub, &carl, 1, "presence").await;
    assert_eq!(names(&tab.next().await), ["ada", "carl"]);
    one.expect_nothing().await;

    say(&mut carls, json!({"type": "ticket_viewing", "ticket_id": ticket})).await;
    let viewing = json!({"type": "ticket_viewing", "user_id": carl.id, "username": "carl",
        "ticket_id": ticket});
    assert_eq!(one.next().await, named(viewing));
    say(
        &mut one,
        json!({"type": "user_typing", "stream": PRESENCE, "ticket_id": ticket,
        "is_typing": true}),
    )
    .await;
    let typing = json!({"type": "user_typing", "user_id": ada.id, "username": "ada",
        "ticket_id": ticket, "is_typing": true});
    for socket in [&mut carls, &mut tab] {
        assert_eq!(socket.next().await, typing);
    }

    tab.close().await;
    one.expect_nothing().await;
    carls.close().await;
    assert_eq!(one.next().await, named(status("left", &carl)));
    let mut carls = project_socket(&hub, &carl, 1, "presence").await;
    carls.next().await;
    one.next().await;
    assert_eq!(ask(&mut one, "unsubscribe", PRESENCE).await["ok"], true);
    loop {
        let told = carls.next().await;
        if told["type"] == "user_status" {
            assert_eq!(told, status("left", &ada));
            break;
        }
        assert_eq!(told["type"], "user_typing", "what ends before: {told}");
    }
}

#[tokio::test]
async fn a_deleted_ticket_is_viewed_by_no_one() {
    let hub = Hub::start().await;
    let (ada, carl) = (hub.user("ada", "admin").await, hub.user("carl", "admin").await);
    let ticket = raise(&hub, &carl, "Homepage not loading").await;
    let mut viewer = project_socket(&hub, &ada, 1, "presence").await;
    assert_eq!(names(&viewer.next().await), ["ada"]);
    let mut watcher = project_socket(&hub, &carl, 1, "presence").await;
    assert_eq!(names(&watcher.next().await), ["ada", "carl"]);
    assert_eq!(viewer.next().await["action"], "joined");
    say(&mut viewer, json!({"type": "ticket_viewing", "ticket_id": ticket})).await;
    say(&mut viewer, json!({"type": "user_typing", "ticket_id": ticket, "is_typing": true})).await;
    assert_eq!(watcher.next().await["ticket_id"], ticket);
    assert_eq!(watcher.next().await["is_typing"], true);
    assert_eq!(hub.delete(&carl, &format!("/api/tickets/{ticket}/")).await.0, 204);
    let told = [watcher.next().await, watcher.next().await];
    let kinds = told.each_ref().map(|frame| frame["type"].as_str().unwrap());
    assert_eq!(kinds, ["ticket_viewing", "user_typing"], "{told:?}");
    assert_eq!((&told[0]["ticket_id"], &told[1]["is_typing"]), (&Value::Null, &json!(false)));
    // A client that has not heard of it reports to view it again.
    say(&mut viewer, json!({"type": "ticket_viewing", "ticket_id": ticket})).await;
    viewer.expect_nothing().await;
    watcher.expect_nothing().await;
    let mut newcomer = project_socket(&hub, &ada, 1, "presence").await;
    let state = newcomer.next().await;
    for user in state["users"].as_array().unwrap() {
        assert_eq!((&user["viewing"], &user["typing"]), (&Value::Null, &json!([])), "{state}");
    }
}

#[tokio::test]
async fn what_is_not_ones_own_cannot_be_subscribed_to() {
    let hub = Hub::start().await;
    let root = hub.user("root", "admin").await;
    let (mia, eve) = (hub.user("mia", "client").await, hub.user("eve", "client").await);
    let closed = closed_project(&hub, &root, &[&mia]).await;
    let stream = format!("project:{closed}:tickets");
    let (mut hers, _) = Socket::v1(&hub, &mia, "").await;
    assert_eq!(ask(&mut hers, "subscribe", &stream).await["ok"], true);
    let (mut socket, _) = Socket::v1(&hub, &eve, "").await;
    for stream in [stream.as_str(), "project:999:presence"] {
        let refused = ask(&mut socket, "subscribe", stream).await;
        assert_eq!(refused["ok"], false, "{refused}");
        assert!(refused["code"].is_string() && refused["message"].is_string(), "{refused}");
    }
    say(&mut socket, json!({"type": "subscribe", "id": "s", "stream": "project:07:tickets"})).await;
    assert_eq!(socket.next().await["code"], "invalid_field");
    socket.expect_nothing().await;
}

#[tokio::test]
async fn presence_shows_a_ticket_to_those_alone_who_may_read_it() {
    let hub = Hub::start().await;
    let (ada, carl) = (hub.user("ada", "admin").await, hub.user("carl", "client").await);
    let (dev, dora) = (hub.user("dev", "developer").await, hub.user("dora", "client").await);
    let (carls, doras) = (raise(&hub, &carl, "Carl's").await, raise(&hub, &dora, "Dora's").await);
    let mut ada = project_socket(&hub, &ada, 1, "presence").await;
    ada.next().await;
    let mut dev = project_socket(&hub, &dev, 1, "presence").await;
    dev.next().await;
    let mut eve = project_socket(&hub, &dora, 1, "presence").await;
    eve.next().await;
    for _ in 0..2 {
        assert_eq!(ada.next().await["type"], "user_status");
    }
    assert_eq!(dev.next().await["type"], "user_status");

    let view = |ticket: Option<i64>| json!({"type": "ticket_viewing", "ticket_id": ticket});
    let typed = |ticket: i64, is_typing| json!({"type": "user_typing", "ticket_id": ticket, "is_typing": is_typing});
    // Of another client's ticket a client hears nothing at all.
    for what in [view(Some(carls)), typed(carls, true), typed(carls, false), view(Some(doras))] {
        say(&mut ada, what.clone()).await;
        assert_eq!(dev.next().await["ticket_id"], what["ticket_id"], "{what}");
    }
    let told = eve.next().await;
    assert_eq!((&told["type"], &told["ticket_id"]), (&json!("ticket_viewing"), &json!(doras)));
    say(&mut ada, typed(carls, true)).await;
    dev.next().await;
    say(&mut ada, view(Some(carls))).await;
    dev.next().await;
    let told = eve.next().await;
    assert_eq!((&told["type"], &told["ticket_id"]), (&json!("ticket_viewing"), &json!(null)));

    // Nor does a later client, and every user of the ticket may read it.
    let mut late = project_socket(&hub, &dora, 1, "presence").await;
    let seen = |state: &Value| {
        let users = state["users"].as_array().unwrap().clone();
        let ada = users.into_iter().find(|user| user["username"] == "ada").unwrap();
        (ada["viewing"].clone(), ada["typing"].clone())
    };
    assert_eq!(seen(&late.next().await), (json!(null), json!([])));
    let mut own = project_socket(&hub, &carl, 1, "presence").await;
    assert_eq!(seen(&own.next().await), (json!(carls), json!([carls])));

    // What its own viewer may not read is not shown to anybody.
    say(&mut eve, view(Some(carls))).await;
    say(&mut eve, typed(carls, true)).await;
    say(&mut eve, view(Some(doras))).await;
    loop {
        let told = ada.next().await;
        if told["type"] == "user_status" {
            continue;
        }
        assert_eq!((&told["username"], &told["ticket_id"]), (&json!("dora"), &json!(doras)));
        break;
    }
    hub.stop().await;
}
