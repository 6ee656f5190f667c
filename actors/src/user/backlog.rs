//! A session's backlog, at its start and after it fell behind: read from the store.

use std::collections::HashMap;
use std::sync::Arc;

use super::stretch::{Line, Stretch};
use bellpull_domain::ids::{MessageId, NotificationId, Seq, UserId};
use bellpull_domain::inbox::{MessageContent, Reached};
use bellpull_port::budget::{Budget, Room};
use bellpull_port::inbox::{Backlog, ChangedRows, TEXTS_BYTES_MAX};
use bellpull_port::session::{Begin, Feed, Resume};
use bellpull_port::{InboxStore, StoreError};

/// How many rows are read at once.
const PAGE: u32 = 500;

/// More rows than this are not read into one stretch: a client that is so far behind is better
/// served by a backlog with a limit. About 400 KiB while it is shown: without most of the texts.
const ROWS_MAX: usize = 5_000;

/// The store's answer for a session's backlog.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The backlog.
    pub(super) stretch: Stretch,
    /// The stored positions at that time, as far as they were read.
    pub(super) stored: Reached,
    /// Where acknowledgements begin, if none were stored before this session.
    pub(super) unacknowledged_from: Option<Seq>,
    /// How many of the oldest were left out.
    pub(super) skipped: i64,
    /// Whether nothing that was never sent to any socket lies before it.
    pub(super) is_contiguous: bool,
    /// Whether it continues the client's state.
    pub(super) is_resumed: bool,
    /// For its texts.
    pub(super) room: Option<Room>,
}

/// Texts of a backlog, read when needed.
#[derive(Debug)]
pub(super) struct Texts {
    /// In the requested order; perhaps not all.
    pub(super) contents: Vec<Arc<MessageContent>>,
    /// For them.
    pub(super) room: Option<Room>,
}

/// The result of reading a gap.
#[derive(Debug)]
pub(super) enum Reading {
    /// All of it.
    Whole(Stretch),
    /// It is too long.
    TooFar,
}

/// The backlog of a session that starts there. A user with nothing new costs one joined read.
pub(super) async fn backlog(
    inboxes: &dyn InboxStore,
    unsent: &Budget,
    user: UserId,
    feed: Feed,
    known: Reached,
    limit: u32,
) -> Result<Loaded, StoreError> {
    let head = inboxes.head(user).await?;
    let delivered = known.delivered.max(head.delivered_seq);
    let last = head.last_seq;
    let acknowledged = match feed {
        Feed::Changes(Resume::Unacknowledged) => inboxes.acknowledged(user).await?,
        Feed::Nothing | Feed::Entries(_) | Feed::Changes(_) => None,
    };
    let from = known.acknowledged.max(acknowledged).unwrap_or(delivered).min(last);
    let (after, is_contiguous, is_resumed) = match feed {
        Feed::Nothing | Feed::Entries(Begin::Live) | Feed::Changes(Resume::Live) => {
            (last, false, true)
        }
        // A session of entries is never shown deleted ones.
        Feed::Entries(Begin::Since(since)) if since <= last => (since, true, true),
        Feed::Changes(Resume::After(since)) if head.can_resume(since) => (since, true, true),
        // A position ahead of the store was not given by this store and is ignored. From one below
        // what retention has removed, a client cannot resume.
        Feed::Entries(Begin::Since(_) | Begin::Undelivered)
        | Feed::Changes(Resume::Undelivered) => (delivered, true, true),
        Feed::Changes(Resume::Unacknowledged) => (from, true, true),
        Feed::Changes(Resume::After(_) | Resume::Reset) => (Seq::ZERO, true, false),
    };
    // The texts of all backlogs in progress share one budget.
    let mut room = if after < last { unsent.reserve(TEXTS_BYTES_MAX).await } else { None };
    let (head, skipped, stretch) = if after >= last {
        (head, 0, Stretch::none(head))
    } else if matches!(feed, Feed::Changes(_)) {
        let ChangedRows { head, skipped, rows, rest } =
            inboxes.newest_changes(user, after, limit).await?;
        if matches!(feed, Feed::Changes(Resume::After(_))) && !head.can_resume(after) {
            // It was removed between the two reads.
            let anew = Feed::Changes(Resume::Reset);
            drop(room);
            return Box::pin(backlog(inboxes, unsent, user, anew, known, limit)).await;
        }
        (head, skipped, Stretch::of_changes(after, head, rows, rest))
    } else {
        let found = inboxes.newest_entries(user, after, limit).await?;
        let Backlog { head, skipped, entries, rest } = found;
        (head, skipped, Stretch::of_entries(after, head, entries, rest))
    };
    let stored = Reached { delivered: head.delivered_seq, acknowledged };
    let is_first = matches!(feed, Feed::Changes(Resume::Unacknowledged)) && acknowledged.is_none();
    let unacknowledged_from = is_first.then_some(from);
    if let Some(room) = &mut room {
        room.shrink_to(stretch.texts_bytes());
    }
    Ok(Loaded { stretch, stored, unacknowledged_from, skipped, is_contiguous, is_resumed, room })
}

/// The next texts of a backlog, once there is room for them.
pub(super) async fn texts(
    inboxes: &dyn InboxStore,
    unsent: &Budget,
    messages: &[MessageId],
) -> Result<Texts, StoreError> {
    let mut room = unsent.reserve(TEXTS_BYTES_MAX).await;
    let contents = inboxes.texts(messages).await?;
    if let Some(room) = &mut room {
        room.shrink_to(contents.iter().map(|content| content.bytes()).sum());
    }
    Ok(Texts { contents, room })
}

/// All changes after a position, of several pages if need be. A row that changes from one page to
/// the next is in both; its later state counts. Each page brings along a part of its texts.
pub(super) async fn changes(
    inboxes: &dyn InboxStore,
    user: UserId,
    after: Seq,
) -> Result<(Reading, Seq), StoreError> {
    let mut lines: HashMap<NotificationId, Line> = HashMap::new();
    let mut read_to = after;
    loop {
        let ChangedRows { head, rows, rest, .. } = inboxes.changes(user, read_to, PAGE).await?;
        let page = Stretch::of_changes(read_to, head, rows, rest).lines;
        let last = page.last().map(|line| line.changed_seq).filter(|_| is_full(page.len()));
        lines.extend(page.into_iter().map(|line| (line.id, line)));
        if lines.len() > ROWS_MAX {
            return Ok((Reading::TooFar, head.delivered_seq));
        }
        if let Some(last) = last {
            read_to = last;
            continue;
        }
        let mut lines: Vec<Line> = lines.into_values().collect();
        lines.sort_by_key(|line| line.changed_seq);
        let stretch = Stretch::of_lines(after, head, lines);
        return Ok((Reading::Whole(stretch), head.delivered_seq));
    }
}

fn is_full(rows: usize) -> bool {
    u32::try_from(rows).is_ok_and(|rows| rows >= PAGE)
}
