//! A notification's ways out of the house, as they are written with it.

use bellpull_actors::domain::delivery::Rule;
use bellpull_actors::domain::notification::DeliveryStatus;
use bellpull_actors::domain::routing::{Channel, Channels};

use super::known::Recipient;

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

/// The deliveries of a notification to this recipient, on the channels that are wanted and
/// switched on. The one place where the recipient's rules decide: what they hold back is written
/// too, with the rule.
///
/// A browser or somebody's server is told only where it was registered, so that without one there
/// is no delivery at all.
pub(super) fn outgoing(
    wanted: Channels,
    recipient: &Recipient,
    due_at_ms: i64,
) -> impl Iterator<Item = Outgoing> {
    let reach = recipient.reach;
    let is_asked_for = |channel: &Channel| !matches!(channel, Channel::Push | Channel::Webhook);
    wanted.outgoing().filter(is_asked_for).map(move |channel| {
        let (status, rule) = if reach.contains(channel) {
            (DeliveryStatus::Queued, None)
        } else {
            (DeliveryStatus::Suppressed, Some(Rule::NoAddress))
        };
        Outgoing { channel, target_id: 0, status, rule, due_at_ms }
    })
}

#[cfg(test)]
mod tests {
    use bellpull_actors::domain::inbox::Head;

    use super::*;

    #[test]
    fn what_has_no_address_is_written_and_held_back() {
        let reach = Channels::of(&[Channel::Email]);
        let recipient = Recipient { head: Head::default(), reach };
        let wanted = Channels::of(&Channel::ALL);
        let rows: Vec<_> = outgoing(wanted, &recipient, 7)
            .map(|out| (out.channel.as_str(), out.status.as_str(), out.rule.map(Rule::as_str)))
            .collect();
        let held_back = Some("no_address");
        let expected = [
            ("EMAIL", "QUEUED", None),
            ("WHATSAPP", "SUPPRESSED", held_back),
            ("SMS", "SUPPRESSED", held_back),
        ];
        assert_eq!(rows, expected);
        assert_eq!(outgoing(Channels::NONE, &recipient, 7).count(), 0);
    }
}
