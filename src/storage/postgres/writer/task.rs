//! A writer's loop: groups, their transactions, and failures.

use std::sync::Arc;
use std::time::Duration;

use bellpull_domain::routing::Channels;
use bellpull_port::StoreError;
use bellpull_port::slow::SlowLog;
use smallvec::SmallVec;
use tokio::time::{Instant, timeout_at};

use super::super::commit_marks::CommitMark;
use super::super::database::{Database, late};
use super::super::ids::{BlockIds, Draws};
use super::super::transaction::{Work, begin_asking, begin_planned, is_broken, is_transient};
use super::audiences::Audiences;
use super::context::Place;
use super::failure::Failure;
use super::group::{self, Applied};
use super::pace::Pace;
use super::question::GroupFacts;
use super::queue::{Queue, WRITTEN_WITHIN};
use super::turns::Turns;
use super::{Answer, Done, Request, Write};
use crate::commits::{GroupTimes, GroupTrace, committed, group_span, note_group};
use crate::contents::ContentCache;
use crate::health::Health;
use crate::supervised::caught;

/// The pause before a group is tried again on another connection.
const PAUSE: Duration = Duration::from_millis(50);
/// How often a group is tried that meets another one's locks.
const TRIES: u32 = 5;

/// What a writer writes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lane {
    /// Tickets, inboxes and accounts.
    Foreground,
    /// Chunks of sends in progress.
    Bulk,
}

/// What a group took.
#[derive(Debug, Clone, Copy)]
struct Taken {
    /// For the locks of its rows.
    locks: Duration,
    /// For the confirmation that it is on the server's disk.
    commit: Duration,
    /// In all, without waiting for a turn.
    whole: Duration,
}

/// One of this node's writers.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) lane: Lane,
    pub(super) pace: Pace,
    pub(super) turns: Turns,
    pub(super) database: Database,
    pub(super) channels: Channels,
    /// Whether e-mails are sent to verified addresses only.
    pub(super) verify_email: bool,
    pub(super) ids: Arc<BlockIds>,
    pub(super) contents: Arc<ContentCache>,
    pub(super) audiences: Audiences,
    /// The outcome that readiness reads.
    pub(super) health: Health,
    /// Where slow groups are logged.
    pub(super) slow: SlowLog,
}

impl Writer {
    /// Writes group after group until the queue is closed.
    pub(super) async fn run(mut self, mut queue: Queue) {
        while let Some(mut group) = queue.next().await {
            let chunk = self.pace.begin();
            let turn = self.turns.take(&self.database).await;
            if turn.is_some() {
                queue.fill(&mut group);
            }
            match caught("a group of writes", self.write_group(group.requests, turn)).await {
                Some(Some(Taken { locks, whole, .. })) if matches!(self.lane, Lane::Foreground) => {
                    self.turns.note(locks, whole);
                }
                Some(_) => {}
                // Its callers see their dropped replies; its transaction is rolled back.
                None => self.health.note(false),
            }
            self.ids.fill_early(&self.database);
            match self.lane {
                Lane::Foreground => self.pace.note_group(),
                Lane::Bulk => tokio::time::sleep(self.pace.pause_after(&chunk)).await,
            }
        }
        for reply in queue.into_closing() {
            let _ = reply.send(());
        }
    }

    /// Writes a group in one transaction. If that fails, each request is tried alone, so that only
    /// the failing one is rejected.
    async fn write_group(&self, group: Vec<Request>, turn: Option<Work>) -> Option<Taken> {
        let writes: Vec<&Write> = group.iter().map(|request| &request.write).collect();
        let traces: SmallVec<[GroupTrace; 8]> =
            group.iter().map(|request| request.trace.clone()).collect();
        let span = group_span(&traces);
        let oldest = group.iter().map(|request| request.queued).min();
        let oldest = oldest.map_or_else(Instant::now, Instant::from_std);
        let (queue, until) = (oldest.elapsed(), oldest + WRITTEN_WITHIN);
        let mut taken = None;
        let answers = match self.try_together(&writes, turn, until).await {
            Ok((answers, time)) => {
                let Taken { locks, commit, whole } = time;
                let statements = whole.saturating_sub(locks + commit);
                let times = GroupTimes { locks, statements, commit, whole };
                note_group(&self.slow, writes.len(), queue, times, &span.trace());
                taken = Some(time);
                answers
            }
            Err(failure) if writes.len() == 1 => vec![Err(failure.alone())],
            Err(failure) if failure.is_everyones() => {
                let error = failure.alone();
                writes.iter().map(|_| Err(error.clone())).collect()
            }
            Err(failure) => {
                tracing::warn!(?failure, size = writes.len(), "a group failed; one by one now");
                let mut answers = Vec::with_capacity(writes.len());
                let mut away: Option<StoreError> = None;
                for write in &writes {
                    if let Some(error) = &away {
                        answers.push(Err(error.clone()));
                        continue;
                    }
                    let alone = std::slice::from_ref(write);
                    match self.try_together(alone, None, until).await {
                        Ok((mut one, _)) => answers.push(one.pop().unwrap_or(Ok(Done::Nothing))),
                        Err(failure) => {
                            let is_away = failure.is_everyones();
                            let error = failure.alone();
                            // The others would wait as long, one after the other.
                            away = is_away.then(|| error.clone());
                            answers.push(Err(error));
                        }
                    }
                }
                answers
            }
        };
        drop(span);
        let is_failure = |answer: &Answer| matches!(answer, Err(StoreError::Unavailable(_)));
        self.health.note(!answers.iter().any(is_failure));
        for (request, answer) in group.into_iter().zip(answers) {
            // A caller that no longer waits needs no answer.
            let _ = request.reply.send(answer);
        }
        taken
    }

    /// One transaction; tried again where that cannot write anything twice: another group's locks
    /// came first, or the connection broke and the group is known not to be written.
    async fn try_together(
        &self,
        writes: &[&Write],
        mut turn: Option<Work>,
        until: Instant,
    ) -> Result<(Vec<Answer>, Taken), Failure> {
        let mut tries = 0;
        loop {
            let failure = match self.try_once(writes, turn.take(), until).await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            // A pool may have many that broke: their number is limited by time alone.
            let is_connections = matches!(&failure, Failure::Sql(error) if is_broken(error));
            tries += u32::from(!is_connections);
            match &failure {
                Failure::ShortOfIds(_) if tries < TRIES => {}
                Failure::Sql(error) if is_transient(error) && tries < TRIES => {
                    tracing::debug!(%error, "a group is written again");
                }
                Failure::Sql(error) if is_broken(error) && Instant::now() < until => {
                    tracing::warn!(%error, "the connection broke: a group is written again");
                    tokio::time::sleep(PAUSE).await;
                }
                Failure::ShortOfIds(_)
                | Failure::Sql(_)
                | Failure::Refused(_)
                | Failure::Unknown(_) => return Err(failure),
            }
        }
    }

    /// From `BEGIN`, or from a turn that has come, to `COMMIT`, or to a rollback. What is not
    /// complete in time is not committed.
    async fn try_once(
        &self,
        writes: &[&Write],
        turn: Option<Work>,
        until: Instant,
    ) -> Result<(Vec<Answer>, Taken), Failure> {
        let begun = Instant::now();
        let late = |_| Failure::Sql(late("a group was not complete in time"));
        let applied = timeout_at(until, self.apply(writes, turn)).await;
        let (work, mark, Applied { mut answers, contents, locks }) = applied.map_err(late)??;
        let applied_at = Instant::now();
        work.commit_marked(mark).await?;
        let (commit, whole) = (applied_at.elapsed(), begun.elapsed());
        committed(writes.len(), whole);
        for answer in &mut answers {
            if let Ok(Done::Chunks(chunks)) = answer {
                chunks.took = begun.elapsed();
            }
        }
        for (id, content) in &contents {
            self.contents.keep(id.0, content);
        }
        Ok((answers, Taken { locks, commit, whole }))
    }

    /// Begins a group's transaction, and asks with it what the group needs, if that is known.
    async fn begin(
        &self,
        place: Place<'_>,
        writes: &[&Write],
        turn: Option<Work>,
    ) -> Result<(Work, Option<GroupFacts>), Failure> {
        let question = group::question(place, writes);
        Ok(match (turn, question) {
            (Some(mut work), Some(question)) => {
                let told = question.ask(&mut work).await?;
                (work, Some(told))
            }
            (None, Some(question)) if !question.is_empty() => {
                let (work, row) = begin_asking(&self.database, |life| question.sql(life)).await?;
                let told = GroupFacts::of(&row)?;
                (work, Some(told))
            }
            (Some(work), None) => (work, None),
            (None, None | Some(_)) => (begin_planned(&self.database).await?, None),
        })
    }

    /// All of a group but its commit.
    async fn apply(
        &self,
        writes: &[&Write],
        turn: Option<Work>,
    ) -> Result<(Work, CommitMark, Applied), Failure> {
        let draws = Draws::new(&self.ids);
        let place = Place {
            ids: &draws,
            contents: &self.contents,
            audiences: &self.audiences,
            channels: self.channels,
            verify_email: self.verify_email,
        };
        let (mut work, told) = self.begin(place, writes, turn).await?;
        let mark = work.mark();
        let failure = match group::apply(&mut work, place, &mark, writes, told).await {
            Ok(applied) => return Ok((work, mark, applied)),
            Err(failure) => failure,
        };
        if !failure.is_everyones() {
            work.roll_back().await;
            self.database.marks().give_back(mark);
        }
        if let Failure::ShortOfIds(drawn) = failure {
            let mut connection = self.database.acquire().await?;
            self.ids.fill(&mut connection, drawn).await?;
        }
        Err(failure)
    }
}
