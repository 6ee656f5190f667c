//! Which history of the database this is: see [`bellpull_port::epoch`].
//!
//! A standby that is promoted begins a new timeline, and so does a server that is restored to a
//! point in time; a restored dump is on a server with another identifier. The database has stored
//! of which server and timeline its positions are, and where the server says another, a new epoch
//! begins before anything else is done.
//!
//! Each new connection looks. None survives the change: a server that ends takes them with it, and
//! a standby, which would keep its connections when it is promoted, is refused.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bellpull_port::epoch::{Epoch, LEAP};
use bellpull_port::{AccountStore, EpochStore, StoreError};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor};

use super::PostgresStore;
use super::locks::{class, lock};
use super::session::unlimited;
use super::sql_errors::failed;
use crate::error::unavailable;

/// The setting with the server and the timeline of the stored positions.
const HISTORY: &str = "history";
/// The setting with the epoch.
const EPOCH: &str = "epoch";

/// The server's history (`NULL`: it is a standby), the stored one, and the epoch.
const READ: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE \
    (SELECT system_identifier::text FROM pg_control_system()) || '/' || \
    left(pg_walfile_name(pg_current_wal_lsn()), 8) END, \
    (SELECT value FROM settings WHERE name = 'history'), \
    (SELECT value FROM settings WHERE name = 'epoch')";

const SET: &str = "INSERT INTO settings (name, value) VALUES ($1, $2) \
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// Inboxes without an entry, too: they may have had some in the other history.
const RAISE: &str = "UPDATE inboxes SET delivered_seq = least(delivered_seq, last_seq), \
    last_seq = last_seq + $1";

/// Blocks of ids that were given out in the other history are not given out again: they name
/// messages at providers, and nodes hold some.
const SKIP: &str = "SELECT setval(s.oid::regclass, nextval(s.oid::regclass) + 64 * i.seqincrement) \
    FROM pg_class s JOIN pg_sequence i ON i.seqrelid = s.oid WHERE i.seqincrement > 1 \
    AND s.relnamespace = current_schema()::regnamespace";

/// What a server says of itself.
#[derive(Debug)]
struct Found {
    /// `None`: it is a standby.
    server: Option<String>,
    stored: Option<String>,
    epoch: Option<String>,
}

impl Found {
    async fn read(connection: &mut PgConnection) -> sqlx::Result<Self> {
        let (server, stored, epoch) = sqlx::query_as(READ).fetch_one(connection).await?;
        Ok(Self { server, stored, epoch })
    }
}

/// Looks at new connections.
#[derive(Debug)]
pub(super) struct History {
    address: PgConnectOptions,
    epoch: Epoch,
    is_beginning: AtomicBool,
}

impl History {
    /// Of the database there.
    pub(super) fn new(address: PgConnectOptions) -> Arc<Self> {
        Arc::new(Self { address, epoch: Epoch::default(), is_beginning: AtomicBool::new(false) })
    }

    /// The epoch, as this process knows it.
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch.clone()
    }

    /// Looks at a new connection; refuses it if it is a standby's, and while a new epoch is to
    /// begin. That is done over a connection of its own: it may take longer than a caller waits.
    pub(super) async fn look(self: &Arc<Self>, connection: &mut PgConnection) -> sqlx::Result<()> {
        let refused = |why: &str| sqlx::Error::from(io::Error::other(why.to_owned()));
        let found = Found::read(connection).await?;
        if found.server.is_none() {
            return Err(refused(STANDBY));
        }
        if found.server != found.stored {
            if !self.is_beginning.swap(true, Ordering::Relaxed) {
                let own = Arc::clone(self);
                tokio::spawn(async move {
                    if let Err(error) = own.begin().await {
                        tracing::warn!(%error, "a new epoch could not be begun; it is tried again");
                    }
                    own.is_beginning.store(false, Ordering::Relaxed);
                });
            }
            return Err(refused("another history of the database has begun"));
        }
        if let Some(epoch) = found.epoch {
            self.epoch.set(&epoch);
        }
        Ok(())
    }

    async fn begin(&self) -> sqlx::Result<()> {
        let mut connection = unlimited(&self.address).await?;
        settle(&mut connection).await?;
        connection.close().await
    }
}

/// Why a standby is refused.
pub(super) const STANDBY: &str = "the server is a standby, which takes no writes: name the primary";

/// Begins a new epoch if the server is not the one of the stored positions. Of several nodes that
/// find it, the first begins it. Whether the server can be used: a standby cannot.
pub(super) async fn settle(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let found = Found::read(connection).await?;
    if found.server.is_none() {
        return Ok(false);
    }
    if found.server == found.stored {
        return Ok(true);
    }
    let mut work = connection.begin().await?;
    lock_inboxes(&mut work).await?;
    let found = Found::read(&mut work).await?;
    if found.server != found.stored {
        if found.stored.is_some() {
            renew(&mut work, &new_name()?).await?;
        }
        sqlx::query(SET).bind(HISTORY).bind(&found.server).execute(&mut *work).await?;
    }
    work.commit().await?;
    Ok(true)
}

/// Begins a new epoch in any case.
pub(super) async fn renew_now(connection: &mut PgConnection, epoch: &str) -> sqlx::Result<()> {
    let mut work = connection.begin().await?;
    lock_inboxes(&mut work).await?;
    renew(&mut work, epoch).await?;
    work.commit().await
}

/// Waits until no group is in progress; none begins before this transaction ends.
async fn lock_inboxes(connection: &mut PgConnection) -> sqlx::Result<()> {
    connection.execute(concat!("SELECT ", lock!(epoch, "0"))).await?;
    connection.execute("LOCK TABLE inboxes IN EXCLUSIVE MODE").await.map(drop)
}

async fn renew(connection: &mut PgConnection, epoch: &str) -> sqlx::Result<()> {
    let raised = sqlx::query(RAISE).bind(LEAP).execute(&mut *connection).await?;
    sqlx::query(SKIP).fetch_all(&mut *connection).await?;
    sqlx::query(SET).bind(EPOCH).bind(epoch).execute(connection).await?;
    tracing::warn!(epoch, inboxes = raised.rows_affected(), "a new epoch begins");
    Ok(())
}

/// A name for an epoch.
fn new_name() -> sqlx::Result<String> {
    let random = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
    Ok(format!("{random:016x}"))
}

#[async_trait]
impl EpochStore for PostgresStore {
    fn epoch(&self) -> Epoch {
        self.pool.history().epoch()
    }

    async fn read_epoch(&self) -> Result<(), StoreError> {
        let name = self.setting_or_insert(EPOCH, &new_name().map_err(failed)?).await?;
        self.pool.history().epoch().set(&name);
        Ok(())
    }

    async fn renew_epoch(&self) -> Result<(), StoreError> {
        if self.pool.history().is_beginning.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let renewed = self.renew().await;
        self.pool.history().is_beginning.store(false, Ordering::Relaxed);
        renewed
    }
}

impl PostgresStore {
    async fn renew(&self) -> Result<(), StoreError> {
        let name = new_name().map_err(failed)?;
        // A connection of its own, without the limits of the pool's: there may be many inboxes.
        let connected = unlimited(&self.pool.history().address).await;
        let mut connection = connected.map_err(unavailable)?;
        renew_now(&mut connection, &name).await.map_err(failed)?;
        self.pool.history().epoch().set(&name);
        Ok(())
    }
}
