//! Random groups: properties of every plan.

use proptest::prelude::*;

use super::super::super::comment::Comment;
use super::super::super::inbox::MessageContent;
use super::*;

/// A command of a group, on one of four tickets.
#[derive(Debug, Clone)]
enum Act {
    Raise(i64),
    Open(i64),
    Delete(i64),
    Comment(i64, Vec<i64>),
    Announce(Vec<i64>),
    Send(Vec<i64>, bool),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let ticket = 1_i64..5;
    // 7 and 8 do not exist.
    let users = || prop::collection::vec(1_i64..9, 0..4);
    let existing = prop::collection::btree_set(1_i64..7, 0..5);
    let existing = existing.prop_map(|users| users.into_iter().collect());
    let act = prop_oneof![
        ticket.clone().prop_map(Act::Raise),
        ticket.clone().prop_map(Act::Open),
        ticket.clone().prop_map(Act::Delete),
        (ticket, users()).prop_map(|(ticket, users)| Act::Comment(ticket, users)),
        users().prop_map(Act::Announce),
        (existing, any::<bool>()).prop_map(|(users, by_mail)| Act::Send(users, by_mail)),
    ];
    prop::collection::vec(act, 0..30)
}

/// How many rows there are of each kind.
fn sizes(rows: &Rows<'_>) -> [usize; 8] {
    [
        rows.new_tickets.len(),
        rows.tickets.len(),
        rows.history.len(),
        rows.comments.len(),
        rows.messages.len(),
        rows.entries.len(),
        rows.deliveries.len(),
        rows.moved_on.len(),
    ]
}

/// The decisions about tickets 1 to 4, and a comment on each.
struct Cast {
    steps: [Vec<Decision>; 3],
    comments: Vec<Comment>,
}

impl Cast {
    fn new() -> Self {
        let admin = caller(5, "admin");
        let then = |before: &[Decision], command| {
            before.iter().map(|one| step(&one.ticket, &command, &admin)).collect::<Vec<_>>()
        };
        let raised: Vec<Decision> = (1..5).map(creation).collect();
        let opened = then(&raised, Command::Open);
        let deleted = then(&opened, Command::Delete);
        let comment = |ticket| Comment {
            id: CommentId(0),
            ticket: TicketId(ticket),
            author: UserId(1),
            author_name: "Ann".into(),
            body: "Hello".into(),
            created_at: at(3),
        };
        Self { steps: [raised, opened, deleted], comments: (1..5).map(comment).collect() }
    }
}

fn nth(ticket: i64) -> usize {
    usize::try_from(ticket - 1).unwrap()
}

/// Plans one command: its outcome, and whether it should be planned.
fn plan_one<'a>(
    plan: &mut Plan<'a>,
    cast: &'a Cast,
    versions: &mut [usize; 4],
    act: &Act,
) -> (Result<Option<AnnouncedMessage>, Rejection>, bool) {
    let exist = |users: &[i64]| users.iter().all(|user| *user < 7);
    let mut decide = |id: i64, version: usize| {
        let fits = versions[nth(id)] == version;
        versions[nth(id)] += usize::from(fits);
        (plan.commit(&cast.steps[version][nth(id)]).map(|done| done.announced), fits)
    };
    match act {
        Act::Raise(id) => decide(*id, 0),
        Act::Open(id) => decide(*id, 1),
        Act::Delete(id) => decide(*id, 2),
        Act::Comment(id, users) => {
            let version = i64::try_from(versions[nth(*id)]).unwrap();
            let (comment, news) = (&cast.comments[nth(*id)], news(users));
            let announced = plan.comment(comment, version, Some(&news), None);
            let is_there = (1..3).contains(&versions[nth(*id)]);
            (announced.map(|done| done.1), is_there && exist(users))
        }
        Act::Announce(users) => (plan.announce(&news(users)), exist(users)),
        Act::Send(users, by_mail) => {
            let recipients: Vec<UserId> = users.iter().copied().map(UserId).collect();
            let content = MessageContent::new(news(&[]).message);
            let part = SendPart {
                message: MessageId(1),
                content: &content,
                is_new: false,
                recipients: &recipients,
                only: None,
                channels: if *by_mail { Channels::of(&Channel::ALL) } else { Channels::NONE },
                is_critical: false,
                now: at(9),
            };
            (plan.send(part, users.len()), true)
        }
    }
}

fn walk(acts: &[Act]) -> Result<(), TestCaseError> {
    let (ids, cast) = (Falling::new(), Cast::new());
    let mut plan = Plan::new(context(&ids), facts());
    let mut versions = [0; 4];
    for act in acts {
        let before = sizes(&plan.rows);
        let (outcome, fits) = plan_one(&mut plan, &cast, &mut versions, act);
        prop_assert_eq!(outcome.is_ok(), fits, "{:?}", act);
        let after = sizes(&plan.rows);
        match outcome {
            Err(_) => prop_assert_eq!(after, before, "{:?} left a trace", act),
            Ok(announced) => {
                let announced = announced.map_or(0, |announced| announced.entries.len());
                prop_assert_eq!(after[5] - before[5], announced);
            }
        }
    }
    check(&plan.into_rows());
    Ok(())
}

proptest! {
    #[test]
    fn numbers_have_no_gap_ids_are_given_once_and_a_rejection_leaves_no_trace(acts in acts()) {
        walk(&acts)?;
    }
}
