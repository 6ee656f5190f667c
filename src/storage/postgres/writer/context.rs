//! The context in which every part of a group is applied.

use bellpull_domain::routing::Channels;

use super::super::ids::Draws;
use super::audiences::Audiences;
use crate::contents::ContentCache;

/// The context in which a group is applied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) ids: &'a Draws<'a>,
    /// The cache of contents.
    pub(super) contents: &'a ContentCache,
    /// The cache of audiences.
    pub(super) audiences: &'a Audiences,
    /// The enabled channels.
    pub(super) channels: Channels,
    /// Whether e-mails are sent to verified addresses only.
    pub(super) verify_email: bool,
}
