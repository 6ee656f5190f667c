//! The pool of connections, and the schema.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Executor, Row};
use tokio::time::{Instant, sleep, timeout};

use super::commit_marks;
use super::database::{CONNECTED_WITHIN, Database};
use super::history::{self, STANDBY};
use super::open_error::{OpenError, Server};
use super::session::{self, unlimited};
use super::sql_errors::POOLER;
use super::{address, name_keys};
use crate::StoreOptions;

/// The pause before a server that did not accept a connection is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The setting with the number of the first migration whose version can use the schema.
const READABLE_FROM: &str = "readable_from";

/// Connects, and brings the schema up to date. Several nodes that start at once wait for each
/// other.
pub(super) async fn connect(url: &str, options: &StoreOptions) -> Result<Database, OpenError> {
    let address = address_of(url)?;
    let server = Server::of(&address);
    // A connection of its own: the pool would try again and again, and then say only that it has
    // waited. It also has no time-outs, for another node's migration may take long.
    let mut first = awaited(&address, &server, options.wait).await?;
    if options.exclusive {
        warn_of_lost_writes(&mut first).await;
    }
    let reason = unusable(&mut first, &address).await;
    if let Some(reason) = reason.map_err(|error| OpenError::connecting(&server, error))? {
        return Err(OpenError::Unusable { server, reason });
    }
    let prepared = prepare(&mut first).await;
    // The server ends it in any case.
    let _ = first.close().await;
    prepared.map_err(|error| OpenError::migrating(&server, error))?;
    let database = Database::connect(address, session::settings(), options.connections).await;
    database.map_err(|error| OpenError::connecting(&server, error))
}

/// The address, for connections of ours.
fn address_of(url: &str) -> Result<PgConnectOptions, OpenError> {
    let address = address::parse(url)?;
    // Floats are not used here, and a pooler refuses to pass on how they are written.
    Ok(address
        .statement_cache_capacity(256)
        .application_name(session::NAME)
        .extra_float_digits(None))
}

/// What is wrong with the server at `url`, if it is not one that a hub can write to.
///
/// # Errors
/// Why it does not answer.
pub(crate) async fn unusable_at(
    connection: &mut PgConnection,
    url: &str,
) -> Result<Option<String>, OpenError> {
    let address = address_of(url)?;
    let reason = unusable(connection, &address).await;
    reason.map_err(|error| OpenError::connecting(&Server::of(&address), error))
}

async fn unusable(
    connection: &mut PgConnection,
    address: &PgConnectOptions,
) -> sqlx::Result<Option<String>> {
    if is_spread(connection, address).await {
        return Ok(Some(POOLER.to_owned()));
    }
    let sql = "SELECT pg_is_in_recovery(), current_setting('server_encoding'), \
               current_setting('synchronous_commit')";
    let (is_standby, encoding, durable): (bool, String, String) =
        sqlx::query_as(sql).fetch_one(connection).await?;
    Ok(if is_standby {
        Some(STANDBY.to_owned())
    } else if encoding != "UTF8" {
        Some(format!(
            "its encoding is {encoding}, which has no room for all text: create it with \
             ENCODING 'UTF8'"
        ))
    } else if durable == "off" {
        Some(format!("synchronous_commit is off although the hub has set it: {POOLER}"))
    } else {
        None
    })
}

/// Whether what another connection sets is seen on this one: a pooler gives the statements of both
/// to the same connection of the server. `false` if that cannot be tried.
///
/// Without prepared statements, which may fail there.
async fn is_spread(connection: &mut PgConnection, address: &PgConnectOptions) -> bool {
    let tried = async {
        let mut other = address.connect().await?;
        connection.execute("SET bellpull.probe = 'own'").await?;
        other.execute("SET bellpull.probe = 'other'").await?;
        let row = sqlx::raw_sql("SHOW bellpull.probe").fetch_one(&mut *connection).await?;
        other.close().await?;
        row.try_get::<String, _>(0)
    };
    matches!(timeout(CONNECTED_WITHIN, tried).await, Ok(Ok(found)) if found != "own")
}

async fn first(address: &PgConnectOptions, server: &Server) -> Result<PgConnection, OpenError> {
    match timeout(CONNECTED_WITHIN, unlimited(address)).await {
        Ok(connected) => connected.map_err(|error| OpenError::connecting(server, error)),
        Err(_) => Err(OpenError::connecting(server, sqlx::Error::PoolTimedOut)),
    }
}

/// The same of a server that may not accept connections yet: both may have been started at once.
async fn awaited(
    address: &PgConnectOptions,
    server: &Server,
    wait: Duration,
) -> Result<PgConnection, OpenError> {
    let until = Instant::now() + wait;
    let mut is_told = false;
    loop {
        match first(address, server).await {
            Err(error @ OpenError::Connect { .. }) if Instant::now() < until => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(%error, wait_s = wait.as_secs(), "waiting for the database");
                }
                sleep(AGAIN_AFTER).await;
            }
            done => return done,
        }
    }
}

/// A connection of its own, with no time-outs but that of connecting.
pub(crate) async fn connect_once(url: &str) -> Result<PgConnection, OpenError> {
    let address = address_of(url)?;
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
    sqlx::migrate!("../../migrations/postgres")
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
    name_keys::fill(connection).await?;
    commit_marks::forget(&mut *connection).await?;
    history::settle(connection).await?;
    Ok(())
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
