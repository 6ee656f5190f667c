//! The hot path: decisions and announcements of a whole group, decided in memory against what is
//! known, then written one statement a table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bellpull_actors::domain::ids::{NotificationId, UserId};
use bellpull_actors::domain::inbox::{Head, Letter};
use bellpull_actors::domain::notification::{Announcement, Message};
use bellpull_actors::domain::ticket::Decision;
use bellpull_actors::port::StoreError;
use bellpull_actors::port::tickets::{Committed, Placed, Told};
use sqlx::SqliteConnection;

use super::super::ids::Counter;
use super::accounts::Created;
use super::group::{Failure, Place};
use super::known::{Known, KnownTicket, heads};
use super::rows::Rows;
use super::{Answer, Done, Write};

/// Applies all decisions, and announces the accounts that were made. The new messages, by id.
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    place: Place<'_>,
    writes: &[&Write],
    created: Vec<Created>,
    answers: &mut [Option<Answer>],
) -> Result<Vec<(i64, Arc<Letter>)>, Failure> {
    let decisions: Vec<(usize, &Decision)> = writes
        .iter()
        .enumerate()
        .filter_map(|(at, write)| {
            let Write::Commit(decision) = write else { return None };
            Some((at, &**decision))
        })
        .collect();
    if decisions.is_empty() && created.is_empty() {
        return Ok(Vec::new());
    }
    let mut set = Set::read(connection, place, &decisions, &created).await?;
    for (at, decision) in decisions {
        answers[at] = Some(set.commit(decision).map(|done| Done::Committed(Box::new(done))));
    }
    for Created { at, user, announcement } in created {
        // The account is written already: if nobody can be told of it, all is taken back.
        let told = set.announce(&announcement, announcement.message.clone())?;
        answers[at] = Some(Ok(Done::Created(Box::new((user, told)))));
    }
    set.rows.write(connection).await?;
    Ok(set.letters)
}

/// What is known, and how it changes as the group is applied.
#[derive(Debug)]
struct Set<'a> {
    place: Place<'a>,
    known: Known,
    heads: BTreeMap<UserId, Head>,
    rows: Rows,
    letters: Vec<(i64, Arc<Letter>)>,
}

impl<'a> Set<'a> {
    async fn read(
        connection: &mut SqliteConnection,
        place: Place<'a>,
        decisions: &[(usize, &Decision)],
        created: &[Created],
    ) -> Result<Self, Failure> {
        let announcements = || {
            let decided = decisions.iter().filter_map(|(_, one)| one.announcement.as_ref());
            decided.chain(created.iter().map(|one| &one.announcement))
        };
        let tickets = decisions.iter().map(|(_, decision)| decision.ticket.id);
        let projects: BTreeSet<_> = decisions
            .iter()
            .filter(|(_, decision)| decision.ticket.version == 1)
            .map(|(_, decision)| decision.ticket.project)
            .collect();
        let needs_members = announcements().any(|one| one.audience.group.is_some());
        let known = Known::read(connection, tickets, projects.into_iter(), needs_members).await?;
        let mut people = BTreeSet::new();
        for one in announcements() {
            people.extend(one.audience.recipients(known.members.of(one.audience.group)));
        }
        let heads = match people.is_empty() {
            true => BTreeMap::new(),
            false => heads(connection, people.into_iter()).await?,
        };
        Ok(Self { place, known, heads, rows: Rows::default(), letters: Vec::new() })
    }

    /// Puts a decision into the group, or refuses it without a trace.
    fn commit(&mut self, decision: &Decision) -> Result<Committed, StoreError> {
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
        if is_new {
            let project =
                self.known.projects.get_mut(&ticket.project).ok_or(StoreError::NotFound)?;
            project.last_number += 1;
            ticket.key = format!("{}-{}", project.key, project.last_number);
            self.rows.new_ticket(&ticket, project.last_number);
            self.place.ids.used(Counter::Tickets, ticket.id.0);
        }
        self.rows.ticket(decision, &ticket, ticket.assigned_to != was_assigned);
        self.known.tickets.insert(
            ticket.id,
            KnownTicket {
                version: ticket.version,
                is_deleted: decision.deleted,
                assigned_to: ticket.assigned_to.clone(),
            },
        );
        let told = match &decision.announcement {
            None => None,
            Some(announcement) => {
                let mut message = announcement.message.clone();
                if let (true, Some(shown)) = (is_new, &mut message.ticket) {
                    shown.key.clone_from(&ticket.key);
                }
                self.announce(announcement, message)?
            }
        };
        Ok(Committed { ticket, told })
    }

    fn recipients(&self, announcement: &Announcement) -> Vec<UserId> {
        let audience = &announcement.audience;
        audience.recipients(self.known.members.of(audience.group))
    }

    fn check_recipients(&self, announcement: &Announcement) -> Result<(), StoreError> {
        let exist = self.recipients(announcement).iter().all(|user| self.heads.contains_key(user));
        if exist { Ok(()) } else { Err(StoreError::NotFound) }
    }

    /// Puts a notification into each recipient's inbox. Nobody to tell: nothing is written.
    fn announce(
        &mut self,
        announcement: &Announcement,
        message: Message,
    ) -> Result<Option<Told>, StoreError> {
        self.check_recipients(announcement)?;
        let recipients = self.recipients(announcement);
        if recipients.is_empty() {
            return Ok(None);
        }
        let message_id = self.place.ids.next(Counter::Messages);
        self.rows.message(message_id, &message)?;
        let due_ms = message.created_at.as_millisecond();
        let outgoing = announcement.channels.and(self.place.channels);
        let mut births = Vec::with_capacity(recipients.len());
        for recipient in recipients {
            let head = self.heads.get_mut(&recipient).ok_or(StoreError::NotFound)?;
            let seq = head.give_birth();
            let id = self.place.ids.next(Counter::Notifications);
            self.rows.notification(recipient, seq, id, message_id);
            self.rows.head(recipient, *head);
            for channel in outgoing.outgoing() {
                self.rows.delivery(self.place.ids.next(Counter::Deliveries), id, channel, due_ms);
            }
            let (id, unread_count) = (NotificationId(id), head.unread_count);
            births.push(Placed { recipient, id, seq, unread_count });
        }
        let letter = Letter::new(message);
        self.letters.push((message_id, Arc::clone(&letter)));
        Ok(Some(Told { letter, births }))
    }
}
