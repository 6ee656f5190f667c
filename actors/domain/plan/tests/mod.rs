//! Tables and properties of plans.

mod tables;
mod walk;

use std::cell::Cell;
use std::collections::BTreeSet;

use jiff::Timestamp;

use super::super::event::Event;
use super::super::ids::{CommentId, DeliveryId, MessageId, NotificationId, ProjectId, TicketId};
use super::super::ids::{Seq, UserId};
use super::super::inbox::Head;
use super::super::notification::{Announcement, Kind, Message};
use super::super::routing::{Audience, Channel, Channels};
use super::super::ticket::{
    Caller, Category, Command, Decision, Membership, NewTicket, Priority, Project, Ticket, create,
    decide,
};
use super::*;

/// Generates ids in descending order: no rule may take the order of ids for that of time.
#[derive(Debug)]
struct Falling(Cell<i64>);

impl Falling {
    fn new() -> Self {
        Self(Cell::new(1_000_000))
    }

    fn next(&self) -> i64 {
        self.0.set(self.0.get() - 1);
        self.0.get()
    }
}

impl Ids for Falling {
    fn message(&self) -> MessageId {
        MessageId(self.next())
    }

    fn notification(&self) -> NotificationId {
        NotificationId(self.next())
    }

    fn delivery(&self) -> DeliveryId {
        DeliveryId(self.next())
    }

    fn comment(&self) -> CommentId {
        CommentId(self.next())
    }
}

const ON: [Channel; 3] = [Channel::Email, Channel::Sms, Channel::Webhook];

fn context(ids: &Falling) -> Context<'_> {
    Context { ids, channels: Channels::of(&ON), defers_from: Some(3) }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn caller(id: i64, role: &str) -> Caller {
    let role = role.parse().unwrap();
    Caller { id: UserId(id), username: "ann".into(), name: "Ann".into(), role }
}

fn project() -> Project {
    Project { id: ProjectId(1), key: "WEB".into(), name: "Website".into(), is_open: true }
}

/// User 1 raises a ticket.
fn creation(id: i64) -> Decision {
    let new = NewTicket {
        title: format!("Ticket {id}"),
        description: "It is slow".into(),
        priority: Priority::Low,
        category: Category::Bug,
    };
    let by = caller(1, "client");
    create(TicketId(id), &project(), new, &by, Membership::Member, at(id)).unwrap()
}

fn step(ticket: &Ticket, command: &Command, by: &Caller) -> Decision {
    decide(ticket, command, by, Membership::Member, at(100)).unwrap()
}

/// Users 1 to 6, of whom 5 and 6 are admins, each with an e-mail address.
fn facts() -> Facts {
    let mut facts = Facts::default();
    facts.projects.insert(
        ProjectId(1),
        KnownProject { key: "WEB".into(), name: "Website".into(), is_open: true, last_number: 4 },
    );
    facts.members = Members { admins: vec![UserId(5), UserId(6)], super_admins: vec![UserId(6)] };
    for id in 1..=6 {
        let head = Head { last_seq: Seq(10 * id), unread_count: id, ..Head::default() };
        let plain = Recipient::plain(head, Channels::of(&[Channel::Email]));
        facts.recipients.insert(UserId(id), plain);
    }
    facts
}

fn news(users: &[i64]) -> Announcement {
    let message = Message {
        event: Event::from_name("deploy"),
        kind: Kind::Info,
        title: "Deployed".into(),
        body: String::new(),
        action_url: String::new(),
        metadata: serde_json::Map::new(),
        ticket: None,
        sender: None,
        priority: Priority::Low,
        created_at: at(7),
    };
    let users = users.iter().copied().map(UserId).collect();
    let audience = Audience { group: None, users, except: None };
    Announcement { message, audience, channels: Channels::of(&[Channel::System]) }
}

/// Checks the rows of every plan on [`facts`].
fn check(rows: &Rows<'_>) {
    let mut given = BTreeSet::new();
    let messages = rows.messages.iter().map(|(id, _)| id.0);
    let entries = rows.entries.iter().map(|entry| entry.id.0);
    let deliveries = rows.deliveries.iter().map(|delivery| delivery.id.0);
    let comments = rows.comments.iter().map(|(id, _)| id.0);
    for id in messages.chain(entries).chain(deliveries).chain(comments) {
        assert!(given.insert(id), "id {id} was given twice");
    }
    for user in 1..=6 {
        let own = rows.entries.iter().filter(|entry| entry.recipient == UserId(user));
        for (n, entry) in (1..).zip(own) {
            assert_eq!(entry.seq, Seq(10 * user + n), "a gap in the inbox of {user}");
            assert_eq!(entry.unread_count, user + n);
        }
    }
    for (message, count) in &rows.copies {
        let copies = rows.entries.iter().filter(|entry| entry.message == *message).count();
        assert_eq!(i64::try_from(copies).unwrap(), *count);
    }
    assert_eq!(rows.copies.values().sum::<i64>(), i64::try_from(rows.entries.len()).unwrap());
    for delivery in &rows.deliveries {
        if let Subject::Notification(id, to) = delivery.subject {
            let entry = rows.entries.iter().find(|entry| entry.id == id).unwrap();
            assert!(entry.recipient == to && !entry.may_wait, "{entry:?}");
        }
    }
}
