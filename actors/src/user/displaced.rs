//! News of which a client holds the last change and not the birth. Pure.

use super::stretch::{Item, Shape};
use crate::domain::ids::Seq;

/// News that a client was shown at their last change and not at their birth, because they had
/// changed by then. Until it has acknowledged them all, no birth of theirs counts as delivered.
#[derive(Debug)]
pub(super) struct Displaced {
    /// The position before the first of their births.
    pub(super) before: Seq,
    /// The last of their changes.
    pub(super) until: Seq,
}

impl Displaced {
    /// Notes what is about to be shown, where it is such news.
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
