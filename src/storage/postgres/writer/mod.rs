//! The writers: what changes inboxes is written in groups. Requests gather while a commit is on its
//! way to the disk, and the next commit takes them all.
//!
//! In reading order: this file (the requests and their answers), [`queue`] (what is next), [`task`]
//! (transactions and [`failure`]s), [`turns`] (of several nodes), [`pace`] (room for other writes),
//! [`group`] (a group within its transaction, in its [`context`]), [`question`] (what it locks and
//! reads, at once) and [`facts`] (for its plan), [`marks`], [`sends`] with [`begin`], [`step`],
//! [`audience`] and [`audiences`] (which recipients are next), and [`rows`] with [`ticket_rows`]
//! (the planned rows, written as one [`batch`]).
//!
//! Several nodes write at once. A group locks the rows that its plan depends on, each table in the
//! order of ids and the tables in one order: sends, tickets, projects, inboxes, deliveries. So two
//! groups wait for each other, and cannot deadlock.

mod audience;
mod audiences;
mod batch;
mod begin;
mod context;
mod facts;
mod failure;
mod group;
mod marks;
mod pace;
mod question;
mod queue;
mod rows;
mod send_rows;
mod sends;
mod step;
mod task;
mod ticket_rows;
mod turns;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bellpull_domain::comment::{Comment, NewComment};
use bellpull_domain::idempotency::IdempotencyKey;
use bellpull_domain::ids::{SendId, UserId};
use bellpull_domain::inbox::Reached;
use bellpull_domain::plan::marks::MarkedPortion;
use bellpull_domain::send::Recipients;
use bellpull_domain::ticket::Decision;
use bellpull_domain::user::User;
use bellpull_port::accounts::{AnnounceUser, NewUser};
use bellpull_port::inbox::MarkPortion;
use bellpull_port::sends::{BeginSend as BeginOutcome, Chunks};
use bellpull_port::slow::{Wait, waiting};
use bellpull_port::tickets::{AnnouncedMessage, Committed};
use bellpull_port::{LeaseOwner, StoreError};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::super::commits::{GroupTrace, WriteSpan};
use super::super::contents::ContentCache;
use super::super::requests::BeginSend;
use super::database::Database;
use super::ids::BlockIds;
use crate::StoreOptions;
use crate::health::Health;
use audiences::Audiences;
use pace::Pace;
use queue::Queue;
use task::{Lane, Writer};
use turns::Turns;

/// Requests that may wait; beyond it callers are rejected instead of waiting without end.
const WAITING_MAX: usize = 4096;
/// How long a caller waits to be queued.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request. Applying one again after a rollback has the same result.
#[derive(Debug)]
pub(super) enum Write {
    Commit(Box<Decision>),
    Comment(Box<NewComment>),
    CreateUser {
        new: Box<NewUser>,
        announce: Option<AnnounceUser>,
        once: Option<IdempotencyKey>,
    },
    Mark(Box<MarkPortion>),
    SaveReached(Vec<(UserId, Reached)>),
    BeginSend(Box<BeginSend>),
    ContinueSends {
        owner: LeaseOwner,
        ids: Vec<SendId>,
        rows: u32,
        now: Timestamp,
    },
    /// Nothing: answered once the steps of sends that were asked for before are written.
    Steps,
    /// Writes a row and removes it again: for readiness.
    Probe,
}

/// The answer; each [`Write`] has its own.
#[derive(Debug)]
pub(super) enum Done {
    Committed(Box<Committed>),
    Commented(Box<(Comment, Option<AnnouncedMessage>)>),
    Created(Box<(User, Option<AnnouncedMessage>)>),
    Marked(MarkedPortion),
    Begun(Box<BeginOutcome>),
    Chunks(Chunks),
    Nothing,
}

pub(super) type Answer = Result<Done, StoreError>;

impl Write {
    /// Whether it belongs to the lane of sends and marks in progress.
    fn is_bulk(&self) -> bool {
        match self {
            Self::ContinueSends { .. } | Self::Steps => true,
            Self::Mark(portion) => portion.before.is_some(),
            Self::Commit(_)
            | Self::Comment(_)
            | Self::CreateUser { .. }
            | Self::SaveReached(_)
            | Self::BeginSend(_)
            | Self::Probe => false,
        }
    }

    /// About how many rows it writes: its weight in a group.
    fn rows(&self) -> usize {
        let size = |rows: u32| usize::try_from(rows).unwrap_or(usize::MAX);
        if let Self::BeginSend(begin) = self {
            let named = match &begin.send.recipients {
                Recipients::Users(users) => users.len(),
                Recipients::Role(_) | Recipients::Project(_) | Recipients::All => usize::MAX,
            };
            return size(begin.chunk).min(named);
        }
        if let Self::SaveReached(positions) = self {
            return positions.len();
        }
        if let Self::Mark(portion) = self {
            return portion.selection.ids.as_ref().map_or(1, Vec::len);
        }
        1
    }
}

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

/// The writers' handle: one queue for tickets, inboxes and accounts, and one for the chunks of
/// sends in progress, so that no ticket waits behind a chunk.
#[derive(Debug, Clone)]
pub(super) struct WriterHandle {
    foreground: mpsc::Sender<WriterMessage>,
    bulk: mpsc::Sender<WriterMessage>,
    health: Health,
}

impl WriterHandle {
    /// Starts the writers. They end when the last handle is dropped, or when they are closed.
    pub(super) fn start(
        database: &Database,
        options: &StoreOptions,
        ids: &Arc<BlockIds>,
        contents: &Arc<ContentCache>,
    ) -> Self {
        let health = Health::default();
        let pace = Pace::default();
        let start = |lane| {
            let (queue, waiting) = mpsc::channel(WAITING_MAX);
            let writer = Writer {
                lane,
                pace: pace.clone(),
                turns: Turns::new(),
                database: database.clone(),
                channels: options.channels,
                verify_email: options.verify_email,
                ids: Arc::clone(ids),
                contents: Arc::clone(contents),
                audiences: Audiences::new(),
                health: health.clone(),
                slow: options.slow.clone(),
            };
            tokio::spawn(writer.run(Queue::new(waiting)));
            queue
        };
        let (foreground, bulk) = (start(Lane::Foreground), start(Lane::Bulk));
        Self { foreground, bulk, health }
    }

    /// Queues a write and waits for it; it is on the server's disk when this returns `Ok`.
    pub(super) async fn write(&self, write: Write) -> Answer {
        let unavailable = |text: &str| StoreError::Unavailable(text.to_owned());
        let queue = if write.is_bulk() { &self.bulk } else { &self.foreground };
        let (reply, answer) = oneshot::channel();
        let span = WriteSpan::begin();
        let (trace, queued) = (span.shared(), Instant::now());
        let request = WriterMessage::Request(Request { write, reply, trace, queued });
        queue.send_timeout(request, PATIENCE).await.map_err(|error| match error {
            mpsc::error::SendTimeoutError::Timeout(_) => unavailable("too many writes wait"),
            mpsc::error::SendTimeoutError::Closed(_) => unavailable("the store is closed"),
        })?;
        // No answer: the writer panicked in this group, and rolled it back.
        waiting(Wait::Writer, answer)
            .await
            .map_err(|_| unavailable("the writer gave up a group"))?
    }

    /// Whether the last write succeeded; `None` if it was too long ago to say anything.
    pub(super) fn recent(&self) -> Option<bool> {
        self.health.recent()
    }

    /// Writes everything that is queued, and ends the writers. If they have ended already, nothing
    /// happens.
    pub(super) async fn close(&self) {
        for queue in [&self.foreground, &self.bulk] {
            let (reply, closed) = oneshot::channel();
            if queue.send(WriterMessage::Close(reply)).await.is_ok() {
                // Without an answer it is closed, too.
                let _ = closed.await;
            }
        }
    }
}

/// The writer's answer does not match the request: a bug in this module.
pub(super) fn mismatch() -> StoreError {
    tracing::error!("the writer gave an answer to another question");
    StoreError::Unavailable("the writer gave an answer to another question".to_owned())
}
