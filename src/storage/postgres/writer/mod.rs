//! The writers: what changes inboxes is written in groups. Requests gather while a commit is on its
//! way to the disk, and the next commit takes them all.

use std::sync::Arc;

use bellpull_actors::domain::comment::Comment;
use bellpull_actors::domain::ids::{SendId, Seq, UserId};
use bellpull_actors::domain::inbox::Marked;
use bellpull_actors::domain::ticket::Decision;
use bellpull_actors::domain::user::User;
use bellpull_actors::port::accounts::{AnnounceUser, NewUser};
use bellpull_actors::port::sends::{BeginSend as BeginOutcome, Chunks};
use bellpull_actors::port::tickets::{AnnouncedMessage, Committed};
use bellpull_actors::port::{LeaseOwner, StoreError};
use jiff::Timestamp;
use sqlx::PgPool;

use super::super::contents::ContentCache;
use super::super::requests::{BeginSend, MarkRows, NewComment};
use super::ids::BlockIds;
use crate::storage::StoreOptions;

/// A request. Applying one again after a rollback has the same result.
#[derive(Debug)]
pub(super) enum Write {
    Commit(Box<Decision>),
    Comment(Box<NewComment>),
    CreateUser(Box<NewUser>, Option<AnnounceUser>),
    Mark(Box<MarkRows>),
    SaveDelivered(Vec<(UserId, Seq)>),
    BeginSend(Box<BeginSend>),
    ContinueSends {
        owner: LeaseOwner,
        ids: Vec<SendId>,
        rows: u32,
        now: Timestamp,
    },
    /// Writes a row and removes it again: for readiness.
    Probe,
}

/// The answer; each [`Write`] has its own.
#[derive(Debug)]
pub(super) enum Done {
    Committed(Box<Committed>),
    Commented(Box<(Comment, Option<AnnouncedMessage>)>),
    Created(Box<(User, Option<AnnouncedMessage>)>),
    Marked(Option<Marked>),
    Begun(Box<BeginOutcome>),
    Chunks(Chunks),
    Nothing,
}

pub(super) type Answer = Result<Done, StoreError>;

/// The writers' handle.
#[derive(Debug, Clone)]
pub(super) struct WriterHandle;

impl WriterHandle {
    /// Starts the writers. They end when the last handle is dropped, or when they are closed.
    pub(super) fn start(
        _: &PgPool,
        _: &StoreOptions,
        _: &Arc<BlockIds>,
        _: &Arc<ContentCache>,
    ) -> Self {
        Self
    }

    /// Has it written; it is on the server's disk when this returns `Ok`.
    #[expect(clippy::unused_async, reason = "not written yet")]
    pub(super) async fn write(&self, _: Write) -> Answer {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    /// Has everything queued written, and ends the writers.
    #[expect(clippy::unused_async, reason = "not written yet")]
    pub(super) async fn close(&self) {}
}

/// The writer's answer does not match the request: a bug in this module.
pub(super) fn mismatch() -> StoreError {
    tracing::error!("the writer gave an answer to another question");
    StoreError::Unavailable("the writer gave an answer to another question".to_owned())
}
