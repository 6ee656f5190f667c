//! The hot path: decisions, comments and announcements of a whole group, decided in memory against
//! what is known, then written one statement a table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bellpull_actors::domain::comment::Comment;
use bellpull_actors::domain::ids::{
    CommentId, NotificationId, ProjectId, SendId, TicketId, UserId,
};
use bellpull_actors::domain::inbox::Letter;
use bellpull_actors::domain::notification::{Announcement, Message};
use bellpull_actors::domain::preference::{Routed, RoutedBy};
use bellpull_actors::domain::routing::{Channel, Channels};
use bellpull_actors::domain::ticket::Decision;
use bellpull_actors::port::StoreError;
use bellpull_actors::port::tickets::{Committed, Placed, Told};
use rusqlite::Connection;

use super::super::deferred::{Birth, NewBirth};
use super::super::ids::Counter;
use super::accounts::Created;
use super::group::{Failure, Place};
use super::known::{self, Known, KnownTicket, People, Sought};
use super::outgoing::{Announced, Outgoing};
use super::rows::{DeliveryOf, Rows};
use super::sends::{SendChunk, SendText};
use super::{Answer, Done, NewComment, Write};

/// What a group has to write here, each with its request's place in the group.
#[derive(Debug)]
pub(super) struct Work<'a> {
    decisions: Vec<(usize, &'a Decision)>,
    comments: Vec<(usize, &'a NewComment)>,
    created: Vec<Created>,
    chunks: Vec<SendChunk>,
}

impl<'a> Work<'a> {
    /// What these writes ask for, besides accounts to be announced and chunks of sends.
    pub(super) fn of(writes: &[&'a Write], created: Vec<Created>, chunks: Vec<SendChunk>) -> Self {
        let (mut decisions, mut comments) = (Vec::new(), Vec::new());
        for (at, write) in writes.iter().enumerate() {
            if let Write::Commit(decision) = write {
                decisions.push((at, &**decision));
            } else if let Write::Comment(comment) = write {
                comments.push((at, &**comment));
            }
        }
        Self { decisions, comments, created, chunks }
    }

    fn is_empty(&self) -> bool {
        self.decisions.is_empty()
            && self.comments.is_empty()
            && self.created.is_empty()
            && self.chunks.is_empty()
    }

    /// The names of the events that are told.
    fn events(&self) -> BTreeSet<&str> {
        let announced = self.announcements().map(|one| one.message.event.as_str());
        let sent = self.chunks.iter().map(|chunk| chunk.text.letter().message.event.as_str());
        announced.chain(sent).collect()
    }

    fn announcements(&self) -> impl Iterator<Item = &Announcement> {
        let decided = self.decisions.iter().filter_map(|(_, one)| one.announcement.as_ref());
        let commented = self.comments.iter().filter_map(|(_, one)| one.announcement.as_ref());
        decided.chain(commented).chain(self.created.iter().map(|one| &one.announcement))
    }
}

/// What was written of a group.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The new messages, by id.
    pub(super) letters: Vec<(i64, Arc<Letter>)>,
    /// How many were told of each send.
    pub(super) told: BTreeMap<SendId, i64>,
}

/// Applies all decisions and comments, announces the accounts that were made, and writes the
/// chunks of sends.
pub(super) fn apply<'a>(
    connection: &Connection,
    place: Place<'a>,
    work: Work<'a>,
    answers: &mut [Option<Answer>],
) -> Result<Written, Failure> {
    if work.is_empty() {
        return Ok(Written::default());
    }
    let mut counts: BTreeMap<SendId, i64> = BTreeMap::new();
    let mut set = Set::read(connection, place, &work)?;
    for (at, decision) in work.decisions {
        answers[at] = Some(set.commit(decision).map(|done| Done::Committed(Box::new(done))));
    }
    for (at, new) in work.comments {
        answers[at] = Some(set.comment(new).map(|done| Done::Commented(Box::new(done))));
    }
    for Created { at, user, announcement } in work.created {
        // The account is written already: if nobody can be told of it, all is taken back.
        let told = set.announce(&announcement, announcement.message.clone(), None)?;
        answers[at] = Some(Ok(Done::Created(Box::new((user, told)))));
    }
    let together = work.chunks.iter().map(|chunk| chunk.recipients.len()).sum();
    for chunk in work.chunks {
        // So is the send's cursor.
        let told = set.send(&chunk, together)?;
        let count = told.as_ref().map_or(0, |told| told.births.len());
        *counts.entry(chunk.send).or_default() += i64::try_from(count).unwrap_or(i64::MAX);
        chunk.reply.give(&mut answers[chunk.at], told);
    }
    set.rows.write(connection, place, &set.letters)?;
    Ok(Written { letters: set.letters, told: counts })
}

/// What is known, and how it changes as the group is applied.
#[derive(Debug)]
struct Set<'a> {
    place: Place<'a>,
    known: Known,
    people: People,
    rows: Rows<'a>,
    letters: Vec<(i64, Arc<Letter>)>,
}

impl<'a> Set<'a> {
    fn read(connection: &Connection, place: Place<'a>, work: &Work<'a>) -> Result<Self, Failure> {
        let decided = || work.decisions.iter().map(|(_, decision)| *decision);
        let commented = work.comments.iter().map(|(_, new)| new.comment.ticket);
        let of = |decision: &Decision| decision.ticket.project;
        let tells = |decision: &&Decision| decision.announcement.is_some();
        let is_hook_on = place.channels.contains(Channel::Webhook);
        let announcing = decided().filter(|decision| is_hook_on && tells(decision)).map(of);
        let sought = Sought {
            tickets: decided().map(|decision| decision.ticket.id).chain(commented).collect(),
            projects: decided().filter(|one| one.ticket.version == 1).map(of).collect(),
            needs_members: work.announcements().any(|one| one.audience.group.is_some()),
            announcing: announcing.collect(),
        };
        let known = Known::read(connection, &sought)?;
        let mut people = BTreeSet::new();
        for one in work.announcements() {
            people.extend(one.audience.recipients(known.members.of(one.audience.group)));
        }
        people.extend(work.chunks.iter().flat_map(|chunk| &chunk.recipients));
        let people = match people.is_empty() {
            true => People::default(),
            false => {
                let users = people.into_iter();
                known::people(connection, place, users.collect(), &work.events())?
            }
        };
        Ok(Self { place, known, people, rows: Rows::default(), letters: Vec::new() })
    }

    /// Puts a decision into the group, or refuses it without a trace.
    fn commit(&mut self, decision: &'a Decision) -> Result<Committed, StoreError> {
        let mut ticket = decision.ticket.clone();
        let before = self.known.tickets.get(&ticket.id);
        let fits = match before {
            None => ticket.version == 1,
            Some(known) => !known.is_deleted && known.version == ticket.version - 1,
        };
        if !fits {
            return Err(StoreError::Conflict);
        }
        if let Some(announcement) = &decision.announcement {
            self.check_recipients(announcement)?;
        }
        let is_new = before.is_none();
        let was_assigned = before.map(|known| known.assigned_to.clone()).unwrap_or_default();
        let had_steps = before.is_some_and(|known| known.has_steps);
        if had_steps && decision.moves_on() {
            // Not what this very decision has to say.
            self.rows.moved_on(ticket.id, self.place.ids.last(Counter::Deliveries));
        }
        if is_new {
            let project =
                self.known.projects.get_mut(&ticket.project).ok_or(StoreError::NotFound)?;
            project.last_number += 1;
            ticket.key = format!("{}-{}", project.key, project.last_number);
            self.rows.new_ticket(&ticket, project.last_number);
            self.place.ids.used(Counter::Tickets, ticket.id.0);
        }
        self.rows.ticket(decision, ticket.assigned_to != was_assigned);
        if decision.deleted {
            self.rows.words().remove(ticket.id);
        } else if decision.changes_text() {
            self.rows.words().put(&ticket, is_new);
        }
        self.known.tickets.insert(
            ticket.id,
            KnownTicket {
                version: ticket.version,
                is_deleted: decision.deleted,
                assigned_to: ticket.assigned_to.clone(),
                has_steps: had_steps,
            },
        );
        let told = match &decision.announcement {
            None => None,
            Some(announcement) => {
                let mut message = announcement.message.clone();
                if let (true, Some(shown)) = (is_new, &mut message.ticket) {
                    shown.key.clone_from(&ticket.key);
                }
                self.announce(announcement, message, Some(ticket.project))?
            }
        };
        Ok(Committed { ticket, told })
    }

    fn recipients(&self, announcement: &Announcement) -> Vec<UserId> {
        let audience = &announcement.audience;
        audience.recipients(self.known.members.of(audience.group))
    }

    fn check_recipients(&self, announcement: &Announcement) -> Result<(), StoreError> {
        let known = |user: &UserId| self.people.recipients.contains_key(user);
        let exist = self.recipients(announcement).iter().all(known);
        if exist { Ok(()) } else { Err(StoreError::NotFound) }
    }

    /// Puts a notification into each recipient's inbox, and has the webhooks of the project called
    /// in which it happens. Nobody to tell: nothing is written.
    fn announce(
        &mut self,
        announcement: &Announcement,
        message: Message,
        project: Option<ProjectId>,
    ) -> Result<Option<Told>, StoreError> {
        self.check_recipients(announcement)?;
        let routed = Routed { channels: announcement.channels, by: RoutedBy::Hub };
        let letter = Letter::new(message);
        let announced = self.announced(&letter, routed);
        let known = &self.people.recipients;
        let mut recipients = self.recipients(announcement);
        recipients.retain(|user| known.get(user).is_some_and(|one| announced.reaches(one)));
        let called = project.map(|project| self.known.called(project, announced.event));
        let called = called.unwrap_or_default();
        if recipients.is_empty() && called.is_empty() {
            return Ok(None);
        }
        let message_id = self.place.ids.next(Counter::Messages);
        self.write_down(message_id, &letter);
        let mut told =
            self.tell(message_id, &letter, &announced, &recipients, None, recipients.len())?;
        for to in &called {
            let delivery = self.place.ids.next(Counter::Deliveries);
            let out = Outgoing { to, way: announced.to_project() };
            self.rows.delivery(delivery, DeliveryOf::Message(message_id), &out);
            told.channels = told.channels.with(out.way.channel);
        }
        Ok(Some(told))
    }

    /// Writes a message, and keeps its letter for those who will replay it.
    fn write_down(&mut self, id: i64, letter: &Arc<Letter>) {
        self.letters.push((id, Arc::clone(letter)));
    }

    /// What a letter says, as far as its ways out of the house are concerned.
    fn announced<'l>(&self, letter: &'l Letter, routed: Routed) -> Announced<'l> {
        let Message { event, ticket, created_at, .. } = &letter.message;
        Announced {
            event,
            ticket_id: ticket.as_ref().map_or(0, |ticket| ticket.id.0),
            routed,
            escalation: self.people.escalations.get(event.as_str()).cloned(),
            is_critical: false,
            on: self.place.channels,
            due_at: *created_at,
        }
    }

    /// Puts a message into the inboxes of those who want it, with a delivery for each channel on
    /// which it goes out. Where nothing goes out and others are told too (`together` are told in
    /// this group), or others are still to be told, the row may wait. A single notification may
    /// have been given its id before (`only`).
    fn tell(
        &mut self,
        message_id: i64,
        letter: &Arc<Letter>,
        announced: &Announced<'_>,
        recipients: &[UserId],
        only: Option<NotificationId>,
        together: usize,
    ) -> Result<Told, StoreError> {
        let mut births = Vec::with_capacity(recipients.len());
        let mut channels = Channels::NONE;
        let deferred = self.place.deferred;
        let takes = deferred.takes(together);
        for &recipient in recipients {
            let known = self.people.recipients.get_mut(&recipient);
            let known = known.ok_or(StoreError::NotFound)?;
            if !announced.reaches(known) {
                continue;
            }
            let seq = known.head.give_birth();
            let id = only.map_or_else(|| self.place.ids.next(Counter::Notifications), |id| id.0);
            let mut may_wait = takes || (known.is_held && deferred.is_on());
            for out in announced.outgoing(known) {
                let delivery = self.place.ids.next(Counter::Deliveries);
                self.rows.delivery(delivery, DeliveryOf::Notification(id, recipient), &out);
                may_wait = false;
                if out.way.is_queued() {
                    channels = channels.with(out.way.channel);
                }
            }
            let unread_count = known.head.unread_count;
            let birth = Birth { user: recipient, seq, id, message: message_id };
            let reach = known.plain_reach().filter(|_| may_wait);
            self.rows.birth(NewBirth { birth, unread_count, may_wait, reach });
            births.push(Placed { recipient, id: NotificationId(id), seq, unread_count });
        }
        let ticket = self.known.tickets.get_mut(&TicketId(announced.ticket_id));
        if let (Some(ticket), Some(_)) = (ticket, &announced.escalation) {
            ticket.has_steps = true; // for a later decision of this group
        }
        Ok(Told { letter: Arc::clone(letter), births, channels })
    }

    /// Puts a comment into the group, or refuses it without a trace.
    fn comment(&mut self, new: &'a NewComment) -> Result<(Comment, Option<Told>), StoreError> {
        let mut comment = new.comment.clone();
        if self.known.tickets.get(&comment.ticket).is_none_or(|ticket| ticket.is_deleted) {
            return Err(StoreError::NotFound);
        }
        let told = match &new.announcement {
            None => None,
            Some(announcement) => {
                self.announce(announcement, announcement.message.clone(), None)?
            }
        };
        comment.id = CommentId(self.place.ids.next(Counter::Comments));
        self.rows.comment(comment.id, &new.comment);
        Ok((comment, told))
    }

    /// Writes the next recipients of a send, and its message with the first of them.
    fn send(&mut self, chunk: &SendChunk, together: usize) -> Result<Option<Told>, StoreError> {
        let letter = chunk.text.letter();
        if let SendText::New(letter) = &chunk.text {
            self.write_down(chunk.message_id, letter);
        }
        let routed = Routed { channels: chunk.channels, by: RoutedBy::Sender };
        let mut announced = self.announced(letter, routed);
        announced.is_critical = chunk.is_critical;
        // One that was for a time when nobody was there to send it begins to wait only now.
        announced.due_at = announced.due_at.max(chunk.now);
        let recipients = &chunk.recipients;
        let told =
            self.tell(chunk.message_id, letter, &announced, recipients, chunk.only, together)?;
        Ok((!told.births.is_empty()).then_some(told))
    }
}
