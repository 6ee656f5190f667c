//! The sends of the fake store.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::LeaseOwner;
use crate::sends::StoredSend;
use bellpull_domain::ids::{SendId, UserId};
use bellpull_domain::inbox::MessageContent;
use bellpull_domain::plan::send::claim::Claim;

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
    pub(super) claim: Option<Claim<'static>>,
}

impl Unfinished {
    /// When the claim of another owner ends, if there is one.
    pub(super) fn held_until(&self, owner: &LeaseOwner, now: Timestamp) -> Option<Timestamp> {
        let claim = self.claim.as_ref().filter(|claim| claim.excludes(owner.as_str(), now));
        claim.map(|claim| claim.until)
    }
}

#[derive(Debug)]
pub(super) struct Key {
    pub(super) body_hash: [u8; 32],
    pub(super) first_used: Timestamp,
    pub(super) send: StoredSend,
}
