//! What is the same for both stores, once.
//!
//! In reading order: [`sql`] (one text of a statement for both databases), [`value`] (its
//! parameters), [`statement`] (both together), [`row`] (its rows), [`db`] (where it is run),
//! [`failure`], [`ids`] (new ones), and [`operation`] (a change or a read, with its answer). The
//! ports that need no more than these stand in [`super::ports`].
//!
//! Each store is an [`Engine`] over its own part, its [`Dialect`].

mod db;
mod failure;
mod ids;
mod operation;
mod row;
mod sql;
mod statement;
mod value;

use std::fmt::Debug;
use std::ops::Deref;
use std::time::Duration;

use tokio::sync::Mutex;

use bellpull_domain::comment::{Comment, NewComment};
use bellpull_domain::idempotency::IdempotencyKey;
use bellpull_domain::ids::{NotificationId, TicketId, UserId};
use bellpull_domain::routing::Channels;
use bellpull_domain::ticket::Decision;
use bellpull_domain::user::User;
use bellpull_port::accounts::{AnnounceUser, NewUser, UserChanges};
use bellpull_port::audit::AuditEntry;
use bellpull_port::tickets::{AnnouncedMessage, Committed};
use bellpull_port::{SharedTickets, StoreError};

pub(super) use db::Db;
pub(super) use failure::{Failure, SqlError};
pub(super) use ids::NewIds;
pub(super) use operation::{
    AnyOperation, Change, Operation, ReadPage, ReadRows, ReadWhole, take, written,
};
pub(super) use row::{OwnedRow, Row};
pub(super) use sql::{Sql, among, now_ms, sql};
pub(super) use statement::{Build, Statement};
pub(super) use value::{Value, values};

/// Which reads are carried out beside which: each kind has connections of its own, so a read of a
/// single row never waits behind a list, and a list never behind a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// Those that are short whatever the size of the data.
    Short,
    /// Lists and reports, whose cost grows with the data.
    Lists,
    /// Searches for words.
    Searches,
    /// Like a list, within this time.
    Within(Duration),
}

/// Whose rows may be deferred.
#[derive(Debug, Clone, Copy)]
pub(super) enum Deferred {
    /// The owner's of a notification.
    Notification(NotificationId),
    /// This user's.
    Inbox(UserId),
    /// All users'.
    All,
}

/// A store: what both have in common, over what is its own.
#[derive(Debug)]
pub struct Engine<D>(pub(super) D);

impl<D> Deref for Engine<D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.0
    }
}

/// What a store has of its own.
pub(super) trait Dialect: Debug + Send + Sync + 'static {
    /// Carries out a read; all its statements see one state. One that is not short is ended after
    /// [`READ_MAX`].
    fn read<O: Operation>(
        &self,
        reads: Reads,
        operation: O,
    ) -> impl Future<Output = Result<O::Answer, StoreError>> + Send;

    /// Carries out a change. It is on the disk when this returns `Ok`.
    fn write<O: Operation>(
        &self,
        operation: O,
    ) -> impl Future<Output = Result<O::Answer, StoreError>> + Send;

    /// The number of the next ticket; it is never given out again.
    fn next_ticket_id(&self) -> impl Future<Output = Result<TicketId, StoreError>> + Send;

    /// Where several nodes share tickets, how they agree.
    fn shared_tickets(&self) -> Option<&dyn SharedTickets>;

    /// Creates an account and announces it, in a group.
    fn create_user(
        &self,
        new: NewUser,
        announce: Option<AnnounceUser>,
        once: Option<IdempotencyKey>,
    ) -> impl Future<Output = Result<(User, Option<AnnouncedMessage>), StoreError>> + Send;

    /// An account; many that are asked for at once are read together.
    fn user(&self, id: UserId) -> impl Future<Output = Result<Option<User>, StoreError>> + Send;

    /// Changes an account.
    fn update_user(
        &self,
        id: UserId,
        changes: UserChanges,
    ) -> impl Future<Output = Result<User, StoreError>> + Send;

    /// Carries out a decision on a ticket, in a group.
    fn commit(
        &self,
        decision: Decision,
    ) -> impl Future<Output = Result<Committed, StoreError>> + Send;

    /// Adds a comment, in a group.
    fn comment(
        &self,
        new: NewComment,
    ) -> impl Future<Output = Result<(Comment, Option<AnnouncedMessage>), StoreError>> + Send;

    /// Writes what is deferred, so that a read finds it in the tables.
    fn settle(&self, what: Deferred) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The enabled channels.
    fn channels(&self) -> Channels;

    /// Held by a report: there is one at a time.
    fn reports(&self) -> &Mutex<()>;

    /// Adds an entry to the audit log.
    fn add_audit(&self, entry: AuditEntry) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Indexes anew at most so many tickets whose words another version has cut; returns how many.
    fn renew_words(&self, limit: u32) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Carries out a short read of one statement.
    fn read_one<O: Operation>(
        &self,
        operation: O,
    ) -> impl Future<Output = Result<O::Answer, StoreError>> + Send;

    /// The rows of one statement that is short.
    fn rows<T: Send + 'static>(
        &self,
        sql: &'static Sql,
        values: &[Value<'_>],
        decode: fn(&Row) -> Result<T, StoreError>,
    ) -> impl Future<Output = Result<Vec<T>, StoreError>> + Send {
        self.read_one(ReadRows { statement: Statement::new(sql, values), decode })
    }

    /// Its only row, if there is one.
    fn row<T: Send + 'static>(
        &self,
        sql: &'static Sql,
        values: &[Value<'_>],
        decode: fn(&Row) -> Result<T, StoreError>,
    ) -> impl Future<Output = Result<Option<T>, StoreError>> + Send {
        let rows = self.rows(sql, values, decode);
        async move { Ok(rows.await?.pop()) }
    }

    /// New ids of messages and deliveries.
    fn ids(&self) -> NewIds;

    /// As [`bellpull_port::NodeStore::database_id`].
    fn database_id(&self) -> impl Future<Output = Result<String, StoreError>> + Send;
}

/// The time limit of a list. With both waits (for its user's other lists and for a connection), it
/// ends before a request's 15 s.
pub(super) const READ_MAX: Duration = Duration::from_secs(3);
