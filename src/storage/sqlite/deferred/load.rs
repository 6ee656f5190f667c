//! Loads the deferred entries from the tables.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bellpull_domain::ids::{Seq, UserId};
use rusqlite::Connection;

use super::super::error::corrupt;
use super::super::options::BoxError;
use super::super::statement::{all, execute, optional};
use super::entries::decode;
use super::lists::Counts;
use super::{Deferred, Inbox, Position, State};

impl Deferred {
    /// Loads them: at the start, after a rollback, and after another process wrote. Returns the
    /// delivered positions of inboxes that another process has written meanwhile; they must still
    /// be saved.
    pub(in super::super) fn load(
        &self,
        connection: &Connection,
    ) -> Result<Vec<(UserId, Seq)>, BoxError> {
        let mut new = State::default();
        let sql = "SELECT id, births FROM deferred_births ORDER BY id";
        let lists: Vec<(i64, Vec<u8>)> = all(connection, sql, (), |row| row.try_into())?;
        let mut stored = BTreeMap::new();
        for (fan_out, bytes) in lists {
            let entries = decode(&bytes).ok_or_else(|| corrupt("deferred_births"))?;
            let place = new.lists.begin(fan_out);
            let mut left = 0;
            for entry in entries {
                let position = match stored.entry(entry.user) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(unknown) => *unknown.insert(position(connection, entry.user)?),
                };
                if entry.seq <= position.last_seq {
                    continue;
                }
                let inbox = new.inboxes.entry(entry.user);
                let inbox = inbox.or_insert_with(|| Inbox::at(position));
                if inbox.position.append() != entry.seq {
                    return Err(corrupt("deferred_births").into());
                }
                new.held += usize::from(!inbox.is_held());
                inbox.entries.push(new.lists.add(place, entry.user, entry.id, entry.message));
                left += 1;
            }
            if left == 0 {
                execute(connection, "DELETE FROM deferred_births WHERE id = ?", (fan_out,))?;
                new.lists.take_off(&Counts::from([(place, 0)]));
            }
            new.entries += left;
        }
        Ok(self.replace(new))
    }

    fn replace(&self, mut new: State) -> Vec<(UserId, Seq)> {
        let mut state = self.state();
        let mut unsaved = Vec::new();
        for (user, Inbox { delivered, .. }) in &state.inboxes {
            match new.inboxes.get_mut(user) {
                Some(inbox) => inbox.delivered = *delivered,
                None if *delivered > Seq::ZERO => unsaved.push((*user, *delivered)),
                None => {}
            }
        }
        if new.entries > 0 {
            let now = std::time::Instant::now();
            new.times = Some((now, now));
            self.added.notify_one();
        }
        // A deleted row's id is given out again, but not within one process.
        new.lists.last_id = new.lists.last_id.max(state.lists.last_id);
        *state = new;
        state.report();
        unsaved
    }
}

/// How many entries of a database are not written to its tables yet.
pub(in super::super) fn count_deferred(connection: &Connection) -> Result<i64, BoxError> {
    let sql = "SELECT births FROM deferred_births ORDER BY id";
    let lists: Vec<Vec<u8>> = all(connection, sql, (), |row| row.get(0))?;
    let (mut stored, mut count) = (BTreeMap::new(), 0);
    for bytes in lists {
        for entry in decode(&bytes).ok_or_else(|| corrupt("deferred_births"))? {
            let position = match stored.entry(entry.user) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(unknown) => *unknown.insert(position(connection, entry.user)?),
            };
            count += i64::from(entry.seq > position.last_seq);
        }
    }
    Ok(count)
}

/// Where the table has an inbox.
fn position(connection: &Connection, user: UserId) -> rusqlite::Result<Position> {
    let sql = "SELECT last_seq, unread_count FROM inboxes WHERE user_id = ?";
    let stored = optional(connection, sql, (user.0,), |row| <(i64, i64)>::try_from(row))?;
    let (last_seq, unread_count) = stored.unwrap_or_default();
    Ok(Position { last_seq: Seq(last_seq), unread_count })
}

impl Position {
    fn append(&mut self) -> Seq {
        self.unread_count += 1;
        self.last_seq = self.last_seq.next();
        self.last_seq
    }
}
