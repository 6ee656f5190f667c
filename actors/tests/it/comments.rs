//! Comments: who may, whom they name, and who is told.

use bellpull_actors::directory::CommandError;
use bellpull_domain::comment::Comment;
use bellpull_domain::ids::{TicketId, UserId};
use bellpull_domain::stream::StreamEvent;
use bellpull_domain::ticket::{Caller, Command, Refusal};
use bellpull_domain::user::Role;
use bellpull_port::session::Begin;
use bellpull_port::testing::{Frame, Mode, Op};

use crate::TestNode;
use crate::project::{SEC, TICKETS, announced};
use crate::ticket::new_ticket;

impl TestNode {
    async fn comment(
        &self,
        id: TicketId,
        body: &str,
        caller: &Caller,
    ) -> Result<Comment, CommandError> {
        self.hub.tickets.comment(id, body.to_owned(), caller.clone()).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_comment_notifies_those_whom_it_names_and_who_may_see_the_ticket() {
    let node = TestNode::new().await;
    let team = node.team();
    let _inactive = node.store.add_user(6, Role::Developer);
    node.store.set_active(UserId(6), false);
    node.store.add_member(SEC, UserId(5));
    node.store.add_member(SEC, UserId(6));
    let mut guests = Vec::new();
    for user in [1, 2, 3, 4, 5, 6, 8] {
        guests.push((user, node.attach(user, Begin::Undelivered).await));
    }
    let watcher = node.watch(2, TICKETS).await;
    let stranger = node.watch(5, TICKETS).await;
    node.until_watched(2, 0).await;
    let id = node.hub.tickets.create(SEC, new_ticket(), team.client.clone()).await.unwrap().id;
    // A member, its author, a non-member, a client who may not see it, an inactive member, an
    // unknown user.
    let body = "@user1. @user3, (@user4) @user5 @user6 @unknown x@user2 @user8 @user1 please look";
    let comment = node.comment(id, body, &team.client).await.unwrap();
    assert_eq!((comment.author, comment.body.as_str()), (UserId(3), body));
    let text = format!("user3 mentioned you on SEC-1: {body}");
    for (user, conn) in &guests {
        // The admin's first is of the ticket's creation.
        let wanted = match user {
            1 => 1,
            8 => 2,
            _ => 0,
        };
        if wanted > 0 {
            conn.probe.shown(wanted).await;
            let frames = &conn.probe.seen().frames;
            assert!(
                matches!(frames.last(), Some(Frame::Notification { body, .. }) if *body == text)
            );
        }
        assert_eq!(node.store.head_now(UserId(*user)).last_seq.0, wanted, "{user}");
    }
    watcher.probe.until(|_| announced(&watcher.probe).len() == 2).await;
    assert_eq!(announced(&watcher.probe)[1], StreamEvent::Comment(comment));
    assert!(announced(&stranger.probe).is_empty(), "a client that may not see the ticket");
}

#[tokio::test(start_paused = true)]
async fn a_long_comment_is_quoted_by_its_beginning() {
    let node = TestNode::new().await;
    let team = node.team();
    let id = node.raise(&team.client).await.id;
    let conn = node.attach(8, Begin::Live).await;
    conn.probe.until(|seen| !seen.frames.is_empty()).await;
    let body = format!("@user8 {}", "ü".repeat(300));
    node.comment(id, &body, &team.client).await.unwrap();
    conn.probe.until(|seen| seen.frames.len() > 1).await;
    let quoted: String = body.chars().take(139).chain(['…']).collect();
    let frames = &conn.probe.seen().frames;
    assert!(
        matches!(frames.last(), Some(Frame::Notification { body, .. })
        if *body == format!("user3 mentioned you on TKT-1: {quoted}")),
        "{frames:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_user_who_may_not_see_a_ticket_cannot_comment_and_a_deleted_one_takes_none() {
    let node = TestNode::new().await;
    let (creator, stranger) = (node.caller(1), node.caller(2));
    let id = node.raise(&creator).await.id;
    let not_found = CommandError::Refused(Refusal::NotFound);
    assert_eq!(node.comment(id, "Hi", &stranger).await.unwrap_err(), not_found);
    assert_eq!(node.comment(TicketId(99), "Hi", &creator).await.unwrap_err(), not_found);
    node.comment(id, "Hi", &creator).await.unwrap();
    // Deleted by a rival on another node, of which this actor has not heard.
    node.store.remove_ticket(id);
    assert_eq!(node.comment(id, "Hi", &creator).await.unwrap_err(), not_found);
    assert!(node.find(&format!("ticket/{id}")).await.is_none(), "it has no actor");
}

#[tokio::test(start_paused = true)]
async fn a_comment_is_told_although_the_tickets_actor_is_killed_over_it() {
    let node = TestNode::new().await;
    let team = node.team();
    let id = node.raise(&team.client).await.id;
    let conn = node.attach(8, Begin::Undelivered).await;
    conn.probe.shown(1).await;
    node.store.set(Op::Commit, Mode::Hang);
    let commits = node.store.asked(Op::Commit);
    let (hub, client) = (node.hub.clone(), team.client.clone());
    let comment =
        tokio::spawn(async move { hub.tickets.comment(id, "@user8".to_owned(), client).await });
    node.store.until_asked(Op::Commit, commits + 1).await;
    node.hub.kill_at(&format!("ticket/{id}")).await.unwrap();
    assert!(matches!(comment.await.unwrap(), Err(CommandError::Unavailable(_))));
    node.store.set(Op::Commit, Mode::Good);
    assert_eq!(conn.probe.shown(2).await, [1, 2]);
    node.command(id, Command::Open, &team.admin).await.unwrap();
}
