//! A stream's events that wait for a slow reader.
//!
//! Streams show states (a ticket's line, who is present, who types), so a reader that cannot keep
//! up needs the latest of each, not all of them: an event replaces the waiting one about the same
//! thing. It keeps that one's place, so that no ticket waits longer because it changes often, and
//! nothing comes before what it depends on. Comments are never replaced. The inbox does not pass
//! through here: nothing of it is ever left out. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bellpull_domain::ids::{TicketId, UserId};
use bellpull_domain::stream::{SharedStreamEvent, StreamEvent, TicketAction};
use bellpull_port::budget::{Budget, Room};
use bellpull_port::outlet::Broken;

/// The most events that wait for one reader: a board shows a few hundred tickets.
const EVENTS_MAX: usize = 1_024;
/// The most bytes of them: as many as may wait in an outlet.
const BYTES_MAX: usize = 1 << 20;
/// What an event takes beside its texts, as rounded up from its size and its places here.
const EVENT_BYTES: usize = 512;

/// What an event is about: the next one about the same replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    Ticket(TicketId),
    Joined(UserId),
    Left(UserId),
    Viewing(UserId),
    Typing(UserId, TicketId),
}

/// The waiting events of one subscription.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// In the order in which they are shown.
    events: BTreeMap<u64, Arc<SharedStreamEvent>>,
    /// Where the replaceable ones are.
    places: HashMap<Subject, u64>,
    last_place: u64,
    bytes: usize,
    /// In the budget of all sessions.
    room: Option<Room>,
}

impl Waiting {
    /// Adds an event. Returns whether another was left out for it, or it for another.
    ///
    /// # Errors
    /// [`Broken::TooSlow`] if more would wait than may, or than the budget has room for.
    pub(super) fn add(
        &mut self,
        event: &Arc<SharedStreamEvent>,
        unsent: &Budget,
    ) -> Result<bool, Broken> {
        let is_merged = self.merge(event);
        if self.events.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            return Err(Broken::TooSlow);
        }
        if unsent.resize(&mut self.room, self.bytes) { Ok(is_merged) } else { Err(Broken::TooSlow) }
    }

    /// Removes the first event.
    pub(super) fn take(&mut self) -> Option<Arc<SharedStreamEvent>> {
        let (_, event) = self.events.pop_first()?;
        if let Some(subject) = subject(&event.event) {
            self.places.remove(&subject);
        }
        self.bytes -= bytes(&event);
        match &mut self.room {
            Some(room) if !self.events.is_empty() => room.shrink_to(self.bytes),
            room => *room = None,
        }
        Some(event)
    }

    /// The bytes of all events.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn merge(&mut self, event: &Arc<SharedStreamEvent>) -> bool {
        match &event.event {
            StreamEvent::Ticket { action, line } => {
                let of = Subject::Ticket(line.id);
                match (self.waiting(of), action) {
                    (Some((TicketAction::Created, _)), TicketAction::Deleted) => {
                        self.forget_ticket(line.id);
                        true
                    }
                    (Some((_, version)), _) if version > line.version => true,
                    // After the comments that wait: they are not shown of a deleted ticket.
                    (Some(_), TicketAction::Deleted) => {
                        self.remove(of);
                        self.put(of, event);
                        true
                    }
                    (Some((TicketAction::Created, _)), TicketAction::Updated) => {
                        let action = TicketAction::Created;
                        let created = StreamEvent::Ticket { action, line: line.clone() };
                        self.put(of, &SharedStreamEvent::new(event.stream.project, created))
                    }
                    (Some(_) | None, _) => self.put(of, event),
                }
            }
            StreamEvent::Comment(_) => {
                self.append(event);
                false
            }
            StreamEvent::Joined(person) => self.put(Subject::Joined(person.id), event),
            StreamEvent::Left(person) => self.leave(person.id, event),
            StreamEvent::Viewing { person, .. } => self.put(Subject::Viewing(person.id), event),
            StreamEvent::Typing { person, ticket, .. } => {
                self.put(Subject::Typing(person.id, *ticket), event)
            }
        }
    }

    /// The waiting event of a ticket: what became of it, and its version.
    fn waiting(&self, of: Subject) -> Option<(TicketAction, i64)> {
        let event = self.events.get(self.places.get(&of)?)?;
        match &event.event {
            StreamEvent::Ticket { action, line } => Some((*action, line.version)),
            StreamEvent::Comment(_)
            | StreamEvent::Joined(_)
            | StreamEvent::Left(_)
            | StreamEvent::Viewing { .. }
            | StreamEvent::Typing { .. } => None,
        }
    }

    /// Replaces the waiting event about the same, or appends it; returns whether it replaced one.
    fn put(&mut self, of: Subject, event: &Arc<SharedStreamEvent>) -> bool {
        let Some(place) = self.places.get(&of) else {
            let place = self.append(event);
            self.places.insert(of, place);
            return false;
        };
        self.bytes += bytes(event);
        if let Some(old) = self.events.insert(*place, Arc::clone(event)) {
            self.bytes -= bytes(&old);
        }
        true
    }

    fn append(&mut self, event: &Arc<SharedStreamEvent>) -> u64 {
        self.last_place += 1;
        self.bytes += bytes(event);
        self.events.insert(self.last_place, Arc::clone(event));
        self.last_place
    }

    /// A user left: what that user did since is over. Who joined unseen also leaves unseen.
    fn leave(&mut self, user: UserId, event: &Arc<SharedStreamEvent>) -> bool {
        let is_of = |subject: &Subject| match subject {
            Subject::Viewing(of) | Subject::Typing(of, _) => *of == user,
            Subject::Ticket(_) | Subject::Joined(_) | Subject::Left(_) => false,
        };
        let over: Vec<Subject> = self.places.keys().copied().filter(is_of).collect();
        for subject in over {
            self.remove(subject);
        }
        self.remove(Subject::Joined(user)) || self.put(Subject::Left(user), event)
    }

    /// A ticket that was created and deleted unseen, with its comments.
    fn forget_ticket(&mut self, ticket: TicketId) {
        self.remove(Subject::Ticket(ticket));
        let mut freed = 0;
        self.events.retain(|_, event| {
            let is_of = matches!(&event.event, StreamEvent::Comment(one) if one.ticket == ticket);
            freed += if is_of { bytes(event) } else { 0 };
            !is_of
        });
        self.bytes -= freed;
    }

    fn remove(&mut self, subject: Subject) -> bool {
        let event = self.places.remove(&subject).and_then(|place| self.events.remove(&place));
        if let Some(event) = &event {
            self.bytes -= bytes(event);
        }
        event.is_some()
    }
}

fn subject(event: &StreamEvent) -> Option<Subject> {
    match event {
        StreamEvent::Ticket { line, .. } => Some(Subject::Ticket(line.id)),
        StreamEvent::Comment(_) => None,
        StreamEvent::Joined(person) => Some(Subject::Joined(person.id)),
        StreamEvent::Left(person) => Some(Subject::Left(person.id)),
        StreamEvent::Viewing { person, .. } => Some(Subject::Viewing(person.id)),
        StreamEvent::Typing { person, ticket, .. } => Some(Subject::Typing(person.id, *ticket)),
    }
}

fn bytes(event: &SharedStreamEvent) -> usize {
    let texts = match &event.event {
        StreamEvent::Ticket { line, .. } => line.title.len(),
        StreamEvent::Comment(comment) => comment.body.len(),
        StreamEvent::Joined(_)
        | StreamEvent::Left(_)
        | StreamEvent::Viewing { .. }
        | StreamEvent::Typing { .. } => 0,
    };
    EVENT_BYTES + texts
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use bellpull_domain::comment::Comment;
    use bellpull_domain::ids::{CommentId, ProjectId};
    use bellpull_domain::stream::{Person, TicketLine};
    use bellpull_domain::ticket::Status;

    fn shared(event: StreamEvent) -> Arc<SharedStreamEvent> {
        SharedStreamEvent::new(ProjectId(7), event)
    }

    fn ticket(id: i64, action: TicketAction, version: i64) -> Arc<SharedStreamEvent> {
        let (key, title) = (format!("WEB-{id}"), "Broken".to_owned());
        let line = TicketLine { id: TicketId(id), key, title, status: Status::New, version };
        shared(StreamEvent::Ticket { action, line })
    }

    fn comment(ticket: i64, id: i64) -> Arc<SharedStreamEvent> {
        shared(StreamEvent::Comment(Comment {
            id: CommentId(id),
            ticket: TicketId(ticket),
            author: UserId(1),
            author_name: "ada".to_owned(),
            body: "x".repeat(1_000),
            created_at: Timestamp::UNIX_EPOCH,
        }))
    }

    fn person(id: i64) -> Person {
        Person { id: UserId(id), username: format!("user{id}").into() }
    }

    /// What a client knows from the events that it was shown.
    #[derive(Debug, Default, PartialEq)]
    struct Board {
        tickets: BTreeMap<i64, i64>,
        comments: Vec<i64>,
        present: BTreeMap<i64, (Option<i64>, BTreeSet<i64>)>,
    }

    impl Board {
        fn show(&mut self, event: &StreamEvent) {
            match event {
                StreamEvent::Ticket { action, line } => {
                    let known = self.tickets.get(&line.id.0).copied();
                    assert!(known.is_none_or(|known| known <= line.version), "an older {line:?}");
                    assert_eq!(known.is_none(), *action == TicketAction::Created, "{event:?}");
                    match action {
                        TicketAction::Deleted => self.tickets.remove(&line.id.0),
                        TicketAction::Created | TicketAction::Updated => {
                            self.tickets.insert(line.id.0, line.version)
                        }
                    };
                }
                StreamEvent::Comment(comment) => {
                    assert!(self.tickets.contains_key(&comment.ticket.0), "a comment on nothing");
                    self.comments.push(comment.id.0);
                }
                StreamEvent::Joined(person) => {
                    assert!(self.present.insert(person.id.0, Default::default()).is_none());
                }
                StreamEvent::Left(person) => {
                    assert!(self.present.remove(&person.id.0).is_some(), "{person:?} is not here");
                }
                StreamEvent::Viewing { person, ticket, .. } => {
                    let of = self.present.get_mut(&person.id.0).unwrap();
                    of.0 = ticket.map(|ticket| ticket.0);
                }
                StreamEvent::Typing { person, ticket, is_typing } => {
                    let of = &mut self.present.get_mut(&person.id.0).unwrap().1;
                    match is_typing {
                        true => of.insert(ticket.0),
                        false => of.remove(&ticket.0),
                    };
                }
            }
        }
    }

    /// The next valid event of a project in this state, as three numbers choose it.
    fn next(world: &Board, number: i64, (kind, id): (u8, i64)) -> Option<Arc<SharedStreamEvent>> {
        let known = world.tickets.iter().cycle().nth(usize::try_from(id).unwrap());
        let is_here = world.present.contains_key(&id);
        Some(match (kind, known) {
            (0, _) => ticket(number, TicketAction::Created, 1),
            (1..4, Some((id, version))) => ticket(*id, TicketAction::Updated, version + 1),
            (4, Some((id, version))) => ticket(*id, TicketAction::Deleted, version + 1),
            (5, Some((id, _))) => comment(*id, number),
            (6, _) if is_here => shared(StreamEvent::Left(person(id))),
            (6 | 7, _) if !is_here => shared(StreamEvent::Joined(person(id))),
            (8, _) if is_here => {
                let ticket = (number % 3 > 0).then_some(TicketId(number % 3));
                shared(StreamEvent::Viewing { person: person(id), was: None, ticket })
            }
            (9, _) if is_here => {
                let is_typing = !world.present[&id].1.contains(&1);
                shared(StreamEvent::Typing { person: person(id), ticket: TicketId(1), is_typing })
            }
            _ => return None,
        })
    }

    proptest! {
        #[test]
        fn a_slow_reader_ends_with_what_a_fast_one_knows(
            steps in prop::collection::vec((0_u8..12, 0_i64..4), 0..200),
        ) {
            let unsent = Budget::new(1 << 30);
            let (mut fast, mut slow) = (Board::default(), Board::default());
            let mut waiting = Waiting::default();
            let mut deleted_unseen = Vec::new();
            for (number, step) in (1..).zip(steps) {
                if step.0 > 9 {
                    // Shown to the slow one: a few.
                    for _ in 0..step.1 {
                        waiting.take().inspect(|event| slow.show(&event.event));
                    }
                } else if let Some(event) = next(&fast, number, step) {
                    use TicketAction::Deleted;
                    if let StreamEvent::Ticket { action: Deleted, line } = &event.event
                        && !slow.tickets.contains_key(&line.id.0)
                    {
                        deleted_unseen.push(line.id.0);
                    }
                    fast.show(&event.event);
                    waiting.add(&event, &unsent).unwrap();
                }
            }
            while let Some(event) = waiting.take() {
                slow.show(&event.event);
            }
            prop_assert_eq!(waiting.bytes(), 0);
            prop_assert!(waiting.places.is_empty());
            prop_assert!(unsent.try_reserve(1 << 30).is_some(), "all of it was given back");
            prop_assert_eq!(&slow.tickets, &fast.tickets);
            prop_assert_eq!(&slow.present, &fast.present);
            if deleted_unseen.is_empty() {
                prop_assert_eq!(slow.comments, fast.comments);
            }
        }
    }

    #[test]
    fn a_ticket_that_changes_often_keeps_its_place() {
        let unsent = Budget::new(1 << 20);
        let mut waiting = Waiting::default();
        assert_eq!(waiting.add(&ticket(1, TicketAction::Updated, 2), &unsent), Ok(false));
        assert_eq!(waiting.add(&ticket(2, TicketAction::Updated, 2), &unsent), Ok(false));
        for version in 3..100 {
            let event = ticket(1, TicketAction::Updated, version);
            assert_eq!(waiting.add(&event, &unsent), Ok(true));
        }
        assert_eq!(waiting.take().unwrap().event, ticket(1, TicketAction::Updated, 99).event);
        assert_eq!(waiting.take().unwrap().event, ticket(2, TicketAction::Updated, 2).event);
        assert!(waiting.take().is_none());
        assert!(!unsent.is_short() && unsent.try_reserve(1 << 20).is_some());
    }

    #[test]
    fn what_cannot_be_merged_has_a_bound() {
        let unsent = Budget::new(1 << 30);
        let mut waiting = Waiting::default();
        let refused = (1..).find(|id| waiting.add(&comment(1, *id), &unsent).is_err()).unwrap();
        assert_eq!(refused, i64::try_from(BYTES_MAX / (EVENT_BYTES + 1_000)).unwrap() + 1);
        let mut waiting = Waiting::default();
        let event = |id| ticket(id, TicketAction::Created, 1);
        let refused = (1..).find(|id| waiting.add(&event(*id), &unsent).is_err()).unwrap();
        assert_eq!(refused, i64::try_from(EVENTS_MAX).unwrap() + 1);
        let scarce = Budget::new(2_000);
        let mut waiting = Waiting::default();
        let refused = (1..).find(|id| waiting.add(&event(*id), &scarce).is_err()).unwrap();
        assert_eq!(refused, 4, "of more than the budget has room for");
    }
}
