//! A step of an escalation: a delivery that waits whether its recipient sees the notification
//! elsewhere first.

use crate::delivery::Rule;

/// The state of a step's notification and ticket since it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Its ticket moved on.
    pub has_moved_on: bool,
    /// Its notification was read or deleted.
    pub is_seen: bool,
    /// It is part of a digest's e-mail that was tried before. A server may have accepted it, and
    /// the e-mail keeps its contents: the step goes out in any case.
    pub is_in_digest: bool,
}

/// Why a step is cancelled, if it is.
#[must_use]
pub fn called_off_by(step: Step) -> Option<Rule> {
    match step {
        Step { is_in_digest: true, .. } => None,
        Step { has_moved_on: true, .. } => Some(Rule::MovedOn),
        Step { is_seen: true, .. } => Some(Rule::Seen),
        Step { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_that_moved_on_is_named_before_what_was_seen() {
        for (has_moved_on, is_seen, is_in_digest, rule) in [
            (false, false, false, None),
            (false, true, false, Some(Rule::Seen)),
            (true, false, false, Some(Rule::MovedOn)),
            (true, true, false, Some(Rule::MovedOn)),
            (true, true, true, None),
        ] {
            assert_eq!(called_off_by(Step { has_moved_on, is_seen, is_in_digest }), rule);
        }
    }
}
