//! Sends in progress and their chunks, as the writers of both databases hold them while a group is
//! planned.

use std::sync::Arc;

use bellpull_domain::ids::{NotificationId, SendId, UserId};
use bellpull_domain::inbox::MessageContent;
use bellpull_domain::plan::send::Audience;
use bellpull_domain::plan::send::claim::Claim;
use bellpull_domain::plan::send::step::Standing;
use bellpull_domain::routing::Channels;
use bellpull_port::LeaseOwner;
use bellpull_port::sends::StoredSend;
use jiff::Timestamp;

/// The sends to be continued, and the total number of notifications: the first, and those near it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) owner: &'a LeaseOwner,
    pub(super) ids: &'a [SendId],
    pub(super) rows: u32,
    pub(super) now: Timestamp,
}

/// A send in progress, with the group's changes.
#[derive(Debug)]
pub(super) struct Running<'a> {
    pub(super) message_id: i64,
    pub(super) content: Arc<MessageContent>,
    pub(super) audience: Arc<Audience>,
    pub(super) channels: Channels,
    pub(super) is_critical: bool,
    /// When it was taken in: accounts that registered later are left out.
    pub(super) taken_in_ms: i64,
    pub(super) standing: Standing,
    pub(super) claim: Option<Claim<'a>>,
    pub(super) has_moved: bool,
}

impl Running<'_> {
    /// Whether another owner steps it.
    pub(super) fn is_held_from(&self, asked: Asked<'_>) -> bool {
        let owner = asked.owner.as_str();
        self.claim.as_ref().is_some_and(|claim| claim.excludes(owner, asked.now))
    }
}

/// The next recipients of a send.
#[derive(Debug)]
pub(super) struct SendChunk {
    /// Its request's place in the group.
    pub(super) at: usize,
    pub(super) send: SendId,
    pub(super) message_id: i64,
    pub(super) text: SendText,
    /// In the order of their ids; empty for a send that is scheduled for later.
    pub(super) recipients: Vec<UserId>,
    /// The id that its only notification was given before.
    pub(super) only: Option<NotificationId>,
    pub(super) channels: Channels,
    /// Whether it overrides the recipients' preferences.
    pub(super) is_critical: bool,
    pub(super) now: Timestamp,
    pub(super) reply: Reply,
}

/// The message of a chunk.
#[derive(Debug)]
pub(super) enum SendText {
    /// It must be written first.
    New(Arc<MessageContent>),
    /// It was written with the first chunk.
    Written(Arc<MessageContent>),
}

impl SendText {
    /// The message.
    pub(super) fn content(&self) -> &Arc<MessageContent> {
        match self {
            Self::New(content) | Self::Written(content) => content,
        }
    }
}

/// The caller's answer.
#[derive(Debug)]
pub(super) enum Reply {
    Begun {
        send: StoredSend,
        has_more: bool,
    },
    /// The answer without the announcement: it is one of several sends, by its index there.
    Continued {
        nth: usize,
    },
}
