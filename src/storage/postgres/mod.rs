//! The store of one node or several: PostgreSQL.
//!
//! In reading order: [`connect`] (the pool, TLS, time-outs and the schema) with [`address`] and
//! [`open_error`], [`transaction`] (a unit of work whose fate is known even if the answer to its
//! commit is lost), [`ids`] (blocks of ids), [`writer`] (what changes inboxes, in groups); the
//! ports: [`ticket_lists`] with [`words`], [`inbox`] with [`messages`], [`accounts`] with
//! [`new_accounts`], [`account_changes`] and [`name_keys`], [`sends`],
//! [`deliveries`] with [`leases`], [`lanes`], [`digests`], [`attempts`], [`hung_lanes`] and
//! [`provider_reports`], [`report`] with [`report_ranges`]; [`dump`]s of [`own_objects`];
//! [`columns`], [`slow_reads`] and [`texts`], which they share; and [`operations`] (changes that
//! are the same for both stores).

mod account_changes;
mod accounts;
mod address;
mod attempts;
mod audit;
mod columns;
mod commit_marks;
mod connect;
mod connect_tickets;
mod database;
mod deliveries;
mod digests;
pub mod dump;
mod history;
mod hung_lanes;
mod ids;
mod inbox;
mod keys;
mod lanes;
mod late;
mod leases;
mod locks;
mod messages;
mod name_keys;
mod new_accounts;
mod open_error;
mod operations;
mod own_objects;
mod provider_reports;
mod report;
mod report_ranges;
mod sends;
mod session;
mod slow_reads;
mod sql_errors;
mod texts;
mod ticket_lists;
mod transaction;
mod words;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bellpull_domain::comment::{Comment, NewComment};
use bellpull_domain::idempotency::IdempotencyKey;
use bellpull_domain::ids::{Seq, TicketId, UserId};
use bellpull_domain::inbox::Head;
use bellpull_domain::routing::Channels;
use bellpull_domain::ticket::Decision;
use bellpull_domain::user::User;
use bellpull_port::SharedTickets;
use bellpull_port::accounts::{AnnounceUser, NewUser, UserChanges};
use bellpull_port::audit::AuditEntry;
use bellpull_port::inbox::Taken;
use bellpull_port::tickets::{AnnouncedMessage, Committed};
use bellpull_port::{Store, StoreError, StoreSize};
use tokio::sync::{Mutex, Semaphore};

pub(crate) use connect::{Schema, connect_once, schema, unusable_at};
pub use open_error::OpenError;

use super::StoreOptions;
use super::contents::ContentCache;
use super::joined::Joined;
use crate::engine::{self, Db, Dialect, Engine, NewIds, Operation, READ_MAX, Reads};
use connect::connect;
pub(super) use database::{Connection, Database};
pub(super) use ids::{BlockIds, Sequence};
pub(super) use keys::lock_of;
pub(super) use locks::{class, lock};
pub(super) use report::report;
use slow_reads::SlowReads;
pub(super) use ticket_lists::list_tickets;
pub(super) use transaction::{Work, failed};
use transaction::{begin, begin_with, is_broken};
use writer::{Done, Write, WriterHandle, mismatch};

/// The server's directory, which its standbys share, and the database in it.
pub(crate) const DATABASE_ID: &str = "SELECT (SELECT system_identifier \
    FROM pg_control_system())::text || ':' || oid FROM pg_database \
    WHERE datname = current_database()";

/// How long readiness waits.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How often ids are asked for again over another connection.
const TRIES: u32 = 3;
/// How many are taken at least.
const IDS_AT_ONCE: i64 = 32;

/// Tickets, inboxes and accounts in a PostgreSQL database.
pub type PostgresStore = Engine<Postgres>;

/// What the store has of its own.
#[derive(Debug)]
pub struct Postgres {
    pool: Database,
    /// The enabled channels: deliveries are written for these.
    channels: Channels,
    /// Whether e-mails are sent to verified addresses only.
    verify_email: bool,
    ids: Arc<BlockIds>,
    contents: Arc<ContentCache>,
    heads: Joined<UserId, Head>,
    holders: Joined<(UserId, Seq), Taken>,
    users: Joined<UserId, User>,
    slow: SlowReads,
    searches: SlowReads,
    /// One report at a time.
    reports: Mutex<()>,
    /// Limits providers' reports that are written at once: they come in storms.
    provider_reports: Semaphore,
    writer: WriterHandle,
}

impl PostgresStore {
    /// Opens the database at `url` (`postgres://USER:PASSWORD@HOST:PORT/DATABASE`), and brings its
    /// schema up to date.
    ///
    /// # Errors
    /// [`OpenError`], with a text for the operator that contains no password.
    pub async fn open(url: &str, options: StoreOptions) -> Result<Self, OpenError> {
        let pool = connect(url, &options).await?;
        let (ids, contents) = (Arc::new(BlockIds::default()), Arc::new(ContentCache::new()));
        let writer = WriterHandle::start(&pool, &options, &ids, &contents);
        let reads = pool.clone();
        let heads = Joined::start(move |users| inbox::heads(reads.clone(), users));
        let reads = pool.clone();
        let holders = Joined::start(move |numbers| inbox::holders(reads.clone(), numbers));
        let reads = pool.clone();
        let users = Joined::start(move |users| accounts::read(reads.clone(), users));
        let slow = SlowReads::new(pool.clone(), options.connections);
        let searches = SlowReads::for_searches(pool.clone(), options.connections);
        let StoreOptions { channels, verify_email, .. } = options;
        let reports = Mutex::new(());
        Ok(Engine(Postgres {
            pool,
            channels,
            verify_email,
            ids,
            contents,
            heads,
            holders,
            users,
            slow,
            searches,
            reports,
            provider_reports: Semaphore::new(provider_reports::AT_ONCE),
            writer,
        }))
    }
}

impl Postgres {
    /// Whether the database answers within five seconds, and the last write succeeded. If that was
    /// too long ago, a probe is written.
    async fn check(&self) -> Result<(), StoreError> {
        let read = async { sqlx::query("SELECT 1").execute(&self.pool).await.map_err(failed) };
        within(read).await?;
        match self.writer.recent() {
            Some(true) => Ok(()),
            Some(false) => Err(StoreError::Unavailable("the last write failed".to_owned())),
            None => within(self.writer.write(Write::Probe)).await.map(drop),
        }
    }

    /// The next id.
    async fn next_id(&self, sequence: Sequence) -> Result<i64, StoreError> {
        let mut tries = TRIES;
        loop {
            if let Some(id) = self.ids.take(sequence) {
                return Ok(id);
            }
            // Ids that were reserved over a connection that then broke are not used: no harm in
            // more.
            match self.reserve_ids(sequence).await {
                Err(error) if !is_broken(&error) || tries == 0 => return Err(failed(error)),
                _ => tries = tries.saturating_sub(1),
            }
        }
    }

    async fn reserve_ids(&self, sequence: Sequence) -> sqlx::Result<()> {
        let mut connection = self.pool.acquire().await?;
        self.ids.reserve(&mut connection, sequence, IDS_AT_ONCE).await
    }

    /// Begins a transaction.
    async fn begin(&self) -> Result<Work, StoreError> {
        begin(&self.pool).await.map_err(failed)
    }
}

/// The answer, if it comes in time.
async fn within<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let late = |_| StoreError::Unavailable("no answer in time".to_owned());
    tokio::time::timeout(ANSWER_MAX, asked).await.map_err(late)?
}

impl Dialect for Postgres {
    async fn read<O: Operation>(
        &self,
        reads: Reads,
        operation: O,
    ) -> Result<O::Answer, StoreError> {
        let (slow, read_max) = match reads {
            Reads::Lists => (&self.slow, READ_MAX),
            Reads::Searches => (&self.searches, READ_MAX),
            Reads::Within(read_max) => (&self.slow, read_max),
            Reads::Short => {
                let mut snapshot = snapshot(&self.pool).await?;
                return Ok(operation.run(&mut Db::Postgres(&mut snapshot)).await?);
            }
        };
        let read = async move |mut snapshot: Work| {
            Ok(operation.run(&mut Db::Postgres(&mut snapshot)).await?)
        };
        slow.read(read_max, read).await
    }

    async fn read_one<O: Operation>(&self, operation: O) -> Result<O::Answer, StoreError> {
        Ok(operation.run(&mut Db::Pool(&self.pool)).await?)
    }

    /// Nothing is deferred here.
    async fn settle(&self, _: engine::Deferred) -> Result<(), StoreError> {
        Ok(())
    }

    fn ids(&self) -> NewIds {
        NewIds::Postgres(Arc::clone(&self.ids))
    }

    async fn database_id(&self) -> Result<String, StoreError> {
        sqlx::query_scalar(DATABASE_ID).fetch_one(&self.pool).await.map_err(failed)
    }

    async fn write<O: Operation>(&self, operation: O) -> Result<O::Answer, StoreError> {
        operations::write(&self.pool, &operation).await
    }

    async fn next_ticket_id(&self) -> Result<TicketId, StoreError> {
        self.next_id(Sequence::Tickets).await.map(TicketId)
    }

    fn shared_tickets(&self) -> Option<&dyn SharedTickets> {
        Some(self)
    }

    async fn create_user(
        &self,
        new: NewUser,
        announce: Option<AnnounceUser>,
        once: Option<IdempotencyKey>,
    ) -> Result<(User, Option<AnnouncedMessage>), StoreError> {
        let write = Write::CreateUser { new: Box::new(new), announce, once };
        let Done::Created(created) = self.writer.write(write).await? else {
            return Err(mismatch());
        };
        Ok(*created)
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.users.of(id).await
    }

    async fn update_user(&self, id: UserId, changes: UserChanges) -> Result<User, StoreError> {
        let mut work = self.begin().await?;
        let after = account_changes::update(&mut work, id, &changes).await?;
        work.commit().await?;
        Ok(after)
    }

    async fn commit(&self, decision: Decision) -> Result<Committed, StoreError> {
        let write = Write::Commit(Box::new(decision));
        let Done::Committed(committed) = self.writer.write(write).await? else {
            return Err(mismatch());
        };
        Ok(*committed)
    }

    async fn comment(
        &self,
        new: NewComment,
    ) -> Result<(Comment, Option<AnnouncedMessage>), StoreError> {
        let Done::Commented(done) = self.writer.write(Write::Comment(Box::new(new))).await? else {
            return Err(mismatch());
        };
        Ok(*done)
    }

    fn channels(&self) -> Channels {
        self.channels
    }

    fn reports(&self) -> &Mutex<()> {
        &self.reports
    }

    async fn add_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        audit::add(self, entry).await
    }

    async fn renew_words(&self, limit: u32) -> Result<u64, StoreError> {
        words::renew(self, limit).await
    }
}

/// Begins a transaction whose statements all read the same state; it writes nothing.
async fn snapshot(database: &Database) -> Result<Work, StoreError> {
    let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
    begin_with(database, sql).await.map_err(failed)
}

#[async_trait]
impl Store for PostgresStore {
    async fn answers(&self) -> Result<(), StoreError> {
        self.check().await
    }

    async fn size(&self) -> Result<StoreSize, StoreError> {
        let sql = "SELECT pg_database_size(current_database())";
        let size: sqlx::Result<i64> = sqlx::query_scalar(sql).fetch_one(&self.pool).await;
        let size = size.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(StoreSize { database: u64::try_from(size).unwrap_or(0), log: 0 })
    }

    async fn close(&self) {
        self.writer.close().await;
        self.pool.close().await;
    }
}
