//! A group within its transaction: accounts first, then the next recipients of sends, then the
//! facts, locked; then marks, and all announcements: decisions, comments, accounts and chunks of
//! sends. Most groups need nothing before the facts, and ask for these as they begin: such a group
//! takes three round trips, with its rows and its commit.
//!
//! A reader sees all of a group or nothing of it, so the order within is free: each kind is planned
//! together, in the order of its requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bellpull_domain::comment::NewComment;
use bellpull_domain::ids::{MessageId, SendId, UserId};
use bellpull_domain::inbox::{MessageContent, Reached};
use bellpull_domain::notification::Announcement;
use bellpull_domain::plan::{Context, Facts, Needs, Plan, Rows, SendPart};
use bellpull_domain::ticket::Decision;
use bellpull_domain::user::User;
use bellpull_port::StoreError;

use super::super::commit_marks::CommitMark;
use super::super::database::Connection;
use super::super::new_accounts;
use super::batch::Batch;
use super::context::Place;
use super::failure::Failure;
use super::marks::Marks;
use super::question::{GroupFacts, Question};
use super::send_rows::{Sends, give};
use super::{Answer, Done, Write, begin, facts, marks, rows, sends};
use crate::requests::BeginSend;
use crate::send_chunks::{SendChunk, SendText};

/// The result of a group, to be committed.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// One answer for each write, in order.
    pub(super) answers: Vec<Answer>,
    /// The new contents, by message id.
    pub(super) contents: Vec<(MessageId, Arc<MessageContent>)>,
    /// How long it took to lock rows.
    pub(super) locks: Duration,
}

/// An account that was created in this group and is still to be announced.
#[derive(Debug)]
struct Created {
    at: usize,
    user: User,
    announcement: Announcement,
}

/// The requests of a group that announce something, each with its index in the group.
#[derive(Debug, Default)]
struct Announcing<'a> {
    decisions: Vec<(usize, &'a Decision)>,
    comments: Vec<(usize, &'a NewComment)>,
    created: Vec<Created>,
}

/// What a group asks at once, if it is known before anything is read whom it concerns: `None` where
/// accounts are created, or the recipients of sends are read first.
pub(super) fn question(place: Place<'_>, writes: &[&Write]) -> Option<Question> {
    let mut begins: Vec<&BeginSend> = Vec::new();
    for write in writes {
        match write {
            Write::BeginSend(begin) if begin::is_to_named(begin) => begins.push(begin),
            Write::BeginSend(_) | Write::CreateUser { .. } | Write::ContinueSends { .. } => {
                return None;
            }
            Write::Commit(_)
            | Write::Comment(_)
            | Write::Mark(_)
            | Write::SaveReached(_)
            | Write::Steps
            | Write::Probe => {}
        }
    }
    let announcing = Announcing::of(writes);
    let mut needs = announcing.needs(place, &[]);
    needs.events.extend(begins.iter().map(|begin| begin.send.message.event.as_str()));
    let (keys, names) = begin::keys_and_names(begins.iter().copied());
    needs.keys.extend(keys);
    let mut question = Question::default();
    question.keys(&needs.keys);
    question.accounts(&names);
    let marks = Marks::of(writes);
    question.needs(&needs, place.channels, names, touched(&marks, &reached(writes)));
    marks.ask(&mut question);
    Some(question)
}

/// The users whose inboxes change without a notification.
fn touched(marks: &Marks<'_>, reached: &BTreeMap<UserId, Reached>) -> Vec<UserId> {
    marks.users().chain(reached.keys().copied()).collect()
}

/// Applies all writes; a rejected request (a conflict, a name that is taken) leaves no trace in the
/// group. `told` is the answer to its [`question`], if it had one.
pub(super) async fn apply(
    connection: &mut Connection,
    place: Place<'_>,
    mark: &CommitMark,
    writes: &[&Write],
    told: Option<GroupFacts>,
) -> Result<Applied, Failure> {
    let mut answers: Vec<Option<Answer>> = writes.iter().map(|_| None).collect();
    let mut announcing = Announcing::of(writes);
    announcing.created = first(connection, writes, &mut answers).await?;
    let Sends { chunks, mut records } =
        sends::plan(connection, place, writes, told.as_ref(), &mut answers).await?;
    let (marks, reached) = (Marks::of(writes), reached(writes));

    let needs = announcing.needs(place, &chunks);
    let others: Vec<UserId> = chunks.iter().flat_map(|chunk| &chunk.recipients).copied().collect();
    let mut told = if let Some(told) = told {
        told
    } else {
        let mut question = Question::default();
        question.keys(&needs.keys);
        let touched = touched(&marks, &reached);
        question.needs(&needs, place.channels, others.iter().copied(), touched);
        marks.ask(&mut question);
        question.ask(connection).await?
    };
    let (facts, mut locked) = facts::of(&mut told, &needs, place.verify_email, others)?;
    drop(needs);

    let marked = marks.apply(connection, &mut told, &mut locked, &mut answers).await?;
    let facts = locked.recipients(facts);
    let locks = locked.took();
    let (planned, announced) = decide(place, facts, &announcing, chunks, &mut answers)?;
    records.announced = announced;
    if let Some(drawn) = place.ids.short() {
        return Err(Failure::ShortOfIds(drawn));
    }
    let contents = planned.messages.clone();
    rows::raise_reached(connection, &reached).await?;
    let mut batch = Batch::new();
    if planned.moved_on.is_empty() {
        marks::add(&mut batch, &marked);
    } else {
        // Both may cancel the same step.
        marks::write(connection, &marked).await?;
    }
    rows::add(&mut batch, planned, locked.into_heads())?;
    records.add(&mut batch);
    batch.execute(connection, mark).await?;
    // The other writes have no answer of their own.
    let answers = answers.into_iter().map(|answer| answer.unwrap_or(Ok(Done::Nothing))).collect();
    Ok(Applied { answers, contents, locks })
}

/// Plans all announcements; returns the rows, and how many recipients of each send were notified.
fn decide<'a>(
    place: Place<'a>,
    facts: Facts,
    announcing: &'a Announcing<'_>,
    chunks: Vec<SendChunk>,
    answers: &mut [Option<Answer>],
) -> Result<(Rows<'a>, BTreeMap<SendId, i64>), Failure> {
    let context = Context { ids: place.ids, channels: place.channels, defers_from: None };
    let mut plan = Plan::new(context, facts);
    for (at, decision) in &announcing.decisions {
        let committed = plan.commit(decision).map(|done| Done::Committed(Box::new(done)));
        answers[*at] = Some(committed.map_err(StoreError::from));
    }
    for (at, new) in &announcing.comments {
        let NewComment { comment, ticket_version, announcement, key } = new;
        let commented = plan.comment(comment, *ticket_version, announcement.as_ref(), key.as_ref());
        let commented = commented.map(|done| Done::Commented(Box::new(done)));
        answers[*at] = Some(commented.map_err(StoreError::from));
    }
    for Created { at, user, announcement } in &announcing.created {
        // The account is written already: a recipient that does not exist rolls the group back.
        let announced = plan.announce(announcement).map_err(StoreError::from)?;
        answers[*at] = Some(Ok(Done::Created(Box::new((user.clone(), announced)))));
    }
    let announced = send(&mut plan, chunks, answers)?;
    Ok((plan.into_rows(), announced))
}

/// Creates accounts; returns those that are still to be announced.
async fn first(
    connection: &mut Connection,
    writes: &[&Write],
    answers: &mut [Option<Answer>],
) -> Result<Vec<Created>, Failure> {
    let mut announced = Vec::new();
    for (at, write) in writes.iter().copied().enumerate() {
        if let Write::CreateUser { new, announce, once } = write {
            let created = new_accounts::create(connection, new, once.as_ref()).await?;
            match (created, announce) {
                (Err(refused), _) => answers[at] = Some(Err(refused)),
                (Ok(user), None) => {
                    answers[at] = Some(Ok(Done::Created(Box::new((user, None)))));
                }
                (Ok(user), Some(announce)) => {
                    let announcement = announce(&user);
                    announced.push(Created { at, user, announcement });
                }
            }
        } else if matches!(write, Write::Probe) {
            probe(connection).await?;
        }
    }
    Ok(announced)
}

impl<'a> Announcing<'a> {
    /// The requests without the new accounts.
    fn of(writes: &[&'a Write]) -> Self {
        let mut announcing = Self::default();
        for (at, write) in writes.iter().copied().enumerate() {
            if let Write::Commit(decision) = write {
                announcing.decisions.push((at, decision));
            } else if let Write::Comment(comment) = write {
                announcing.comments.push((at, comment));
            }
        }
        announcing
    }
}

impl Announcing<'_> {
    fn needs<'n>(&'n self, place: Place<'_>, chunks: &'n [SendChunk]) -> Needs<'n> {
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
        let sent = chunks.iter().map(|chunk| chunk.text.content().message.event.as_str());
        needs.events.extend(sent);
        needs
    }
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
        // The send's cursor is written with the group, too.
        let announced = plan.send(part, together)?;
        let count = announced.as_ref().map_or(0, |announced| announced.entries.len());
        *counts.entry(chunk.send).or_default() += i64::try_from(count).unwrap_or(i64::MAX);
        give(chunk.reply, &mut answers[chunk.at], announced);
    }
    Ok(counts)
}

/// The furthest of the positions that the group reports.
fn reached(writes: &[&Write]) -> BTreeMap<UserId, Reached> {
    let mut furthest: BTreeMap<UserId, Reached> = BTreeMap::new();
    for write in writes {
        if let Write::SaveReached(positions) = write {
            for (user, reached) in positions {
                let known = furthest.entry(*user).or_default();
                *known = known.max(*reached);
            }
        }
    }
    furthest
}

/// Writes a row and removes it: a read-only database is not ready.
async fn probe(connection: &mut Connection) -> sqlx::Result<()> {
    let sql = "INSERT INTO settings (name, value) VALUES ('probe', '') \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    sqlx::query(sql).execute(&mut *connection).await?;
    sqlx::query("DELETE FROM settings WHERE name = 'probe'").execute(connection).await.map(drop)
}
