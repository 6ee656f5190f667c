//! Marks by which it is known whether a commit whose answer was lost has happened.
//!
//! A transaction's own id does not tell. It is on the server's disk with the first flush of the
//! log, so after a crash the server gives the id of a transaction that it has lost to another one,
//! and `pg_xact_status` says what became of that.
//!
//! So a transaction says itself that it was committed: it raises a number in a row of its own, in
//! the statement that writes its rows. Each process has rows of its own (`owner` is drawn at random
//! when it opens the database), and each of its transactions in progress has one of them (`slot`).
//! So no two transactions write one row at once, and a row's number only rises.
//!
//! The transaction holds the lock of its row until it ends, however it ends. So a process that
//! has asked for that lock and received it reads the truth: the number is there, and the
//! transaction was committed; or it is lower, or the row is missing, and it was not, and never will
//! be. A promoted standby that lacks the transaction lacks its number, too.
//!
//! A row is updated in place (HOT), so it costs no entry of an index. Rows whose number was not
//! raised for a day are removed at the next start of a process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sqlx::Executor;
use sqlx::postgres::Postgres;

/// Raises a number, unless the transaction has written nothing.
const RAISE: &str = "INSERT INTO commit_marks (owner, slot, number, at) \
    SELECT $1, $2, $3, (extract(epoch FROM now()) * 1000)::bigint \
    WHERE pg_current_xact_id_if_assigned() IS NOT NULL \
    ON CONFLICT (owner, slot) DO UPDATE SET number = excluded.number, at = excluded.at";

/// The same as a part of a batch that writes in any case.
pub(super) const RAISE_PART: &str = "INSERT INTO commit_marks (owner, slot, number, at) \
    VALUES (?, ?, ?, (extract(epoch FROM now()) * 1000)::bigint) \
    ON CONFLICT (owner, slot) DO UPDATE SET number = excluded.number, at = excluded.at";

/// Waits until the transaction has ended, and reads the number.
const READ: &str = "INSERT INTO commit_marks AS m (owner, slot, number, at) \
    VALUES ($1, $2, 0, (extract(epoch FROM now()) * 1000)::bigint) \
    ON CONFLICT (owner, slot) DO UPDATE SET at = excluded.at RETURNING m.number";

/// Nothing asks for a transaction of a day ago.
const FORGET: &str = "DELETE FROM commit_marks \
    WHERE at < (extract(epoch FROM now()) * 1000)::bigint - 86400000";

/// The rows of this process.
#[derive(Debug)]
pub(super) struct CommitMarks {
    owner: i64,
    free: Mutex<Free>,
}

#[derive(Debug, Default)]
struct Free {
    /// The slots that no transaction has, each with its number. The one that was returned last is
    /// taken first: a process that writes little has few rows.
    slots: Vec<(i64, i64)>,
    /// How many there are in all.
    count: i64,
}

/// The mark of one transaction. A slot returns with [`CommitMarks::give_back`]; one that does not,
/// because it is unknown whether its transaction has ended, is used no more.
#[derive(Debug, Clone, Copy)]
pub(super) struct CommitMark {
    owner: i64,
    slot: i64,
    number: i64,
}

impl CommitMarks {
    /// None is in use.
    pub(super) fn new() -> Self {
        Self { owner: fastrand::i64(1..), free: Mutex::default() }
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A mark for a transaction.
    pub(super) fn take(&self) -> CommitMark {
        let mut free = self.free();
        let (slot, number) = free.slots.pop().unwrap_or_else(|| {
            free.count += 1;
            (free.count, 0)
        });
        CommitMark { owner: self.owner, slot, number: number + 1 }
    }

    /// The transaction has ended, committed or not.
    pub(super) fn give_back(&self, mark: CommitMark) {
        self.free().slots.push((mark.slot, mark.number));
    }
}

impl CommitMark {
    /// Raises the number, as the transaction's last statement. Whether the transaction has written
    /// anything: if not, it does not matter what becomes of it.
    pub(super) async fn raise<'c>(
        &self,
        connection: impl Executor<'c, Database = Postgres>,
    ) -> sqlx::Result<bool> {
        let query = sqlx::query(RAISE).bind(self.owner).bind(self.slot).bind(self.number);
        Ok(query.execute(connection).await?.rows_affected() > 0)
    }

    /// The values of [`RAISE_PART`].
    pub(super) fn values(&self) -> [i64; 3] {
        [self.owner, self.slot, self.number]
    }

    /// Whether the transaction was committed: waits until it has ended.
    pub(super) async fn is_committed<'c>(
        &self,
        database: impl Executor<'c, Database = Postgres>,
    ) -> sqlx::Result<bool> {
        let query = sqlx::query_scalar(READ).bind(self.owner).bind(self.slot);
        let number: i64 = query.fetch_one(database).await?;
        Ok(number >= self.number)
    }
}

/// Removes the rows of processes that are long gone.
pub(super) async fn forget<'c>(
    database: impl Executor<'c, Database = Postgres>,
) -> sqlx::Result<()> {
    sqlx::query(FORGET).execute(database).await.map(drop)
}
