//! The hot path: decisions, comments and announcements of a whole group. Their facts are read, the
//! domain plans, and the planned rows are written, one statement a table.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellpull_domain::comment::NewComment;
use bellpull_domain::ids::{MessageId, SendId};
use bellpull_domain::inbox::MessageContent;
use bellpull_domain::plan::{Context, Needs, Plan, SendPart};
use bellpull_domain::ticket::Decision;
use bellpull_port::StoreError;
use rusqlite::Connection;

use super::super::ids::Counter;
use super::accounts::Created;
use super::context::Place;
use super::failure::Failure;
use super::send_rows::give;
use super::{Answer, Done, Write, known, rows};
use crate::send_chunks::{SendChunk, SendText};

/// What a group writes here, each with the index of its request in the group.
#[derive(Debug)]
pub(super) struct Work<'a> {
    decisions: Vec<(usize, &'a Decision)>,
    comments: Vec<(usize, &'a NewComment)>,
    created: Vec<Created>,
    chunks: Vec<SendChunk>,
}

impl<'a> Work<'a> {
    /// The requests, besides accounts to be announced and chunks of sends.
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

    fn needs(&self, place: Place<'_>) -> Needs<'_> {
        let mut needs = Needs::new(place.channels);
        for (_, decision) in &self.decisions {
            needs.decision(decision);
        }
        for (_, new) in &self.comments {
            needs.comment(new);
        }
        for created in &self.created {
            needs.announcement(&created.announcement);
        }
        let sent = self.chunks.iter().map(|chunk| chunk.text.content().message.event.as_str());
        needs.events.extend(sent);
        needs
    }
}

/// The result of a group's writes.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The new contents, by message id.
    pub(super) contents: Vec<(MessageId, Arc<MessageContent>)>,
    /// How many recipients of each send were notified.
    pub(super) announced: BTreeMap<SendId, i64>,
}

/// Applies all decisions and comments, announces the created accounts, and writes the chunks of
/// sends.
pub(super) fn apply<'a>(
    connection: &Connection,
    place: Place<'a>,
    work: Work<'a>,
    answers: &mut [Option<Answer>],
) -> Result<Written, Failure> {
    if work.is_empty() {
        return Ok(Written::default());
    }
    let recipients = work.chunks.iter().flat_map(|chunk| &chunk.recipients).copied();
    let facts = known::read(connection, place, &work.needs(place), recipients)?;
    let context = Context {
        ids: place.ids,
        channels: place.channels,
        defers_from: place.deferred.waits_from(),
    };
    let mut plan = Plan::new(context, facts);
    for (at, decision) in work.decisions {
        let committed = plan.commit(decision).map(|done| Done::Committed(Box::new(done)));
        answers[at] = Some(committed.map_err(StoreError::from));
    }
    for (at, new) in work.comments {
        let NewComment { comment, ticket_version, announcement, key } = new;
        let commented = plan.comment(comment, *ticket_version, announcement.as_ref(), key.as_ref());
        let commented = commented.map(|done| Done::Commented(Box::new(done)));
        answers[at] = Some(commented.map_err(StoreError::from));
    }
    for Created { at, user, announcement } in work.created {
        // The account is written already: a recipient that does not exist rolls the group back.
        let announced = plan.announce(&announcement).map_err(StoreError::from)?;
        answers[at] = Some(Ok(Done::Created(Box::new((user, announced)))));
    }
    let announced = send(&mut plan, work.chunks, answers)?;
    let rows = plan.into_rows();
    let contents = rows.messages.clone();
    for new in &rows.new_tickets {
        place.ids.used(Counter::Tickets, new.id.0);
    }
    rows::write(connection, place, rows)?;
    Ok(Written { contents, announced })
}

/// Plans the chunks of sends; returns how many recipients of each were notified.
fn send(
    plan: &mut Plan<'_>,
    chunks: Vec<SendChunk>,
    answers: &mut [Option<Answer>],
) -> Result<BTreeMap<SendId, i64>, StoreError> {
    let together = chunks.iter().map(|chunk| chunk.recipients.len()).sum();
    let mut counts: BTreeMap<SendId, i64> = BTreeMap::new();
    for chunk in chunks {
        let part = SendPart {
            message: MessageId(chunk.message_id),
            content: chunk.text.content(),
            is_new: matches!(chunk.text, SendText::New(_)),
            recipients: &chunk.recipients,
            only: chunk.only,
            channels: chunk.channels,
            is_critical: chunk.is_critical,
            now: chunk.now,
        };
        // The send's cursor is written already, too.
        let announced = plan.send(part, together)?;
        let count = announced.as_ref().map_or(0, |announced| announced.entries.len());
        *counts.entry(chunk.send).or_default() += i64::try_from(count).unwrap_or(i64::MAX);
        give(chunk.reply, &mut answers[chunk.at], announced);
    }
    Ok(counts)
}
