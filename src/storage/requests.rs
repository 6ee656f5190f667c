//! Requests whose data the writers of both databases hold until their group is written.

use bellpull_actors::domain::ids::UserId;
use bellpull_actors::domain::inbox::Mark;
use bellpull_actors::domain::send::NewSend;
use bellpull_actors::port::inbox::Selection;
use jiff::Timestamp;

/// A new send.
#[derive(Debug)]
pub(super) struct BeginSend {
    pub(super) send: NewSend,
    pub(super) chunk: u32,
    pub(super) now: Timestamp,
}

/// A mark on rows of one inbox.
#[derive(Debug)]
pub(super) struct MarkRows {
    pub(super) user: UserId,
    pub(super) selection: Selection,
    pub(super) mark: Mark,
    pub(super) now: Timestamp,
}
