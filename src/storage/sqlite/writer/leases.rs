//! Leases as they are requested, and what is leased.

use bellpull_actors::domain::account_link::AccountLink;
use bellpull_actors::domain::delivery::Rule;
use bellpull_actors::domain::ids::{DeliveryId, MessageId, NotificationId, UserId};
use bellpull_actors::domain::locale::Locale;
use bellpull_actors::domain::plan::digest::Part;
use bellpull_actors::domain::plan::step::{Step, called_off_by};
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::port::{LeaseLimit, LeaseOwner};
use jiff::Timestamp;

/// A requested lease.
#[derive(Debug, Clone)]
pub(in super::super) struct Lease {
    pub(in super::super) owner: LeaseOwner,
    pub(in super::super) channel: Channel,
    pub(in super::super) limit: LeaseLimit,
    pub(in super::super) now: Timestamp,
    pub(in super::super) until: Timestamp,
}

/// A leased delivery; its content is read once the lease is committed.
#[derive(Debug, Clone)]
pub(in super::super) struct LeasedRow {
    pub(in super::super) due_at_ms: i64,
    pub(in super::super) id: DeliveryId,
    pub(in super::super) notification: Option<NotificationId>,
    pub(in super::super) message_id: i64,
    pub(in super::super) recipient: Option<UserId>,
    /// The recipient.
    pub(in super::super) name: Option<String>,
    pub(in super::super) address: String,
    pub(in super::super) attempt: u32,
    pub(in super::super) failures: u32,
    pub(in super::super) is_digest: bool,
    pub(in super::super) digest_id: Option<i64>,
    /// The recipient's language, if set.
    pub(in super::super) locale: Option<Locale>,
    /// Its state as a step of an escalation, if it is one.
    pub(super) step: Option<Step>,
    /// Of an e-mail: what holds it back.
    pub(super) stopped_by: Option<Rule>,
    /// The link that it contains.
    pub(in super::super) account_link: Option<AccountLink>,
    /// The deliveries that go out with it.
    pub(in super::super) with: Vec<Part>,
}

impl LeasedRow {
    /// The messages that go out, the oldest first.
    pub(in super::super) fn messages(&self) -> impl Iterator<Item = i64> {
        std::iter::once(self.message_id).chain(self.with.iter().map(|part| part.message.0))
    }

    /// Why it is not sent.
    pub(super) fn held_back_by(&self) -> Option<Rule> {
        let no_address = || self.address.is_empty().then_some(Rule::NoAddress);
        self.step.and_then(called_off_by).or_else(no_address).or(self.stopped_by)
    }

    /// Itself, as one of several that go out together.
    pub(super) fn part(&self) -> Part {
        let Self { id, notification, attempt, message_id, .. } = *self;
        Part { id, notification, attempt, message: MessageId(message_id) }
    }
}
