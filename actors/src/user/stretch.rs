//! A stretch of an inbox as read from the store, and how each kind of session is shown it.
//!
//! A stretch contains the changes after one position and up to another, each row once, in its
//! latest state. A session that was shown everything up to some position within it continues there,
//! so one read serves every session, at whatever position. Pure, so that every order can be tested.

use std::sync::Arc;

use bellpull_domain::ids::{MessageId, NotificationId, Seq};
use bellpull_domain::inbox::{Change, Entry, Head, MessageContent, Outline, Row};
use bellpull_port::session::Feed;

/// Which part of the inbox a session is shown: a [`Feed`] without its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    /// Nothing.
    Nothing,
    /// Entries in their order, and marks as they happen.
    Entries,
    /// Every change in its order.
    Changes,
}

impl From<Feed> for Shows {
    fn from(feed: Feed) -> Self {
        match feed {
            Feed::Nothing => Self::Nothing,
            Feed::Entries(_) => Self::Entries,
            Feed::Changes(_) => Self::Changes,
        }
    }
}

/// The store's changes after a position.
#[derive(Debug)]
pub(super) struct Stretch {
    /// The position.
    pub(super) after: Seq,
    /// Up to where it is complete.
    pub(super) head: Seq,
    /// The unread count then.
    pub(super) unread_count: i64,
    /// The rows, by their last change.
    pub(super) lines: Vec<Line>,
}

/// A row of a stretch: the texts of a long one are read when needed.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) id: NotificationId,
    pub(super) seq: Seq,
    pub(super) changed_seq: Seq,
    pub(super) is_read: bool,
    pub(super) is_deleted: bool,
    pub(super) text: Text,
}

/// A row's text.
#[derive(Debug, Clone)]
pub(super) enum Text {
    /// It is here.
    Read(Arc<MessageContent>),
    /// It is in the store.
    Unread(MessageId),
}

impl From<Row> for Line {
    fn from(Row { entry, changed_seq, is_deleted }: Row) -> Self {
        let Entry { id, seq, is_read, message } = entry;
        Self { id, seq, changed_seq, is_read, is_deleted, text: Text::Read(message) }
    }
}

impl From<Outline> for Line {
    fn from(outline: Outline) -> Self {
        let Outline { id, seq, changed_seq, is_read, is_deleted, message } = outline;
        Self { id, seq, changed_seq, is_read, is_deleted, text: Text::Unread(message) }
    }
}

impl Line {
    /// The row, with its text.
    pub(super) fn row(&self, content: &Arc<MessageContent>) -> Row {
        let Self { id, seq, changed_seq, is_read, is_deleted, .. } = *self;
        let entry = Entry { id, seq, is_read, message: Arc::clone(content) };
        Row { entry, changed_seq, is_deleted }
    }
}

/// How a row of a stretch is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// As a new entry.
    Added,
    /// In its latest state.
    Row {
        /// Whether the session was not shown its entry.
        is_news: bool,
        /// Whether no entries follow that are older than its last change.
        is_resumable: bool,
    },
}

/// One thing that a session is to be shown.
#[derive(Debug, Clone)]
pub(super) enum Item {
    /// A change as it was announced: a message, or a mark.
    Live(Change),
    /// A stretch of changes; converted when it is shown, for only then is it known which of them
    /// the session was shown already.
    Read(Arc<Stretch>),
    /// A row of a stretch.
    Row {
        /// The row.
        line: Line,
        /// How it is shown.
        shape: Shape,
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
        Self { after: last_seq, head: last_seq, unread_count, lines: Vec::new() }
    }

    /// Entries only, as if they had not changed since: what sessions of entries begin with.
    pub(super) fn of_entries(
        after: Seq,
        head: Head,
        entries: Vec<Entry>,
        rest: Vec<Outline>,
    ) -> Self {
        let row = |entry: Entry| Row { changed_seq: entry.seq, entry, is_deleted: false };
        Self::of_changes(after, head, entries.into_iter().map(row).collect(), rest)
    }

    /// The changes after a position of a store that is at `head`.
    pub(super) fn of_changes(after: Seq, head: Head, rows: Vec<Row>, rest: Vec<Outline>) -> Self {
        let lines = rows.into_iter().map(Line::from).chain(rest.into_iter().map(Line::from));
        Self::of_lines(after, head, lines.collect())
    }

    /// The same of rows that were put together already.
    pub(super) fn of_lines(after: Seq, head: Head, lines: Vec<Line>) -> Self {
        let Head { last_seq, unread_count, .. } = head;
        Self { after, head: last_seq, unread_count, lines }
    }

    /// About how many bytes the texts have that are here.
    pub(super) fn texts_bytes(&self) -> usize {
        let bytes = |line: &Line| match &line.text {
            Text::Read(content) => content.bytes(),
            Text::Unread(_) => 0,
        };
        self.lines.iter().map(bytes).sum()
    }

    /// The part of it for a session that was shown everything up to `at`, in ascending positions.
    pub(super) fn items(&self, shows: Shows, at: Seq) -> Vec<Item> {
        let at = at.max(self.after);
        let unread_count = self.unread_count;
        let later = self.lines.iter().filter(|line| line.changed_seq > at);
        let shape = |line: &Line| match (shows, line.seq > at, line.is_deleted) {
            (Shows::Nothing, ..) | (Shows::Entries, true, true) => None,
            (Shows::Entries, true, false) => Some(Shape::Added),
            // An entry that was added and deleted meanwhile is shown as deleted only.
            (Shows::Entries, false, _) | (Shows::Changes, ..) => {
                let is_news = line.seq > at && !line.is_deleted;
                Some(Shape::Row { is_news, is_resumable: true })
            }
        };
        let item =
            |line: &Line| Some(Item::Row { line: line.clone(), shape: shape(line)?, unread_count });
        let mut items: Vec<Item> = later.filter_map(item).collect();
        match shows {
            Shows::Entries => items.sort_by_key(Item::last),
            Shows::Changes => note_resumable(&mut items),
            Shows::Nothing => {}
        }
        if self.head >= at {
            items.push(Item::Reached { seq: self.head, unread_count });
        }
        items
    }
}

/// Records from where a client could resume without missing anything: after all entries that are
/// older.
fn note_resumable(items: &mut [Item]) {
    let mut first_entry = None;
    for item in items.iter_mut().rev() {
        let Item::Row { line, shape: Shape::Row { is_news, is_resumable }, .. } = item else {
            continue;
        };
        *is_resumable = first_entry.is_none_or(|entry| entry > line.changed_seq);
        if *is_news {
            first_entry = Some(first_entry.map_or(line.seq, |entry: Seq| entry.min(line.seq)));
        }
    }
}

impl Item {
    /// The position that is reached with it.
    pub(super) fn last(&self) -> Seq {
        match self {
            Self::Live(change) => change.last(),
            Self::Read(stretch) => stretch.head,
            Self::Row { line, shape: Shape::Added, .. } => line.seq,
            Self::Row { line, shape: Shape::Row { .. }, .. } => line.changed_seq,
            Self::Reached { seq, .. } => *seq,
        }
    }
}
