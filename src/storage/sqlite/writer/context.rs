//! What every part of a group is applied with, and why a group is not written.

use std::cell::RefCell;

use bellpull_actors::domain::routing::Channels;
use bellpull_actors::port::StoreError;

use super::super::contents::ContentCache;
use super::super::deferred::{Deferred, Staged};
use super::super::ids::Ids;
use super::audiences::Audiences;

/// Where a group is applied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) ids: &'a Ids,
    /// Those that were used last.
    pub(super) contents: &'a ContentCache,
    /// Those of the sends under way.
    pub(super) audiences: &'a Audiences,
    /// Those that are switched on.
    pub(super) channels: Channels,
    /// Whether mails leave only for addresses that are verified.
    pub(super) verify_email: bool,
    /// The entries whose rows are still to be written, before this group.
    pub(super) deferred: &'a Deferred,
    /// What this group does to them.
    pub(super) staged: &'a RefCell<Staged>,
}

/// Why a group was not written; nothing of it was.
#[derive(Debug)]
pub(super) enum Failure {
    /// There was no transaction: another process has locked the database, or it cannot be opened.
    NotBegun(rusqlite::Error),
    /// A statement, or the commit.
    Sql(rusqlite::Error),
    /// A request must be taken back whole although a part of it was written.
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
