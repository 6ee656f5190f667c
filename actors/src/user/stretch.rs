//! A stretch of an inbox as the store has it, and how each kind of session is shown it.
//!
//! A stretch says what changed after one position and up to another, each row once, in its latest
//! state. Whoever was shown everything up to some position within it can go on with it, so one
//! reading serves every session, wherever it is. Pure, so that every order can be tested.

use std::sync::Arc;

use crate::domain::ids::Seq;
use crate::domain::inbox::{Birth, Change, Head, Row};
use crate::session::Feed;

/// What of the inbox a session is shown: a [`Feed`] without its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    /// Nothing.
    Nothing,
    /// Births in their order, and marks as they happen.
    Births,
    /// Every change in its order.
    Changes,
}

impl From<Feed> for Shows {
    fn from(feed: Feed) -> Self {
        match feed {
            Feed::Nothing => Self::Nothing,
            Feed::Births(_) => Self::Births,
            Feed::Changes(_) => Self::Changes,
        }
    }
}

/// What the store had after a position.
#[derive(Debug)]
pub(super) struct Stretch {
    /// The position.
    pub(super) after: Seq,
    /// Up to where it is complete.
    pub(super) head: Seq,
    /// The unread count then.
    pub(super) unread_count: i64,
    /// The rows, by their last change.
    pub(super) rows: Vec<Row>,
}

/// One thing that a session is to be shown.
#[derive(Debug, Clone)]
pub(super) enum Item {
    /// A change, as it was told.
    Told(Change),
    /// A stretch of changes; turned into the others when its turn comes, for only then is it known
    /// what of it the session was shown already.
    Read(Arc<Stretch>),
    /// A row of a stretch.
    Row {
        /// The row.
        row: Row,
        /// Whether the session was not shown its birth.
        is_news: bool,
        /// Whether no news come behind it that were born before its last change.
        is_resumable: bool,
        /// The count at the end of the stretch.
        unread_count: i64,
    },
    /// The end of a stretch: everything up to here was shown.
    Reached {
        /// The position.
        seq: Seq,
        /// The count there.
        unread_count: i64,
    },
}

impl Stretch {
    /// No change at all, at a position.
    pub(super) fn none(head: Head) -> Self {
        let Head { last_seq, unread_count, .. } = head;
        Self { after: last_seq, head: last_seq, unread_count, rows: Vec::new() }
    }

    /// Births alone, as if nothing had happened to them since: what sessions of births begin with.
    pub(super) fn of_births(after: Seq, head: Head, births: Vec<Birth>) -> Self {
        let row = |birth: Birth| Row { changed_seq: birth.seq, birth, is_deleted: false };
        let Head { last_seq, unread_count, .. } = head;
        let rows = births.into_iter().map(row).collect();
        Self { after, head: last_seq, unread_count, rows }
    }

    /// What a store that is at `head` has changed after a position.
    pub(super) fn of_changes(after: Seq, head: Head, rows: Vec<Row>) -> Self {
        let Head { last_seq, unread_count, .. } = head;
        Self { after, head: last_seq, unread_count, rows }
    }

    /// What a session that was shown everything up to `at` is to be shown of it, each thing with a
    /// higher position than the one before.
    pub(super) fn items(&self, shows: Shows, at: Seq) -> Vec<Item> {
        let at = at.max(self.after);
        let unread_count = self.unread_count;
        let later = self.rows.iter().filter(|row| row.changed_seq > at);
        let mut items: Vec<Item> = match shows {
            Shows::Nothing => Vec::new(),
            Shows::Changes => later
                .map(|row| {
                    // What was born and deleted meanwhile is no news any more, only gone.
                    let is_news = row.birth.seq > at && !row.is_deleted;
                    Item::Row { row: row.clone(), is_news, is_resumable: true, unread_count }
                })
                .collect(),
            Shows::Births => later
                .filter_map(|row| match (row.birth.seq > at, row.is_deleted) {
                    (true, true) => None,
                    (true, false) => {
                        let birth = row.birth.clone();
                        Some(Item::Told(Change::Born { birth, unread_count }))
                    }
                    (false, _) => {
                        let row = row.clone();
                        Some(Item::Row { row, is_news: false, is_resumable: true, unread_count })
                    }
                })
                .collect(),
        };
        match shows {
            Shows::Births => items.sort_by_key(Item::last),
            Shows::Changes => note_resumable(&mut items),
            Shows::Nothing => {}
        }
        if self.head >= at {
            items.push(Item::Reached { seq: self.head, unread_count });
        }
        items
    }
}

/// Notes from where a client could go on without missing anything: from behind all news that were
/// born before.
fn note_resumable(items: &mut [Item]) {
    let mut first_birth = None;
    for item in items.iter_mut().rev() {
        let Item::Row { row, is_news, is_resumable, .. } = item else { continue };
        *is_resumable = first_birth.is_none_or(|birth| birth > row.changed_seq);
        if *is_news {
            first_birth =
                Some(first_birth.map_or(row.birth.seq, |birth: Seq| birth.min(row.birth.seq)));
        }
    }
}

impl Item {
    /// The position that is reached with it.
    pub(super) fn last(&self) -> Seq {
        match self {
            Self::Told(change) => change.last(),
            Self::Read(stretch) => stretch.head,
            Self::Row { row, .. } => row.changed_seq,
            Self::Reached { seq, .. } => *seq,
        }
    }
}
