//! Ids of tickets, comments, sends, messages, notifications and deliveries: given out in memory,
//! stored in `counters`.
//!
//! Users, projects and logins are few: their tables number themselves.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use bellpull_domain::ids::{CommentId, DeliveryId, MessageId, NotificationId};
use bellpull_domain::plan;
use rusqlite::Connection;

use super::multi_row::{Cell, MultiRow};
use super::statement::all;

static SAVE: MultiRow = MultiRow::new(
    "INSERT INTO counters (name, value) SELECT column1, column2 FROM ",
    2,
    " WHERE column1 IS NOT NULL \
     ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
);

/// The kinds of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Counter {
    /// Tickets. The only kind that is given out outside of the writer, too.
    Tickets,
    /// Messages.
    Messages,
    /// Notifications.
    Notifications,
    /// Deliveries.
    Deliveries,
    /// Comments.
    Comments,
    /// Sends.
    Sends,
}

const ALL: [(Counter, &str); 6] = [
    (Counter::Tickets, "tickets"),
    (Counter::Messages, "messages"),
    (Counter::Notifications, "notifications"),
    (Counter::Deliveries, "deliveries"),
    (Counter::Comments, "comments"),
    (Counter::Sends, "sends"),
];

/// The last ids given out.
#[derive(Debug, Default)]
pub(in super::super) struct Ids {
    given: [AtomicI64; ALL.len()],
    stored: [AtomicI64; ALL.len()],
}

impl Ids {
    /// The next id.
    pub(in super::super) fn next(&self, counter: Counter) -> i64 {
        self.given[counter as usize].fetch_add(1, Ordering::Relaxed) + 1
    }

    /// An id came from elsewhere: it will not be given out again.
    pub(super) fn used(&self, counter: Counter, id: i64) {
        self.given[counter as usize].fetch_max(id, Ordering::Relaxed);
    }

    /// Loads the stored counters: at the start, after a rollback, and after another process wrote.
    /// Ids of tickets that were reserved here stay reserved.
    pub(super) fn load(&self, connection: &Connection) -> rusqlite::Result<()> {
        let rows: Vec<(String, i64)> =
            all(connection, "SELECT name, value FROM counters", (), |row| row.try_into())?;
        let rows: BTreeMap<String, i64> = rows.into_iter().collect();
        for (counter, name) in ALL {
            let value = rows.get(name).copied().unwrap_or(0);
            self.stored[counter as usize].store(value, Ordering::Relaxed);
            let given = &self.given[counter as usize];
            if counter == Counter::Tickets {
                given.fetch_max(value, Ordering::Relaxed);
            } else {
                given.store(value, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Writes the counters that have moved. After a rollback, [`Self::load`] must follow.
    pub(super) fn save(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut cells = Vec::new();
        for (counter, name) in ALL {
            let given = self.given[counter as usize].load(Ordering::Relaxed);
            if self.stored[counter as usize].swap(given, Ordering::Relaxed) != given {
                cells.extend([Cell::from(name), Cell::from(given)]);
            }
        }
        SAVE.run(connection, &cells)
    }
}

impl plan::Ids for Ids {
    fn message(&self) -> MessageId {
        MessageId(self.next(Counter::Messages))
    }

    fn notification(&self) -> NotificationId {
        NotificationId(self.next(Counter::Notifications))
    }

    fn delivery(&self) -> DeliveryId {
        DeliveryId(self.next(Counter::Deliveries))
    }

    fn comment(&self) -> CommentId {
        CommentId(self.next(Counter::Comments))
    }
}
