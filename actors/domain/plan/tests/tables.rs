//! One rule each.

use std::sync::Arc;

use super::super::super::comment::Comment;
use super::super::super::delivery::Rule;
use super::super::super::escalation::{Escalation, Step};
use super::super::super::inbox::MessageContent;
use super::super::super::preference::{PreferenceChanges, Preferences, Wish};
use super::super::super::ticket::Edit;
use super::*;

#[test]
fn a_decision_fits_the_version_before_it_and_no_other() {
    let ids = Falling::new();
    let known = |version, is_deleted| KnownTicket { version, is_deleted, ..KnownTicket::default() };
    let raised = creation(9);
    let admin = caller(5, "admin");
    let opened = step(&raised.ticket, &Command::Open, &admin);
    for (known, decision, wanted) in [
        (None, &raised, Ok(())),
        (None, &opened, Err(Rejection::Conflict)),
        (Some(known(1, false)), &raised, Err(Rejection::Conflict)),
        (Some(known(1, false)), &opened, Ok(())),
        (Some(known(1, true)), &opened, Err(Rejection::Conflict)),
        (Some(known(2, false)), &opened, Err(Rejection::Conflict)),
    ] {
        let mut facts = facts();
        facts.tickets.extend(known.clone().map(|known| (TicketId(9), known)));
        let mut plan = Plan::new(context(&ids), facts);
        assert_eq!(plan.commit(decision).map(drop), wanted, "{known:?}");
        let rows = plan.into_rows();
        assert_eq!(rows.tickets.is_empty() && rows.entries.is_empty(), wanted.is_err());
        check(&rows);
    }
}

#[test]
fn new_tickets_are_numbered_in_their_order_and_their_messages_say_so() {
    let ids = Falling::new();
    let mut plan = Plan::new(context(&ids), facts());
    let (first, second, mut elsewhere) = (creation(20), creation(10), creation(30));
    elsewhere.ticket.project = ProjectId(2);
    let keys = [&first, &second].map(|one| plan.commit(one).unwrap());
    assert_eq!(plan.commit(&elsewhere).unwrap_err(), Rejection::NotFound);
    for (committed, key) in keys.iter().zip(["WEB-5", "WEB-6"]) {
        assert_eq!(committed.ticket.key, key);
        let announced = committed.announced.as_ref().unwrap();
        assert_eq!(announced.content.message.ticket.as_ref().unwrap().key, key);
    }
    let rows = plan.into_rows();
    assert_eq!(rows.numbers.into_iter().collect::<Vec<_>>(), [(ProjectId(1), 6)]);
    let text = rows.search[&TicketId(10)].text.as_ref().unwrap();
    assert_eq!(text.spaced(), "web-6\nticket 10\nit is slow");
    assert_eq!(rows.new_tickets.len(), 2, "the rejected one left a trace");
}

#[test]
fn of_a_ticket_that_changes_twice_the_last_state_is_written() {
    let ids = Falling::new();
    let mut plan = Plan::new(context(&ids), facts());
    let raised = creation(9);
    let edit = Edit { title: Some("Other".into()), ..Edit::default() };
    let edited = step(&raised.ticket, &Command::Edit(edit), &caller(1, "client"));
    let opened = step(&edited.ticket, &Command::Open, &caller(5, "admin"));
    for decision in [&raised, &edited, &opened] {
        plan.commit(decision).unwrap();
    }
    assert_eq!(plan.commit(&opened).unwrap_err(), Rejection::Conflict);
    let rows = plan.into_rows();
    assert_eq!(rows.tickets.values().copied().collect::<Vec<_>>(), [&opened.ticket]);
    assert_eq!(rows.history.len(), 3);
    assert!(rows.search[&TicketId(9)].is_new, "the index has nothing of it");
    assert!(rows.search[&TicketId(9)].text.as_ref().unwrap().spaced().contains("other"));
    assert!(rows.assignees.is_empty(), "they have not changed");
    check(&rows);
}

/// A policy that lets SMS wait for a minute, for all events of the hub.
fn with_steps(mut facts: Facts) -> Facts {
    let steps = vec![Step { channel: Channel::Sms, after_s: 60 }];
    let escalation = Arc::new(Escalation::new(steps).unwrap());
    for event in Event::OWN {
        facts.escalations.insert(event.as_str().to_owned(), Arc::clone(&escalation));
    }
    for recipient in facts.recipients.values_mut() {
        recipient.reach = Channels::of(&[Channel::Email, Channel::Sms]);
    }
    facts
}

#[test]
fn steps_are_called_off_by_a_later_decision_and_not_by_their_own() {
    let ids = Falling::new();
    let mut plan = Plan::new(context(&ids), with_steps(facts()));
    let raised = creation(9);
    let opened = step(&raised.ticket, &Command::Open, &caller(5, "admin"));
    let other = creation(8);
    for decision in [&raised, &other, &opened] {
        plan.commit(decision).unwrap();
    }
    let rows = plan.into_rows();
    let sms = rows.deliveries.iter().filter(|one| one.route.channel == Channel::Sms);
    let seen: Vec<_> = sms.map(|one| (one.ticket.unwrap().0, one.route.rule)).collect();
    let (off, waits) = (Some(Rule::MovedOn), Some(Rule::Escalation));
    assert_eq!(seen, [(9, off), (9, off), (8, waits), (8, waits), (9, waits)]);
    let mails = rows.deliveries.iter().filter(|one| one.route.channel == Channel::Email);
    assert!(mails.clone().all(|one| one.route.is_queued()) && mails.count() == 5);
    assert!(rows.moved_on.is_empty(), "nothing of it is stored");
}

#[test]
fn stored_steps_are_called_off_once_and_only_where_the_status_changes() {
    let ids = Falling::new();
    let raised = creation(9).ticket;
    let admin = caller(5, "admin");
    let edit = Edit { title: Some("Other".into()), ..Edit::default() };
    let edited = step(&raised, &Command::Edit(edit), &admin);
    let opened = step(&edited.ticket, &Command::Open, &admin);
    let deleted = step(&opened.ticket, &Command::Delete, &admin);
    for (has_steps, decisions, wanted) in [
        (true, &[&edited][..], 0),
        (true, &[&edited, &opened], 1),
        (true, &[&edited, &opened, &deleted], 1),
        (false, &[&edited, &opened, &deleted], 0),
    ] {
        let mut facts = facts();
        let known = KnownTicket { version: 1, has_steps, ..KnownTicket::default() };
        facts.tickets.insert(TicketId(9), known);
        let mut plan = Plan::new(context(&ids), facts);
        for decision in decisions {
            plan.commit(decision).unwrap();
        }
        assert_eq!(plan.into_rows().moved_on, vec![TicketId(9); wanted]);
    }
}

#[test]
fn a_comment_needs_a_ticket_and_recipients_that_exist() {
    let ids = Falling::new();
    let comment = |ticket| Comment {
        id: CommentId(0),
        ticket: TicketId(ticket),
        author: UserId(1),
        author_name: "Ann".into(),
        body: "Hello".into(),
        created_at: at(3),
    };
    let mut facts = facts();
    facts.tickets.insert(TicketId(1), KnownTicket { version: 3, ..KnownTicket::default() });
    let gone = KnownTicket { version: 3, is_deleted: true, ..KnownTicket::default() };
    facts.tickets.insert(TicketId(2), gone);
    let comments = [comment(1), comment(2), comment(3)];
    let mut plan = Plan::new(context(&ids), facts);
    for (comment, version, to, wanted) in [
        (&comments[0], 3, &[2, 3][..], Some(2)),
        (&comments[0], 2, &[2, 3], None),
        (&comments[0], 3, &[2, 99], None),
        (&comments[1], 3, &[2], None),
        (&comments[2], 3, &[2], None),
    ] {
        let outcome = plan.comment(comment, version, Some(&news(to)), None);
        let announced =
            outcome.as_ref().ok().map(|(_, announced)| announced.as_ref().unwrap().entries.len());
        assert_eq!(announced, wanted, "{comment:?} {to:?}");
    }
    let rows = plan.into_rows();
    assert_eq!((rows.comments.len(), rows.messages.len(), rows.entries.len()), (1, 1, 2));
    assert_ne!(rows.comments[0].0, CommentId(0));
    check(&rows);
}

#[test]
fn what_reaches_no_user_and_no_webhook_writes_nothing() {
    let ids = Falling::new();
    let mut facts = facts();
    let wishes = [(Channel::System, Wish::No)];
    let mut changes = PreferenceChanges::default();
    changes.events.insert("deploy".to_owned(), wishes.into());
    let unwilling = facts.recipients.get_mut(&UserId(2)).unwrap();
    unwilling.preferences = Preferences::default().with(&changes).unwrap();
    let mut plan = Plan::new(context(&ids), facts);
    assert!(plan.announce(&news(&[])).unwrap().is_none());
    assert!(plan.announce(&news(&[2])).unwrap().is_none());
    assert_eq!(plan.announce(&news(&[2, 99])).unwrap_err(), Rejection::NotFound);
    let announced = plan.announce(&news(&[1, 2])).unwrap().unwrap();
    assert_eq!(announced.entries.len(), 1);
    let rows = plan.into_rows();
    assert_eq!((rows.messages.len(), rows.entries.len()), (1, 1));
}

#[test]
fn a_projects_webhook_is_called_though_no_user_is_told() {
    let ids = Falling::new();
    let mut facts = facts();
    facts.members = Members::default();
    let hook = |id, event: &str| {
        let address = Address { id, lane: "host.example".into() };
        Hook { address, events: vec![event.to_owned()] }
    };
    let hooks = vec![hook(3, "ticket_created"), hook(4, "mentioned")];
    facts.hooks.insert(ProjectId(1), hooks);
    let mut plan = Plan::new(context(&ids), facts);
    let raised = creation(9);
    let announced = plan.commit(&raised).unwrap().announced.unwrap();
    assert_eq!(
        (announced.entries.len(), announced.channels),
        (0, Channels::of(&[Channel::Webhook]))
    );
    let rows = plan.into_rows();
    let [delivery] = rows.deliveries.as_slice() else { panic!("{:?}", rows.deliveries) };
    assert_eq!((delivery.target, delivery.lane.as_str()), (3, "host.example"));
    assert_eq!(delivery.subject, Subject::Message(rows.messages[0].0));
}

#[test]
fn entries_of_a_crowd_may_wait_unless_a_delivery_names_them() {
    let ids = Falling::new();
    let content = MessageContent::new(news(&[]).message);
    let recipients = [1, 2].map(UserId);
    let part = SendPart {
        message: MessageId(1),
        content: &content,
        is_new: false,
        recipients: &recipients,
        only: None,
        channels: Channels::of(&[Channel::System]),
        is_critical: false,
        now: at(9),
    };
    let by_mail = Channels::of(&[Channel::System, Channel::Email]);
    for (channels, together, is_deferred, may_wait) in [
        (part.channels, 2, false, false),
        (part.channels, 3, false, true),
        (part.channels, 2, true, true),
        (by_mail, 3, false, false),
        (by_mail, 2, true, false),
    ] {
        let mut facts = facts();
        facts.recipients.values_mut().for_each(|one| one.is_deferred = is_deferred);
        let mut plan = Plan::new(context(&ids), facts);
        plan.send(SendPart { channels, ..part }, together).unwrap().unwrap();
        let rows = plan.into_rows();
        assert!(rows.messages.is_empty(), "it was written before");
        assert_eq!(rows.copies[&MessageId(1)], 2);
        for entry in &rows.entries {
            assert_eq!((entry.may_wait, entry.reach.is_some()), (may_wait, may_wait));
        }
        assert!(rows.deliveries.iter().all(|one| one.route.due_at == at(9)), "not before now");
        check(&rows);
    }
}

#[test]
fn a_new_ticket_stands_on_its_project_as_it_is_now() {
    let ids = Falling::new();
    let decision = creation(9);
    let mut closed = facts();
    closed.projects.get_mut(&ProjectId(1)).unwrap().is_open = false;
    let mut plan = Plan::new(context(&ids), closed);
    assert_eq!(plan.commit(&decision).map(drop), Err(Rejection::Conflict), "its rights may differ");
    let rows = plan.into_rows();
    assert!(rows.new_tickets.is_empty() && rows.messages.is_empty() && rows.numbers.is_empty());
    let mut renamed = facts();
    "Renamed".clone_into(&mut renamed.projects.get_mut(&ProjectId(1)).unwrap().name);
    let mut plan = Plan::new(context(&ids), renamed);
    let committed = plan.commit(&decision).unwrap();
    let shown = committed.announced.unwrap().content.message.ticket.clone().unwrap();
    assert_eq!([committed.ticket.project_name, shown.project_name], ["Renamed", "Renamed"]);
}
