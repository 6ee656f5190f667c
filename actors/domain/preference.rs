//! A user's preferences: which notifications, on which channels, and when.
//!
//! A preference is a choice for an event and a channel. Without one, an event is sent on its
//! default channels ([`channels`]).

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::channel::AddressKind;
use super::delivery::Rule;
use super::event::Event;
use super::locale::Locale;
use super::routing::{Channel, Channels};
use super::version::Version;

/// The most events in a user's preferences: nine are the hub's own, the others are senders'.
/// Unsubscriptions through an e-mail's link do not count: they must always be possible, and the hub
/// itself has made the links.
pub const EVENTS_MAX: usize = 200;

/// A wish on one event and one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// Switched on.
    Yes,
    /// Switched off.
    No,
    /// Switched off through an e-mail's link.
    Unsubscribed,
}

/// A user's preferences; none yet is [`Preferences::default`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preferences {
    /// By event and channel. A missing choice is the default.
    #[serde(default)]
    pub events: BTreeMap<String, BTreeMap<Channel, Wish>>,
    /// When no external delivery is sent.
    #[serde(default)]
    pub quiet_hours: Option<QuietHours>,
    /// Whether e-mails are gathered.
    #[serde(default)]
    pub email_digest: EmailDigest,
    /// The language of external messages; English by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
    /// The time zone of digests, an IANA name; that of quiet hours by default, else UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

/// From `start` until the next `end`, on the days on which it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// On the clock of [`Self::timezone`].
    pub start: Time,
    /// The same; before `start` it is on the next day.
    pub end: Time,
    /// An IANA name (`Europe/Berlin`).
    pub timezone: String,
    /// The days on which it begins; never none.
    pub days: BTreeSet<Day>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Day {
    /// All of them, from Monday.
    pub const ALL: [Self; 7] =
        [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];

    /// The day's name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mon => "mon",
            Self::Tue => "tue",
            Self::Wed => "wed",
            Self::Thu => "thu",
            Self::Fri => "fri",
            Self::Sat => "sat",
            Self::Sun => "sun",
        }
    }

    /// The day with that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|day| day.as_str() == name)
    }
}

/// How often e-mails are gathered into one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmailDigest {
    /// Each is sent by itself.
    #[default]
    Off,
    /// Once an hour.
    Hourly,
    /// Once a day.
    Daily,
}

impl EmailDigest {
    /// Its name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
        }
    }

    /// The one with that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Off, Self::Hourly, Self::Daily].into_iter().find(|one| one.as_str() == name)
    }
}

/// Whether a name is a time zone's.
#[must_use]
pub fn is_timezone(name: &str) -> bool {
    TimeZone::get(name).is_ok()
}

/// Changed preferences; what is missing stays unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PreferenceChanges {
    /// What the user has seen; `None` accepts any version.
    pub seen: Option<Version>,
    /// By event and channel.
    pub events: BTreeMap<String, BTreeMap<Channel, Wish>>,
    /// New quiet hours, or `Some(None)` for none any more.
    pub quiet_hours: Option<Option<QuietHours>>,
    /// Another setting of digests.
    pub email_digest: Option<EmailDigest>,
    /// Another language, or `Some(None)` for none any more.
    pub locale: Option<Option<Locale>>,
    /// Another time zone of digests, or `Some(None)` for none any more.
    pub timezone: Option<Option<String>>,
}

impl Preferences {
    /// With these changes; `None` where that would be wishes on too many events.
    #[must_use]
    pub fn with(mut self, changes: &PreferenceChanges) -> Option<Self> {
        for (event, wishes) in &changes.events {
            self.events.entry(event.clone()).or_default().extend(wishes);
        }
        if let Some(quiet_hours) = &changes.quiet_hours {
            self.quiet_hours.clone_from(quiet_hours);
        }
        if let Some(email_digest) = changes.email_digest {
            self.email_digest = email_digest;
        }
        if let Some(locale) = &changes.locale {
            self.locale.clone_from(locale);
        }
        if let Some(timezone) = &changes.timezone {
            self.timezone.clone_from(timezone);
        }
        let is_wished = |wish: &Wish| *wish != Wish::Unsubscribed;
        let wished = self.events.values().filter(|wishes| wishes.values().any(is_wished));
        (wished.count() <= EVENTS_MAX).then_some(self)
    }

    /// Of what the user sees: a default that is chosen makes no other one.
    #[must_use]
    pub fn version(&self) -> Version {
        let wished = self.events.keys().map(|name| Event::from_name(name));
        let events = Event::OWN.into_iter().chain(wished).map(|event| {
            let is_wanted = Channel::ALL.map(|channel| self.is_wanted(&event, channel));
            (event.as_str().to_owned(), is_wanted)
        });
        let events: BTreeMap<_, _> = events.collect();
        let rest = (&self.quiet_hours, self.email_digest, &self.locale, &self.timezone);
        let shown = serde_json::to_string(&(events, rest)).unwrap_or_default();
        Version::of_texts([shown.as_str()])
    }

    /// The choice for an event on a channel.
    #[must_use]
    pub fn wish(&self, event: &Event, channel: Channel) -> Option<Wish> {
        self.events.get(event.as_str())?.get(&channel).copied()
    }

    /// Whether one of the hub's events is sent on a channel, as far as preferences decide.
    #[must_use]
    pub fn is_wanted(&self, event: &Event, channel: Channel) -> bool {
        let by_itself = event.channels().contains(channel) || is_asked_for(channel, RoutedBy::Hub);
        self.wish(event, channel).map_or(by_itself, |wish| wish == Wish::Yes)
    }

    /// Whether a notification is made at all: the inbox is a channel too.
    #[must_use]
    pub fn wants_notification(&self, event: &Event) -> bool {
        !matches!(self.wish(event, Channel::System), Some(Wish::No | Wish::Unsubscribed))
    }

    /// The outcome on a channel on which an event may be sent: `routed` are its default channels,
    /// or those that its sender has chosen.
    #[must_use]
    pub fn decide(&self, event: &Event, channel: Channel, routed: Routed) -> Verdict {
        let is_routed = routed.channels.contains(channel) || is_asked_for(channel, routed.by);
        match (self.wish(event, channel), is_routed) {
            (None, false) => Verdict::NotConcerned,
            (None | Some(Wish::Yes), true) => Verdict::GoesOut,
            (Some(Wish::Yes), false) if routed.by == RoutedBy::Hub => Verdict::GoesOut,
            (Some(_), false) => Verdict::NotConcerned,
            (Some(Wish::No), true) => Verdict::HeldBack(Rule::Preference),
            (Some(Wish::Unsubscribed), true) => Verdict::HeldBack(Rule::Unsubscribed),
        }
    }
}

/// Whether an address on the channel is itself a request for all events, whatever their channels. A
/// user who subscribes a browser wants pushes; a sender may leave them out. A webhook is its
/// owner's way to read the inbox: no sender chooses for it.
fn is_asked_for(channel: Channel, by: RoutedBy) -> bool {
    match channel.spec().address {
        AddressKind::Browsers => by == RoutedBy::Hub,
        AddressKind::Webhooks => true,
        AddressKind::Inbox | AddressKind::Account(_) => false,
    }
}

/// The channels of an announcement before preferences, and who has chosen them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Routed {
    /// The channels.
    pub channels: Channels,
    /// Who has chosen them.
    pub by: RoutedBy,
}

/// Who chooses the channels of an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutedBy {
    /// The hub, by the event: a wish may add a channel.
    Hub,
    /// The sender: a preference may only suppress it.
    Sender,
}

/// The outcome of an announcement on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent.
    GoesOut,
    /// It would, but for a wish.
    HeldBack(Rule),
    /// It is not requested there.
    NotConcerned,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(of: &[(&str, Channel, Wish)]) -> PreferenceChanges {
        let mut changes = PreferenceChanges::default();
        for (event, channel, wish) in of {
            changes.events.entry((*event).to_owned()).or_default().insert(*channel, *wish);
        }
        changes
    }

    #[test]
    fn what_was_never_said_goes_by_the_event() {
        let none = Preferences::default();
        let wanted = |event: &Event| {
            let wanted = Channel::ALL.into_iter().filter(|channel| none.is_wanted(event, *channel));
            wanted.map(Channel::as_str).collect::<Vec<_>>()
        };
        let created = ["SYSTEM", "EMAIL", "WHATSAPP", "PUSH", "WEBHOOK"];
        assert_eq!(wanted(&Event::TicketCreated), created);
        assert_eq!(wanted(&Event::TicketApproved), ["SYSTEM", "WHATSAPP", "PUSH", "WEBHOOK"]);
        assert!(none.wants_notification(&Event::TicketCreated));
    }

    #[test]
    fn a_wish_holds_back_and_adds_only_where_the_hub_has_chosen() {
        use Channel::{Email, Sms, WhatsApp};
        let changes = wishes(&[
            ("mentioned", Email, Wish::No),
            ("mentioned", WhatsApp, Wish::Unsubscribed),
            ("mentioned", Sms, Wish::Yes),
        ]);
        let preferences = Preferences::default().with(&changes).unwrap();
        for (channel, routed, by, wanted) in [
            (Email, true, RoutedBy::Hub, Verdict::HeldBack(Rule::Preference)),
            (Email, false, RoutedBy::Hub, Verdict::NotConcerned),
            (WhatsApp, true, RoutedBy::Sender, Verdict::HeldBack(Rule::Unsubscribed)),
            (Sms, true, RoutedBy::Sender, Verdict::GoesOut),
            (Sms, false, RoutedBy::Hub, Verdict::GoesOut),
            (Sms, false, RoutedBy::Sender, Verdict::NotConcerned),
            (Channel::Push, true, RoutedBy::Hub, Verdict::GoesOut),
            (Channel::Push, false, RoutedBy::Hub, Verdict::GoesOut),
            (Channel::Push, false, RoutedBy::Sender, Verdict::NotConcerned),
            (Channel::Webhook, false, RoutedBy::Hub, Verdict::GoesOut),
            (Channel::Webhook, false, RoutedBy::Sender, Verdict::GoesOut),
        ] {
            let channels = if routed { Channels::of(&[channel]) } else { Channels::NONE };
            let verdict = preferences.decide(&Event::Mentioned, channel, Routed { channels, by });
            assert_eq!(verdict, wanted, "{channel:?} {routed} {by:?}");
        }
    }

    #[test]
    fn changes_are_merged_and_bounded() {
        let first = wishes(&[("a", Channel::Email, Wish::No), ("a", Channel::Sms, Wish::Yes)]);
        let second = wishes(&[("a", Channel::Email, Wish::Yes), ("b", Channel::System, Wish::No)]);
        let merged = Preferences::default().with(&first).unwrap().with(&second).unwrap();
        assert_eq!(merged.events["a"].len(), 2);
        assert_eq!(merged.wish(&Event::from_name("a"), Channel::Email), Some(Wish::Yes));
        assert!(!merged.wants_notification(&Event::from_name("b")));
        let many: Vec<String> = (0..EVENTS_MAX).map(|n| format!("event{n}")).collect();
        let many: Vec<_> =
            many.iter().map(|name| (name.as_str(), Channel::Email, Wish::No)).collect();
        let full = Preferences::default().with(&wishes(&many)).unwrap();
        let one_more = |wish| full.clone().with(&wishes(&[("one more", Channel::Email, wish)]));
        assert!(one_more(Wish::Unsubscribed).is_some() && one_more(Wish::No).is_none());
        assert_eq!(merged.with(&wishes(&many)), None);
    }

    #[test]
    fn names_survive_and_zones_are_known() {
        assert!(Day::ALL.into_iter().all(|day| Day::from_name(day.as_str()) == Some(day)));
        for name in ["off", "hourly", "daily"] {
            assert_eq!(EmailDigest::from_name(name).unwrap().as_str(), name);
        }
        assert!(is_timezone("Europe/Berlin") && is_timezone("UTC"));
        assert!(!is_timezone("Mars/Olympus") && !is_timezone(""));
    }
}
