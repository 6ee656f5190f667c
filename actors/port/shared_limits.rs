//! The port of limits that all nodes count together.
//!
//! A node counts by itself first (see [`crate::shared_rate`]): what it refuses alone never gets
//! here, and while this does not answer, the node's own count stands. So an answer is a hint, as
//! all that nodes tell each other: without it N nodes admit up to N times as much.

use std::time::Duration;

use async_trait::async_trait;

use crate::rate::Quota;

/// A bucket of tokens, and what to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedRule {
    /// What is limited. Rules of one name and group have one quota.
    pub name: &'static str,
    /// Whose bucket it is: equal bytes on all nodes. They are not stored in clear.
    pub key: Vec<u8>,
    /// How its tokens come back.
    pub quota: Quota,
    /// What to do.
    pub turn: RuleTurn,
}

/// What is done with a rule's bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleTurn {
    /// Takes a token. Without one the request is refused, and the rules after it are not asked; the
    /// tokens that those before it took stay taken.
    Require,
    /// Takes a token. With one the next rule is not asked.
    InsteadOfNext,
    /// Takes a token if there is one; refuses nothing.
    Count,
    /// Puts a token back.
    GiveBack,
}

/// What a rule said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A token was taken, or put back.
    Admitted,
    /// There is none for so long.
    Refused(Duration),
    /// It was not asked.
    NotAsked,
}

/// Counts for all nodes.
#[async_trait]
pub trait SharedLimits: std::fmt::Debug + Send + Sync + 'static {
    /// Asks the rules in their order, in one step over all nodes; a verdict for each. The time is
    /// the counter's own: the clocks of nodes may differ. `group` names what is asked together, and
    /// the buckets are the group's.
    ///
    /// `None`: there is no answer, within a short time. Whether tokens were taken is then unknown.
    async fn ask(&self, group: &'static str, rules: &[SharedRule]) -> Option<Vec<Verdict>>;
}

/// Whether the rules admit a request, by [`SharedLimits::ask`]'s verdicts.
///
/// # Errors
/// How long until the rule that has refused it has a token.
pub fn outcome(rules: &[SharedRule], verdicts: &[Verdict]) -> Result<(), Duration> {
    let refusal = rules.iter().zip(verdicts).find_map(|(rule, verdict)| match verdict {
        Verdict::Refused(wait) if rule.turn == RuleTurn::Require => Some(*wait),
        Verdict::Refused(_) | Verdict::Admitted | Verdict::NotAsked => None,
    });
    refusal.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_required_token_refuses() {
        let quota = Quota::per_minute(1, 1).unwrap();
        let rule = |turn| SharedRule { name: "test", key: Vec::new(), quota, turn };
        let (first, second) = (Duration::from_secs(1), Duration::from_secs(2));
        let both = [Verdict::Refused(first), Verdict::Refused(second)];
        for (turn, expected) in [
            (RuleTurn::Require, Err(first)),
            (RuleTurn::InsteadOfNext, Err(second)),
            (RuleTurn::Count, Err(second)),
            (RuleTurn::GiveBack, Err(second)),
        ] {
            assert_eq!(outcome(&[rule(turn), rule(RuleTurn::Require)], &both), expected);
        }
        let passed = [Verdict::Admitted, Verdict::NotAsked];
        assert_eq!(outcome(&[rule(RuleTurn::Require), rule(RuleTurn::Require)], &passed), Ok(()));
        assert_eq!(outcome(&[], &[]), Ok(()));
    }
}
