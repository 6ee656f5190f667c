//! Entries of which a client was shown the last change and not the entry. Pure.

use super::stretch::{Item, Shape};
use bellpull_domain::ids::Seq;

/// Entries that a client was shown at their last change and not at their entry, because they had
/// changed by then. Until it has acknowledged them all, no entry of theirs counts as delivered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Displaced {
    /// The position before the first of their births.
    pub(super) before: Seq,
    /// The last of their changes.
    pub(super) until: Seq,
}

impl Displaced {
    /// What is about to be shown, if it is such an entry.
    pub(super) fn of(item: &Item) -> Option<Self> {
        let Item::Row { line, shape: Shape::Row { is_news: true, .. }, .. } = item else {
            return None;
        };
        let (before, until) = (Seq(line.seq.0 - 1), line.changed_seq);
        (line.seq != until).then_some(Self { before, until })
    }

    /// Both.
    pub(super) fn and(self, other: Self) -> Self {
        Self { before: self.before.min(other.before), until: self.until.max(other.until) }
    }
}
