//! Leased deliveries as a store reads them, before their contents are.

use std::collections::HashMap;
use std::sync::Arc;

use bellpull_domain::account_link::AccountLink;
use bellpull_domain::channel::AddressKind;
use bellpull_domain::delivery::{Addressee, Leased, PushTarget, Rule, Target};
use bellpull_domain::ids::{DeliveryId, MessageId, NotificationId, UserId};
use bellpull_domain::inbox::MessageContent;
use bellpull_domain::locale::Locale;
use bellpull_domain::plan::digest::Part;
use bellpull_domain::plan::late::has_waited;
use bellpull_domain::plan::step::{Step, called_off_by};
use bellpull_domain::routing::Channel;
use bellpull_port::{LeaseLimit, LeaseOwner, StoreError};
use jiff::Timestamp;

use super::contents::pick;
use super::error::corrupt;
use super::rows::json;
use super::webhook_rows;

/// A requested lease.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) owner: LeaseOwner,
    pub(super) channel: Channel,
    pub(super) limit: LeaseLimit,
    pub(super) now: Timestamp,
    pub(super) until: Timestamp,
}

/// The most readings of one lease. Each holds back what can no longer be sent, and the next one
/// looks behind it. With [`HELD_BACK_MIN`] rows in each but the first, a lease writes some hundreds
/// of rows: a few milliseconds, for which other writes wait.
const READINGS_MAX: u32 = 4;

/// The least rows of a reading after one that has held rows back: a lease of one delivery, as of a
/// channel whose circuit is open, would otherwise pass a hundred thousand of them one by one.
const HELD_BACK_MIN: usize = 64;

/// A lease in progress: what both stores decide alike. A lease that has met too many rows to be
/// held back ends with what it has found so far; the rest is still due, as the store's next due
/// time tells the channel.
#[derive(Debug)]
pub(super) struct Leasing {
    most: usize,
    readings: u32,
    /// Whether the last reading has held rows back, and found as many as it asked for.
    may_have_more: bool,
    leased: Vec<LeasedRow>,
}

/// What becomes of the rows of a reading.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// They are leased.
    pub(super) found: Vec<i64>,
    /// They are never sent, each by its rule.
    pub(super) held_back: Vec<(i64, Rule)>,
}

impl Leasing {
    pub(super) fn new(limit: LeaseLimit) -> Self {
        let most = usize::try_from(limit.most).unwrap_or(usize::MAX);
        Self { most, readings: 0, may_have_more: true, leased: Vec::new() }
    }

    /// How many due rows are to be read next; `None` if the lease is complete.
    pub(super) fn wanted(&self) -> Option<usize> {
        let room = self.most - self.leased.len();
        let least = if self.readings == 0 { 0 } else { HELD_BACK_MIN };
        let goes_on = self.may_have_more && room > 0 && self.readings < READINGS_MAX;
        goes_on.then(|| room.max(least))
    }

    /// Takes the due rows, the longest due first. Those for which there is no room are left.
    pub(super) fn take(&mut self, due: Vec<LeasedRow>) -> Reading {
        let is_full = self.wanted().is_some_and(|wanted| due.len() >= wanted);
        let mut reading = Reading::default();
        for row in due {
            if let Some(rule) = row.held_back_by() {
                reading.held_back.push((row.id.0, rule));
            } else if self.leased.len() < self.most {
                reading.found.push(row.id.0);
                self.leased.push(row);
            }
        }
        self.readings += 1;
        self.may_have_more = is_full && !reading.held_back.is_empty();
        reading
    }

    /// The leased rows, the longest due first.
    pub(super) fn into_rows(mut self) -> Vec<LeasedRow> {
        self.leased.sort_unstable_by_key(|row| (row.due_at_ms, row.id));
        self.leased
    }
}

/// A leased delivery; its content is read once the lease is committed.
#[derive(Debug, Clone)]
pub(super) struct LeasedRow {
    pub(super) due_at_ms: i64,
    pub(super) id: DeliveryId,
    pub(super) notification: Option<NotificationId>,
    pub(super) message_id: i64,
    pub(super) recipient: Option<UserId>,
    /// The recipient.
    pub(super) name: Option<String>,
    /// An address, or a browser or webhook as JSON; empty if there is none.
    pub(super) address: String,
    pub(super) attempt: u32,
    pub(super) failures: u32,
    pub(super) cut_off: u32,
    pub(super) is_digest: bool,
    pub(super) digest_id: Option<i64>,
    /// The recipient's language, if set.
    pub(super) locale: Option<Locale>,
    /// Its state as a step of an escalation, if it is one.
    pub(super) step: Option<Step>,
    /// Whether a rule delayed it when it was written.
    pub(super) is_delayed: bool,
    /// What its recipient has done since it was written.
    pub(super) called_off: Option<Rule>,
    /// Of an e-mail: what holds it back.
    pub(super) stopped_by: Option<Rule>,
    /// The link that it contains.
    pub(super) account_link: Option<AccountLink>,
    /// The deliveries that go out with it.
    pub(super) with: Vec<Part>,
}

impl LeasedRow {
    /// The messages that go out, the oldest first.
    pub(super) fn messages(&self) -> impl Iterator<Item = i64> {
        std::iter::once(self.message_id).chain(self.with.iter().map(|part| part.message.0))
    }

    /// Why it is not sent.
    pub(super) fn held_back_by(&self) -> Option<Rule> {
        let no_address = || self.address.is_empty().then_some(Rule::NoAddress);
        let step = self.step.and_then(called_off_by);
        step.or_else(no_address).or(self.stopped_by).or(self.called_off)
    }

    /// Its recipient has done something, or lost a right, since it was written.
    pub(super) fn call_off(&mut self, rule: Rule) {
        self.called_off = Some(rule);
    }

    /// Whether it has to be looked at again what its recipient wants. The contents of a digest that
    /// was tried before are fixed.
    pub(super) fn has_waited(&self, now: Timestamp) -> bool {
        let due_at = Timestamp::from_millisecond(self.due_at_ms).unwrap_or(now);
        self.digest_id.is_none() && has_waited(self.is_delayed, self.failures, due_at, now)
    }

    /// Itself, as one of several that go out together.
    pub(super) fn part(&self) -> Part {
        let Self { id, notification, attempt, message_id, .. } = *self;
        Part { id, notification, attempt, message: MessageId(message_id) }
    }

    /// A digest's e-mail of these parts, the oldest first; `self` is any of them.
    pub(super) fn with_parts(self, parts: impl IntoIterator<Item = Part>) -> Option<Self> {
        let mut parts = parts.into_iter();
        let head = parts.next()?;
        let (id, notification) = (head.id, head.notification);
        let (attempt, message_id) = (head.attempt, head.message.0);
        Some(Self { id, notification, attempt, message_id, with: parts.collect(), ..self })
    }

    /// As the channel takes it, with its contents.
    pub(super) fn leased(
        self,
        channel: Channel,
        until: Timestamp,
        contents: &HashMap<i64, Arc<MessageContent>>,
    ) -> Result<Leased, StoreError> {
        let said = self.messages().map(|message| pick(contents, message));
        Ok(Leased {
            id: self.id,
            contents: said.collect::<Result<_, _>>()?,
            with: self.with.iter().map(|part| (part.id, part.attempt)).collect(),
            notification: self.notification,
            attempt: self.attempt,
            failures: self.failures,
            cut_off: self.cut_off,
            addressee: self.recipient.map(|id| Addressee {
                id,
                name: self.name.unwrap_or_default(),
                locale: self.locale.unwrap_or_else(Locale::english),
            }),
            account_link: self.account_link,
            target: target(channel, self.address)?,
            leased_until: until,
        })
    }
}

/// The target of a leased delivery.
fn target(channel: Channel, address: String) -> Result<Target, StoreError> {
    match channel.spec().address {
        AddressKind::Account(_) => Ok(Target::Account(channel, address)),
        AddressKind::Browsers => {
            let (id, endpoint, p256dh, auth) = json(&address)?;
            Ok(Target::Push(PushTarget { id, endpoint, p256dh, auth }))
        }
        AddressKind::Webhooks => webhook_rows::target(&address).map(Target::Webhook),
        AddressKind::Inbox => Err(corrupt("target")),
    }
}
