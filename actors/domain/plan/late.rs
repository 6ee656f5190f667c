//! What has waited: whether it may still go out.
//!
//! The recipient's rules decide when a delivery is written. One that waited since, for the end of
//! quiet hours, a digest, another attempt or its turn in a long queue, goes by what the recipient
//! has done meanwhile: an e-mail after an unsubscription, or with a link to a ticket that its
//! reader may not see any more, is a mistake of ours.

use jiff::{SignedDuration, Timestamp};

use crate::delivery::Rule;
use crate::event::Event;
use crate::ids::UserId;
use crate::preference::{Preferences, Wish};
use crate::routing::Channel;
use crate::ticket::{Membership, VisibleTo};
use crate::user::Role;

/// What is leased sooner after it was due did not wait: a notification that is read at once in a
/// page goes out elsewhere all the same.
const WAITED: SignedDuration = SignedDuration::from_secs(10);

/// Whether a delivery that is leased now has waited. `is_delayed`: by a rule, when it was written.
#[must_use]
pub fn has_waited(is_delayed: bool, failures: u32, due_at: Timestamp, now: Timestamp) -> bool {
    is_delayed || failures > 0 || now.duration_since(due_at) >= WAITED
}

/// What has become of a delivery's recipient, notification and ticket.
#[derive(Debug, Clone)]
pub struct Late {
    /// The channel.
    pub channel: Channel,
    /// The event.
    pub event: Event,
    /// The recipient.
    pub user: UserId,
    /// The recipient's role.
    pub role: Role,
    /// The recipient's preferences.
    pub preferences: Preferences,
    /// Whether the sender overrides the preferences.
    pub is_critical: bool,
    /// Whether the notification was read or deleted.
    pub is_seen: bool,
    /// Its ticket; `None` where it has none of the hub's.
    pub ticket: Option<LateTicket>,
}

/// A notification's ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateTicket {
    /// Whether it was deleted.
    pub is_deleted: bool,
    /// Whether the recipient raised it or is assigned to it.
    pub is_own: bool,
    /// The recipient's membership in its project.
    pub membership: Membership,
}

impl Late {
    /// Why it does not go out, if it does not.
    #[must_use]
    pub fn called_off_by(&self) -> Option<Rule> {
        if self.ticket.is_some_and(|ticket| !self.sees(ticket)) {
            return Some(Rule::NotVisible);
        }
        let unwanted = self.unwanted().filter(|_| !self.is_critical);
        // A webhook is read by a program: it is told of everything.
        let seen = (self.is_seen && self.channel != Channel::Webhook).then_some(Rule::Seen);
        unwanted.or(seen)
    }

    fn sees(&self, ticket: LateTicket) -> bool {
        let creator = if ticket.is_own { self.user } else { UserId(0) };
        let rule = VisibleTo::of(self.user, &self.role);
        !ticket.is_deleted && rule.sees(creator, &[], ticket.membership)
    }

    fn unwanted(&self) -> Option<Rule> {
        match self.preferences.wish(&self.event, self.channel) {
            Some(Wish::Unsubscribed) => Some(Rule::Unsubscribed),
            Some(Wish::No) => Some(Rule::Preference),
            Some(Wish::Yes) | None => {
                let is_wanted = self.preferences.wants_notification(&self.event);
                (!is_wanted).then_some(Rule::Preference)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preference::PreferenceChanges;

    fn late() -> Late {
        Late {
            channel: Channel::Email,
            event: Event::Mentioned,
            user: UserId(7),
            role: Role::Developer,
            preferences: Preferences::default(),
            is_critical: false,
            is_seen: false,
            ticket: None,
        }
    }

    fn wishing(channel: Channel, wish: Wish) -> Preferences {
        let mut changes = PreferenceChanges::default();
        changes.events.entry("mentioned".to_owned()).or_default().insert(channel, wish);
        Preferences::default().with(&changes).unwrap()
    }

    #[test]
    fn a_delay_an_attempt_or_a_queue_is_a_wait() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (is_delayed, failures, now, wanted) in [
            (false, 0, 109, false),
            (false, 0, 110, true),
            (true, 0, 100, true),
            (false, 1, 100, true),
        ] {
            assert_eq!(has_waited(is_delayed, failures, at(100), at(now)), wanted);
        }
    }

    #[test]
    fn wishes_count_until_it_goes_but_for_a_critical_one() {
        for (channel, wish, wanted) in [
            (Channel::Email, Wish::Yes, None),
            (Channel::Email, Wish::No, Some(Rule::Preference)),
            (Channel::Email, Wish::Unsubscribed, Some(Rule::Unsubscribed)),
            (Channel::Sms, Wish::No, None),
            (Channel::System, Wish::No, Some(Rule::Preference)),
        ] {
            let late = Late { preferences: wishing(channel, wish), ..late() };
            assert_eq!(late.called_off_by(), wanted, "{channel:?} {wish:?}");
            assert_eq!(Late { is_critical: true, ..late }.called_off_by(), None);
        }
    }

    #[test]
    fn what_was_seen_goes_to_programs_only() {
        let seen = Late { is_seen: true, ..late() };
        assert_eq!(seen.called_off_by(), Some(Rule::Seen));
        let critical = Late { is_critical: true, ..seen.clone() };
        assert_eq!(critical.called_off_by(), Some(Rule::Seen));
        assert_eq!(Late { channel: Channel::Webhook, ..seen }.called_off_by(), None);
    }

    #[test]
    fn a_ticket_has_to_be_visible() {
        use Membership::{Member, NonMember};
        for (role, is_deleted, is_own, membership, wanted) in [
            (Role::Developer, false, false, Member, true),
            (Role::Developer, false, false, NonMember, false),
            (Role::Developer, false, true, NonMember, true),
            (Role::Developer, true, true, Member, false),
            (Role::Client, false, false, Member, false),
            (Role::Client, false, true, NonMember, true),
            (Role::Admin, false, false, NonMember, true),
            (Role::Admin, true, false, Member, false),
        ] {
            let ticket = Some(LateTicket { is_deleted, is_own, membership });
            let late = Late { role, ticket, ..late() };
            let wanted = (!wanted).then_some(Rule::NotVisible);
            assert_eq!(late.called_off_by(), wanted, "{ticket:?}");
        }
    }
}
