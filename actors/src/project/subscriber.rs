//! Both ends of a subscription. Each is a guard: whichever actor dies, the other is notified.

use std::sync::Arc;

use ractor::ActorId;

use crate::messages::{Parting, StreamMessage, SubscriptionId, UserMessage};
use crate::vitals::Handle;
use bellpull_domain::ids::{ProjectId, UserId};
use bellpull_domain::stream::{Person, SharedStreamEvent, StreamEvent, StreamKind};
use bellpull_domain::ticket::Caller;

/// The project's end of all subscriptions of one user. Dropped by a dying actor, it tells the
/// user's actor that the project's is lost.
#[derive(Debug)]
pub(super) struct Subscriber {
    actor: Handle<UserMessage>,
    caller: Caller,
    project: ProjectId,
    /// The project's actor.
    own: ActorId,
    tickets: Vec<SubscriptionId>,
    presence: Vec<SubscriptionId>,
    /// The message to the user's actor at the end.
    parting: Option<Parting>,
}

impl Subscriber {
    pub(super) fn new(
        actor: Handle<UserMessage>,
        caller: Caller,
        project: ProjectId,
        own: ActorId,
    ) -> Self {
        let (tickets, presence) = (Vec::new(), Vec::new());
        Self { actor, caller, project, own, tickets, presence, parting: Some(Parting::Lost) }
    }

    pub(super) fn actor_id(&self) -> ActorId {
        self.actor.actor().get_id()
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(super) fn add(&mut self, kind: StreamKind, id: SubscriptionId) {
        match kind {
            StreamKind::Tickets => self.tickets.push(id),
            StreamKind::Presence => self.presence.push(id),
        }
    }

    pub(super) fn remove(&mut self, id: SubscriptionId) {
        self.tickets.retain(|one| *one != id);
        self.presence.retain(|one| *one != id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tickets.is_empty() && self.presence.is_empty()
    }

    pub(super) fn is_watching_tickets(&self) -> bool {
        !self.tickets.is_empty()
    }

    pub(super) fn is_present(&self) -> bool {
        !self.presence.is_empty()
    }

    pub(super) fn tell(&self, content: &Arc<SharedStreamEvent>) {
        let news = StreamMessage::News(Arc::clone(content));
        self.actor.cast(UserMessage::Stream(Box::new(news)));
    }

    /// Ends it regularly: the user's actor is told why, or nothing if it ended them itself.
    pub(super) fn part(mut self, why: Option<Parting>) {
        self.parting = why;
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        if let Some(why) = self.parting {
            let ended = StreamMessage::Ended { project: self.project, actor: self.own, why };
            self.actor.cast(UserMessage::Stream(Box::new(ended)));
        }
    }
}

/// A user, as others see them.
pub(super) fn person(caller: &Caller) -> Person {
    Person { id: caller.id, username: caller.username.as_str().into() }
}

/// The user that an event of a presence stream is about.
pub(super) fn subject(event: &StreamEvent) -> Option<UserId> {
    match event {
        StreamEvent::Joined(person)
        | StreamEvent::Left(person)
        | StreamEvent::Viewing { person, .. }
        | StreamEvent::Typing { person, .. } => Some(person.id),
        StreamEvent::Ticket { .. } | StreamEvent::Comment(_) => None,
    }
}
