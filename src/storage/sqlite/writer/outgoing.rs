//! A notification's ways out of the house, as they are written with it.

use std::sync::Arc;

use bellpull_actors::domain::delay::Delay;
use bellpull_actors::domain::delivery::Rule;
use bellpull_actors::domain::escalation::Escalation;
use bellpull_actors::domain::event::Event;
use bellpull_actors::domain::notification::DeliveryStatus;
use bellpull_actors::domain::preference::{Routed, Verdict};
use bellpull_actors::domain::routing::{Channel, Channels};
use jiff::{SignedDuration, Timestamp};

use super::known::{Address, Recipient};

/// What is announced, as far as its ways out are concerned.
#[derive(Debug, Clone)]
pub(super) struct Announced<'a> {
    pub(super) event: &'a Event,
    /// The ticket that it is about; 0 where it is about none.
    pub(super) ticket_id: i64,
    pub(super) routed: Routed,
    /// Its event's policy.
    pub(super) escalation: Option<Arc<Escalation>>,
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
    /// Of a policy's step: the ticket that may move on before it is due.
    pub(super) until_seen: Option<i64>,
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
    pub(super) fn outgoing(
        &'a self,
        recipient: &'a Recipient,
    ) -> impl Iterator<Item = Outgoing<'a>> {
        self.on.outgoing().flat_map(move |channel| {
            let way = self.way(recipient, channel).into_iter();
            way.flat_map(move |way| {
                let targets = recipient.targets(channel, self.event);
                targets.map(move |to| Outgoing { to, way })
            })
        })
    }

    /// How a project's webhook is told: nobody's wishes hold it back.
    pub(super) fn to_project(&self) -> Way {
        Way {
            channel: Channel::Webhook,
            status: DeliveryStatus::Queued,
            rule: None,
            due_at_ms: self.due_at.as_millisecond(),
            until_seen: None,
        }
    }

    /// What becomes of it on a channel, whatever its addresses there.
    fn way(&self, recipient: &Recipient, channel: Channel) -> Option<Way> {
        let held_back = match self.verdict(recipient, channel) {
            Verdict::NotConcerned => return None,
            Verdict::HeldBack(rule) => Some(rule),
            Verdict::GoesOut if !recipient.reach.contains(channel) => Some(Rule::NoAddress),
            Verdict::GoesOut if channel == Channel::Email && recipient.is_unverified => {
                Some(Rule::Unverified)
            }
            Verdict::GoesOut => None,
        };
        let (status, rule, due_at) = match (held_back, self.delay(recipient, channel)) {
            (Some(rule), _) => (DeliveryStatus::Suppressed, Some(rule), self.due_at),
            (None, Some(delay)) => (DeliveryStatus::Queued, Some(delay.rule), delay.until),
            (None, None) => (DeliveryStatus::Queued, None, self.due_at),
        };
        let due_at_ms = due_at.as_millisecond();
        let until_seen = self.wait(channel).map(|_| self.ticket_id);
        Some(Way { channel, status, rule, due_at_ms, until_seen })
    }

    /// How long its event's policy has a channel wait.
    fn wait(&self, channel: Channel) -> Option<SignedDuration> {
        self.escalation.as_ref()?.wait(channel)
    }

    /// The policy's wait comes first; where that ends within quiet hours, or its e-mail is
    /// gathered, the recipient's own rule goes on from there. What is critical neither waits for
    /// the morning nor is gathered; how loudly it is told, and when, is the policy's own.
    fn delay(&self, recipient: &Recipient, channel: Channel) -> Option<Delay> {
        let wait = self.wait(channel).filter(SignedDuration::is_positive);
        let step = wait.and_then(|wait| self.due_at.checked_add(wait).ok());
        let ready_at = step.unwrap_or(self.due_at);
        let delay = recipient.preferences.delay(channel, ready_at);
        let waits = step.map(|until| Delay { rule: Rule::Escalation, until });
        delay.filter(|_| !self.is_critical).or(waits)
    }

    fn verdict(&self, recipient: &Recipient, channel: Channel) -> Verdict {
        let added = self.escalation.as_ref().map_or(Channels::NONE, |policy| policy.channels());
        let routed = Routed { channels: self.routed.channels.or(added), ..self.routed };
        let verdict = recipient.preferences.decide(self.event, channel, routed);
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
        let (is_unverified, is_held) = (false, false);
        let head = Head::default();
        Recipient { head, reach, browsers, hooks, preferences, is_unverified, is_held }
    }

    fn address(id: i64) -> Address {
        Address { id, lane: "host.example".to_owned() }
    }

    fn announced(channels: &[Channel]) -> Announced<'static> {
        Announced {
            event: &Event::Mentioned,
            ticket_id: 0,
            escalation: None,
            routed: Routed { channels: Channels::of(channels), by: RoutedBy::Hub },
            is_critical: false,
            on: Channels::of(&Channel::ALL),
            due_at: Timestamp::from_millisecond(7).unwrap(),
        }
    }

    fn rows(
        announced: &Announced<'_>,
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
        assert_eq!(rows(&announced, &somebody), expected);
        let off = Announced { on: Channels::NONE, ..announced.clone() };
        assert_eq!(off.outgoing(&somebody).count(), 0);
    }

    #[test]
    fn a_mail_to_an_address_that_is_not_confirmed_is_held_back_also_a_critical_one() {
        let unverified = |reach: &[Channel]| Recipient {
            is_unverified: true,
            ..recipient(reach, &[(Channel::Sms, Wish::No)])
        };
        let announced = announced(&[Channel::Email, Channel::Sms]);
        let somebody = unverified(&[Channel::Email, Channel::Sms]);
        let held_back = [
            ("EMAIL", "SUPPRESSED", Some("unverified")),
            ("SMS", "SUPPRESSED", Some("preference")),
        ];
        assert_eq!(rows(&announced, &somebody), held_back);
        let critical = Announced { is_critical: true, ..announced.clone() };
        let passed = [("EMAIL", "SUPPRESSED", Some("unverified")), ("SMS", "QUEUED", None)];
        assert_eq!(rows(&critical, &somebody), passed);
        assert_eq!(rows(&announced, &unverified(&[]))[0].2, Some("no_address"));
    }

    #[test]
    fn each_browser_has_a_delivery_and_without_one_there_is_none() {
        let push = |recipient: &Recipient| {
            let announced = Announced { on: Channels::of(&[Channel::Push]), ..announced(&[]) };
            let out = announced.outgoing(recipient);
            let seen = out.map(|out| (out.to.id, out.way.rule.map(Rule::as_str)));
            seen.collect::<Vec<_>>()
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
            let out = out.map(|out| (out.to.id, out.way.rule.map(Rule::as_str)));
            out.collect::<Vec<_>>()
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
        assert_eq!(rows(&announced, &somebody), held_back);
        assert!(!announced.reaches(&somebody));
        let critical = Announced { is_critical: true, ..announced };
        let passed = [
            ("EMAIL", "QUEUED", None),
            ("WHATSAPP", "SUPPRESSED", Some("no_address")),
            ("SMS", "QUEUED", None),
        ];
        assert_eq!(rows(&critical, &somebody), passed);
        assert!(critical.reaches(&somebody));
    }

    /// Channel, rule, how long after the event it is due in ms, and whether it can be called off.
    fn steps(
        announced: &Announced<'_>,
        recipient: &Recipient,
    ) -> Vec<(Channel, Option<Rule>, i64, bool)> {
        let due_at_ms = announced.due_at.as_millisecond();
        let out = announced.outgoing(recipient);
        let after = |at_ms: i64| at_ms - due_at_ms;
        let ways = out.map(|out| out.way);
        ways.map(|way| (way.channel, way.rule, after(way.due_at_ms), way.until_seen == Some(9)))
            .collect()
    }

    #[test]
    fn a_policy_times_its_channels_adds_them_and_leaves_the_others() {
        use Channel::{Email, Sms, WhatsApp};
        use bellpull_actors::domain::escalation::Step;
        let steps_of = [(Sms, 60), (WhatsApp, 0), (Channel::System, 0)]
            .map(|(channel, after_s)| Step { channel, after_s });
        let escalation = Some(Arc::new(Escalation::new(steps_of.to_vec()).unwrap()));
        let announced =
            Announced { escalation, ticket_id: 9, ..announced(&[Channel::System, Email]) };
        let all = [Email, WhatsApp, Sms];
        let waits = Some(Rule::Escalation);
        let wanted =
            [(Email, None, 0, false), (WhatsApp, None, 0, true), (Sms, waits, 60_000, true)];
        assert_eq!(steps(&announced, &recipient(&all, &[])), wanted);
        // A wish holds back what the policy names.
        let unwilling = recipient(&all, &[(Sms, Wish::No)]);
        assert_eq!(steps(&announced, &unwilling)[2], (Sms, Some(Rule::Preference), 0, true));
    }

    #[test]
    fn a_step_that_is_due_in_quiet_hours_waits_for_their_end_unless_it_is_critical() {
        use bellpull_actors::domain::escalation::Step;
        use bellpull_actors::domain::preference::{Day, QuietHours};
        let quiet = |start: i8, end: i8| QuietHours {
            start: jiff::civil::time(start, 0, 0, 0),
            end: jiff::civil::time(end, 0, 0, 0),
            timezone: "UTC".to_owned(),
            days: Day::ALL.into_iter().collect(),
        };
        let hour_ms = 3_600_000;
        let steps_of = vec![Step { channel: Channel::Sms, after_s: 7_200 }];
        let escalation = Some(Arc::new(Escalation::new(steps_of).unwrap()));
        let announced = Announced {
            escalation,
            ticket_id: 9,
            due_at: Timestamp::UNIX_EPOCH,
            on: Channels::of(&[Channel::Sms]),
            ..announced(&[])
        };
        let critical = Announced { is_critical: true, ..announced.clone() };
        let (step, night) = (Some(Rule::Escalation), Some(Rule::QuietHours));
        for (start, end, wanted, if_critical) in [
            (0, 1, (step, 2), 2),  // over by then
            (1, 8, (night, 8), 2), // begun by then
        ] {
            let mut somebody = recipient(&[Channel::Sms], &[]);
            somebody.preferences.quiet_hours = Some(quiet(start, end));
            let due = |announced| steps(announced, &somebody)[0];
            assert_eq!(due(&announced), (Channel::Sms, wanted.0, wanted.1 * hour_ms, true));
            assert_eq!(due(&critical), (Channel::Sms, step, if_critical * hour_ms, true));
        }
    }
}
