//! A notification's ways out of the house, as they are written with it.

use bellpull_actors::domain::delay::Delay;
use bellpull_actors::domain::delivery::Rule;
use bellpull_actors::domain::event::Event;
use bellpull_actors::domain::notification::DeliveryStatus;
use bellpull_actors::domain::preference::{Routed, Verdict};
use bellpull_actors::domain::routing::{Channel, Channels};
use jiff::Timestamp;

use super::known::{Address, Recipient};

/// What is announced, as far as its ways out are concerned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Announced<'a> {
    pub(super) event: &'a Event,
    pub(super) routed: Routed,
    /// Whether it passes everybody's rules.
    pub(super) is_critical: bool,
    /// The channels that are switched on.
    pub(super) on: Channels,
    /// When it is due where no rule delays it.
    pub(super) due_at: Timestamp,
}

/// A delivery that is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outgoing<'a> {
    pub(super) to: &'a Address,
    pub(super) way: Way,
}

/// What becomes of something on a channel, whatever the address there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) channel: Channel,
    pub(super) status: DeliveryStatus,
    /// What holds it back, or delays it.
    pub(super) rule: Option<Rule>,
    pub(super) due_at_ms: i64,
}

impl Way {
    /// Whether the channel has something to do.
    pub(super) fn is_queued(self) -> bool {
        self.status == DeliveryStatus::Queued
    }
}

impl<'a> Announced<'a> {
    /// Whether this recipient gets a notification at all.
    pub(super) fn reaches(&self, recipient: &Recipient) -> bool {
        self.is_critical || recipient.preferences.wants_notification(self.event)
    }

    /// The deliveries of a notification to this recipient. The one place where the recipient's
    /// rules decide: what they hold back is written too, with the rule.
    ///
    /// A browser is told only where it was registered, each by a delivery of its own, so that
    /// without one there is no delivery at all; so is a webhook.
    pub(super) fn outgoing(self, recipient: &'a Recipient) -> impl Iterator<Item = Outgoing<'a>> {
        self.on.outgoing().flat_map(move |channel| {
            let way = self.way(recipient, channel).into_iter();
            way.flat_map(move |way| {
                let targets = recipient.targets(channel, self.event);
                targets.map(move |to| Outgoing { to, way })
            })
        })
    }

    /// How a project's webhook is told: nobody's wishes hold it back.
    pub(super) fn to_project(self) -> Way {
        Way {
            channel: Channel::Webhook,
            status: DeliveryStatus::Queued,
            rule: None,
            due_at_ms: self.due_at.as_millisecond(),
        }
    }

    /// What becomes of it on a channel, whatever its addresses there.
    fn way(self, recipient: &Recipient, channel: Channel) -> Option<Way> {
        let held_back = match self.verdict(recipient, channel) {
            Verdict::NotConcerned => return None,
            Verdict::HeldBack(rule) => Some(rule),
            Verdict::GoesOut if recipient.reach.contains(channel) => None,
            Verdict::GoesOut => Some(Rule::NoAddress),
        };
        let (status, rule, due_at) = match (held_back, self.delay(recipient, channel)) {
            (Some(rule), _) => (DeliveryStatus::Suppressed, Some(rule), self.due_at),
            (None, Some(delay)) => (DeliveryStatus::Queued, Some(delay.rule), delay.until),
            (None, None) => (DeliveryStatus::Queued, None, self.due_at),
        };
        let due_at_ms = due_at.as_millisecond();
        Some(Way { channel, status, rule, due_at_ms })
    }

    /// What is critical neither waits for the morning nor is gathered.
    fn delay(self, recipient: &Recipient, channel: Channel) -> Option<Delay> {
        let delay = recipient.preferences.delay(channel, self.due_at);
        delay.filter(|_| !self.is_critical)
    }

    fn verdict(self, recipient: &Recipient, channel: Channel) -> Verdict {
        let verdict = recipient.preferences.decide(self.event, channel, self.routed);
        match verdict {
            Verdict::HeldBack(_) if self.is_critical => Verdict::GoesOut,
            Verdict::GoesOut | Verdict::HeldBack(_) | Verdict::NotConcerned => verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use bellpull_actors::domain::inbox::Head;
    use bellpull_actors::domain::preference::{PreferenceChanges, Preferences, RoutedBy, Wish};

    use super::super::known::Hook;
    use super::*;

    fn recipient(reach: &[Channel], wishes: &[(Channel, Wish)]) -> Recipient {
        let mut changes = PreferenceChanges::default();
        changes.events.insert("mentioned".to_owned(), wishes.iter().copied().collect());
        let preferences = Preferences::default().with(&changes).unwrap();
        let reach = Channels::of(reach);
        let (browsers, hooks) = (Vec::new(), Vec::new());
        Recipient { head: Head::default(), reach, browsers, hooks, preferences }
    }

    fn address(id: i64) -> Address {
        Address { id, lane: "host.example".to_owned() }
    }

    fn announced(channels: &[Channel]) -> Announced<'static> {
        Announced {
            event: &Event::Mentioned,
            routed: Routed { channels: Channels::of(channels), by: RoutedBy::Hub },
            is_critical: false,
            on: Channels::of(&Channel::ALL),
            due_at: Timestamp::from_millisecond(7).unwrap(),
        }
    }

    fn rows(
        announced: Announced<'_>,
        recipient: &Recipient,
    ) -> Vec<(&'static str, &'static str, Option<&'static str>)> {
        announced
            .outgoing(recipient)
            .map(|out| out.way)
            .map(|way| (way.channel.as_str(), way.status.as_str(), way.rule.map(Rule::as_str)))
            .collect()
    }

    #[test]
    fn what_has_no_address_is_written_and_held_back() {
        let somebody = recipient(&[Channel::Email], &[]);
        let announced = announced(&Channel::ALL);
        let held_back = Some("no_address");
        let expected = [
            ("EMAIL", "QUEUED", None),
            ("WHATSAPP", "SUPPRESSED", held_back),
            ("SMS", "SUPPRESSED", held_back),
        ];
        assert_eq!(rows(announced, &somebody), expected);
        let off = Announced { on: Channels::NONE, ..announced };
        assert_eq!(off.outgoing(&somebody).count(), 0);
    }

    #[test]
    fn each_browser_has_a_delivery_and_without_one_there_is_none() {
        let push = |recipient: &Recipient| {
            let announced = Announced { on: Channels::of(&[Channel::Push]), ..announced(&[]) };
            let out = announced.outgoing(recipient);
            out.map(|out| (out.to.id, out.way.rule.map(Rule::as_str))).collect::<Vec<_>>()
        };
        let mut somebody = recipient(&[Channel::Push], &[]);
        assert_eq!(push(&somebody), []);
        somebody.browsers = vec![address(3), address(5)];
        assert_eq!(push(&somebody), [(3, None), (5, None)]);
        let wish = recipient(&[Channel::Push], &[(Channel::Push, Wish::No)]);
        let unwilling = Recipient { browsers: vec![address(3)], ..wish };
        assert_eq!(push(&unwilling), [(3, Some("preference"))]);
    }

    #[test]
    fn a_webhook_hears_of_its_own_events_whatever_the_sender_has_chosen() {
        let told = |recipient: &Recipient| {
            let routed = Routed { channels: Channels::NONE, by: RoutedBy::Sender };
            let on = Channels::of(&[Channel::Webhook]);
            let announced = Announced { on, routed, ..announced(&[]) };
            let out = announced.outgoing(recipient);
            out.map(|out| (out.to.id, out.way.rule.map(Rule::as_str))).collect::<Vec<_>>()
        };
        let hooks = [(3, &["mentioned"][..]), (4, &["ticket_created"]), (5, &[])];
        let hooks = hooks.map(|(id, events)| Hook {
            address: address(id),
            events: events.iter().map(|name| (*name).to_owned()).collect(),
        });
        let of = |wishes: &[(Channel, Wish)]| Recipient {
            hooks: hooks.to_vec(),
            ..recipient(&[Channel::Webhook], wishes)
        };
        assert_eq!(told(&of(&[])), [(3, None), (5, None)]);
        let held_back = [(3, Some("preference")), (5, Some("preference"))];
        assert_eq!(told(&of(&[(Channel::Webhook, Wish::No)])), held_back);
    }

    #[test]
    fn a_wish_decides_before_the_address_does_and_what_is_critical_before_both() {
        use Channel::{Email, Sms, System, WhatsApp};
        let wishes = [
            (Email, Wish::No),
            (WhatsApp, Wish::Unsubscribed),
            (Sms, Wish::Yes),
            (System, Wish::No),
        ];
        let somebody = recipient(&[Email, Sms], &wishes);
        let announced = announced(&[System, Email, WhatsApp]);
        let held_back = [
            ("EMAIL", "SUPPRESSED", Some("preference")),
            ("WHATSAPP", "SUPPRESSED", Some("unsubscribed")),
            ("SMS", "QUEUED", None),
        ];
        assert_eq!(rows(announced, &somebody), held_back);
        assert!(!announced.reaches(&somebody));
        let critical = Announced { is_critical: true, ..announced };
        let passed = [
            ("EMAIL", "QUEUED", None),
            ("WHATSAPP", "SUPPRESSED", Some("no_address")),
            ("SMS", "QUEUED", None),
        ];
        assert_eq!(rows(critical, &somebody), passed);
        assert!(critical.reaches(&somebody));
    }
}
