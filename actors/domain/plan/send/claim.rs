//! Claims: a send that is due is stepped by one owner at a time, a node and its start.
//!
//! A claim is taken with a step and renewed by each further one, so it ends by its time once its
//! owner has stopped or crashed. It saves work and keeps the steps of a send in one place; that no
//! recipient has a send twice does not depend on it, but on the cursor, which is moved in the
//! transaction of its chunk.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

/// How long a claim lasts after a step. A scheduler steps its sends in turns of some milliseconds
/// each, up to a thousand of them; an unavailable store is retried within some seconds.
pub const CLAIM_LASTS: SignedDuration = SignedDuration::from_secs(30);

/// An owner's claim to a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The owner, as in rows.
    pub owner: Cow<'a, str>,
    /// When it ends, unless it is renewed.
    pub until: Timestamp,
}

impl<'a> Claim<'a> {
    /// The claim of an owner that steps a send now.
    #[must_use]
    pub fn new(owner: &'a str, now: Timestamp) -> Self {
        let until = now.saturating_add(CLAIM_LASTS).unwrap_or(now);
        Self { owner: Cow::Borrowed(owner), until }
    }

    /// Whether this owner must leave the send alone: another one has claimed it, and the claim has
    /// not ended.
    #[must_use]
    pub fn excludes(&self, owner: &str, now: Timestamp) -> bool {
        self.until > now && self.owner != owner
    }

    /// The same, for longer than the owner's name is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Claim<'static> {
        Claim { owner: Cow::Owned(self.owner.into_owned()), until: self.until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_excludes_others_until_it_ends() {
        let begin = Timestamp::UNIX_EPOCH;
        let claim = Claim::new("a/1", begin);
        let last = begin + CLAIM_LASTS - SignedDuration::from_millis(1);
        for (owner, now, is_excluded) in [
            ("a/1", begin, false),
            ("b/1", begin, true),
            // The same node, started again.
            ("a/2", begin, true),
            ("b/1", last, true),
            ("b/1", begin + CLAIM_LASTS, false),
            ("a/1", begin + CLAIM_LASTS, false),
        ] {
            assert_eq!(claim.excludes(owner, now), is_excluded, "{owner} at {now}");
        }
        assert_eq!(Claim::new("a/1", Timestamp::MAX).until, Timestamp::MAX);
    }
}
