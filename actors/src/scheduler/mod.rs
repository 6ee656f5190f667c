//! The scheduler: carries out due sends, one chunk at a time.
//!
//! Its parent is the root, which restarts it; it is permanent. It owns only the list of due sends:
//! each send's cursor is in the store, moved in the transaction of its chunk, so a successor
//! continues where this one ended: no recipient twice, none left out.
//!
//! It never waits for the store. A task writes one chunk at a time, notifies the recipients itself
//! (a kill cannot come between the commit and that), and casts its result back before it, so that
//! the store has the next chunk meanwhile. Sends take turns ([`due`]), so a small one does not wait
//! for a huge one. Those with similar progress share one turn: the ones behind catch up, and then
//! they continue in step, so that several messages to one user are written in one transaction and
//! sent in one write.
//!
//! The store writes a chunk after all waiting writes. A write that arrives during a chunk waits
//! about [`CHUNK_TAKES`] for it: chunks are sized to that. Before the next one is written, all but
//! the last two must have been shown: a ticket's frame queues behind these, not behind all that the
//! store can write meanwhile.
//!
//! A send is stepped by one node: each chunk claims its sends for this one, for a while. A send
//! that another node has claimed leaves the list, and is found again once that claim has ended. A
//! graceful stop releases the claims.
//!
//! It reads the store when it starts, when a send falls due, when its list is empty, and every
//! [`LOOK_EVERY`] (clocks are set, and sends that other processes accepted are not announced here).
//! An unavailable store is retried with back-off.
//!
//! Once an hour it starts a task for retention (see [`crate::retention`]), which ends with it.
//!
//! Limits: [`DUE_MAX`] sends are in memory at a time; the others stay in the store until there is
//! room.

mod due;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::directory::Users;
use crate::failures::back_off;
use crate::fan_out::{self, FanOutBarrier};
use crate::limits::CHUNK;
use crate::retention::RetentionSchedule;
use crate::vitals::{Handle, Vitals};
use bellpull_domain::ids::SendId;
use bellpull_port::call::Call;
use bellpull_port::in_time;
use bellpull_port::sends::Chunks;
use bellpull_port::{Clock, LeaseOwner, SendStore, StoreError};
use due::{DUE_MAX, Due, DueList, Step};

/// How often the store is read without a nudge.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// A clock that runs ahead of this one by a little must not make it read without end.
const WAIT_MIN: Duration = Duration::from_millis(10);
/// The duration of a chunk: as much again as a ticket's commit takes alone.
const CHUNK_TAKES: Duration = Duration::from_millis(4);
/// How many chunks are in progress at once: one is written, and one more than is being shown is
/// sent, or the store would be idle while the last few are shown.
const WAVES_MAX: usize = 3;
/// The fewest recipients of a chunk, however slow the store: with fewer, commits are all it does.
const CHUNK_MIN: u32 = 256;
/// And the most, however fast.
const CHUNK_MAX: u32 = 1_024;
/// How often old rows are removed.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);

/// The messages of the scheduler.
#[derive(Debug)]
pub enum SchedulerMessage {
    /// A send was accepted, and has recipients without it.
    More(SendId),
    /// A send was taken in for that time.
    Scheduled(Timestamp),
    /// Read what is due.
    Look,
    /// How is it?
    Observe(Call<(), Value>),
    /// The result of one of the actor's own tasks.
    Own(OwnMessage),
    /// Fail: for tests of failures.
    #[cfg(feature = "testing")]
    Panic,
}

/// The results of the actor's own tasks.
#[derive(Debug)]
pub struct OwnMessage(Own);

#[derive(Debug)]
enum Own {
    /// The due sends, and when the next one is due.
    Looked(Result<(Vec<SendId>, Option<Timestamp>), StoreError>),
    /// A chunk was written, and how long that took; or not.
    Wrote(Result<(Vec<Step>, Duration), StoreError>),
    /// A pause is over.
    Paused,
    /// Retention has ended, successfully or not.
    Tidied(Result<(), StoreError>),
}

/// The dependencies of the scheduler.
#[derive(Debug, Clone)]
pub(crate) struct Scheduler {
    pub(crate) store: Arc<dyn SendStore>,
    /// What its claims are known by.
    pub(crate) owner: LeaseOwner,
    pub(crate) users: Users,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) retention: RetentionSchedule,
}

/// The tasks in progress.
#[derive(Debug)]
enum Work {
    /// Nothing.
    None,
    /// A chunk of these sends is being written.
    Writing { due: Vec<Due>, since: Instant },
    /// The store is away and left alone.
    Pausing,
}

/// The state of the scheduler.
#[derive(Debug)]
pub(crate) struct SchedulerState {
    vitals: Arc<Vitals>,
    own: Handle<SchedulerMessage>,
    due: DueList,
    work: Work,
    /// Whether there may be due sends that are not in the list.
    has_more_due: bool,
    /// When the next send falls due, as far as known.
    next_due: Option<Timestamp>,
    is_looking: bool,
    alarm: Option<JoinHandle<()>>,
    tidied_at: Option<Instant>,
    retention: Option<JoinHandle<()>>,
    /// Answers of the store in a row that were failures.
    failures: u32,
    /// The last failure, while the store has not answered since.
    trouble: Option<String>,
    /// The number of recipients of the next chunk.
    chunk: u32,
    /// The last chunks, which some recipients may not have been shown yet.
    waves: VecDeque<FanOutBarrier>,
    chunks: u64,
    recipients: u64,
}

impl Drop for SchedulerState {
    fn drop(&mut self) {
        for task in self.alarm.iter().chain(&self.retention) {
            task.abort();
        }
    }
}

impl Actor for Scheduler {
    type Msg = SchedulerMessage;
    type State = SchedulerState;
    type Arguments = Arc<Vitals>;

    async fn pre_start(
        &self,
        myself: ActorRef<SchedulerMessage>,
        vitals: Arc<Vitals>,
    ) -> Result<SchedulerState, ActorProcessingErr> {
        // The root has it read the store once it can be found: a send that was accepted before is
        // seen then.
        Ok(SchedulerState {
            own: Handle::new(myself, Arc::clone(&vitals)),
            vitals,
            due: DueList::default(),
            work: Work::None,
            has_more_due: false,
            next_due: None,
            is_looking: false,
            alarm: None,
            tidied_at: None,
            retention: None,
            failures: 0,
            trouble: None,
            chunk: CHUNK,
            waves: VecDeque::new(),
            chunks: 0,
            recipients: 0,
        })
    }

    async fn handle(
        &self,
        _myself: ActorRef<SchedulerMessage>,
        message: SchedulerMessage,
        state: &mut SchedulerState,
    ) -> Result<(), ActorProcessingErr> {
        let taken = state.vitals.take(&message);
        match message {
            SchedulerMessage::More(id) => state.add(id),
            SchedulerMessage::Scheduled(due_at) => self.scheduled(due_at, state),
            SchedulerMessage::Look => self.look(state),
            SchedulerMessage::Observe(call) => observe(call, state),
            SchedulerMessage::Own(OwnMessage(own)) => self.own(own, state),
            #[cfg(feature = "testing")]
            SchedulerMessage::Panic => {
                #[expect(clippy::panic, reason = "tests ask for it")]
                {
                    panic!("told to panic")
                }
            }
        }
        self.write_next(state);
        state.vitals.done(taken);
        Ok(())
    }
}

fn observe(call: Call<(), Value>, state: &SchedulerState) {
    let Some(((), reply)) = call.open() else { return };
    let (current, since) = match &state.work {
        Work::Writing { due, since } => (due.as_slice(), Some(*since)),
        Work::None | Work::Pausing => (&[] as &[Due], None),
    };
    let ms = |since: Instant| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    reply.send(json!({
        "current_sends": current.iter().map(|due| due.id).collect::<Vec<_>>(),
        "current_chunk_ms": since.map(ms),
        "due_sends": state.due.len() + current.len(),
        "lag_ms": state.due.iter().chain(current).map(|due| ms(due.since)).max().unwrap_or(0),
        "chunks": state.chunks,
        "recipients": state.recipients,
        "next_due": state.next_due,
        "store": state.trouble.as_deref().unwrap_or("ok"),
    }));
}

impl SchedulerState {
    /// Appends a send to the list, unless it is in it or the list is full.
    fn add(&mut self, id: SendId) {
        let current = match &self.work {
            Work::Writing { due, .. } => due.as_slice(),
            Work::None | Work::Pausing => &[],
        };
        if self.due.iter().chain(current).any(|due| due.id == id) {
            return;
        }
        if !self.due.add(id) {
            self.has_more_due = true;
        }
    }

    /// The store answered.
    fn answered(&mut self) {
        self.failures = 0;
        if self.trouble.take().is_some() {
            tracing::info!("the scheduler's store answers again");
        }
    }

    /// The store did not answer: how long it is left alone.
    fn failed(&mut self, error: &StoreError) -> Duration {
        self.failures = self.failures.saturating_add(1);
        tracing::warn!(%error, in_a_row = self.failures, "the scheduler's store does not answer");
        self.trouble = Some(error.to_string());
        // Never at once: the first failure of a restart in a row may be, a store's may not.
        back_off(self.failures.saturating_add(1))
    }

    /// Reads again after this long, or sooner if a send falls due before.
    fn wake_in(&mut self, wait: Duration) {
        if let Some(alarm) = self.alarm.take() {
            alarm.abort();
        }
        let own = self.own.clone();
        self.alarm = Some(tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            own.cast(SchedulerMessage::Look);
        }));
    }

    fn cast_back(own: &Handle<SchedulerMessage>, what: Own) {
        own.cast(SchedulerMessage::Own(OwnMessage(what)));
    }
}

impl Scheduler {
    fn own(&self, own: Own, state: &mut SchedulerState) {
        match own {
            Own::Looked(found) => self.looked(found, state),
            Own::Wrote(outcome) => wrote(outcome, state),
            Own::Paused => state.work = Work::None,
            Own::Tidied(Ok(())) => state.retention = None,
            Own::Tidied(Err(error)) => {
                tracing::warn!(%error, "what is old could not be forgotten");
                (state.retention, state.tidied_at) = (None, None); // the next look tries again
            }
        }
    }

    /// A send was taken in for later: wakes for it if it is the next one.
    fn scheduled(&self, due_at: Timestamp, state: &mut SchedulerState) {
        if state.next_due.is_none_or(|next| due_at < next) {
            state.next_due = Some(due_at);
            // A read in progress may have begun before: its result sets the alarm.
            if !state.is_looking {
                state.wake_in(self.until_next(state));
            }
        }
    }

    /// Reads what is due, unless a read is in progress.
    fn look(&self, state: &mut SchedulerState) {
        if state.is_looking {
            return;
        }
        state.is_looking = true;
        state.has_more_due = false;
        state.next_due = None;
        let (store, owner) = (Arc::clone(&self.store), self.owner.clone());
        let (now, own) = (self.clock.now(), state.own.clone());
        tokio::spawn(async move {
            let found = in_time(store.due_sends(&owner, now, DUE_MAX)).await;
            SchedulerState::cast_back(&own, Own::Looked(found));
        });
        self.tidy(state);
    }

    fn looked(
        &self,
        found: Result<(Vec<SendId>, Option<Timestamp>), StoreError>,
        state: &mut SchedulerState,
    ) {
        state.is_looking = false;
        match found {
            Ok((due, next_due)) => {
                state.answered();
                state.has_more_due |= u32::try_from(due.len()).is_ok_and(|known| known >= DUE_MAX);
                due.into_iter().for_each(|id| state.add(id));
                // A send that was scheduled during the read may not be in its result.
                let announced = state.next_due.into_iter();
                state.next_due = announced.chain(next_due).min();
                state.wake_in(self.until_next(state));
            }
            Err(error) => {
                let wait = state.failed(&error);
                state.wake_in(wait);
            }
        }
    }

    /// How long until something falls due by this clock, or is to be looked for.
    fn until_next(&self, state: &SchedulerState) -> Duration {
        let until = |due: Timestamp| {
            // The store keeps milliseconds: to wake a little early would be to wake twice.
            let wait = due.duration_since(self.clock.now()) + SignedDuration::from_millis(1);
            Duration::try_from(wait).unwrap_or(Duration::ZERO)
        };
        state.next_due.map_or(LOOK_EVERY, |due| until(due).clamp(WAIT_MIN, LOOK_EVERY))
    }

    /// Starts writing the next chunk, unless one is being written or there is none.
    fn write_next(&self, state: &mut SchedulerState) {
        if !matches!(state.work, Work::None) {
            return;
        }
        let due = state.due.next();
        if due.is_empty() {
            if state.has_more_due {
                self.look(state);
            }
            return;
        }
        let ids: Vec<SendId> = due.iter().map(|due| due.id).collect();
        state.work = Work::Writing { due, since: Instant::now() };
        let (store, users) = (Arc::clone(&self.store), self.users.clone());
        let (owner, scheduler) = (self.owner.clone(), state.own.clone());
        let (now, own, chunk) = (self.clock.now(), state.own.clone(), state.chunk);
        let (written, outcome) = oneshot::channel();
        let (fan_out, barrier) = fan_out::begin();
        state.waves.push_back(barrier);
        let first = (state.waves.len() > WAVES_MAX).then(|| state.waves.pop_front()).flatten();
        // A task of its own for the write: a result that is too late for this actor is announced
        // all the same.
        tokio::spawn(async move {
            if let Some(first) = first {
                first.wait().await;
            }
            if scheduler.is_gone() {
                return; // its successor begins, or another node: with a claim of its own
            }
            let (outcome, chunks) = match store.continue_sends(&owner, &ids, chunk, now).await {
                Ok(Chunks { chunks, took }) => {
                    let steps = chunks.iter().map(|chunk| Step::of(chunk.as_ref())).collect();
                    (Ok((steps, took)), chunks)
                }
                Err(error) => (Err(error), Vec::new()),
            };
            // No caller waits any more: it took too long.
            let _ = written.send(outcome);
            let announced: Vec<_> =
                chunks.into_iter().flatten().filter_map(|one| one.announced).collect();
            users.tell_together(&announced, &fan_out).await;
        });
        tokio::spawn(async move {
            let ended = |_| StoreError::Unavailable("the store's task has failed".to_owned());
            let outcome = in_time(async { outcome.await.map_err(ended)? }).await;
            SchedulerState::cast_back(&own, Own::Wrote(outcome));
        });
    }

    /// Starts retention, unless it was started within the last hour or is in progress.
    fn tidy(&self, state: &mut SchedulerState) {
        let is_early = state.tidied_at.is_some_and(|at| at.elapsed() < TIDY_EVERY);
        if is_early || state.retention.is_some() {
            return;
        }
        state.tidied_at = Some(Instant::now());
        let (retention, own) = (self.retention.clone(), state.own.clone());
        state.retention = Some(tokio::spawn(async move {
            let outcome = retention.run().await;
            SchedulerState::cast_back(&own, Own::Tidied(outcome));
        }));
    }
}

/// A chunk has ended: its sends go behind those that wait, and those that it passed over to the
/// front.
fn wrote(outcome: Result<(Vec<Step>, Duration), StoreError>, state: &mut SchedulerState) {
    let due = match std::mem::replace(&mut state.work, Work::None) {
        Work::Writing { due, .. } => due,
        other @ (Work::None | Work::Pausing) => return state.work = other,
    };
    match outcome {
        Ok((steps, took)) => {
            state.answered();
            state.chunks += 1;
            let recipients: usize = steps.iter().map(|step| step.recipients).sum();
            let recipients = u64::try_from(recipients).unwrap_or(0);
            state.recipients += recipients;
            metrics::counter!("bellpull_send_recipients_total").increment(recipients);
            if steps.iter().any(|step| step.has_more) {
                state.chunk = next_chunk(state.chunk, took);
            }
            state.due.put_back(due.into_iter().zip(steps));
        }
        Err(error) => {
            state.due.put_off(due);
            let (pause, own) = (state.failed(&error), state.own.clone());
            state.work = Work::Pausing;
            tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                SchedulerState::cast_back(&own, Own::Paused);
            });
        }
    }
}

/// How large a chunk is to be after a full one has taken so long; at most twice as large, for a
/// short time may be luck.
fn next_chunk(chunk: u32, took: Duration) -> u32 {
    let takes = CHUNK_TAKES.as_micros();
    let fitting = u128::from(chunk) * takes / took.as_micros().max(takes / 2);
    u32::try_from(fitting).unwrap_or(CHUNK_MAX).clamp(CHUNK_MIN, CHUNK_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_as_large_as_its_time() {
        let next = |chunk, took_us| next_chunk(chunk, Duration::from_micros(took_us));
        assert_eq!(next(CHUNK, 4_000), CHUNK);
        assert_eq!(next(CHUNK, 8_000), CHUNK / 2);
        assert_eq!(next(400, 3_200), 500);
        assert_eq!(next(400, 0), 800, "twice as large at most");
        assert_eq!(next(CHUNK_MAX, 0), CHUNK_MAX);
        assert_eq!(next(CHUNK, 60_000_000), CHUNK_MIN);
    }
}
