//! Notes over sockets: who may send to whom, and how often.

use std::time::Duration;

use bellpull_actors::sends::SendRefusal;
use bellpull_domain::ids::{ProjectId, UserId};
use bellpull_domain::notification::Kind;
use bellpull_domain::ticket::Caller;
use bellpull_domain::user::Role;
use bellpull_port::session::{Answer, Begin, Note};
use bellpull_port::testing::{Mode, Op};

use crate::TestNode;

fn note(to: i64) -> Note {
    Note {
        to: UserId(to),
        title: "Approved".to_owned(),
        message: "Your request was approved".to_owned(),
        event: "approval".to_owned(),
        kind: Kind::Info,
        link: "/requests/7/".to_owned(),
        data: serde_json::Map::new(),
    }
}

/// Client 1, developer 2, admin 3, developer 4, client 5; 2 and 4 share a project.
async fn node() -> (TestNode, [Caller; 5]) {
    let node = TestNode::new().await;
    let roles = [Role::Client, Role::Developer, Role::Admin, Role::Developer, Role::Client];
    let mut id = 0;
    let callers = roles.map(|role| {
        id += 1;
        node.store.add_user(id, role)
    });
    node.store.add_project(ProjectId(7), "WEB", false);
    for user in [2, 4] {
        node.store.add_member(ProjectId(7), UserId(user));
    }
    (node, callers)
}

#[tokio::test(start_paused = true)]
async fn users_send_to_permitted_recipients_and_others_learn_nothing() {
    let (node, [client, developer, admin, ..]) = node().await;
    let conn = node.attach(4, Begin::Undelivered).await;
    let forbidden = Err(SendRefusal::Forbidden);
    for (caller, to, wanted) in [
        (&client, 1, Ok(())),
        (&client, 2, forbidden.clone()),
        (&client, 99, forbidden.clone()),
        (&developer, 2, Ok(())),
        (&developer, 4, Ok(())),
        (&developer, 1, forbidden.clone()),
        (&developer, 99, forbidden),
        (&admin, 5, Ok(())),
        (&admin, 4, Ok(())),
        (&admin, 99, Err(SendRefusal::NotFound)),
    ] {
        let sent = node.hub.sends.send_note(caller, note(to)).await;
        assert_eq!(sent.map(|_| ()), wanted, "{} to {to}", caller.username);
    }
    assert_eq!(conn.probe.shown(2).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn who_sends_too_fast_waits_and_does_not_hold_up_others() {
    let (node, [client, developer, ..]) = node().await;
    let sends = &node.hub.sends;
    for _ in 0..20 {
        sends.send_note(&client, note(1)).await.unwrap();
    }
    let refused = sends.send_note(&client, note(1)).await.unwrap_err();
    assert_eq!(refused, SendRefusal::Throttled { retry_after_ms: 200 });
    let Answer::Refused { code, retry_after_ms, .. } = Answer::from(refused) else { panic!() };
    assert_eq!((code, retry_after_ms), ("throttled", Some(200)));
    sends.send_note(&developer, note(2)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    sends.send_note(&client, note(1)).await.unwrap();
    assert_eq!(node.store.head_now(UserId(1)).last_seq.0, 21);
}

#[tokio::test(start_paused = true)]
async fn a_link_into_a_script_is_refused_and_a_store_that_is_away_says_so() {
    let (node, [client, developer, ..]) = node().await;
    let bad = Note { link: "javascript:alert(1)".to_owned(), ..note(1) };
    let refused = node.hub.sends.send_note(&client, bad).await.unwrap_err();
    assert_eq!(refused, SendRefusal::BadLink);
    for (op, caller, to) in [(Op::Begin, &client, 1), (Op::Ticket, &developer, 4)] {
        node.store.set(op, Mode::Fail);
        let refused = node.hub.sends.send_note(caller, note(to)).await.unwrap_err();
        let Answer::Refused { code, retry_after_ms, .. } = Answer::from(refused) else { panic!() };
        assert_eq!((code, retry_after_ms), ("unavailable", Some(1_000)));
    }
}

#[tokio::test(start_paused = true)]
async fn only_an_admin_notifies_as_the_hub() {
    let (node, [client, developer, admin, ..]) = node().await;
    for event in ["ticket_created", "ticket_assigned", "mentioned", "user_registration"] {
        let note = |to| Note { event: event.to_owned(), ..note(to) };
        for (caller, to) in [(&client, 1), (&developer, 4), (&developer, 2)] {
            let refused = node.hub.sends.send_note(caller, note(to)).await.unwrap_err();
            let answer = Answer::from(refused);
            let Answer::Refused { code, message, retry_after_ms } = answer else { panic!() };
            assert_eq!((code, retry_after_ms), ("invalid", None));
            assert!(message.contains(event) && message.contains("notification type"), "{message}");
        }
        // A missing permission is reported before other errors.
        let refused = node.hub.sends.send_note(&client, note(2)).await;
        assert_eq!(refused, Err(SendRefusal::Forbidden));
        node.hub.sends.send_note(&admin, note(5)).await.unwrap();
    }
    assert_eq!(node.store.head_now(UserId(4)).last_seq.0, 0);
}
