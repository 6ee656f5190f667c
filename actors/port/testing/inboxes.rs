//! The fake store as a store of inboxes.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::store::{FakeStore, Inbox, Op, Row};
use crate::inbox::{Backlog, ChangedRows, MarkPortion, NotificationFilter, TEXTS_BYTES_MAX, Taken};
use crate::{InboxStore, Page, Slice, StoreError};
use bellpull_domain::ids::{MessageId, NotificationId, Seq, UserId};
use bellpull_domain::inbox::{
    Entry, Head, Mark, MessageContent, Outline, Reached, Row as ChangedRow, RowState,
};
use bellpull_domain::notification::Notification;
use bellpull_domain::plan::marks::{Candidate, MarkPlan, MarkedInbox, MarkedPortion};
use bellpull_domain::routing::Channel;

fn no_lists<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("the fake does not filter".to_owned()))
}

fn size(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Leaves out the oldest beyond a limit; how many.
fn keep_newest<T>(rows: &mut Vec<T>, limit: u32) -> i64 {
    let left_out = rows.len().saturating_sub(size(limit));
    rows.drain(..left_out);
    i64::try_from(left_out).unwrap_or(i64::MAX)
}

/// How many of these rows bring their texts along.
fn with_texts(rows: &[ChangedRow]) -> usize {
    let mut bytes = 0;
    let fits = |row: &&ChangedRow| {
        let is_first = bytes < TEXTS_BYTES_MAX;
        bytes += row.entry.message.bytes();
        is_first
    };
    rows.iter().take_while(fits).count()
}

/// The rows without their texts; a message has the number of its notification here.
fn outlines(rows: Vec<ChangedRow>) -> Vec<Outline> {
    let outline = |ChangedRow { entry, changed_seq, is_deleted }: ChangedRow| {
        let Entry { id, seq, is_read, .. } = entry;
        Outline { id, seq, changed_seq, is_read, is_deleted, message: MessageId(id.0) }
    };
    rows.into_iter().map(outline).collect()
}

fn in_part(head: Head, skipped: i64, mut rows: Vec<ChangedRow>) -> ChangedRows {
    let rest = outlines(rows.split_off(with_texts(&rows)));
    ChangedRows { head, skipped, rows, rest }
}

impl Row {
    fn latest(&self) -> ChangedRow {
        let (changed_seq, mut entry) = (self.changed_seq, self.entry.clone());
        entry.is_read = self.state == RowState::Read;
        ChangedRow { entry, changed_seq, is_deleted: self.state == RowState::Deleted }
    }
}

impl Inbox {
    fn entries(&self, after: Seq) -> impl Iterator<Item = Entry> {
        let lives = move |row: &&Row| row.entry.seq > after && row.state != RowState::Deleted;
        self.rows.iter().filter(lives).map(|row| row.latest().entry)
    }

    /// Rows that are not deleted, newest first.
    fn listed(&self, recipient: UserId) -> Vec<Notification> {
        let lives = self.rows.iter().rev().filter(|row| row.state != RowState::Deleted);
        lives
            .map(|row| Notification {
                id: row.entry.id,
                seq: row.entry.seq,
                recipient,
                recipient_name: String::new(),
                read_at: (row.state == RowState::Read).then_some(Timestamp::UNIX_EPOCH),
                message: row.entry.message.message.clone(),
                deliveries: Vec::new(),
            })
            .collect()
    }

    fn backlog(&self, after: Seq, limit: u32) -> Backlog {
        let row = |entry: Entry| ChangedRow { changed_seq: entry.seq, entry, is_deleted: false };
        let mut rows: Vec<ChangedRow> = self.entries(after).map(row).collect();
        let skipped = keep_newest(&mut rows, limit);
        let ChangedRows { head, rows, rest, .. } = in_part(self.head, skipped, rows);
        Backlog { head, skipped, entries: rows.into_iter().map(|row| row.entry).collect(), rest }
    }

    fn changes(&self, after: Seq) -> (Head, Vec<ChangedRow>) {
        let changed = self.rows.iter().filter(|row| row.changed_seq > after);
        let mut rows: Vec<ChangedRow> = changed.map(Row::latest).collect();
        rows.sort_by_key(|row| row.changed_seq);
        (self.head, rows)
    }

    fn mark(&mut self, portion: &MarkPortion) -> MarkedPortion {
        let MarkPortion { selection, mark, .. } = portion;
        let is_meant = |row: &Row| {
            row.state != RowState::Deleted
                && selection.ids.as_ref().is_none_or(|ids| ids.contains(&row.entry.id))
        };
        let candidate = |row: &Row| Candidate {
            seq: row.entry.seq,
            id: row.entry.id,
            is_read: row.state == RowState::Read,
            is_selected: is_meant(row),
        };
        let mut inbox = MarkedInbox { head: self.head, has_steps: false };
        let (mut plan, found) = (MarkPlan::default(), self.rows.iter().map(candidate).collect());
        let marked = plan.mark(&portion.request(), &mut inbox, found);
        self.head = inbox.head;
        let after = match mark {
            Mark::Read => RowState::Read,
            Mark::Unread => RowState::Unread,
            Mark::Delete => RowState::Deleted,
        };
        for changed in plan.take().entries {
            for row in self.rows.iter_mut().filter(|row| row.entry.seq == changed.seq) {
                (row.state, row.changed_seq) = (after, changed.changed_seq);
            }
        }
        marked
    }
}

#[async_trait]
impl InboxStore for FakeStore {
    async fn head(&self, user: UserId) -> Result<Head, StoreError> {
        self.pass(Op::Head).await?;
        Ok(self.carry(Op::Head, self.head_now(user)).await)
    }

    async fn holders(&self, user: UserId, numbers: &[Seq]) -> Result<Vec<Taken>, StoreError> {
        self.pass(Op::Head).await?;
        let mut data = self.data();
        let rows = &data.inboxes.entry(user).or_default().rows;
        let took = |row: &Row, number: Seq| {
            let (id, is_entry) = (row.entry.id, row.entry.seq == number);
            (is_entry || row.changed_seq == number).then_some(Taken { number, id, is_entry })
        };
        let holder = |number: &Seq| rows.iter().find_map(|row| took(row, *number));
        Ok(numbers.iter().filter_map(holder).collect())
    }

    async fn newest_entries(
        &self,
        user: UserId,
        after: Seq,
        limit: u32,
    ) -> Result<Backlog, StoreError> {
        self.pass(Op::Entries).await?;
        let backlog = self.data().inboxes.entry(user).or_default().backlog(after, limit);
        Ok(self.carry(Op::Entries, backlog).await)
    }

    async fn changes(
        &self,
        user: UserId,
        after: Seq,
        limit: u32,
    ) -> Result<ChangedRows, StoreError> {
        self.pass(Op::Entries).await?;
        let (head, mut rows) = self.data().inboxes.entry(user).or_default().changes(after);
        rows.truncate(size(limit));
        Ok(self.carry(Op::Entries, in_part(head, 0, rows)).await)
    }

    async fn texts(&self, messages: &[MessageId]) -> Result<Vec<Arc<MessageContent>>, StoreError> {
        self.pass(Op::Entries).await?;
        let data = self.data();
        let rows = data.inboxes.values().flat_map(|inbox| inbox.rows.iter());
        let known: std::collections::HashMap<i64, ChangedRow> =
            rows.map(|row| (row.entry.id.0, row.latest())).collect();
        let found: Option<Vec<ChangedRow>> =
            messages.iter().map(|id| known.get(&id.0).cloned()).collect();
        let mut found = found.ok_or(StoreError::NotFound)?;
        found.truncate(with_texts(&found));
        Ok(found.into_iter().map(|row| row.entry.message).collect())
    }

    async fn newest_changes(
        &self,
        user: UserId,
        after: Seq,
        limit: u32,
    ) -> Result<ChangedRows, StoreError> {
        self.pass(Op::Entries).await?;
        let (head, mut rows) = self.data().inboxes.entry(user).or_default().changes(after);
        let skipped = keep_newest(&mut rows, limit);
        Ok(self.carry(Op::Entries, in_part(head, skipped, rows)).await)
    }

    async fn mark_portion(&self, portion: MarkPortion) -> Result<MarkedPortion, StoreError> {
        self.pass(Op::Mark).await?;
        Ok(self.data().inboxes.entry(portion.user).or_default().mark(&portion))
    }

    async fn save_reached(&self, positions: &[(UserId, Reached)]) -> Result<(), StoreError> {
        self.pass(Op::Save).await?;
        let mut data = self.data();
        for (user, reached) in positions {
            let inbox = data.inboxes.entry(*user).or_default();
            let reached = reached.up_to(inbox.head.last_seq);
            inbox.head.delivered_seq = inbox.head.delivered_seq.max(reached.delivered);
            inbox.acknowledged = inbox.acknowledged.max(reached.acknowledged);
        }
        Ok(())
    }

    async fn acknowledged(&self, user: UserId) -> Result<Option<Seq>, StoreError> {
        Ok(self.data().inboxes.entry(user).or_default().acknowledged)
    }

    async fn notifications(
        &self,
        user: UserId,
        filter: &NotificationFilter,
        slice: Slice,
    ) -> Result<Page<Notification>, StoreError> {
        self.pass(Op::List).await?;
        if *filter != NotificationFilter::default() {
            return no_lists();
        }
        let mut data = self.data();
        let rows = data.inboxes.entry(user).or_default().listed(user);
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let offset = usize::try_from(slice.offset).unwrap_or(usize::MAX);
        let rows = rows.into_iter().skip(offset).take(size(slice.limit)).collect();
        Ok(Page { count, rows })
    }

    async fn notification(
        &self,
        user: UserId,
        id: NotificationId,
    ) -> Result<Option<Notification>, StoreError> {
        self.pass(Op::List).await?;
        let mut data = self.data();
        let rows = data.inboxes.entry(user).or_default().listed(user);
        Ok(rows.into_iter().find(|row| row.id == id))
    }

    async fn unread_counts(&self, _user: UserId) -> Result<(i64, Vec<(Channel, i64)>), StoreError> {
        no_lists()
    }
}
