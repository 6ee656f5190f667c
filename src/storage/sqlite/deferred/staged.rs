//! A group's changes of deferred entries: written to the tables at once, applied to the cache when
//! the group is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bellpull_domain::ids::{Seq, UserId};
use bellpull_domain::routing::Channels;
use rusqlite::Connection;
use smallvec::SmallVec;

use super::super::multi_row::{Cell, MultiRow};
use super::super::statement::execute;
use super::entries::{DeferredEntry, encode};
use super::lists::{Counts, Waiting};
use super::{Deferred, Inbox, KNOWN_MAX, Position, State};

/// Entries: user, number, notification, message.
pub(in super::super) static NOTIFICATIONS: MultiRow = MultiRow::new(
    "INSERT INTO notifications (recipient_id, seq, id, changed_seq, message_id) \
     SELECT column1, column2, column3, column2, column4 FROM ",
    4,
    " WHERE column1 IS NOT NULL",
);
static HEADS: MultiRow = MultiRow::new(
    "INSERT INTO inboxes (user_id, last_seq, unread_count, delivered_seq) \
     SELECT column1, column2, column3, column4 FROM ",
    4,
    " WHERE column1 IS NOT NULL ON CONFLICT (user_id) DO UPDATE SET last_seq = excluded.last_seq, \
     unread_count = excluded.unread_count, \
     delivered_seq = max(delivered_seq, excluded.delivered_seq)",
);

/// An entry of a group.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct StagedEntry {
    pub(in super::super) entry: DeferredEntry,
    /// The inbox' unread count with it.
    pub(in super::super) unread_count: i64,
    /// Which addresses the account has, if it has no rules, browsers or webhooks of its own.
    pub(in super::super) reach: Option<Channels>,
}

/// The group's changes so far.
#[derive(Debug, Default)]
pub(in super::super) struct Staged {
    flushed: BTreeSet<UserId>,
    /// The entries that have been written.
    written: Counts,
    /// Inboxes that were changed in the table.
    changed: BTreeSet<UserId>,
    forgets_known: bool,
    new: Vec<StagedEntry>,
    /// Delivered positions of deferred inboxes; kept unless this group writes the inbox.
    delivered: BTreeMap<UserId, Seq>,
}

impl Staged {
    /// Whether only the table has this inbox' head.
    pub(super) fn has_changed(&self, user: UserId) -> bool {
        self.flushed.contains(&user) || self.changed.contains(&user)
    }

    pub(super) fn forgets_known(&self) -> bool {
        self.forgets_known
    }

    /// A user's addresses or preferences have changed.
    pub(in super::super) fn forget_known(&mut self) {
        self.forgets_known = true;
    }

    /// These inboxes are changed in the table; they have no deferred entries.
    pub(in super::super) fn change(&mut self, users: impl IntoIterator<Item = UserId>) {
        self.changed.extend(users);
    }

    /// Keeps a delivered position if its inbox has deferred entries: it is saved with them.
    pub(in super::super) fn deliver(
        &mut self,
        deferred: &Deferred,
        user: UserId,
        seq: Seq,
    ) -> bool {
        if self.flushed.contains(&user) {
            return false;
        }
        let Some(last) = deferred.last_seq(user) else { return false };
        self.delivered.insert(user, seq.min(last));
        true
    }

    /// Writes the missing rows of these inboxes, and their heads.
    pub(in super::super) fn flush(
        &mut self,
        connection: &Connection,
        deferred: &Deferred,
        users: impl IntoIterator<Item = UserId>,
    ) -> rusqlite::Result<()> {
        let (mut rows, mut heads) = (Vec::new(), Vec::new());
        let state = deferred.state();
        for user in users {
            let Some(inbox) = state.held(user) else { continue };
            if !self.flushed.insert(user) {
                continue;
            }
            for (seq, entry) in inbox.numbered() {
                entry.count(&mut self.written);
                let message = state.lists.message(entry);
                rows.extend([user.0, seq.0, entry.id, message].map(Cell::Int));
            }
            let Position { last_seq, unread_count } = inbox.position;
            let noted = self.delivered.remove(&user).unwrap_or(Seq::ZERO);
            let delivered = inbox.delivered.max(noted);
            heads.extend([user.0, last_seq.0, unread_count, delivered.0].map(Cell::Int));
        }
        drop(state);
        NOTIFICATIONS.run(connection, &rows)?;
        HEADS.run(connection, &heads)
    }

    /// Writes some inboxes with about this many deferred entries.
    pub(in super::super) fn flush_some(
        &mut self,
        connection: &Connection,
        deferred: &Deferred,
        entries: usize,
    ) -> rusqlite::Result<()> {
        let some = deferred.next(entries);
        self.flush(connection, deferred, some)
    }

    /// Defers entries. None of their inboxes was changed since it was read in this group.
    pub(in super::super) fn defer(&mut self, entries: Vec<StagedEntry>) {
        self.new = entries;
    }

    /// Writes the list of deferred entries, and removes lists without any.
    pub(in super::super) fn write(
        &mut self,
        connection: &Connection,
        deferred: &Deferred,
    ) -> rusqlite::Result<()> {
        if deferred.is_full(self.new.len()) {
            self.flush_some(connection, deferred, self.new.len())?;
        }
        let (ended, next): (Vec<i64>, i64) = {
            let state = deferred.state();
            (state.lists.ended_without(&self.written), state.lists.last_id + 1)
        };
        for fan_out in ended {
            execute(connection, "DELETE FROM deferred_births WHERE id = ?", (fan_out,))?;
        }
        if !self.new.is_empty() {
            let entries: Vec<DeferredEntry> = self.new.iter().map(|new| new.entry).collect();
            let sql = "INSERT INTO deferred_births (id, births) VALUES (?, ?)";
            execute(connection, sql, (next, encode(&entries)))?;
        }
        Ok(())
    }
}

impl Inbox {
    /// The deferred entries, with their numbers.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (Seq, &Waiting)> {
        let count = i64::try_from(self.entries.len()).unwrap_or(i64::MAX);
        let first = self.position.last_seq.0 - count + 1;
        (first..).map(Seq).zip(&self.entries)
    }
}

impl Deferred {
    /// The group was committed: applies its changes to the cache.
    pub(in super::super) fn apply(&self, staged: Staged) {
        let Staged { flushed, written, changed, forgets_known, new, delivered } = staged;
        let mut state = self.state();
        for user in flushed {
            state.flush(user);
        }
        state.entries -= state.lists.take_off(&written);
        for user in changed {
            state.inboxes.remove(&user); // flushed before it was changed
        }
        if forgets_known {
            state.inboxes.retain(|_, inbox| inbox.is_held());
            state.inboxes.values_mut().for_each(|inbox| inbox.reach = None);
        }
        for (user, seq) in delivered {
            if let Some(inbox) = state.inboxes.get_mut(&user) {
                inbox.delivered = inbox.delivered.max(seq);
            }
        }
        if !new.is_empty() {
            state.add(&new);
            self.added.notify_one();
        }
        if state.entries == 0 {
            state.times = None;
        }
        state.report();
    }
}

impl State {
    fn add(&mut self, new: &[StagedEntry]) {
        let now = Instant::now();
        self.times = Some((self.times.map_or(now, |(first, _)| first), now));
        let fan_out = self.lists.begin(self.lists.last_id + 1);
        self.entries += new.len();
        for StagedEntry { entry, unread_count, reach, .. } in new {
            let position = Position { last_seq: entry.seq, unread_count: *unread_count };
            let inbox = self.inboxes.entry(entry.user).or_insert_with(|| Inbox::at(position));
            self.held += usize::from(!inbox.is_held());
            (inbox.position, inbox.reach) = (position, *reach);
            inbox.entries.push(self.lists.add(fan_out, entry.user, entry.id, entry.message));
        }
    }

    /// These inboxes have no deferred entries any more.
    fn flush(&mut self, user: UserId) {
        let Some(inbox) = self.inboxes.get_mut(&user) else { return };
        self.held -= usize::from(inbox.is_held());
        (inbox.delivered, inbox.entries) = (Seq::ZERO, SmallVec::new());
        if inbox.reach.is_none() || self.inboxes.len() - self.held > KNOWN_MAX {
            self.inboxes.remove(&user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_delivered_is_saved_by_whatever_of_its_group_flushes_the_inbox() {
        let connection = Connection::open_in_memory().unwrap();
        let tables = "CREATE TABLE inboxes (user_id INTEGER PRIMARY KEY, last_seq INTEGER, \
                      unread_count INTEGER, delivered_seq INTEGER); \
                      CREATE TABLE notifications (recipient_id, seq, id, changed_seq, message_id); \
                      CREATE TABLE deferred_births (id INTEGER PRIMARY KEY, births BLOB)";
        connection.execute_batch(tables).unwrap();
        let deferred = Deferred::new(Some(1), 100);
        let user = UserId(4);
        let entry = DeferredEntry { user, seq: Seq(1), id: 7, message: 9 };
        let new = StagedEntry { entry, unread_count: 1, reach: None };
        let mut first = Staged::default();
        first.defer(vec![new]);
        first.write(&connection, &deferred).unwrap();
        deferred.apply(first);

        let mut second = Staged::default();
        assert!(second.deliver(&deferred, user, Seq(1)));
        second.flush(&connection, &deferred, [user]).unwrap();
        assert!(!second.deliver(&deferred, user, Seq(1)), "it is the table's now");
        second.write(&connection, &deferred).unwrap();
        deferred.apply(second);
        assert_eq!((deferred.count(), deferred.holds(user)), (0, false));
        let sql = "SELECT last_seq, unread_count, delivered_seq, \
                   (SELECT count(*) FROM notifications), (SELECT count(*) FROM deferred_births) \
                   FROM inboxes WHERE user_id = 4";
        let row = |row: &rusqlite::Row<'_>| <(i64, i64, i64, i64, i64)>::try_from(row);
        assert_eq!(connection.query_row(sql, (), row).unwrap(), (1, 1, 1, 1, 0));
    }
}
