//! A recipient, as far as announcements are concerned.

use super::super::channel::AddressKind;
use super::super::event::Event;
use super::super::inbox::Head;
use super::super::preference::Preferences;
use super::super::routing::{Channel, Channels};
use super::super::webhook;

/// An address on a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The browser's or the webhook's id; 0 on a channel where an account has one address at most.
    pub id: i64,
    /// The host that it shares its speed with; empty on a channel with one provider.
    pub lane: String,
}

/// The only address that an account has on a channel.
static OWN: Address = Address { id: 0, lane: String::new() };

/// An active webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Where it is called.
    pub address: Address,
    /// The events that it subscribes to; empty for all.
    pub events: Vec<String>,
}

impl Hook {
    /// Whether it subscribes to the event.
    #[must_use]
    pub fn hears(&self, event: &Event) -> bool {
        webhook::hears(&self.events, event)
    }
}

/// A recipient: the inbox' head, addresses and preferences.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// The inbox' head, with all planned entries.
    pub head: Head,
    /// The channels on which the account has an address.
    pub reach: Channels,
    /// The browsers that are subscribed.
    pub browsers: Vec<Address>,
    /// The active webhooks.
    pub hooks: Vec<Hook>,
    /// The user's preferences.
    pub preferences: Preferences,
    /// Whether mails are held back until the address is confirmed.
    pub is_unverified: bool,
    /// Whether the store may write the inbox' next entry later, whatever the announcement's size:
    /// it has others of the inbox to write.
    pub is_deferred: bool,
}

impl Recipient {
    /// A user that is known only by the inbox and the channels with an address.
    #[must_use]
    pub fn plain(head: Head, reach: Channels) -> Self {
        Self {
            head,
            reach,
            browsers: Vec::new(),
            hooks: Vec::new(),
            preferences: Preferences::default(),
            is_unverified: false,
            is_deferred: false,
        }
    }

    /// The channels with an address, if nothing else about the recipient matters: a store may cache
    /// them.
    #[must_use]
    pub fn plain_reach(&self) -> Option<Channels> {
        let is_plain = self.browsers.is_empty()
            && self.hooks.is_empty()
            && !self.is_unverified
            && self.preferences == Preferences::default();
        is_plain.then_some(self.reach)
    }

    /// The addresses of a channel that an event is sent to.
    pub(super) fn targets<'a>(
        &'a self,
        channel: Channel,
        event: &'a Event,
    ) -> impl Iterator<Item = &'a Address> {
        let none: (&[Address], &[Address], &[Hook]) = (&[], &[], &[]);
        let (own, browsers, hooks) = match channel.spec().address {
            AddressKind::Inbox => none,
            AddressKind::Account(_) => (std::slice::from_ref(&OWN), none.1, none.2),
            AddressKind::Browsers => (none.0, self.browsers.as_slice(), none.2),
            AddressKind::Webhooks => (none.0, none.1, self.hooks.as_slice()),
        };
        let hooks = hooks.iter().filter(|hook| hook.hears(event)).map(|hook| &hook.address);
        own.iter().chain(browsers).chain(hooks)
    }
}
