//! The fake store as one that forgets.

use async_trait::async_trait;
use jiff::Timestamp;

use super::store::{FakeStore, Op};
use crate::retention::{Forgotten, Old, Position};
use crate::{RetentionStore, StoreError};
use bellpull_domain::ids::{Seq, UserId};

#[async_trait]
impl RetentionStore for FakeStore {
    async fn forget(
        &self,
        what: Old,
        before: Timestamp,
        from: Position,
        limit: u32,
    ) -> Result<Forgotten, StoreError> {
        self.pass(Op::Retain).await?;
        let mut data = self.data();
        let old = data.old.entry(what).or_default();
        let is_old = |at: &Timestamp| *at < before;
        let count = old.iter().filter(|at| is_old(at)).count();
        let removed = count.min(usize::try_from(limit).unwrap_or(usize::MAX));
        old.sort_unstable();
        old.drain(..removed);
        let Position([steps, ..]) = from;
        let next = (removed < count).then_some(Position([steps.saturating_add(1), 0, 0]));
        Ok(Forgotten { removed: u64::try_from(removed).unwrap_or(u64::MAX), next })
    }

    async fn renew_words(&self, limit: u32) -> Result<u64, StoreError> {
        let mut data = self.data();
        let renewed = data.old_words.min(u64::from(limit));
        data.old_words -= renewed;
        Ok(renewed)
    }
}

impl FakeStore {
    /// How many more ended then.
    pub fn grow_old(&self, what: Old, count: usize, at: Timestamp) {
        self.data().old.entry(what).or_default().extend(std::iter::repeat_n(at, count));
    }

    /// So many tickets have words of another version.
    pub fn grow_old_words(&self, count: u64) {
        self.data().old_words = count;
    }

    /// How many still have them.
    #[must_use]
    pub fn old_words(&self) -> u64 {
        self.data().old_words
    }

    /// How many there are.
    #[must_use]
    pub fn kept(&self, what: Old) -> usize {
        self.data().old.get(&what).map_or(0, Vec::len)
    }

    /// The row with that entry number is removed, as one that was deleted.
    pub fn forget_row_now(&self, user: UserId, seq: Seq) {
        let mut data = self.data();
        let inbox = data.inboxes.entry(user).or_default();
        let found = inbox.rows.iter().position(|row| row.entry.seq == seq);
        if let Some(place) = found {
            let gone = inbox.rows.remove(place);
            inbox.head.forgotten_seq = inbox.head.forgotten_seq.max(gone.changed_seq);
        }
    }
}
