//! Requests whose data the writers of both databases hold until their group is written.

use bellpull_domain::send::NewSend;
use jiff::Timestamp;

/// A new send.
#[derive(Debug)]
pub(super) struct BeginSend {
    pub(super) send: NewSend,
    pub(super) chunk: u32,
    pub(super) now: Timestamp,
}
