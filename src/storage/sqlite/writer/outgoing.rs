//! A notification's ways out of the house, as they are written with it.

use bellpull_actors::domain::delay::Delay;
use bellpull_actors::domain::delivery::Rule;
use bellpull_actors::domain::event::Event;
use bellpull_actors::domain::notification::DeliveryStatus;
use bellpull_actors::domain::preference::{Routed, Verdict};
use bellpull_actors::domain::routing::{Channel, Channels};
use jiff::Timestamp;

use super::known::Recipient;

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
pub(super) struct Outgoing {
    pub(super) channel: Channel,
    /// Which of the account's addresses; 0 where it has one at most.
    pub(super) target_id: i64,
    pub(super) status: DeliveryStatus,
    /// What holds it back, or delays it.
    pub(super) rule: Option<Rule>,
    pub(super) due_at_ms: i64,
}

impl Announced<'_> {
    /// Whether this recipient gets a notification at all.
    pub(super) fn reaches(&self, recipient: &Recipient) -> bool {
        self.is_critical || recipient.preferences.wants_notification(self.event)
    }

    /// The deliveries of a notification to this recipient. The one place where the recipient's
    /// rules decide: what they hold back is written too, with the rule.
    ///
    /// A browser or somebody's server is told only where it was registered, so that without one
    /// there is no delivery at all.
    pub(super) fn outgoing(self, recipient: &Recipient) -> impl Iterator<Item = Outgoing> {
        let is_asked_for = |channel: &Channel| !matches!(channel, Channel::Push | Channel::Webhook);
        self.on.outgoing().filter(is_asked_for).filter_map(move |channel| {
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
            Some(Outgoing { channel, target_id: 0, status, rule, due_at_ms })
        })
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

    use super::*;

    fn recipient(reach: &[Channel], wishes: &[(Channel, Wish)]) -> Recipient {
        let mut changes = PreferenceChanges::default();
        changes.events.insert("mentioned".to_owned(), wishes.iter().copied().collect());
        let preferences = Preferences::default().with(&changes).unwrap();
        Recipient { head: Head::default(), reach: Channels::of(reach), preferences }
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
            .map(|out| (out.channel.as_str(), out.status.as_str(), out.rule.map(Rule::as_str)))
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
