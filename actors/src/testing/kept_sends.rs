//! The sends of the fake store.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::ids::{SendId, UserId};
use crate::domain::inbox::MessageContent;
use crate::port::sends::StoredSend;

/// The sends that were taken in, and their keys.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) sends: BTreeMap<SendId, Unfinished>,
    pub(super) keys: BTreeMap<(UserId, String), Key>,
}

#[derive(Debug)]
pub(super) struct Unfinished {
    pub(super) content: Arc<MessageContent>,
    pub(super) left: Vec<UserId>,
    pub(super) due_at: Timestamp,
}

#[derive(Debug)]
pub(super) struct Key {
    pub(super) body_hash: [u8; 32],
    pub(super) first_used: Timestamp,
    pub(super) send: StoredSend,
}
