//! The roster of a project: its users, and which tickets they view and type on.
//!
//! A user is present while one of their sessions is, on whichever node. Sessions open and close,
//! view tickets and type; watchers are sent the changes of the *user*: one join and one leave
//! however many sessions, the ticket of the newest view of an open session, and whether any session
//! types. A client that applies the events to an earlier [`Roster::present`] has the current one.
//!
//! This node knows each session of its own. Of another node it knows one [`Held`] a user: what that
//! user's sessions there do together.
//!
//! Times are durations since a moment that the caller chose.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::ids::{TicketId, UserId};
use super::super::stream::{Person, Present, StreamEvent};
use super::{Held, NodeKey};

/// Typing that is not renewed ends after so long.
pub const TYPING_LASTS: Duration = Duration::from_secs(5);

/// A session types on at most this many tickets; further ones are ignored.
const TYPING_MAX: usize = 16;

/// With so many users, further ones of other nodes are not shown. Only this node's own are bounded
/// by its sockets.
pub(super) const PEOPLE_MAX: usize = 65_536;

/// A session of a user, distinct from the user's others.
pub type SessionNumber = u64;

/// Another node's activity has no end of its own: that node reports it.
const REPORTED: Duration = Duration::MAX;

/// A session, or all sessions of a user on another node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Own(SessionNumber),
    Peer(NodeKey),
}

impl Origin {
    fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }
}

/// All present users.
#[derive(Debug, Default)]
pub struct Roster {
    people: BTreeMap<UserId, Here>,
    /// Users with a session that types.
    typists: BTreeSet<UserId>,
}

/// A present user.
#[derive(Debug)]
struct Here {
    person: Person,
    sessions: BTreeMap<Origin, Doing>,
}

/// The activity of one session.
#[derive(Debug, Default)]
struct Doing {
    /// The ticket that it views, and the position of that view among the user's views.
    viewing: Option<(u64, TicketId)>,
    /// The tickets that it types on, and when that ends.
    typing: BTreeMap<TicketId, Duration>,
}

impl Here {
    fn viewing(&self) -> Option<TicketId> {
        let newest = self.sessions.values().filter_map(|doing| doing.viewing).max();
        newest.map(|(_, ticket)| ticket)
    }

    fn typing(&self) -> BTreeSet<TicketId> {
        self.sessions.values().flat_map(|doing| doing.typing.keys().copied()).collect()
    }

    fn own(&self) -> Option<Held> {
        let mut own = self.sessions.iter().filter(|(origin, _)| origin.is_own()).peekable();
        own.peek()?;
        let (mut viewing, mut typing) = (None, BTreeSet::new());
        for (_, doing) in own {
            viewing = viewing.max(doing.viewing);
            typing.extend(doing.typing.keys().copied());
        }
        let typing = typing.into_iter().collect();
        Some(Held { person: self.person.clone(), viewing, typing })
    }

    fn present(&self) -> Present {
        Present {
            person: self.person.clone(),
            viewing: self.viewing(),
            typing: self.typing().into_iter().collect(),
        }
    }
}

impl Roster {
    /// A session opens; a repetition changes nothing.
    pub fn join(&mut self, person: Person, session: SessionNumber) -> Vec<StreamEvent> {
        self.join_from(person, Origin::Own(session))
    }

    fn join_from(&mut self, person: Person, origin: Origin) -> Vec<StreamEvent> {
        let mut events = Vec::new();
        let here = self.people.entry(person.id).or_insert_with(|| {
            events.push(StreamEvent::Joined(person.clone()));
            Here { person, sessions: BTreeMap::new() }
        });
        here.sessions.entry(origin).or_default();
        events
    }

    /// A session closes, and its activity ends.
    pub fn leave(&mut self, user: UserId, session: SessionNumber) -> Vec<StreamEvent> {
        self.remove(user, |origin| *origin == Origin::Own(session))
    }

    /// All sessions of a user on this node go.
    pub fn leave_all(&mut self, user: UserId) -> Vec<StreamEvent> {
        self.remove(user, Origin::is_own)
    }

    fn remove(&mut self, user: UserId, is_gone: impl Fn(&Origin) -> bool) -> Vec<StreamEvent> {
        let Some(here) = self.people.get(&user) else { return Vec::new() };
        if !here.sessions.keys().all(&is_gone) {
            return self.change(user, |sessions| sessions.retain(|origin, _| !is_gone(origin)));
        }
        self.typists.remove(&user);
        let gone = self.people.remove(&user);
        gone.map(|here| StreamEvent::Left(here.person)).into_iter().collect()
    }

    /// Another node reports a user's sessions there.
    pub fn hold(&mut self, node: &NodeKey, held: Held) -> Vec<StreamEvent> {
        let Held { person, viewing, typing } = held;
        if self.people.len() >= PEOPLE_MAX && !self.people.contains_key(&person.id) {
            return Vec::new();
        }
        let (user, origin) = (person.id, Origin::Peer(node.clone()));
        let mut events = self.join_from(person, origin.clone());
        let typing = typing.into_iter().take(TYPING_MAX).map(|ticket| (ticket, REPORTED)).collect();
        events.append(&mut self.change(user, |sessions| {
            sessions.insert(origin, Doing { viewing, typing });
        }));
        events
    }

    /// Another node reports that it has no sessions of that user.
    pub fn release(&mut self, node: &NodeKey, user: UserId) -> Vec<StreamEvent> {
        self.remove(user, |origin| matches!(origin, Origin::Peer(peer) if peer == node))
    }

    /// Another node reports all users with sessions there; an empty list if it has left.
    pub fn replace(&mut self, node: &NodeKey, all: Vec<Held>) -> Vec<StreamEvent> {
        let origin = Origin::Peer(node.clone());
        let kept: BTreeSet<UserId> = all.iter().map(|held| held.person.id).collect();
        let known = self.people.iter().filter(|(_, here)| here.sessions.contains_key(&origin));
        let gone: Vec<UserId> =
            known.map(|(user, _)| *user).filter(|user| !kept.contains(user)).collect();
        let mut events = Vec::new();
        for user in gone {
            events.append(&mut self.release(node, user));
        }
        for held in all {
            events.append(&mut self.hold(node, held));
        }
        events
    }

    /// What a user's sessions on this node do; `None` without such a session.
    #[must_use]
    pub fn own(&self, user: UserId) -> Option<Held> {
        self.people.get(&user)?.own()
    }

    /// The same of all users.
    #[must_use]
    pub fn all_own(&self) -> Vec<Held> {
        self.people.values().filter_map(Here::own).collect()
    }

    /// A session views a ticket, or none. `order` says which of its user's views is newer.
    pub fn view(
        &mut self,
        user: UserId,
        session: SessionNumber,
        order: u64,
        ticket: Option<TicketId>,
    ) -> Vec<StreamEvent> {
        self.change(user, |sessions| {
            if let Some(doing) = sessions.get_mut(&Origin::Own(session)) {
                doing.viewing = ticket.map(|ticket| (order, ticket));
            }
        })
    }

    /// A session types on a ticket (or continues to), or has stopped.
    pub fn type_on(
        &mut self,
        user: UserId,
        session: SessionNumber,
        ticket: TicketId,
        is_typing: bool,
        now: Duration,
    ) -> Vec<StreamEvent> {
        self.change(user, |sessions| {
            let own = sessions.get_mut(&Origin::Own(session));
            let Some(Doing { typing, .. }) = own else { return };
            if !is_typing {
                typing.remove(&ticket);
            } else if typing.len() < TYPING_MAX || typing.contains_key(&ticket) {
                typing.insert(ticket, now + TYPING_LASTS);
            }
        })
    }

    /// Ends the typing that was not renewed in time.
    pub fn expire(&mut self, now: Duration) -> Vec<StreamEvent> {
        let typists: Vec<UserId> = self.typists.iter().copied().collect();
        let mut events = Vec::new();
        for user in typists {
            events.append(&mut self.change(user, |sessions| {
                for doing in sessions.values_mut() {
                    doing.typing.retain(|_, ends| *ends > now);
                }
            }));
        }
        events
    }

    /// A ticket was deleted: no user views it or types on it any more.
    pub fn drop_ticket(&mut self, ticket: TicketId) -> Vec<StreamEvent> {
        let users: Vec<UserId> = self.people.keys().copied().collect();
        let mut events = Vec::new();
        for user in users {
            events.append(&mut self.change(user, |sessions| {
                for doing in sessions.values_mut() {
                    doing.viewing.take_if(|(_, viewed)| *viewed == ticket);
                    doing.typing.remove(&ticket);
                }
            }));
        }
        events
    }

    /// When the next typing ends unless it is renewed.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Duration> {
        let typists = self.typists.iter().filter_map(|user| self.people.get(user));
        let sessions = typists.flat_map(|here| here.sessions.values());
        let ends = sessions.flat_map(|doing| doing.typing.values().copied());
        ends.filter(|ends| *ends != REPORTED).min()
    }

    /// All present users, by id.
    #[must_use]
    pub fn present(&self) -> Vec<Present> {
        self.people.values().map(Here::present).collect()
    }

    /// The tickets that users view or type on.
    #[must_use]
    pub fn tickets(&self) -> BTreeSet<TicketId> {
        let doing = self.people.values().flat_map(|here| here.sessions.values());
        let named = doing.flat_map(|doing| {
            let viewed = doing.viewing.map(|(_, ticket)| ticket);
            viewed.into_iter().chain(doing.typing.keys().copied())
        });
        named.collect()
    }

    /// How many users are present.
    #[must_use]
    pub fn count(&self) -> usize {
        self.people.len()
    }

    /// Changes the activity of a user's sessions; returns how that changes the user's.
    fn change(
        &mut self,
        user: UserId,
        change: impl FnOnce(&mut BTreeMap<Origin, Doing>),
    ) -> Vec<StreamEvent> {
        let Some(here) = self.people.get_mut(&user) else { return Vec::new() };
        let (viewing, typing) = (here.viewing(), here.typing());
        change(&mut here.sessions);
        let (viewing_now, typing_now) = (here.viewing(), here.typing());
        if typing_now.is_empty() {
            self.typists.remove(&user);
        } else {
            self.typists.insert(user);
        }
        let person = || here.person.clone();
        let mut events = Vec::new();
        if viewing != viewing_now {
            events.push(StreamEvent::Viewing {
                person: person(),
                was: viewing,
                ticket: viewing_now,
            });
        }
        let typed = |ticket: &TicketId, is_typing| StreamEvent::Typing {
            person: person(),
            ticket: *ticket,
            is_typing,
        };
        events.extend(typing.difference(&typing_now).map(|ticket| typed(ticket, false)));
        events.extend(typing_now.difference(&typing).map(|ticket| typed(ticket, true)));
        events
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Act {
        Join,
        Leave,
        LeaveAll,
        View(Option<i64>),
        Type(i64, bool),
        Wait(u64),
        Drop(i64),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            3 => Just(Act::Join),
            2 => Just(Act::Leave),
            1 => Just(Act::LeaveAll),
            3 => prop::option::of(1i64..4).prop_map(Act::View),
            4 => (1i64..4, prop::bool::weighted(0.8)).prop_map(|(on, is)| Act::Type(on, is)),
            3 => (1u64..4_000).prop_map(Act::Wait),
            1 => (1i64..4).prop_map(Act::Drop),
        ]
    }

    fn person(id: i64) -> Person {
        Person { id: UserId(id), username: format!("user{id}").into() }
    }

    /// The state of a client that was sent the roster once and applies the events.
    #[derive(Debug, Default)]
    struct Client {
        people: BTreeMap<UserId, Present>,
    }

    impl Client {
        fn hear(&mut self, event: StreamEvent) {
            match event {
                StreamEvent::Joined(person) => {
                    let newcomer =
                        Present { person: person.clone(), viewing: None, typing: Vec::new() };
                    assert!(self.people.insert(person.id, newcomer).is_none(), "joined twice");
                }
                StreamEvent::Left(person) => {
                    assert!(self.people.remove(&person.id).is_some(), "left twice");
                }
                StreamEvent::Viewing { person, was, ticket } => {
                    let one = self.people.get_mut(&person.id).unwrap();
                    assert_ne!(one.viewing, ticket, "nothing new");
                    assert_eq!(one.viewing, was);
                    one.viewing = ticket;
                }
                StreamEvent::Typing { person, ticket, is_typing } => {
                    let one = self.people.get_mut(&person.id).unwrap();
                    assert_ne!(one.typing.contains(&ticket), is_typing, "nothing new");
                    one.typing.retain(|other| *other != ticket);
                    if is_typing {
                        one.typing.push(ticket);
                        one.typing.sort_unstable();
                    }
                }
                StreamEvent::Ticket { .. } | StreamEvent::Comment(_) => unreachable!(),
            }
        }
    }

    /// All events of open sessions: the expected roster is computed from them.
    #[derive(Debug, Default)]
    struct Model {
        sessions: BTreeSet<(i64, u64)>,
        /// Newest last: which session views which ticket.
        looks: Vec<(i64, u64, Option<i64>)>,
        /// Which session typed on which ticket, and when it was last renewed.
        typed: BTreeMap<(i64, u64, i64), u64>,
    }

    impl Model {
        fn forget(&mut self, gone: impl Fn(i64, u64) -> bool) {
            self.sessions.retain(|(user, session)| !gone(*user, *session));
            self.looks.retain(|(user, session, _)| !gone(*user, *session));
            self.typed.retain(|(user, session, _), _| !gone(*user, *session));
        }

        fn act(&mut self, user: i64, session: u64, act: &Act, now: u64) {
            let is_there = self.sessions.contains(&(user, session));
            match act {
                Act::Join => drop(self.sessions.insert((user, session))),
                Act::Leave => self.forget(|one, other| (one, other) == (user, session)),
                Act::LeaveAll => self.forget(|one, _| one == user),
                Act::View(ticket) if is_there => {
                    self.looks.retain(|(one, other, _)| (*one, *other) != (user, session));
                    self.looks.push((user, session, *ticket));
                }
                Act::Type(ticket, true) if is_there => {
                    self.typed.insert((user, session, *ticket), now);
                }
                Act::Type(ticket, _) => drop(self.typed.remove(&(user, session, *ticket))),
                Act::Drop(ticket) => {
                    self.looks.retain(|(_, _, viewed)| *viewed != Some(*ticket));
                    self.typed.retain(|(_, _, typed), _| typed != ticket);
                }
                Act::View(_) | Act::Wait(_) => {}
            }
        }

        fn present(&self, now: u64) -> Vec<Present> {
            let users: BTreeSet<i64> = self.sessions.iter().map(|(user, _)| *user).collect();
            let one = |user: i64| {
                let own = self.looks.iter().rev().filter(|(one, _, _)| *one == user);
                let typed = self
                    .typed
                    .iter()
                    .filter(|((one, _, _), said)| *one == user && now < **said + 5_000);
                let typing: BTreeSet<TicketId> =
                    typed.map(|((_, _, ticket), _)| TicketId(*ticket)).collect();
                Present {
                    person: person(user),
                    viewing: own.filter_map(|(_, _, ticket)| *ticket).next().map(TicketId),
                    typing: typing.into_iter().collect(),
                }
            };
            users.into_iter().map(one).collect()
        }
    }

    proptest! {
        #[test]
        fn the_roster_the_model_and_a_watcher_of_all_events_agree(
            acts in prop::collection::vec((1i64..4, 1u64..4, act()), 0..120),
        ) {
            let (mut roster, mut model) = (Roster::default(), Model::default());
            let (mut client, mut now) = (Client::default(), 0);
            for (order, (user, session, act)) in (1..).zip(acts) {
                let (id, at) = (UserId(user), Duration::from_millis(now));
                let events = match &act {
                    Act::Join => roster.join(person(user), session),
                    Act::Leave => roster.leave(id, session),
                    Act::LeaveAll => roster.leave_all(id),
                    Act::View(ticket) => roster.view(id, session, order, ticket.map(TicketId)),
                    Act::Type(ticket, is_typing) => {
                        roster.type_on(id, session, TicketId(*ticket), *is_typing, at)
                    }
                    Act::Wait(ms) => {
                        now += ms;
                        roster.expire(Duration::from_millis(now))
                    }
                    Act::Drop(ticket) => roster.drop_ticket(TicketId(*ticket)),
                };
                events.into_iter().for_each(|event| client.hear(event));
                model.act(user, session, &act, now);
                let wanted = model.present(now);
                prop_assert_eq!(&roster.present(), &wanted);
                let heard: Vec<Present> = client.people.values().cloned().collect();
                prop_assert_eq!(&heard, &wanted);
                let is_typed_on = wanted.iter().any(|present| !present.typing.is_empty());
                let next = roster.next_expiry();
                prop_assert_eq!(next.is_some(), is_typed_on, "a timer is needed, or not");
                prop_assert!(next.is_none_or(|at| at > Duration::from_millis(now)));
            }
        }
    }

    #[test]
    fn typing_is_limited_to_a_few_tickets_a_user() {
        let mut roster = Roster::default();
        roster.join(person(1), 1);
        for ticket in 1..=40 {
            roster.type_on(UserId(1), 1, TicketId(ticket), true, Duration::ZERO);
        }
        assert_eq!(roster.present()[0].typing.len(), TYPING_MAX);
    }
}
