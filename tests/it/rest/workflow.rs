//! A ticket's life over REST: every step, every wrong role, every wrong status, and rivals.

use bellpull_domain::ticket::{Right, Rule, Status, Step, WORKFLOW};
use futures_util::future::join_all;
use serde_json::json;

use super::{Team, column, way_to};
use crate::support::Person;

fn all(team: &Team) -> [&Person; 6] {
    [&team.root, &team.admin, &team.ada, &team.bob, &team.carl, &team.dora]
}

/// The outcome of a step, looked up rather than decided: the status code.
fn wanted(who: &str, status: Status, rule: &Rule) -> u16 {
    let allowed: &[&str] = match rule.by {
        Right::Admin => &["root", "admin"],
        Right::AssignedDeveloper => &["ada"],
        Right::Creator => &["carl"],
        Right::CreatorOrAdmin => &["root", "admin", "carl"],
    };
    // Before ada is assigned, she is a developer like any other.
    let is_on_it = who != "ada" || way_to(status).iter().any(|rule| rule.step == Step::Assign);
    if who == "dora" {
        404
    } else if !allowed.contains(&who) || !is_on_it {
        403
    } else if rule.from.contains(&status) {
        200
    } else {
        409
    }
}

#[tokio::test]
async fn every_action_by_every_role_from_every_status() {
    let team = Team::gather().await;
    for status in Status::ALL.iter().copied() {
        let shared = team.ticket_at(status.as_str()).await;
        for rule in &WORKFLOW {
            for who in all(&team) {
                let wanted = wanted(&who.username, status, rule);
                // What succeeds moves the ticket, so it gets one of its own.
                let id = if wanted == 200 { team.ticket_at(status.as_str()).await } else { shared };
                let (code, answer) = team.act(who, id, rule.name).await;
                let text = format!("{} by {} from {status:?}: {answer}", rule.name, who.username);
                assert_eq!(code, wanted, "{text}");
                match code {
                    200 => assert_eq!(answer["status"], rule.to.as_str(), "{text}"),
                    403 => assert_eq!(answer["code"], "permission_denied", "{text}"),
                    404 => assert_eq!(answer["code"], "not_found", "{text}"),
                    _ => assert_eq!(answer["code"], "wrong_status", "{text}"),
                }
            }
        }
        let (_, after) = team.hub.get(&team.root, &format!("/api/tickets/{shared}/")).await;
        assert_eq!(after["status"], status.as_str(), "what is refused changes nothing");
    }
}

#[tokio::test]
async fn a_whole_life_and_who_hears_of_it() {
    let team = Team::gather().await;
    let id = team.raise(&team.carl, "Homepage not loading").await;
    let story = [
        (&team.admin, "open"),
        (&team.admin, "assign"),
        (&team.ada, "start-work"),
        (&team.ada, "finish-work"),
        (&team.carl, "reject"),
        (&team.ada, "start_work"),
        (&team.ada, "finish_work"),
        (&team.carl, "approve"),
    ];
    for (version, (who, action)) in (2..).zip(story) {
        let (code, ticket) = team.act(who, id, action).await;
        assert_eq!((code, &ticket["version"]), (200, &json!(version)), "{action}: {ticket}");
    }
    let heard = [
        (
            &team.carl,
            vec!["ticket_opened", "work_started", "work_finished", "work_started", "work_finished"],
        ),
        (&team.ada, vec!["ticket_assigned", "ticket_rejected", "ticket_approved"]),
        (
            &team.admin,
            vec![
                "ticket_created",
                "work_finished",
                "ticket_rejected",
                "work_finished",
                "ticket_approved",
            ],
        ),
        (&team.bob, vec![]),
        (&team.dora, vec![]),
    ];
    for (who, events) in heard {
        let (_, list) = team.hub.get(who, "/api/notifications/?since_seq=0").await;
        assert_eq!(column(&list, "event"), events, "{}", who.username);
    }
    let (_, history) = team.hub.get(&team.carl, &format!("/api/tickets/{id}/history/")).await;
    let actions = column(&history, "action");
    assert_eq!((actions.len(), &actions[0], &actions[8]), (9, &json!("create"), &json!("approve")));
    assert_eq!(column(&history, "from_status")[..2], [json!(null), json!("NEW")]);
}

#[tokio::test]
async fn a_reason_is_kept_and_told() {
    let team = Team::gather().await;
    let id = team.ticket_at("FINISHED").await;
    let body = json!({"reason": "  still blank \n"});
    let (code, _) = team.hub.post(&team.carl, &format!("/api/tickets/{id}/reject/"), body).await;
    assert_eq!(code, 200);
    let path = "/api/notifications/?event=ticket_rejected";
    let (_, list) = team.hub.get(&team.ada, path).await;
    let message = format!("carl rejected TKT-{id}: Homepage not loading — still blank");
    assert_eq!(column(&list, "message"), [json!(message)]);
}

#[tokio::test]
async fn of_rivals_one_wins() {
    let team = Team::gather().await;
    let id = team.raise(&team.carl, "One").await;
    let rivals = (0..16).map(|n| {
        let who = if n % 2 == 0 { &team.root } else { &team.admin };
        team.act(who, id, "open")
    });
    let mut codes: Vec<u16> = join_all(rivals).await.into_iter().map(|(code, _)| code).collect();
    codes.sort_unstable();
    assert_eq!((codes[0], &codes[1..]), (200, &[409; 15][..]));
    let (_, list) = team.hub.get(&team.carl, "/api/notifications/").await;
    assert_eq!(list["count"], 1, "told once");
}

#[tokio::test]
async fn of_editors_who_saw_the_same_version_one_wins() {
    let team = Team::gather().await;
    let id = team.raise(&team.carl, "One").await;
    let path = format!("/api/tickets/{id}/");
    let edits = (0..8).map(|n| {
        let body = json!({"title": format!("Title {n}"), "version": 1});
        team.hub.patch(&team.admin, &path, body)
    });
    let answers = join_all(edits).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(code, _)| *code == 200);
    assert_eq!((won.len(), lost.len()), (1, 7));
    for (code, answer) in lost {
        assert_eq!((code, &answer["code"]), (409, &json!("conflict")), "{answer}");
    }
    let (_, ticket) = team.hub.get(&team.carl, &path).await;
    assert_eq!((&ticket["title"], &ticket["version"]), (&won[0].1["title"], &json!(2)));
}

#[tokio::test]
async fn who_is_assigned_is_looked_up() {
    let team = Team::gather().await;
    let id = team.raise(&team.carl, "One").await;
    let path = format!("/api/tickets/{id}/assign/");
    let many: Vec<i64> = (1..=101).collect();
    for (body, text) in [
        (json!({}), "This field is required."),
        (json!({"developers": []}), "This list may not be empty."),
        (json!({"developers": null}), "This field may not be null."),
        (json!({"developers": 3}), "Expected a list of items but got type \"int\"."),
        (json!({"developers": [99]}), "Entry 1, 99: there is no such user."),
        (json!({"developers": ["x"]}), "Entry 1, \"x\": not an id (a number)."),
        (json!({ "developers": many }), "Ensure this field has no more than 100 elements."),
        (json!({"developers": [team.carl.id]}), "Entry 1, 5: user \"carl\" is not a developer."),
    ] {
        let (code, answer) = team.hub.post(&team.admin, &path, body.clone()).await;
        assert_eq!((code, answer), (400, json!({"developers": [text], "code": "invalid"})));
        // Rights come first, whatever is wrong with the body.
        assert_eq!(team.hub.post(&team.carl, &path, body.clone()).await.0, 403);
        assert_eq!(team.hub.post(&team.dora, &path, body).await.0, 404);
    }
    let twice = json!({"developers": [team.bob.id, team.ada.id, team.bob.id]});
    let (code, ticket) = team.hub.post(&team.admin, &path, twice).await;
    assert_eq!((code, &ticket["assigned_to"]), (200, &json!([team.bob.id, team.ada.id])));
    let (_, list) = team.hub.get(&team.bob, "/api/notifications/").await;
    assert_eq!(list["count"], 1);
}

#[tokio::test]
async fn a_service_token_cannot_act_as_a_user() {
    let team = Team::gather().await;
    let service = super::service();
    let id = team.raise(&team.carl, "One").await;
    assert_eq!(team.act(&service, id, "open").await.0, 403);
    assert_eq!(team.hub.post(&service, "/api/tickets/", json!({"title": "x"})).await.0, 403);
    assert_eq!(team.hub.delete(&service, &format!("/api/tickets/{id}/")).await.0, 403);
    assert_eq!(team.hub.get(&service, &format!("/api/tickets/{id}/")).await.0, 200);
}

#[tokio::test]
async fn an_admin_judges_a_finished_ticket_whose_creator_is_gone() {
    let team = Team::gather().await;
    let (one, other) = (team.ticket_at("FINISHED").await, team.ticket_at("FINISHED").await);
    let third = team.ticket_at("FINISHED").await;
    let set_active = async |is_active: bool| {
        let path = format!("/api/users/{}/", team.carl.id);
        let change = json!({ "is_active": is_active });
        assert_eq!(team.hub.patch(&team.root, &path, change).await.0, 200);
    };
    for action in ["approve", "reject"] {
        assert_eq!(team.act(&team.admin, one, action).await.0, 403, "its creator judges");
    }
    set_active(false).await;
    for who in [&team.ada, &team.dora] {
        assert!([403, 404].contains(&team.act(who, one, "approve").await.0), "{}", who.username);
    }
    let (status, approved) = team.act(&team.admin, one, "approve").await;
    assert_eq!((status, &approved["status"]), (200, &json!("APPROVED")), "{approved}");
    let (status, rejected) = team.act(&team.admin, other, "reject").await;
    assert_eq!((status, &rejected["status"]), (200, &json!("REJECTED")), "{rejected}");
    // Once the creator is back, it is theirs again, whatever was known of the ticket.
    for who in [(&team.ada, "start_work"), (&team.ada, "finish_work")] {
        assert_eq!(team.act(who.0, other, who.1).await.0, 200);
    }
    set_active(true).await;
    for ticket in [other, third] {
        assert_eq!(team.act(&team.admin, ticket, "approve").await.0, 403);
    }
}

#[tokio::test]
async fn what_a_step_answers_has_the_creators_present_name() {
    let team = Team::gather().await;
    let ticket = team.raise(&team.carl, "Homepage").await;
    assert_eq!(team.act(&team.admin, ticket, "open").await.1["created_by_name"], "carl");
    let name = json!({"full_name": "Carl Newname"});
    assert_eq!(team.hub.patch(&team.carl, "/api/auth/me/", name).await.0, 200);
    let (_, assigned) = team.act(&team.admin, ticket, "assign").await;
    assert_eq!(assigned["created_by_name"], "Carl Newname");
    let (_, row) = team.hub.get(&team.ada, "/api/notifications/?event=ticket_assigned").await;
    assert_eq!(row["results"][0]["ticket"], ticket, "{row}");
}
