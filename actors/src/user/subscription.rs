//! One session's subscription to a project's stream.

use ractor::ActorId;

use super::waiting::Waiting;
use crate::messages::{SubscriptionId, Watch};
use bellpull_domain::ids::TicketId;
use bellpull_domain::stream::Stream;

/// A session's subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) stream: Stream,
    pub(super) id: SubscriptionId,
    pub(super) purpose: Purpose,
    /// Whether it ever stood.
    pub(super) has_stood: bool,
    /// How often it was requested since it last stood.
    pub(super) tries: u32,
    /// The ticket that the session views, and that view's position among its user's: sent again to
    /// a successor of the project's actor.
    pub(super) looks: Option<(u64, TicketId)>,
    pub(super) phase: Phase,
    /// Events that the connection could not accept yet.
    pub(super) waiting: Option<Box<Waiting>>,
}

/// The reason for a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The session is for this stream alone, and ends with it.
    OwnStream,
    /// The session requested it; the answer is due when it first stands, or fails.
    Asked,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Phase {
    /// The project's actor was asked; the ticket that the session last typed on meanwhile.
    Asking { typed: Option<(TicketId, bool)> },
    /// It stands.
    Stands(Watch),
}

impl Subscription {
    pub(super) fn new(stream: Stream, purpose: Purpose) -> Self {
        let phase = Phase::Asking { typed: None };
        Self {
            stream,
            id: 0,
            purpose,
            has_stood: false,
            tries: 0,
            looks: None,
            phase,
            waiting: None,
        }
    }

    /// Whether the session waits for the answer to its request.
    pub(super) fn is_awaited(&self) -> bool {
        self.purpose == Purpose::Asked && !self.has_stood
    }

    pub(super) fn stands_at(&self, actor: ActorId) -> bool {
        matches!(&self.phase, Phase::Stands(watch) if watch.stands_at() == actor)
    }
}
