//! Which external deliveries an announcement has for a recipient, and when they are due.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::super::delay::Delay;
use super::super::delivery::Rule;
use super::super::escalation::Escalation;
use super::super::event::Event;
use super::super::ids::TicketId;
use super::super::notification::DeliveryStatus;
use super::super::preference::{Routed, Verdict};
use super::super::routing::{Channel, Channels};
use super::{Address, Recipient};

/// An announcement, as far as its external deliveries are concerned.
#[derive(Debug, Clone)]
pub struct Routing<'a> {
    /// The event.
    pub event: &'a Event,
    /// The ticket that it is about.
    pub ticket: Option<TicketId>,
    /// The channels that were chosen for it, and who has chosen them.
    pub routed: Routed,
    /// Its event's escalation policy.
    pub escalation: Option<Arc<Escalation>>,
    /// Whether it overrides the recipients' rules.
    pub is_critical: bool,
    /// The channels that are switched on.
    pub on: Channels,
    /// When it is due where no rule delays it.
    pub due_at: Timestamp,
}

/// An external delivery that is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct External<'a> {
    /// The address.
    pub to: &'a Address,
    /// How.
    pub route: Route,
}

/// The routing of an announcement on a channel, the same for all addresses of a recipient there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The channel.
    pub channel: Channel,
    /// Queued, or suppressed by a rule.
    pub status: DeliveryStatus,
    /// The rule that suppresses or delays it.
    pub rule: Option<Rule>,
    /// When it is due.
    pub due_at: Timestamp,
    /// Whether it is a step of an escalation policy: called off once the notification is seen, or
    /// the ticket moves on.
    pub until_seen: bool,
}

impl Route {
    /// A delivery that no recipient's rule affects.
    #[must_use]
    pub fn plain(channel: Channel, due_at: Timestamp) -> Self {
        let status = DeliveryStatus::Queued;
        Self { channel, status, rule: None, due_at, until_seen: false }
    }

    /// Whether the channel has something to do.
    #[must_use]
    pub fn is_queued(self) -> bool {
        self.status == DeliveryStatus::Queued
    }
}

impl<'a> Routing<'a> {
    /// Whether this recipient gets a notification at all.
    #[must_use]
    pub fn reaches(&self, recipient: &Recipient) -> bool {
        self.is_critical || recipient.preferences.wants_notification(self.event)
    }

    /// The external deliveries of a notification to this recipient. The only place where the
    /// recipient's rules decide: what they suppress is written too, with the rule.
    ///
    /// Each subscribed browser has a delivery of its own, so without one there is none; so has each
    /// webhook.
    pub fn external(&'a self, recipient: &'a Recipient) -> impl Iterator<Item = External<'a>> {
        self.on.outgoing().flat_map(move |channel| {
            let route = self.route(recipient, channel).into_iter();
            route.flat_map(move |route| {
                let targets = recipient.targets(channel, self.event);
                targets.map(move |to| External { to, route })
            })
        })
    }

    /// How a project's webhook is called: no user's preferences hold it back.
    #[must_use]
    pub fn to_project(&self) -> Route {
        Route::plain(Channel::Webhook, self.due_at)
    }

    /// The routing on a channel, independent of the recipient's addresses there.
    fn route(&self, recipient: &Recipient, channel: Channel) -> Option<Route> {
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
        let until_seen = self.wait(channel).is_some();
        Some(Route { channel, status, rule, due_at, until_seen })
    }

    /// How long the escalation policy lets a channel wait.
    fn wait(&self, channel: Channel) -> Option<SignedDuration> {
        self.escalation.as_ref()?.wait(channel)
    }

    /// The policy's wait comes first; if that ends within quiet hours, or the e-mail is gathered in
    /// a digest, the recipient's own rule delays it from there. A critical announcement is neither
    /// delayed by quiet hours nor gathered in a digest, but its policy's waits apply.
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
    use super::super::super::inbox::Head;
    use super::super::super::preference::{PreferenceChanges, Preferences, RoutedBy, Wish};
    use super::super::Hook;
    use super::*;

    fn recipient(reach: &[Channel], wishes: &[(Channel, Wish)]) -> Recipient {
        let mut changes = PreferenceChanges::default();
        changes.events.insert("mentioned".to_owned(), wishes.iter().copied().collect());
        let preferences = Preferences::default().with(&changes).unwrap();
        let reach = Channels::of(reach);
        Recipient { preferences, ..Recipient::plain(Head::default(), reach) }
    }

    fn address(id: i64) -> Address {
        Address { id, lane: "host.example".to_owned() }
    }

    fn routing(channels: &[Channel]) -> Routing<'static> {
        Routing {
            event: &Event::Mentioned,
            ticket: None,
            escalation: None,
            routed: Routed { channels: Channels::of(channels), by: RoutedBy::Hub },
            is_critical: false,
            on: Channels::of(&Channel::ALL),
            due_at: Timestamp::from_millisecond(7).unwrap(),
        }
    }

    fn rows(
        routing: &Routing<'_>,
        recipient: &Recipient,
    ) -> Vec<(&'static str, &'static str, Option<&'static str>)> {
        routing
            .external(recipient)
            .map(|out| out.route)
            .map(|route| {
                (route.channel.as_str(), route.status.as_str(), route.rule.map(Rule::as_str))
            })
            .collect()
    }

    #[test]
    fn what_has_no_address_is_written_and_held_back() {
        let ann = recipient(&[Channel::Email], &[]);
        let routing = routing(&Channel::ALL);
        let held_back = Some("no_address");
        let expected = [
            ("EMAIL", "QUEUED", None),
            ("WHATSAPP", "SUPPRESSED", held_back),
            ("SMS", "SUPPRESSED", held_back),
        ];
        assert_eq!(rows(&routing, &ann), expected);
        let off = Routing { on: Channels::NONE, ..routing.clone() };
        assert_eq!(off.external(&ann).count(), 0);
    }

    #[test]
    fn a_mail_to_an_address_that_is_not_confirmed_is_held_back_also_a_critical_one() {
        let unverified = |reach: &[Channel]| Recipient {
            is_unverified: true,
            ..recipient(reach, &[(Channel::Sms, Wish::No)])
        };
        let routing = routing(&[Channel::Email, Channel::Sms]);
        let ann = unverified(&[Channel::Email, Channel::Sms]);
        let held_back = [
            ("EMAIL", "SUPPRESSED", Some("unverified")),
            ("SMS", "SUPPRESSED", Some("preference")),
        ];
        assert_eq!(rows(&routing, &ann), held_back);
        let critical = Routing { is_critical: true, ..routing.clone() };
        let passed = [("EMAIL", "SUPPRESSED", Some("unverified")), ("SMS", "QUEUED", None)];
        assert_eq!(rows(&critical, &ann), passed);
        assert_eq!(rows(&routing, &unverified(&[]))[0].2, Some("no_address"));
    }

    #[test]
    fn each_browser_has_a_delivery_and_without_one_there_is_none() {
        let push = |recipient: &Recipient| {
            let routing = Routing { on: Channels::of(&[Channel::Push]), ..routing(&[]) };
            let out = routing.external(recipient);
            let seen = out.map(|out| (out.to.id, out.route.rule.map(Rule::as_str)));
            seen.collect::<Vec<_>>()
        };
        let mut ann = recipient(&[Channel::Push], &[]);
        assert_eq!(push(&ann), []);
        ann.browsers = vec![address(3), address(5)];
        assert_eq!(push(&ann), [(3, None), (5, None)]);
        let wish = recipient(&[Channel::Push], &[(Channel::Push, Wish::No)]);
        let unwilling = Recipient { browsers: vec![address(3)], ..wish };
        assert_eq!(push(&unwilling), [(3, Some("preference"))]);
    }

    #[test]
    fn a_webhook_hears_of_its_own_events_whatever_the_sender_has_chosen() {
        let announced = |recipient: &Recipient| {
            let routed = Routed { channels: Channels::NONE, by: RoutedBy::Sender };
            let on = Channels::of(&[Channel::Webhook]);
            let routing = Routing { on, routed, ..routing(&[]) };
            let out = routing.external(recipient);
            let out = out.map(|out| (out.to.id, out.route.rule.map(Rule::as_str)));
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
        assert_eq!(announced(&of(&[])), [(3, None), (5, None)]);
        let held_back = [(3, Some("preference")), (5, Some("preference"))];
        assert_eq!(announced(&of(&[(Channel::Webhook, Wish::No)])), held_back);
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
        let ann = recipient(&[Email, Sms], &wishes);
        let routing = routing(&[System, Email, WhatsApp]);
        let held_back = [
            ("EMAIL", "SUPPRESSED", Some("preference")),
            ("WHATSAPP", "SUPPRESSED", Some("unsubscribed")),
            ("SMS", "QUEUED", None),
        ];
        assert_eq!(rows(&routing, &ann), held_back);
        assert!(!routing.reaches(&ann));
        let critical = Routing { is_critical: true, ..routing };
        let passed = [
            ("EMAIL", "QUEUED", None),
            ("WHATSAPP", "SUPPRESSED", Some("no_address")),
            ("SMS", "QUEUED", None),
        ];
        assert_eq!(rows(&critical, &ann), passed);
        assert!(critical.reaches(&ann));
    }

    /// Channel, rule, how long after the event it is due in ms, and whether it can be called off.
    fn steps(
        routing: &Routing<'_>,
        recipient: &Recipient,
    ) -> Vec<(Channel, Option<Rule>, i64, bool)> {
        let due_at_ms = routing.due_at.as_millisecond();
        let out = routing.external(recipient);
        let after = |at_ms: i64| at_ms - due_at_ms;
        let routes = out.map(|out| out.route);
        routes
            .map(|route| {
                (route.channel, route.rule, after(route.due_at.as_millisecond()), route.until_seen)
            })
            .collect()
    }

    #[test]
    fn a_policy_times_its_channels_adds_them_and_leaves_the_others() {
        use super::super::super::escalation::Step;
        use Channel::{Email, Sms, WhatsApp};
        let steps_of = [(Sms, 60), (WhatsApp, 0), (Channel::System, 0)]
            .map(|(channel, after_s)| Step { channel, after_s });
        let escalation = Some(Arc::new(Escalation::new(steps_of.to_vec()).unwrap()));
        let routing =
            Routing { escalation, ticket: Some(TicketId(9)), ..routing(&[Channel::System, Email]) };
        let all = [Email, WhatsApp, Sms];
        let waits = Some(Rule::Escalation);
        let wanted =
            [(Email, None, 0, false), (WhatsApp, None, 0, true), (Sms, waits, 60_000, true)];
        assert_eq!(steps(&routing, &recipient(&all, &[])), wanted);
        // A preference suppresses a channel that the policy names.
        let unwilling = recipient(&all, &[(Sms, Wish::No)]);
        assert_eq!(steps(&routing, &unwilling)[2], (Sms, Some(Rule::Preference), 0, true));
    }

    #[test]
    fn a_step_that_is_due_in_quiet_hours_waits_for_their_end_unless_it_is_critical() {
        use super::super::super::escalation::Step;
        use super::super::super::preference::{Day, QuietHours};
        let quiet = |start: i8, end: i8| QuietHours {
            start: jiff::civil::time(start, 0, 0, 0),
            end: jiff::civil::time(end, 0, 0, 0),
            timezone: "UTC".to_owned(),
            days: Day::ALL.into_iter().collect(),
        };
        let hour_ms = 3_600_000;
        let steps_of = vec![Step { channel: Channel::Sms, after_s: 7_200 }];
        let escalation = Some(Arc::new(Escalation::new(steps_of).unwrap()));
        let routing = Routing {
            escalation,
            ticket: Some(TicketId(9)),
            due_at: Timestamp::UNIX_EPOCH,
            on: Channels::of(&[Channel::Sms]),
            ..routing(&[])
        };
        let critical = Routing { is_critical: true, ..routing.clone() };
        let (step, night) = (Some(Rule::Escalation), Some(Rule::QuietHours));
        for (start, end, wanted, if_critical) in [
            (0, 1, (step, 2), 2),  // over by then
            (1, 8, (night, 8), 2), // begun by then
        ] {
            let mut ann = recipient(&[Channel::Sms], &[]);
            ann.preferences.quiet_hours = Some(quiet(start, end));
            let due = |routing| steps(routing, &ann)[0];
            assert_eq!(due(&routing), (Channel::Sms, wanted.0, wanted.1 * hour_ms, true));
            assert_eq!(due(&critical), (Channel::Sms, step, if_critical * hour_ms, true));
        }
    }
}
