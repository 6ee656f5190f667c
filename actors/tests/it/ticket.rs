//! Tickets: their whole life, rivals, a store that fails, and actors that leave or die.

use std::sync::Arc;
use std::time::Duration;

use bellpull_actors::directory::CommandError;
use bellpull_actors::hub::HubLimits;
use bellpull_domain::ids::{ProjectId, TicketId, UserId};
use bellpull_domain::ticket::{
    Caller, Category, Command, Edit, NewTicket, Priority, Refusal, Status, Ticket,
};
use bellpull_domain::user::Role;
use bellpull_port::session::Begin;
use bellpull_port::testing::{Frame, Mode, Op};
use tokio::time::Instant;

use crate::{TestNode, upto};

pub(crate) fn new_ticket() -> NewTicket {
    NewTicket {
        title: "It is slow".to_owned(),
        description: String::new(),
        priority: Priority::Medium,
        category: Category::Bug,
    }
}

fn edit(title: &str) -> Command {
    Command::Edit(Edit { title: Some(title.to_owned()), ..Edit::default() })
}

impl TestNode {
    pub(crate) async fn raise(&self, caller: &Caller) -> Ticket {
        let new = new_ticket();
        self.hub.tickets.create(ProjectId::DEFAULT, new, caller.clone()).await.unwrap()
    }

    pub(crate) async fn command(
        &self,
        id: TicketId,
        command: Command,
        caller: &Caller,
    ) -> Result<Ticket, CommandError> {
        self.hub.tickets.command(id, command, caller.clone()).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_ticket_notifies_everyone_involved_except_the_acting_user() {
    let node = TestNode::new().await;
    let creator = node.caller(1);
    let admin = node.store.add_user(2, Role::Admin);
    let developer = node.store.add_user(3, Role::Developer);
    let _offline = node.store.add_user(4, Role::Admin);
    let mut guests = Vec::new();
    for user in 1..=3 {
        guests.push(node.attach(user, Begin::Undelivered).await);
    }
    let id = node.raise(&creator).await.id;
    let developers = vec![node.store.user_row(developer.id).unwrap()];
    for (command, caller, status) in [
        (Command::Open, &admin, Status::Opened),
        (Command::Assign { developers }, &admin, Status::Assigned),
        (Command::StartWork, &developer, Status::InProgress),
        (Command::FinishWork, &developer, Status::Finished),
        (Command::Reject { reason: "still slow".to_owned() }, &creator, Status::Rejected),
        (Command::StartWork, &developer, Status::InProgress),
        (Command::FinishWork, &developer, Status::Finished),
        (Command::Approve, &creator, Status::Approved),
    ] {
        assert_eq!(node.command(id, command, caller).await.unwrap().status, status);
    }
    // Opened, started, finished, started, finished; created, finished, rejected, finished,
    // approved; assigned, rejected, approved.
    for (conn, last) in guests.iter().zip([5, 5, 3]) {
        assert_eq!(conn.probe.shown(last).await, upto(last));
    }
    let frames = &guests[2].probe.seen().frames;
    let text = "You were assigned to TKT-1: It is slow".to_owned();
    assert!(matches!(&frames[1], Frame::Notification { body, .. } if *body == text));
    let deleted = node.command(id, Command::Delete, &creator).await.unwrap();
    assert_eq!(deleted.id, id);
    let gone = node.command(id, Command::Open, &admin).await;
    assert_eq!(gone.unwrap_err(), CommandError::Refused(Refusal::NotFound));
}

#[tokio::test(start_paused = true)]
async fn what_the_rules_refuse_is_a_reply_and_the_actor_lives_on() {
    let node = TestNode::new().await;
    let (creator, stranger) = (node.caller(1), node.caller(2));
    node.store.add_project(ProjectId(2), "SEC", false);
    let id = node.raise(&creator).await.id;
    let refused = |answer: Result<Ticket, CommandError>| match answer.unwrap_err() {
        CommandError::Refused(refusal) => refusal,
        other @ (CommandError::Used(_)
        | CommandError::Unstorable
        | CommandError::Unavailable(_)) => panic!("{other}"),
    };
    let open = node.command(id, Command::Open, &creator).await;
    assert!(matches!(refused(open), Refusal::Forbidden { .. }));
    let approve = node.command(id, Command::Approve, &creator).await;
    assert!(matches!(refused(approve), Refusal::WrongStatus { .. }));
    assert_eq!(refused(node.command(id, Command::Approve, &stranger).await), Refusal::NotFound);
    for project in [2, 99] {
        let create = node.hub.tickets.create(ProjectId(project), new_ticket(), creator.clone());
        let refusal = refused(create.await);
        assert!(matches!(refusal, Refusal::Invalid { field: "project", .. }), "{refusal:?}");
    }
    node.store.add_member(ProjectId(2), creator.id);
    let created = node.hub.tickets.create(ProjectId(2), new_ticket(), creator.clone()).await;
    assert_eq!(created.unwrap().project, ProjectId(2));
    assert_eq!(node.find("ticket/1").await.unwrap().restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_rival_makes_it_read_again_and_decide_again() {
    let node = TestNode::new().await;
    let (creator, admin) = (node.caller(1), node.store.add_user(2, Role::Admin));
    let id = node.raise(&creator).await.id;
    node.store.rival(id, |ticket| ticket.title = "The rival's".to_owned());
    let opened = node.command(id, Command::Open, &admin).await.unwrap();
    assert_eq!((opened.version, opened.title.as_str()), (3, "The rival's"));
    node.store.rival(id, |ticket| ticket.status = Status::Approved);
    let late = node.command(id, Command::Open, &admin).await.unwrap_err();
    assert!(matches!(late, CommandError::Refused(Refusal::WrongStatus { .. })), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_rival_has_allowed_is_not_refused() {
    let node = TestNode::new().await;
    let (creator, admin) = (node.caller(1), node.store.add_user(2, Role::Admin));
    let developer = node.store.add_user(3, Role::Developer);
    let id = node.raise(&creator).await.id;
    node.command(id, Command::Open, &admin).await.unwrap();
    node.store.rival(id, |ticket| {
        ticket.status = Status::Assigned;
        ticket.assigned_to = vec![UserId(3)];
    });
    let started = node.command(id, Command::StartWork, &developer).await.unwrap();
    assert_eq!((started.status, started.version), (Status::InProgress, 4));
    // A comment asks for the newest: what was known would let the creator comment.
    let other = node.caller(4);
    node.store.rival(id, |ticket| ticket.created_by = UserId(4));
    let comment = |caller: &Caller| node.hub.tickets.comment(id, "Hi".to_owned(), caller.clone());
    let refused = comment(&creator).await.unwrap_err();
    assert_eq!(refused, CommandError::Refused(Refusal::NotFound));
    node.store.rival(id, |ticket| ticket.created_by = UserId(1));
    comment(&creator).await.unwrap();
    assert_eq!(comment(&other).await.unwrap_err(), CommandError::Refused(Refusal::NotFound));
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_told_although_the_actor_is_killed_over_it() {
    let node = TestNode::new().await;
    let (creator, admin) = (node.caller(1), node.store.add_user(2, Role::Admin));
    let conn = node.attach(1, Begin::Undelivered).await;
    let id = node.raise(&creator).await.id;
    node.store.set(Op::Commit, Mode::Hang);
    let commits = node.store.asked(Op::Commit);
    let hub = node.hub.clone();
    let command = tokio::spawn(async move { hub.tickets.command(id, Command::Open, admin).await });
    node.store.until_asked(Op::Commit, commits + 1).await;
    node.hub.kill_at("ticket/1").await.unwrap();
    assert!(matches!(command.await.unwrap(), Err(CommandError::Unavailable(_))));
    node.store.set(Op::Commit, Mode::Good);
    assert_eq!(conn.probe.shown(1).await, [1]);
    assert_eq!(node.store.ticket_now(id).unwrap().status, Status::Opened);
    assert_eq!(node.command(id, edit("Next"), &creator).await.unwrap().version, 3);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_or_hangs_is_a_reply_and_kills_no_actor() {
    let node = TestNode::new().await;
    let creator = node.caller(1);
    let id = node.raise(&creator).await.id;
    for op in [Op::Commit, Op::Ticket] {
        for mode in [Mode::Fail, Mode::Hang] {
            // It must be read again, and written.
            node.store.rival(id, |_| {});
            node.store.set(op, mode);
            let begun = Instant::now();
            let answer = node.command(id, edit("Never"), &creator).await.unwrap_err();
            assert!(matches!(&answer, CommandError::Unavailable(_)), "{op:?} {mode:?} {answer}");
            assert!(begun.elapsed() < Duration::from_secs(11));
            // A hanging write may succeed after all: a caller that was told "unavailable" reads
            // again.
            node.store.set(op, Mode::Good);
            node.command(id, edit("Good again"), &creator).await.unwrap();
        }
    }
    let mut events = node.hub.events(None).live;
    node.command(id, edit("And again"), &creator).await.unwrap();
    assert!(std::iter::from_fn(|| events.try_recv().ok()).all(|event| event.what != "failed"));
}

#[tokio::test(start_paused = true)]
async fn a_command_that_waits_behind_a_panic_is_carried_out_by_the_successor() {
    let node = TestNode::new().await;
    let creator = node.caller(1);
    let id = node.raise(&creator).await.id;
    node.hub.panic_at("ticket/1");
    assert_eq!(node.command(id, edit("Next"), &creator).await.unwrap().version, 2);
    let report = node.find("ticket/1").await.unwrap();
    assert_eq!(report.restarts, 1);
    assert_eq!(report.last_failure.unwrap().text, "told to panic");
}

#[tokio::test(start_paused = true)]
async fn a_ticket_without_commands_leaves_the_memory_and_comes_back_unchanged() {
    let node = TestNode::new().await;
    let creator = node.caller(1);
    let id = node.raise(&creator).await.id;
    let begun = Instant::now();
    node.until_listed("ticket/1", true).await;
    node.until_listed("ticket/1", false).await;
    let idle = begun.elapsed().as_secs();
    assert!((55..=80).contains(&idle), "it stayed {idle} s");
    assert_eq!(node.command(id, edit("Next"), &creator).await.unwrap().version, 2);
    assert_eq!(node.find("ticket/1").await.unwrap().restarts, 0, "it left in peace");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_that_asks_for_an_unknown_id_is_answered_and_leaves_nothing_behind() {
    let node = Arc::new(TestNode::new().await);
    let caller = node.caller(1);
    let asks = (0..200).map(|n| {
        let (node, caller) = (Arc::clone(&node), caller.clone());
        let id = TicketId(if n < 100 { 7 } else { n });
        tokio::spawn(async move { node.command(id, Command::Approve, &caller).await })
    });
    for ask in asks.collect::<Vec<_>>() {
        assert_eq!(ask.await.unwrap().unwrap_err(), CommandError::Refused(Refusal::NotFound));
    }
    let tree = node.hub.tree(1_000).await.unwrap();
    let left: Vec<_> = tree.children.iter().flat_map(|child| &child.children).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Commands come around the moment in which the actor passivates: on several threads, in real
/// time. Each is carried out once, none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_command_that_races_the_passivation_is_carried_out_once() {
    let passivate_after = Duration::from_millis(4);
    let node = Arc::new(TestNode::with(HubLimits { passivate_after, ..Default::default() }).await);
    let creator = node.caller(1);
    let mut workers = Vec::new();
    for _ in 0..6 {
        let id = node.raise(&creator).await.id;
        for worker in 0..2 {
            let (node, creator) = (Arc::clone(&node), creator.clone());
            workers.push(tokio::spawn(async move {
                for n in 0..100_u64 {
                    let title = format!("{worker} {n}");
                    node.command(id, edit(&title), &creator).await.unwrap();
                    tokio::time::sleep(Duration::from_millis((n * 3 + worker) % 17)).await;
                }
            }));
        }
    }
    for worker in workers {
        worker.await.unwrap();
    }
    for id in 1..=6 {
        assert_eq!(node.store.actions(TicketId(id)).len(), 201);
        assert_eq!(node.store.ticket_now(TicketId(id)).unwrap().version, 201);
    }
}
