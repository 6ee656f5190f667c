//! Entries of which a client was shown the last change and not the entry. Pure.

use super::stretch::{Item, Shape};
use crate::domain::ids::Seq;

/// Entries that a client was shown at their last change and not at their entry, because they had
/// changed by then. Until it has acknowledged them all, no entry of theirs counts as delivered.
#[derive(Debug)]
pub(super) struct Displaced {
    /// The position before the first of their births.
    pub(super) before: Seq,
    /// The last of their changes.
    pub(super) until: Seq,
}

impl Displaced {
    /// Records what is about to be shown, if it is such an entry.
    pub(super) fn note(noted: &mut Option<Box<Self>>, item: &Item) {
        let Item::Row { line, shape: Shape::Row { is_news: true, .. }, .. } = item else { return };
        if line.seq == line.changed_seq {
            return;
        }
        let before = Seq(line.seq.0 - 1);
        let displaced = noted.get_or_insert_with(|| Box::new(Self { before, until: before }));
        displaced.before = displaced.before.min(before);
        displaced.until = displaced.until.max(line.changed_seq);
    }
}
