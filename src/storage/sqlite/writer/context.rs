//! The context in which every part of a group is applied.

use std::cell::RefCell;

use bellpull_domain::routing::Channels;

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
