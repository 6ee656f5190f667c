//! The pool of connections, and the schema.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgPool};
use tokio::time::timeout;

use super::open_error::{OpenError, Server};
use super::{address, name_keys};
use crate::storage::StoreOptions;

/// How long a caller waits for a connection.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// A connection that was not used for this long is tested before it is used.
const TESTED_AFTER: Duration = Duration::from_millis(50);

const NAME: (&str, &str) = ("application_name", "bellpull");
const DURABLE: (&str, &str) = ("synchronous_commit", "on");
/// Settings of each connection. A commit that was answered is on the server's disk, whatever the
/// server's default; a statement or a lock that takes too long fails instead of holding up others.
const EACH: [(&str, &str); 6] = [
    NAME,
    DURABLE,
    ("statement_timeout", "30s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "30s"),
    // Each query here is short, and an estimate of its rows may be far off.
    ("jit", "off"),
];

/// The setting with the number of the first migration whose version can use the schema.
const READABLE_FROM: &str = "readable_from";

/// Connects, and brings the schema up to date. Several nodes that start at once wait for each
/// other.
pub(super) async fn connect(url: &str, options: &StoreOptions) -> Result<PgPool, OpenError> {
    let address = address::parse(url)?.statement_cache_capacity(256);
    let server = Server::of(&address);
    // A connection of its own: the pool would try again and again, and then say only that it has
    // waited. It also has no time-outs, for another node's migration may take long.
    let mut first = first(&address, &server).await?;
    if options.exclusive {
        warn_of_lost_writes(&mut first).await;
    }
    let prepared = prepare(&mut first).await;
    // The server ends it in any case.
    let _ = first.close().await;
    prepared.map_err(|error| OpenError::migrating(&server, error))?;
    let pool = PgPoolOptions::new()
        .max_connections(options.connections)
        .acquire_timeout(WAIT_MAX)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                // A broken connection is replaced.
                Ok(meta.idle_for < TESTED_AFTER || connection.ping().await.is_ok())
            })
        })
        .connect_with(address.options(EACH))
        .await;
    pool.map_err(|error| OpenError::connecting(&server, error))
}

async fn first(address: &PgConnectOptions, server: &Server) -> Result<PgConnection, OpenError> {
    let address = address.clone().options([NAME, DURABLE]);
    match timeout(WAIT_MAX, address.connect()).await {
        Ok(connected) => connected.map_err(|error| OpenError::connecting(server, error)),
        Err(_) => Err(OpenError::connecting(server, sqlx::Error::PoolTimedOut)),
    }
}

/// A connection of its own, with no time-outs but that of connecting.
pub(crate) async fn connect_once(url: &str) -> Result<PgConnection, OpenError> {
    let address = address::parse(url)?;
    first(&address, &Server::of(&address)).await
}

/// Warns of a server whose settings can lose what it has committed. No client can change these.
async fn warn_of_lost_writes(connection: &mut PgConnection) {
    let sql = "SELECT name FROM pg_settings WHERE setting = 'off' \
               AND name IN ('fsync', 'full_page_writes') ORDER BY name";
    let off: Vec<String> =
        sqlx::query_scalar(sql).fetch_all(&mut *connection).await.unwrap_or_default();
    for setting in off {
        tracing::warn!(
            setting,
            "PostgreSQL has this setting off: after a power loss or a crash of its machine, \
             acknowledged writes may be lost and the database damaged"
        );
    }
}

/// The migrations that this version knows.
pub(super) fn migrations() -> Migrator {
    sqlx::migrate!("migrations/postgres")
}

/// Brings the schema up to date, and what is computed from its rows.
///
/// During a rolling deploy nodes of the previous version still run, and may restart, after the
/// first new node has migrated. A migration therefore only adds what the previous version can
/// ignore. One that removes or renames comes a version later, and writes into [`READABLE_FROM`] the
/// first migration whose version can use the schema.
async fn prepare(connection: &mut PgConnection) -> Result<(), MigrateError> {
    let mut migrator = migrations();
    migrator.set_ignore_missing(true);
    // Not `run`: its future is not `Send` behind a reference.
    migrator.run_direct(None, connection, false).await?;
    match schema(connection).await? {
        Schema::Known(_) => {}
        Schema::Newer { newest, is_readable: false } => {
            return Err(MigrateError::VersionMissing(newest));
        }
        Schema::Newer { newest, .. } => {
            tracing::warn!(newest, "a newer version has migrated the database; it fits this one");
        }
    }
    Ok(name_keys::fill(connection).await?)
}

/// The last migration of a database that has any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Schema {
    /// One that this version knows.
    Known(i64),
    /// One of a newer version.
    Newer {
        /// Which.
        newest: i64,
        /// Whether this version can use it.
        is_readable: bool,
    },
}

/// Looks at the schema.
pub(crate) async fn schema(connection: &mut PgConnection) -> sqlx::Result<Schema> {
    let own = migrations().iter().map(|migration| migration.version).max().unwrap_or_default();
    let sql = "SELECT max(version) FROM _sqlx_migrations";
    let newest: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await?;
    if newest <= own {
        return Ok(Schema::Known(newest));
    }
    let sql = "SELECT value FROM settings WHERE name = $1";
    let from: Option<String> =
        sqlx::query_scalar(sql).bind(READABLE_FROM).fetch_optional(&mut *connection).await?;
    // What cannot be read was written by a version that this one knows nothing of.
    let from = from.map_or(0, |from| from.parse().unwrap_or(newest));
    Ok(Schema::Newer { newest, is_readable: from <= own })
}
