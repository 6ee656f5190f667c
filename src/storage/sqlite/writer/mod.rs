//! The one writer: requests gather while a commit is on its way to the disk, and the next commit
//! takes them all.
//!
//! In reading order: this file (the requests and their answers), [`queue`] (what is next), [`task`]
//! (the thread, transactions and failures), [`log_keeper`] (the log), [`group`] (a group within its
//! transaction) with its [`context`] and [`failure`], [`accounts`] and [`marks`] (the rarer
//! writes), [`sends`] with [`begin`], [`in_step`], [`send_rows`], [`audience`] and [`audiences`]
//! (which recipients are next), and the hot path: [`known`] (the facts of a group), [`set`] (its
//! plan, by [`bellpull_domain::plan`]), [`rows`] (the planned rows, a statement a table); then
//! [`outbox`] with [`digests`], [`escalations`] (steps that are cancelled), [`attempts`] (outcomes)
//! with [`push`] and [`webhooks`], [`reports`] (of providers) and [`hung_lanes`] (which hosts
//! hang).

mod accounts;
mod attempts;
mod audience;
mod audiences;
mod begin;
mod context;
mod digests;
mod escalations;
mod failure;
mod group;
mod hung_lanes;
mod in_step;
mod keys;
mod known;
mod late;
mod log_keeper;
mod marks;
mod outbox;
mod push;
mod queue;
mod reports;
mod rows;
mod send_rows;
mod sends;
mod set;
mod task;
mod ticket_words;
mod webhooks;

use std::any::Any;
use std::time::{Duration, Instant};

use bellpull_domain::comment::{Comment, NewComment};
use bellpull_domain::delivery::Attempt;
use bellpull_domain::idempotency::IdempotencyKey;
use bellpull_domain::ids::{DeliveryId, SendId, Seq, UserId};
use bellpull_domain::inbox::Reached;
use bellpull_domain::plan::marks::MarkedPortion;
use bellpull_domain::routing::Channel;
use bellpull_domain::send::Recipients;
use bellpull_domain::ticket::Decision;
use bellpull_domain::user::User;
use bellpull_port::accounts::{AnnounceUser, NewUser, UserChanges};
use bellpull_port::inbox::MarkPortion;
use bellpull_port::sends::{BeginSend as BeginOutcome, Chunks};
use bellpull_port::slow::{Wait, waiting};
use bellpull_port::tickets::{AnnouncedMessage, Committed};
use bellpull_port::{LeaseOwner, SetBack, StoreError};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::super::commits::{GroupTrace, WriteSpan};
use super::leases::{Lease, LeasedRow};
use super::options::BoxError;
pub(super) use super::requests::BeginSend;
use crate::engine::AnyOperation;

pub(super) use audiences::Audiences;
pub(super) use reports::Report;
pub(super) use task::Writer;

/// Requests that may wait. With the slowest disks in use (100 commits/s of 512 requests) more than
/// a second's worth; beyond it callers are rejected instead of waiting without end.
const WAITING_MAX: usize = 4096;
/// How long a caller waits to be queued.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request of the writer. Applying one again after a rollback has the same result. `Flush`
/// writes the missing rows of inboxes: of these, or of some with about this many entries.
#[derive(Debug)]
pub(super) enum Write {
    /// One that is the same for both stores.
    Operation(Box<dyn AnyOperation>),
    Commit(Box<Decision>),
    Comment(Box<NewComment>),
    CreateUser {
        new: Box<NewUser>,
        announce: Option<AnnounceUser>,
        once: Option<IdempotencyKey>,
    },
    UpdateUser(UserId, Box<UserChanges>),
    Mark(Box<MarkPortion>),
    SaveReached(Vec<(UserId, Reached)>),
    BeginSend(Box<BeginSend>),
    ContinueSends {
        owner: LeaseOwner,
        ids: Vec<SendId>,
        rows: u32,
        now: Timestamp,
    },
    /// After this owner's requested steps.
    ReleaseSends(LeaseOwner),
    ForgetKeys {
        before: Timestamp,
        limit: u32,
    },
    Lease(Lease),
    Release(LeaseOwner, Channel, Vec<DeliveryId>),
    SetBack(Channel, SetBack),
    RepairDue(Channel, Timestamp),
    Record(Vec<Attempt>),
    GiveBack(LeaseOwner, Vec<(DeliveryId, u32)>),
    Extend(LeaseOwner, Vec<(DeliveryId, u32)>, Timestamp),
    Report(Box<Report>),
    Retry {
        delivery: DeliveryId,
        now: Timestamp,
    },
    /// Indexes at most so many tickets anew.
    RenewWords(u32),
    Flush(Vec<UserId>),
    FlushSome(usize),
    /// Begins an epoch of this name above this number, once nothing is deferred.
    RenewEpoch(String, Seq),
    LimitPages(u32),
    /// Writes pages and removes them again: checks that there is room.
    Probe,
    #[cfg(test)]
    Ping,
}

impl Write {
    /// Whether no caller waits for it interactively, or only for the end of many such steps.
    fn can_wait(&self) -> bool {
        if let Self::Mark(portion) = self {
            return portion.before.is_some();
        }
        if let Self::Operation(operation) = self {
            return operation.can_wait();
        }
        let is_step = matches!(
            self,
            Self::ContinueSends { .. }
                | Self::ReleaseSends(_)
                | Self::RenewWords(_)
                | Self::ForgetKeys { .. }
                | Self::FlushSome(_)
        );
        is_step || self.is_outbox()
    }

    /// Whether it changes a user's addresses or preferences, or the positions of inboxes.
    fn changes_people(&self) -> bool {
        if let Self::Operation(operation) = self {
            return operation.changes_people();
        }
        matches!(self, Self::UpdateUser(..) | Self::RenewEpoch(..))
    }

    /// Whether it is a delivery channel's: of those of low priority, these are written together.
    fn is_outbox(&self) -> bool {
        matches!(
            self,
            Self::Lease(_)
                | Self::Record(_)
                | Self::GiveBack(..)
                | Self::Extend(..)
                | Self::Release(..)
        )
    }

    /// About how many rows it writes: its weight in a group.
    fn rows(&self) -> usize {
        let size = |rows: u32| usize::try_from(rows).unwrap_or(usize::MAX);
        if let Self::BeginSend(begin) = self {
            let named = if let Recipients::Users(users) = &begin.send.recipients {
                users.len()
            } else {
                usize::MAX
            };
            return size(begin.chunk).min(named);
        }
        if let Self::Lease(Lease { limit, .. }) = self {
            return size(limit.most);
        }
        if let Self::Flush(users) = self {
            return users.len();
        }
        if let Self::Record(attempts) = self {
            return attempts.len();
        }
        if let Self::Mark(portion) = self {
            return portion.selection.ids.as_ref().map_or(1, Vec::len);
        }
        1
    }
}

/// The answer; each [`Write`] has its own.
#[derive(Debug)]
pub(super) enum Done {
    /// What an operation answers.
    Operation(Box<dyn Any + Send>),
    Committed(Box<Committed>),
    Commented(Box<(Comment, Option<AnnouncedMessage>)>),
    Created(Box<(User, Option<AnnouncedMessage>)>),
    Updated(Box<User>),
    Marked(MarkedPortion),
    Begun(Box<BeginOutcome>),
    Chunks(Chunks),
    Leased(Vec<LeasedRow>),
    /// How many rows changed.
    Changed(u64),
    Nothing,
}

pub(super) type Answer = Result<Done, StoreError>;

/// A write and its caller.
#[derive(Debug)]
struct Request {
    write: Write,
    reply: oneshot::Sender<Answer>,
    trace: GroupTrace,
    queued: Instant,
}

#[derive(Debug)]
enum WriterMessage {
    Request(Request),
    /// Write everything queued, then end.
    Close(oneshot::Sender<()>),
}

/// The writer's handle.
#[derive(Debug, Clone)]
pub(super) struct WriterHandle {
    queue: mpsc::Sender<WriterMessage>,
}

impl WriterHandle {
    /// Starts the writer on a thread of its own, with its connection opened and its ids loaded; it
    /// ends when its last handle is dropped, or when it is closed.
    pub(super) async fn start(mut writer: Writer) -> Result<Self, BoxError> {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let (ready, is_ready) = oneshot::channel();
        let run = move || {
            let opened = writer.open();
            let goes_on = opened.is_ok();
            if ready.send(opened).is_ok() && goes_on {
                writer.run(waiting);
            }
        };
        std::thread::Builder::new().name("sqlite-writer".to_owned()).spawn(run)?;
        is_ready.await??;
        Ok(Self { queue })
    }

    /// Queues a write and waits for it; it is on the disk when this returns `Ok`.
    pub(super) async fn write(&self, write: Write) -> Answer {
        let unavailable = |text: &str| StoreError::Unavailable(text.to_owned());
        let (reply, answer) = oneshot::channel();
        let span = WriteSpan::begin();
        let (trace, queued) = (span.shared(), Instant::now());
        let request = WriterMessage::Request(Request { write, reply, trace, queued });
        self.queue.send_timeout(request, PATIENCE).await.map_err(|error| match error {
            mpsc::error::SendTimeoutError::Timeout(_) => unavailable("too many writes wait"),
            mpsc::error::SendTimeoutError::Closed(_) => unavailable("the store is closed"),
        })?;
        // No answer: the writer panicked in this group, and rolled it back.
        waiting(Wait::Writer, answer)
            .await
            .map_err(|_| unavailable("the writer gave up a group"))?
    }

    /// Writes everything that is queued, and ends the writer. If it has ended already, nothing
    /// happens.
    pub(super) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.queue.send(WriterMessage::Close(reply)).await.is_ok() {
            // Without an answer it is closed, too.
            let _ = closed.await;
        }
    }
}

/// The writer's answer does not match the request: a bug in this module.
pub(super) fn mismatch() -> StoreError {
    tracing::error!("the writer gave an answer to another question");
    StoreError::Unavailable("the writer gave an answer to another question".to_owned())
}
