//! A random walk of commands by users of every role, beside a model that is only a table.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;

use super::super::address::Addresses;
use super::super::explain::fits;
use super::super::ids::{ProjectId, TicketId, UserId};
use super::super::user::{Role, User};
use super::*;

/// The cast: two of each role, and a stranger.
const ROLES: [&str; 9] = [
    "client",
    "client",
    "developer",
    "developer",
    "admin",
    "admin",
    "super_admin",
    "super_admin",
    "student",
];

fn user(n: usize) -> User {
    User {
        id: UserId(i64::try_from(n).unwrap() + 1),
        username: format!("user{n}").into(),
        addresses: Addresses::default(),
        full_name: "".into(),
        role: ROLES[n].parse().unwrap(),
        is_active: true,
        is_email_verified: true,
        created_at: Timestamp::UNIX_EPOCH,
        origin: crate::user::Origin::Hub,
        tokens_from: Timestamp::UNIX_EPOCH,
    }
}

fn admins() -> Vec<UserId> {
    (0..ROLES.len()).map(user).filter(|user| user.role.is_admin()).map(|user| user.id).collect()
}

/// The workflow's table a second time, as data: sources, target, event, whether admins are
/// notified.
fn table() -> BTreeMap<&'static str, (Vec<&'static str>, &'static str, &'static str, bool)> {
    let not_done = vec!["NEW", "OPENED", "ASSIGNED", "IN_PROGRESS", "REJECTED"];
    BTreeMap::from([
        ("open", (vec!["NEW"], "OPENED", "ticket_opened", false)),
        ("assign", (not_done, "ASSIGNED", "ticket_assigned", false)),
        ("start_work", (vec!["ASSIGNED", "REJECTED"], "IN_PROGRESS", "work_started", false)),
        ("finish_work", (vec!["IN_PROGRESS"], "FINISHED", "work_finished", true)),
        ("approve", (vec!["FINISHED"], "APPROVED", "ticket_approved", true)),
        ("reject", (vec!["FINISHED"], "REJECTED", "ticket_rejected", true)),
    ])
}

fn may(ticket: &Ticket, command: &Command, who: &User) -> bool {
    let creator = who.id == ticket.created_by;
    let assigned = ticket.assigned_to.contains(&who.id);
    match command.name() {
        "open" | "assign" => who.role.is_admin(),
        "start_work" | "finish_work" => who.role == Role::Developer && assigned,
        "approve" | "reject" => creator,
        _ => creator || who.role.is_admin(),
    }
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        Just(Command::Open),
        prop::collection::btree_set(2usize..4, 1..=2)
            .prop_map(|devs| Command::Assign { developers: devs.into_iter().map(user).collect() }),
        Just(Command::StartWork),
        Just(Command::FinishWork),
        Just(Command::Approve),
        "[a-z]{0,5}".prop_map(|reason| Command::Reject { reason }),
        "[a-z]{1,5}"
            .prop_map(|title| Command::Edit(Edit { title: Some(title), ..Edit::default() })),
    ]
}

/// Half of the steps are by users who may take them: otherwise few walks would get far.
fn step() -> impl Strategy<Value = (usize, bool, Command)> {
    (0..ROLES.len(), any::<bool>(), command())
}

fn new_ticket(creator: &User) -> Decision {
    let project = Project {
        id: ProjectId::DEFAULT,
        key: "TKT".into(),
        name: "Default".into(),
        is_open: true,
    };
    let new = NewTicket {
        title: "It is slow".into(),
        description: String::new(),
        priority: Priority::Medium,
        category: Category::Other,
    };
    let caller = Caller::from(creator);
    create(TicketId(1), &project, new, &caller, Membership::Member, Timestamp::UNIX_EPOCH).unwrap()
}

fn check_told(decision: &Decision, by: &User) -> Result<(), TestCaseError> {
    let Some(announcement) = &decision.announcement else { return Ok(()) };
    let told = announcement.audience.recipients(&admins());
    prop_assert!(!told.contains(&by.id), "{} was told of its own act", by.username);
    let once: BTreeSet<_> = told.iter().collect();
    prop_assert_eq!(once.len(), told.len(), "a recipient was notified twice");
    let (event, ticket) = (&announcement.message.event, &decision.ticket);
    let is_explained =
        fits(event, &announcement.audience, (ticket.created_by, &ticket.assigned_to));
    prop_assert!(is_explained, "{event} is explained otherwise");
    prop_assert_eq!(&announcement.message.ticket.as_ref().unwrap().status, &decision.ticket.status);
    Ok(())
}

/// All users that the table names, computed in a second way.
fn wanted(before: &Ticket, command: &Command, by: &User, admins_too: bool) -> BTreeSet<UserId> {
    let mut all: BTreeSet<UserId> = match command {
        Command::Assign { developers } => {
            let news = developers.iter().map(|user| user.id);
            news.filter(|id| !before.assigned_to.contains(id)).collect()
        }
        Command::Approve | Command::Reject { .. } => before.assigned_to.iter().copied().collect(),
        Command::Open
        | Command::StartWork
        | Command::FinishWork
        | Command::Edit(_)
        | Command::Unassign { .. }
        | Command::Delete => BTreeSet::from([before.created_by]),
    };
    if admins_too {
        all.extend(admins());
    }
    all.remove(&by.id);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn a_walk_never_leaves_the_table(
        creator in 0..ROLES.len(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let creator = user(creator);
        let born = new_ticket(&creator);
        check_told(&born, &creator)?;
        let mut ticket = born.ticket;
        ticket.key = "TKT-1".into();
        for (by, fitting, command) in steps {
            let mut entitled = (0..ROLES.len()).map(user).filter(|who| may(&ticket, &command, who));
            let by = if fitting { entitled.next() } else { None }.unwrap_or(user(by));
            let entitled = may(&ticket, &command, &by);
            let seen = is_visible(&ticket, &Caller::from(&by), Membership::Member);
            let now = Timestamp::UNIX_EPOCH;
            let outcome = decide(&ticket, &command, &Caller::from(&by), Membership::Member, now);
            let rule = table().get(command.name()).cloned();
            let fits = rule.as_ref().is_none_or(|rule| rule.0.contains(&ticket.status.as_str()));
            match outcome {
                Err(Refusal::NotFound) => prop_assert!(!seen),
                Err(Refusal::Forbidden { .. }) => prop_assert!(seen && !entitled),
                Err(Refusal::WrongStatus { .. }) => prop_assert!(entitled && !fits),
                Err(other) => prop_assert!(false, "unexpected {other}"),
                Ok(decision) => {
                    prop_assert!(seen && fits && entitled);
                    prop_assert_eq!(decision.ticket.version, ticket.version + 1);
                    check_told(&decision, &by)?;
                    if let Some((_, to, event, admins_too)) = rule {
                        prop_assert_eq!(decision.ticket.status.as_str(), to);
                        let wanted = wanted(&ticket, &command, &by, admins_too);
                        let told: BTreeSet<UserId> = decision.announcement.as_ref().map(|a| {
                            assert_eq!(a.message.event.as_str(), event);
                            a.audience.recipients(&admins()).into_iter().collect()
                        }).unwrap_or_default();
                        prop_assert_eq!(told, wanted);
                    } else {
                        prop_assert!(decision.announcement.is_none());
                        prop_assert_eq!(decision.ticket.status, ticket.status);
                    }
                    ticket = decision.ticket;
                }
            }
        }
    }
}

#[test]
fn texts_are_those_of_the_table() {
    let creator = user(0);
    let born = new_ticket(&creator);
    assert_eq!(
        born.announcement.unwrap().message.body,
        "New Medium priority ticket created: It is slow"
    );
    let mut ticket = born.ticket;
    ticket.key = "TKT-1".into();
    let by = |n: usize, command: Command, ticket: &mut Ticket| {
        let caller = Caller::from(&user(n));
        let decision =
            decide(ticket, &command, &caller, Membership::Member, Timestamp::UNIX_EPOCH).unwrap();
        *ticket = decision.ticket;
        decision.announcement.unwrap().message.body
    };
    let lines = [
        by(4, Command::Open, &mut ticket),
        by(4, Command::Assign { developers: vec![user(2)] }, &mut ticket),
        by(2, Command::StartWork, &mut ticket),
        by(2, Command::FinishWork, &mut ticket),
        by(0, Command::Reject { reason: "still slow".into() }, &mut ticket),
        by(2, Command::StartWork, &mut ticket),
        by(2, Command::FinishWork, &mut ticket),
        by(0, Command::Approve, &mut ticket),
    ];
    assert_eq!(
        lines,
        [
            "Your ticket TKT-1 was opened by user4: It is slow",
            "You were assigned to TKT-1: It is slow",
            "user2 started work on TKT-1: It is slow",
            "user2 finished work on TKT-1: It is slow",
            "user0 rejected TKT-1: It is slow — still slow",
            "user2 started work on TKT-1: It is slow",
            "user2 finished work on TKT-1: It is slow",
            "user0 approved TKT-1: It is slow",
        ]
    );
}

#[test]
fn an_assignment_of_a_user_who_is_no_developer_is_refused_by_name() {
    let ticket = new_ticket(&user(0)).ticket;
    let command = Command::Assign { developers: vec![user(0)] };
    let caller = Caller::from(&user(4));
    let refused = decide(&ticket, &command, &caller, Membership::Member, Timestamp::UNIX_EPOCH);
    assert_eq!(
        refused.unwrap_err(),
        Refusal::Invalid { field: "developers", message: "User 1 is not a developer.".into() }
    );
}

#[test]
fn an_edit_of_an_old_version_is_refused() {
    let ticket = new_ticket(&user(0)).ticket;
    let edit = Edit { version: Some(7), title: Some("x".into()), ..Edit::default() };
    let caller = Caller::from(&user(0));
    let refused =
        decide(&ticket, &Command::Edit(edit), &caller, Membership::Member, Timestamp::UNIX_EPOCH);
    assert_eq!(refused.unwrap_err(), Refusal::Stale { expected: 7, actual: 1 });
}
