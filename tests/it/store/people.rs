//! People, tickets and announcements for the suite.

use bellpull_domain::address::Addresses;
use bellpull_domain::event::Event;
use bellpull_domain::ids::{NotificationId, ProjectId, Seq, TicketId, UserId};
use bellpull_domain::inbox::{Entry, Head, Mark, Marked};
use bellpull_domain::plan::marks::MarkedPortion;
use bellpull_domain::routing::{Audience, Channel, Channels};
use bellpull_domain::ticket::{
    Caller, Category, Command, Decision, Membership, NewTicket, Priority, Project, Ticket, create,
    decide,
};
use bellpull_domain::user::{Origin, User};
use bellpull_port::accounts::NewUser;
use bellpull_port::inbox::{MarkPortion, Selection};
use bellpull_port::tickets::{AnnouncedMessage, Committed};
use bellpull_port::{InboxStore, PageRequest, Store, StoreError};
use jiff::Timestamp;

/// So many milliseconds after the tests' beginning of time.
pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap()
}

/// All births after a position, and the inbox' state.
pub(crate) async fn entries(store: &impl Store, user: UserId, after: Seq) -> (Head, Vec<Entry>) {
    let backlog = store.newest_entries(user, after, 1_000_000).await.unwrap();
    (backlog.head, backlog.entries)
}

/// The first page of so many.
pub(crate) fn first(page_size: u32) -> PageRequest {
    PageRequest { page: 1, page_size }
}

pub(crate) fn new_user(username: &str, role: &str) -> NewUser {
    NewUser {
        id: None,
        origin: Origin::Hub,
        username: username.to_owned(),
        addresses: Addresses::email(format!("{username}@example.com")),
        full_name: String::new(),
        role: role.parse().unwrap(),
        is_email_verified: true,
        password_hash: None,
        now: at(0),
    }
}

pub(crate) async fn person(store: &impl Store, username: &str, role: &str) -> User {
    store.create_user(new_user(username, role), None).await.unwrap().0
}

pub(crate) async fn people(store: &impl Store, count: usize, role: &str) -> Vec<User> {
    let mut all = Vec::new();
    for n in 0..count {
        all.push(person(store, &format!("{role}{n}"), role).await);
    }
    all
}

pub(crate) fn default_project() -> Project {
    Project {
        id: ProjectId::DEFAULT,
        key: "TKT".to_owned(),
        name: "Default".to_owned(),
        is_open: true,
    }
}

/// The decision to raise a ticket.
pub(crate) fn creation(id: TicketId, project: &Project, title: &str, by: &User) -> Decision {
    let new = NewTicket {
        title: title.to_owned(),
        description: String::new(),
        priority: Priority::High,
        category: Category::Bug,
    };
    create(id, project, new, &Caller::from(by), Membership::Member, at(id.0)).unwrap()
}

/// The decision that a command leads to.
pub(crate) fn step(ticket: &Ticket, command: Command, by: &User) -> Decision {
    decide(ticket, &command, &Caller::from(by), Membership::Member, at(1000)).unwrap()
}

/// Raises a ticket in the default project.
pub(crate) async fn raise(store: &impl Store, title: &str, by: &User) -> Committed {
    let id = store.reserve_ticket_id().await.unwrap();
    store.commit(creation(id, &default_project(), title, by)).await.unwrap()
}

/// A new ticket whose announcement is an event of its own, to exactly these people, on every
/// channel.
pub(crate) async fn news(store: &impl Store, event: &str, by: &User, to: &[UserId]) -> Decision {
    let id = store.reserve_ticket_id().await.unwrap();
    let mut decision = creation(id, &default_project(), event, by);
    let announcement = decision.announcement.as_mut().unwrap();
    announcement.audience = Audience { group: None, users: to.to_vec(), except: None };
    announcement.channels = Channels::of(&Channel::ALL);
    announcement.message.event = Event::from_name(event);
    decision
}

/// Tells them.
pub(crate) async fn tell(
    store: &impl Store,
    event: &str,
    by: &User,
    to: &[UserId],
) -> AnnouncedMessage {
    let decision = news(store, event, by, to).await;
    store.commit(decision).await.unwrap().announced.unwrap()
}

/// Marks to the end, portion by portion, as the hub does.
pub(crate) trait Marks {
    /// All changes as one; `None` if there are none.
    fn mark(
        &self,
        user: UserId,
        selection: Selection,
        mark: Mark,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Marked>, StoreError>> + Send;
}

impl<S: InboxStore + ?Sized> Marks for S {
    async fn mark(
        &self,
        user: UserId,
        selection: Selection,
        mark: Mark,
        now: Timestamp,
    ) -> Result<Option<Marked>, StoreError> {
        let mut next = Some(MarkPortion::first(user, selection, mark, now));
        let mut whole: Option<Marked> = None;
        while let Some(portion) = next.take() {
            let MarkedPortion { changes, rest } = self.mark_portion(portion.clone()).await?;
            next = rest.map(|before| MarkPortion { before: Some(before), ..portion });
            for change in changes {
                whole = Some(match whole {
                    None => change,
                    Some(whole) => {
                        assert_eq!(whole.last.next(), change.first);
                        let ids = [&*whole.ids, &*change.ids].concat().into();
                        Marked { ids, first: whole.first, ..change }
                    }
                });
            }
        }
        Ok(whole)
    }
}

/// Tells one user so many times; the ids, in the order of their births.
pub(crate) async fn fill(store: &impl Store, user: &User, count: usize) -> Vec<NotificationId> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(tell(store, &format!("news{n}"), user, &[user.id]).await.entries[0].id);
    }
    ids
}

pub(crate) fn head(last_seq: i64, unread_count: i64, delivered_seq: i64) -> Head {
    let (last_seq, delivered_seq) = (Seq(last_seq), Seq(delivered_seq));
    Head { last_seq, unread_count, delivered_seq, ..Head::default() }
}
