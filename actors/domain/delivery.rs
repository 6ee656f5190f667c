//! A delivery: one notification, to one address on one external channel.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::account_link::AccountLink;
use super::ids::{DeliveryId, NotificationId, ProjectId, UserId, WebhookId};
use super::inbox::MessageContent;
use super::locale::Locale;
use super::routing::Channel;
use super::webhook::HookSecret;

/// The address of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The address that the account has on the channel.
    Account(Channel, String),
    /// One browser.
    Push(PushTarget),
    /// A user's own server.
    Webhook(WebhookTarget),
}

impl Target {
    /// Its channel.
    #[must_use]
    pub fn channel(&self) -> Channel {
        match self {
            Self::Account(channel, _) => *channel,
            Self::Push(_) => Channel::Push,
            Self::Webhook(_) => Channel::Webhook,
        }
    }

    /// The account's address on that channel, if it goes there.
    #[must_use]
    pub fn account_address(&self, channel: Channel) -> Option<&str> {
        match self {
            Self::Account(of, address) => (*of == channel).then_some(address.as_str()),
            Self::Push(_) | Self::Webhook(_) => None,
        }
    }
}

/// A browser's subscription, as the Push API defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushTarget {
    /// The subscription's id here.
    pub id: i64,
    /// The push service's URL for this browser. It permits pushing, so it is a secret.
    pub endpoint: String,
    /// The browser's public key, uncompressed P-256, base64url.
    pub p256dh: String,
    /// The browser's secret for authentication, 16 bytes, base64url.
    pub auth: String,
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookTarget {
    /// The webhook's id here.
    pub id: WebhookId,
    /// The project that owns it; `None` for a user's.
    pub project: Option<ProjectId>,
    /// Where to post.
    pub url: String,
    /// The keys that sign the request: the secret, and the previous one while it is valid.
    pub secrets: Vec<HookSecret>,
}

/// The recipient of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressee {
    /// The account.
    pub id: UserId,
    /// The full name, or the username if there is none.
    pub name: String,
    /// The language of its templates.
    pub locale: Locale,
}

/// A delivery that this node may try, until its lease ends.
#[derive(Debug, Clone)]
pub struct Leased {
    /// The delivery. Its provider sees the same key for every attempt: `delivery-{id}`.
    pub id: DeliveryId,
    /// The notification; of a digest, the first. `None` for a project's webhook.
    pub notification: Option<NotificationId>,
    /// How often it has been leased, this time included: names the attempt.
    pub attempt: u32,
    /// How many failed attempts were recorded. Fewer than were leased if a process died during
    /// some.
    pub failures: u32,
    /// How many leases ended without a record of their attempts, where it was leased often.
    pub cut_off: u32,
    /// The recipient; `None` for a project's webhook.
    pub addressee: Option<Addressee>,
    /// Its address.
    pub target: Target,
    /// The link that it brings, where it is about the addressee's account.
    pub account_link: Option<AccountLink>,
    /// Its content: one message, or several in a digest, the oldest first.
    pub contents: Vec<Arc<MessageContent>>,
    /// The deliveries that go out with this one, in one e-mail: a digest's others, each with its
    /// own attempt.
    pub with: Vec<(DeliveryId, u32)>,
    /// When the lease ends; never where no other process can take it over.
    pub leased_until: Timestamp,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It took it.
    Sent {
        /// Its own name for it, by which it reports later.
        provider_id: Option<String>,
    },
    /// Not now: worth another attempt.
    Later {
        /// The provider's text, for a reader. Never a secret, never the notification's text.
        error: String,
        /// When the provider wants to be called again.
        after: Option<Duration>,
        /// Whether the provider as a whole seems to be down (no connection, 5xx, a time-out), not
        /// this delivery only: such outcomes open the channel's circuit.
        is_outage: bool,
    },
    /// Not now, and not because of this message: the provider refuses this hub. Opens the channel's
    /// circuit, and costs no attempt.
    AboutUs {
        /// The provider's text, for a reader.
        error: String,
        /// When the provider wants to be called again.
        after: Option<Duration>,
    },
    /// Never: the same would be answered again.
    Refused {
        /// The provider's text, for a reader.
        error: String,
    },
    /// The address does not exist any more (a push subscription that has ended).
    Gone {
        /// The provider's text, for a reader.
        error: String,
    },
}

impl Outcome {
    /// The kind of outcome, without its text.
    #[must_use]
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Sent { .. } => OutcomeKind::Sent,
            Self::Later { .. } | Self::AboutUs { .. } => OutcomeKind::Later,
            Self::Refused { .. } => OutcomeKind::Refused,
            Self::Gone { .. } => OutcomeKind::Gone,
        }
    }

    /// The provider's text in brief: its id of the message, or the error.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Sent { provider_id } => provider_id.as_deref(),
            Self::Later { error, .. }
            | Self::AboutUs { error, .. }
            | Self::Refused { error }
            | Self::Gone { error } => Some(error),
        }
    }
}

/// The kinds of [`Outcome`], as they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutcomeKind {
    /// It was taken.
    Sent,
    /// Not now.
    Later,
    /// Never.
    Refused,
    /// The address does not exist any more.
    Gone,
}

impl OutcomeKind {
    /// Its name in rows and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Later => "later",
            Self::Refused => "refused",
            Self::Gone => "gone",
        }
    }

    /// The one with that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sent, Self::Later, Self::Refused, Self::Gone]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// An attempt that was made and is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Of which delivery.
    pub delivery: DeliveryId,
    /// Which: [`Leased::attempt`].
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long the provider took, in ms.
    pub took_ms: u32,
    /// Its outcome.
    pub outcome: Outcome,
    /// When it is tried again; `None` when it is not.
    pub due_at: Option<Timestamp>,
}

/// Why a delivery is suppressed or delayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The recipient does not want it.
    Preference,
    /// The recipient has no address there.
    NoAddress,
    /// The recipient has unsubscribed, by an e-mail's link.
    Unsubscribed,
    /// It waits for the end of the recipient's quiet hours.
    QuietHours,
    /// It waits for the recipient's next digest.
    Digest,
    /// It waits whether the recipient sees it elsewhere first.
    Escalation,
    /// The recipient has seen it before it could leave.
    Seen,
    /// Its ticket moved on before the recipient had seen it.
    MovedOn,
    /// The recipient has not confirmed the e-mail address.
    Unverified,
    /// The link in it had expired, or was used or void, before it could leave.
    Expired,
    /// The recipient may not see its ticket any more.
    NotVisible,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Preference,
        Self::NoAddress,
        Self::Unsubscribed,
        Self::QuietHours,
        Self::Digest,
        Self::Escalation,
        Self::Seen,
        Self::MovedOn,
        Self::Unverified,
        Self::Expired,
        Self::NotVisible,
    ];

    /// The rule's name in rows and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preference => "preference",
            Self::NoAddress => "no_address",
            Self::Unsubscribed => "unsubscribed",
            Self::QuietHours => "quiet_hours",
            Self::Digest => "digest",
            Self::Escalation => "escalation",
            Self::Seen => "seen",
            Self::MovedOn => "moved_on",
            Self::Unverified => "unverified",
            Self::Expired => "expired",
            Self::NotVisible => "not_visible",
        }
    }

    /// The rule with that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == name)
    }
}

/// A provider's later status of a message that it accepted (WhatsApp's statuses); each is further
/// than those before it, and a status never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProviderStatus {
    /// It left the provider.
    Sent,
    /// It is on the device.
    Delivered,
    /// It was read there.
    Read,
    /// It failed after all. Only something that was not delivered can.
    Failed,
}

impl ProviderStatus {
    /// The status' name in rows and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
        }
    }

    /// The status with that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sent, Self::Delivered, Self::Read, Self::Failed]
            .into_iter()
            .find(|status| status.as_str() == name)
    }

    /// Whether it may be reported after `before`: it is further, and a delivered message has not
    /// failed.
    #[must_use]
    pub fn may_follow(self, before: Self) -> bool {
        match before {
            Self::Sent => self > before,
            Self::Delivered => self == Self::Read,
            Self::Read | Self::Failed => false,
        }
    }
}

/// A provider's later report on a message that it accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderReport {
    /// The provider's name for the message.
    pub provider_id: String,
    /// The status.
    pub status: ProviderStatus,
    /// Why it failed, where it did.
    pub error: Option<String>,
    /// When, by the provider's clock.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_never_goes_back() {
        use ProviderStatus::{Delivered, Failed, Read, Sent};
        for (before, after) in [
            (Sent, &[Delivered, Read, Failed][..]),
            (Delivered, &[Read]),
            (Read, &[]),
            (Failed, &[]),
        ] {
            let all = [Sent, Delivered, Read, Failed];
            let allowed: Vec<_> = all.into_iter().filter(|next| next.may_follow(before)).collect();
            assert_eq!(allowed, after, "after {before:?}");
        }
    }
}
