//! The checker finds what is lost, doubled or out of order, and nothing else.

use serde_json::Value;

use super::super::ledger::{Asked, CommentRecord, SendRecord, Step};
use super::*;

const DONE: Asked = Asked { is_acknowledged: true, attempts: 1, at: 0 };
const UNKNOWN: Asked = Asked { is_acknowledged: false, attempts: 1, at: 0 };
const ADMIN: u64 = 1;
const CREATOR: u64 = 7;
const DEVELOPER: u64 = 9;

fn row(seq: u64, event: &str, ticket: Option<u64>) -> InboxRow {
    let (event, ticket_title) = (event.to_owned(), "T".to_owned());
    InboxRow { seq, id: 100 * seq, event, ticket, ticket_title, ..InboxRow::default() }
}

fn inbox(events: &[&str]) -> Inbox {
    let rows: Vec<InboxRow> =
        (1..).zip(events).map(|(seq, event)| row(seq, event, Some(5))).collect();
    let unread_count = u64::try_from(rows.len()).unwrap();
    Inbox { rows, unread_count, head: 0 }
}

/// One ticket's life with a comment and a notification, acknowledged and stored.
pub(in super::super) fn world() -> (Ledger, Facts) {
    let steps = ["open", "assign", "start_work", "finish_work"];
    let step = |action: &'static str| Step { action, asked: DONE, may_repeat: action == "assign" };
    let comments =
        vec![CommentRecord { body: "c @dev".to_owned(), mentions: Some(DEVELOPER), asked: DONE }];
    let ticket = TicketRecord {
        title: "T".to_owned(),
        created: DONE,
        id: Some(5),
        steps: steps.map(step).to_vec(),
        comments,
    };
    let (title, token, body) = ("S".to_owned(), String::new(), Value::Null);
    let send = SendRecord { title, recipients: vec![CREATOR], token, body, asked: DONE };
    let ledger = Ledger { tickets: vec![ticket], sends: vec![send], ..Ledger::default() };

    let by = [CREATOR, ADMIN, ADMIN, DEVELOPER, DEVELOPER];
    let actions = std::iter::once("create").chain(steps).map(str::to_owned);
    let history = (1..).zip(actions).zip(by).map(|((version, action), by)| (version, action, by));
    let stored = TicketFacts {
        creator: CREATOR,
        assigned_to: vec![DEVELOPER],
        history: history.collect(),
        comments: vec!["c @dev".to_owned()],
    };
    let mut creators = inbox(&["ticket_opened", "work_started", "work_finished"]);
    creators.rows.push(InboxRow { title: "S".to_owned(), ..row(4, "general", None) });
    creators.unread_count = 4;
    let inboxes = HashMap::from([
        (ADMIN, inbox(&["ticket_created", "work_finished"])),
        (CREATOR, creators),
        (DEVELOPER, inbox(&["ticket_assigned", "mentioned"])),
    ]);
    let facts = Facts {
        inboxes,
        tickets: HashMap::from([(5, stored)]),
        admins: vec![ADMIN],
        may_leap: false,
    };
    (ledger, facts)
}

/// What is found after a change: lost, doubled, out of order.
fn after(change: impl FnOnce(&mut Ledger, &mut Facts)) -> [u64; 3] {
    let (mut ledger, mut facts) = world();
    change(&mut ledger, &mut facts);
    let findings = check(&ledger, &facts);
    [Wrong::Lost, Wrong::Doubled, Wrong::OutOfOrder].map(|wrong| findings.count(wrong))
}

fn history(facts: &mut Facts) -> &mut Vec<(u64, String, u64)> {
    &mut facts.tickets.get_mut(&5).unwrap().history
}

fn rows(facts: &mut Facts, user: u64) -> &mut Vec<InboxRow> {
    &mut facts.inboxes.get_mut(&user).unwrap().rows
}

#[test]
fn what_was_acknowledged_and_is_stored_is_right() {
    assert_eq!(after(|_, _| {}), [0, 0, 0]);
    assert_eq!(world().0.acknowledged(), 7);
}

#[test]
fn a_lost_ticket_step_comment_or_notification_is_found() {
    assert!(after(|_, facts| facts.tickets.clear())[0] > 0);
    let gone = after(|_, facts| {
        history(facts).pop();
        rows(facts, ADMIN).pop();
        rows(facts, CREATOR).remove(2);
        facts.inboxes.get_mut(&ADMIN).unwrap().unread_count = 1;
        facts.inboxes.get_mut(&CREATOR).unwrap().unread_count = 3;
    });
    assert_eq!(gone, [2, 0, 0], "the step, and the gap in the creator's inbox");
    let gone = after(|_, facts| facts.tickets.get_mut(&5).unwrap().comments.clear());
    assert_eq!(gone, [1, 1, 0], "the comment; its mention was told");
    let gone = after(|_, facts| {
        rows(facts, CREATOR).pop();
        facts.inboxes.get_mut(&CREATOR).unwrap().unread_count = 3;
    });
    assert_eq!(gone, [1, 0, 0], "the notification");
    assert_eq!(after(|_, facts| history(facts)[2].0 = 9), [1, 0, 0], "a version");
}

#[test]
fn what_was_done_twice_is_found() {
    let twice = after(|_, facts| {
        let more = row(5, "general", None);
        rows(facts, CREATOR).push(InboxRow { title: "S".to_owned(), ..more });
        facts.inboxes.get_mut(&CREATOR).unwrap().unread_count = 5;
    });
    assert_eq!(twice, [0, 1, 0], "a notification");
    let twice = after(|_, facts| {
        facts.tickets.get_mut(&5).unwrap().comments.push("c @dev".to_owned());
    });
    assert_eq!(twice, [0, 1, 0], "a comment");
    let twice = after(|_, facts| {
        history(facts).push((6, "finish_work".to_owned(), DEVELOPER));
    });
    assert_eq!(twice, [2, 1, 0], "a step that no recipient was told of");
    let twice = after(|_, facts| {
        rows(facts, ADMIN).push(row(3, "ticket_created", Some(6)));
        facts.inboxes.get_mut(&ADMIN).unwrap().unread_count = 3;
    });
    assert_eq!(twice, [0, 1, 0], "a ticket");
}

#[test]
fn another_order_is_found() {
    let other = after(|_, facts| {
        rows(facts, CREATOR).swap(0, 1);
        for (seq, row) in (1..).zip(rows(facts, CREATOR)) {
            row.seq = seq;
        }
    });
    assert_eq!(other, [0, 0, 1]);
    assert_eq!(after(|_, facts| rows(facts, ADMIN).swap(0, 1))[2], 2, "numbers, and events");
    let other = after(|_, facts| {
        let lines = history(facts);
        (lines[1].1, lines[2].1) = (lines[2].1.clone(), lines[1].1.clone());
    });
    assert_eq!(other, [0, 0, 1]);
}

#[test]
fn what_had_no_answer_may_be_there_or_not_but_once() {
    let change = |ledger: &mut Ledger| {
        ledger.sends[0].asked = Asked { attempts: 3, ..UNKNOWN };
        ledger.tickets[0].comments[0].asked = UNKNOWN;
        ledger.tickets[0].steps[3].asked = UNKNOWN;
    };
    assert_eq!(after(|ledger, _| change(ledger)), [0, 0, 0]);
    let absent = after(|ledger, facts| {
        change(ledger);
        rows(facts, CREATOR).truncate(2);
        rows(facts, ADMIN).pop();
        rows(facts, DEVELOPER).pop();
        history(facts).pop();
        facts.tickets.get_mut(&5).unwrap().comments.clear();
        for (user, count) in [(CREATOR, 2), (ADMIN, 1), (DEVELOPER, 1)] {
            facts.inboxes.get_mut(&user).unwrap().unread_count = count;
        }
    });
    assert_eq!(absent, [0, 0, 0]);
    let repeated = after(|ledger, facts| {
        ledger.tickets[0].steps[1].asked.attempts = 2;
        let lines = history(facts);
        lines.insert(3, (4, "assign".to_owned(), ADMIN));
        (1..).zip(lines).for_each(|(version, line)| line.0 = version);
    });
    assert_eq!(repeated, [0, 0, 0], "an assignment may be repeated");
}

#[test]
fn counters_and_marks_are_compared_with_the_rows() {
    assert_eq!(
        after(|_, facts| facts.inboxes.get_mut(&ADMIN).unwrap().unread_count = 1),
        [1, 0, 0]
    );
    let mark = |asked| MarkRecord { user: ADMIN, id: 100, mark: Mark::Read, asked };
    assert_eq!(after(|ledger, _| ledger.marks.push(mark(UNKNOWN))), [0, 0, 0]);
    assert_eq!(after(|ledger, _| ledger.marks.push(mark(DONE))), [1, 0, 0]);
    let marked = after(|ledger, facts| {
        ledger.marks.push(mark(DONE));
        rows(facts, ADMIN)[0].is_read = true;
        rows(facts, ADMIN)[1].seq = 3;
        facts.inboxes.get_mut(&ADMIN).unwrap().unread_count = 1;
    });
    assert_eq!(marked, [0, 0, 0], "a mark takes a number");
    let delete = |ledger: &mut Ledger| {
        ledger.marks.push(MarkRecord { user: CREATOR, id: 400, mark: Mark::Deleted, asked: DONE });
    };
    assert_eq!(after(|ledger, _| delete(ledger)), [1, 0, 0], "it is still there");
    let deleted = after(|ledger, facts| {
        delete(ledger);
        rows(facts, CREATOR).pop();
        facts.inboxes.get_mut(&CREATOR).unwrap().unread_count = 3;
    });
    assert_eq!(deleted, [0, 0, 0]);
}
