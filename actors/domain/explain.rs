//! Why a user was notified of an event, or was not.
//!
//! Recipients are decided where an event happens (`ticket::decide`, `comment::mention`, the sender
//! of a send). Here the same rules are explained for an account as it is now. Roles and tickets
//! change, so the reason of then may not be found again: then the explanation says so.

use super::channel::AddressKind;
use super::event::Event;
use super::ids::UserId;
use super::preference::{Preferences, Routed, RoutedBy, Verdict};
pub use super::routing::Concern;
use super::routing::{Channel, Channels};
use super::user::User;

/// Why a user was not notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTold {
    /// It was the account's own act.
    OwnAct,
    /// The account is not active.
    Inactive,
    /// The user has switched it off.
    Preference,
    /// It is none of its concern.
    NotConcerned,
    /// By the present state the user would have been notified: something has changed since.
    NotThen,
}

impl NotTold {
    /// Its name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OwnAct => "own_act",
            Self::Inactive => "inactive",
            Self::Preference => "preference",
            Self::NotConcerned => "not_concerned",
            Self::NotThen => "not_then",
        }
    }

    /// The same as a text.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::OwnAct => "Users are not notified of their own actions.",
            Self::Inactive => "The account is not active.",
            Self::Preference => "The account does not want to be told of this event.",
            Self::NotConcerned => "This event does not concern the account.",
            Self::NotThen => {
                "It was not concerned then, or did not want to be told: that has changed since."
            }
        }
    }
}

/// Why a notification has no delivery on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoWay {
    /// The channel is off.
    ChannelOff,
    /// The hub does not send the event on it, and the user has not switched it on.
    NotSent,
    /// The sender of a send did not choose it.
    NotChosen,
    /// The account has no address there.
    NoAddress,
    /// No browser of the account is subscribed.
    NoBrowser,
    /// The account has no active webhook for the event.
    NoWebhook,
    /// By the present state there would be a delivery: something has changed since.
    NotThen,
}

impl NoWay {
    /// Its name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChannelOff => "channel_off",
            Self::NotSent => "not_sent",
            Self::NotChosen => "not_chosen",
            Self::NoAddress => "no_address",
            Self::NoBrowser => "no_browser",
            Self::NoWebhook => "no_webhook",
            Self::NotThen => "not_then",
        }
    }

    /// The same as a text.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::ChannelOff => "The channel is off.",
            Self::NotSent => {
                "This event is not sent on this channel, and the account's preferences do not ask \
                 for it."
            }
            Self::NotChosen => "The sender did not choose this channel.",
            Self::NoAddress => "The account has no address for this channel.",
            Self::NoBrowser => "No browser of the account is subscribed.",
            Self::NoWebhook => "The account has no active webhook for this event.",
            Self::NotThen => {
                "It would be sent now: settings, preferences or addresses have changed since, or \
                 the delivery's record was old and was removed."
            }
        }
    }
}

/// Settings besides a user's preferences that decide about deliveries, as they are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The channels that are on.
    pub on: Channels,
    /// The channels that the event's escalation policy names.
    pub policy: Channels,
    /// Whether a browser of the account is subscribed.
    pub has_browser: bool,
    /// Whether the account has an active webhook for the event.
    pub has_webhook: bool,
}

/// Who has chosen an announcement's channels. The hub's own events are about a ticket, except the
/// registration of a user; a sender may use the name of any event.
fn chosen_by(event: &Event, is_about_a_ticket: bool) -> RoutedBy {
    let is_the_hubs = is_about_a_ticket || *event == Event::UserRegistration;
    if is_the_hubs && event.is_the_hubs() { RoutedBy::Hub } else { RoutedBy::Sender }
}

/// A user, and the facts that decide about their notifications.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// The account as it is now.
    pub user: &'a User,
    /// The user's present preferences.
    pub preferences: &'a Preferences,
    /// The ticket's creator and its developers; `None` without a ticket.
    pub ticket: Option<(UserId, &'a [UserId])>,
}

impl Person<'_> {
    /// The reasons why the event concerns this user, as far as the present state shows them.
    #[must_use]
    pub fn concerns(&self, event: &Event) -> Vec<Concern> {
        let is_one = |concern: &Concern| match concern {
            Concern::Admin => self.user.role.is_admin(),
            Concern::SuperAdmin => self.user.role == super::user::Role::SuperAdmin,
            Concern::Creator => self.ticket.is_some_and(|(creator, _)| creator == self.user.id),
            Concern::Assigned => self.ticket.is_some_and(|(_, all)| all.contains(&self.user.id)),
            // The announcement alone shows these.
            Concern::Named | Concern::Chosen => false,
        };
        event.concerns().iter().copied().filter(is_one).collect()
    }

    /// Why this user was notified: never empty, unless something has changed since.
    #[must_use]
    pub fn why_told(&self, event: &Event) -> Vec<Concern> {
        match event.concerns() {
            said @ ([Concern::Named] | [Concern::Chosen]) => said.to_vec(),
            _ => self.concerns(event),
        }
    }

    /// Why this user was not notified of an event.
    #[must_use]
    pub fn why_not_told(&self, event: &Event, by: Option<UserId>) -> NotTold {
        if by == Some(self.user.id) {
            NotTold::OwnAct
        } else if !self.user.is_active {
            NotTold::Inactive
        } else if self.concerns(event).is_empty() {
            NotTold::NotConcerned
        } else if !self.preferences.wants_notification(event) {
            NotTold::Preference
        } else {
            NotTold::NotThen
        }
    }

    /// Why this notified user has no delivery on a channel: all reasons that apply now, never none.
    #[must_use]
    pub fn why_no_way(
        &self,
        event: &Event,
        is_about_a_ticket: bool,
        channel: Channel,
        reach: Reach,
    ) -> Vec<NoWay> {
        let by = chosen_by(event, is_about_a_ticket);
        let own = if by == RoutedBy::Hub { event.channels() } else { Channels::NONE };
        let routed = Routed { channels: own.or(reach.policy), by };
        let (is_missing, missing) = match &channel.spec().address {
            AddressKind::Inbox => (false, NoWay::NoAddress),
            AddressKind::Account(_) => {
                (self.user.addresses.get(channel).is_empty(), NoWay::NoAddress)
            }
            AddressKind::Browsers => (!reach.has_browser, NoWay::NoBrowser),
            AddressKind::Webhooks => (!reach.has_webhook, NoWay::NoWebhook),
        };
        // A sender's choice is not stored. But a chosen channel has a delivery if it is enabled,
        // unless it is push and there is no subscription.
        let is_on = reach.on.contains(channel);
        let is_known = by == RoutedBy::Hub || is_on && !(channel == Channel::Push && is_missing);
        let verdict = self.preferences.decide(event, channel, routed);
        let is_unsent = verdict == Verdict::NotConcerned && is_known;
        let unsent = if by == RoutedBy::Hub { NoWay::NotSent } else { NoWay::NotChosen };
        let reasons = [(!is_on, NoWay::ChannelOff), (is_unsent, unsent), (is_missing, missing)];
        let mut holds: Vec<NoWay> =
            reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, why)| why).collect();
        if holds.is_empty() {
            holds.push(NoWay::NotThen);
        }
        holds
    }
}

/// Whether an audience matches what [`Event::concerns`] says of its event; for the tests of the
/// rules.
#[cfg(test)]
pub(super) fn fits(
    event: &Event,
    audience: &super::routing::Audience,
    ticket: (UserId, &[UserId]),
) -> bool {
    use super::routing::Group;
    let (creator, assigned) = ticket;
    let mut users = Vec::new();
    let mut group = None;
    for concern in event.concerns() {
        match concern {
            Concern::Admin => group = Some(Group::Admins),
            Concern::SuperAdmin => group = Some(Group::SuperAdmins),
            Concern::Creator => users.push(creator),
            Concern::Assigned => users.extend(assigned),
            Concern::Named | Concern::Chosen => return true,
        }
    }
    let is_subset = audience.users.iter().all(|user| users.contains(user));
    audience.group == group && is_subset && audience.users.is_empty() == users.is_empty()
}

#[cfg(test)]
mod tests {
    use super::super::address::Addresses;
    use super::super::preference::{PreferenceChanges, Wish};
    use super::super::routing::Channel;
    use super::super::user::Origin;
    use super::*;

    fn user(id: i64, role: &str) -> User {
        User {
            id: UserId(id),
            username: "ann".into(),
            addresses: Addresses::default(),
            full_name: "".into(),
            role: role.parse().unwrap(),
            is_active: true,
            is_email_verified: true,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            origin: Origin::Hub,
            tokens_from: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn each_reason_has_its_turn() {
        fn of<'a>(
            user: &'a User,
            preferences: &'a Preferences,
            ticket: Option<(UserId, &'a [UserId])>,
        ) -> Person<'a> {
            Person { user, preferences, ticket }
        }
        let mut admin = user(1, "admin");
        let (nothing, assigned) = (Preferences::default(), [UserId(3)]);
        let ticket = Some((UserId(2), &assigned[..]));
        let event = Event::WorkFinished;
        assert_eq!(of(&admin, &nothing, ticket).why_told(&event), [Concern::Admin]);
        let client = user(2, "client");
        assert_eq!(of(&client, &nothing, ticket).why_told(&event), [Concern::Creator]);
        assert_eq!(of(&client, &nothing, ticket).why_told(&Event::Mentioned), [Concern::Named]);
        let stranger = user(4, "client");
        assert!(
            of(&stranger, &nothing, ticket).why_told(&event).is_empty(),
            "that has changed since"
        );
        let why = |user: &User, preferences: &Preferences| {
            of(user, preferences, ticket).why_not_told(&event, Some(UserId(3)))
        };
        assert_eq!(why(&user(3, "developer"), &nothing), NotTold::OwnAct);
        assert_eq!(why(&stranger, &nothing), NotTold::NotConcerned);
        assert_eq!(why(&admin, &nothing), NotTold::NotThen);
        let mut changes = PreferenceChanges::default();
        let wishes = [(Channel::System, Wish::No)];
        changes.events.insert(event.as_str().to_owned(), wishes.into());
        let against = nothing.clone().with(&changes).unwrap();
        assert_eq!(why(&admin, &against), NotTold::Preference);
        admin.is_active = false;
        assert_eq!(why(&admin, &against), NotTold::Inactive);
    }

    #[test]
    fn a_channel_without_a_delivery_has_the_reasons_that_hold_now() {
        use NoWay::{ChannelOff, NoAddress, NoBrowser, NoWebhook, NotChosen, NotSent, NotThen};
        let unreachable = user(2, "client");
        let reached = User { addresses: Addresses::email("a@b.example"), ..unreachable.clone() };
        let nothing = Preferences::default();
        let (none, all) = (Channels::NONE, Channels::of(&Channel::ALL));
        let bare = Reach { on: all, policy: none, has_browser: false, has_webhook: false };
        let full = Reach { has_browser: true, has_webhook: true, ..bare };
        let off = Reach { on: none, ..bare };
        let approved = Event::TicketApproved;
        let own = Event::from_name("deploy");
        for (event, user, channel, reach, wanted) in [
            (&approved, &reached, Channel::Email, bare, &[NotSent][..]),
            (&approved, &unreachable, Channel::Email, bare, &[NotSent, NoAddress]),
            (&approved, &unreachable, Channel::Email, off, &[ChannelOff, NotSent, NoAddress]),
            (&approved, &unreachable, Channel::WhatsApp, off, &[ChannelOff, NoAddress]),
            (&approved, &reached, Channel::Email, Reach { policy: all, ..bare }, &[NotThen]),
            (&approved, &reached, Channel::Push, bare, &[NoBrowser]),
            (&approved, &reached, Channel::Push, full, &[NotThen]),
            (&approved, &reached, Channel::Webhook, bare, &[NoWebhook]),
            (&own, &reached, Channel::Email, bare, &[NotChosen]),
            (&own, &reached, Channel::Email, off, &[ChannelOff]),
            (&own, &reached, Channel::Push, bare, &[NoBrowser]),
            (&own, &reached, Channel::Push, full, &[NotChosen]),
            (&own, &reached, Channel::Webhook, bare, &[NoWebhook]),
        ] {
            let person = Person { user, preferences: &nothing, ticket: None };
            let is_about_a_ticket = event == &approved;
            let why = person.why_no_way(event, is_about_a_ticket, channel, reach);
            assert_eq!(why, wanted, "{event:?} {channel:?} {reach:?}");
        }
    }
}
