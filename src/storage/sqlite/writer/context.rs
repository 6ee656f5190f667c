//! What every part of a group is applied with, and why a group is not written.

use std::cell::RefCell;

use bellpull_actors::domain::routing::Channels;
use bellpull_actors::port::StoreError;

use super::super::contents::ContentCache;
use super::super::deferred::{Deferred, Staged};
use super::super::ids::Ids;
use super::audiences::Audiences;

/// The context in which a group is applied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) ids: &'a Ids,
    /// The cache of contents.
    pub(super) contents: &'a ContentCache,
    /// The cache of audiences.
    pub(super) audiences: &'a Audiences,
    /// The enabled channels.
    pub(super) channels: Channels,
    /// Whether e-mails are sent to verified addresses only.
    pub(super) verify_email: bool,
    /// The deferred entries before this group.
    pub(super) deferred: &'a Deferred,
    /// This group's changes of them.
    pub(super) staged: &'a RefCell<Staged>,
}

/// Why a group was not written; nothing of it was.
#[derive(Debug)]
pub(super) enum Failure {
    /// No transaction could begin: another process has locked the database, or it cannot be opened.
    NotBegun(rusqlite::Error),
    /// A statement, or the commit.
    Sql(rusqlite::Error),
    /// A request must be rolled back entirely although a part of it was written.
    Refused(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}
