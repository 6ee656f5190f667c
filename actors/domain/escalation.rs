//! Escalation policies: further channels notify a recipient until the notification is seen.
//!
//! A policy sets, for one event, how long each channel waits for the recipient to see the
//! notification elsewhere. Channels that it does not name are unaffected; channels beyond the
//! event's own are added. Preferences suppress as usual.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::routing::{Channel, Channels};

/// The most steps of a policy: one a channel.
pub const STEPS_MAX: usize = Channel::ALL.len();

/// The longest wait of a step, in seconds: a week. After that a notification is no news any more.
pub const AFTER_S_MAX: u32 = 7 * 24 * 3_600;

/// The most events that have a policy. Those of a group of writes are read with it.
pub const POLICIES_MAX: i64 = 200;

/// A step of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The step's channel.
    pub channel: Channel,
    /// How many seconds after the event.
    pub after_s: u32,
}

/// A policy: one step or more, the soonest first, each channel once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Escalation {
    steps: Vec<Step>,
}

/// Why steps make no policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadEscalation {
    /// There is no step.
    #[error("Name at least one step.")]
    Empty,
    /// A channel has two.
    #[error("Name each channel once: {} is there twice.", .0.as_str())]
    Twice(Channel),
    /// One waits too long.
    #[error("{}: Ensure after_s is less than or equal to {AFTER_S_MAX}.", .0.as_str())]
    TooLate(Channel),
    /// The inbox is notified with the event itself.
    #[error("SYSTEM: The inbox is told at once: after_s can only be 0.")]
    InboxWaits,
}

impl Escalation {
    /// The policy with these steps, in any order.
    ///
    /// # Errors
    /// [`BadEscalation`], for a reader.
    pub fn new(mut steps: Vec<Step>) -> Result<Self, BadEscalation> {
        if steps.is_empty() {
            return Err(BadEscalation::Empty);
        }
        steps.sort_by_key(|step| (step.after_s, step.channel));
        let mut seen = Channels::NONE;
        for Step { channel, after_s } in &steps {
            if seen.contains(*channel) {
                return Err(BadEscalation::Twice(*channel));
            }
            if *after_s > AFTER_S_MAX {
                return Err(BadEscalation::TooLate(*channel));
            }
            if *channel == Channel::System && *after_s > 0 {
                return Err(BadEscalation::InboxWaits);
            }
            seen = seen.or(Channels::of(&[*channel]));
        }
        Ok(Self { steps })
    }

    /// Its steps, the soonest first.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The channels that it names.
    #[must_use]
    pub fn channels(&self) -> Channels {
        Channels::of(&self.steps.iter().map(|step| step.channel).collect::<Vec<_>>())
    }

    /// How long a channel waits; `None` for one that it does not name.
    #[must_use]
    pub fn wait(&self, channel: Channel) -> Option<SignedDuration> {
        let step = self.steps.iter().find(|step| step.channel == channel)?;
        Some(SignedDuration::from_secs(i64::from(step.after_s)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(channel: Channel, after_s: u32) -> Step {
        Step { channel, after_s }
    }

    #[test]
    fn steps_are_in_their_order_and_name_each_channel_once() {
        use Channel::{Email, Push, Sms, System};
        let policy = Escalation::new(vec![step(Email, 900), step(System, 0), step(Push, 60)]);
        let policy = policy.unwrap();
        let channels: Vec<Channel> = policy.steps().iter().map(|step| step.channel).collect();
        assert_eq!(channels, [System, Push, Email]);
        assert_eq!(policy.channels(), Channels::of(&channels));
        assert_eq!(policy.wait(Push), Some(SignedDuration::from_mins(1)));
        assert_eq!(policy.wait(Sms), None);
        let stored = serde_json::to_string(&policy).unwrap();
        assert!(stored.starts_with(r#"[{"channel":"SYSTEM","after_s":0},"#), "{stored}");
        assert_eq!(serde_json::from_str::<Escalation>(&stored).unwrap(), policy);
    }

    #[test]
    fn what_makes_no_policy_is_refused() {
        use Channel::{Email, Sms, System};
        for (steps, wanted) in [
            (vec![], BadEscalation::Empty),
            (vec![step(Sms, 1), step(Email, 2), step(Sms, 3)], BadEscalation::Twice(Sms)),
            (vec![step(Email, AFTER_S_MAX + 1)], BadEscalation::TooLate(Email)),
            (vec![step(System, 1)], BadEscalation::InboxWaits),
        ] {
            assert_eq!(Escalation::new(steps), Err(wanted));
        }
        assert!(Escalation::new(vec![step(Email, AFTER_S_MAX)]).is_ok());
    }
}
