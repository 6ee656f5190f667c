//! The pool of connections, and the schema.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgPool};

use crate::storage::StoreOptions;

/// How long a caller waits for a connection.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// A connection that was not used for this long is tested before it is used.
const TESTED_AFTER: Duration = Duration::from_secs(1);

/// Settings of each connection. A commit that was answered is on the server's disk, whatever the
/// server's default; a statement or a lock that takes too long fails instead of holding up others.
const EACH: [(&str, &str); 5] = [
    ("application_name", "bellpull"),
    ("synchronous_commit", "on"),
    ("statement_timeout", "30s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "30s"),
];

/// Why a database could not be opened; the text is for the operator and contains no password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is not one of PostgreSQL's.
    #[error(
        "the database's address is not valid: {0}. Write postgres://USER:PASSWORD@HOST/DATABASE"
    )]
    Address(String),
    /// The server does not answer, or refuses the connection.
    #[error("cannot connect to PostgreSQL at {server}: {source}")]
    Connect {
        /// Its host, port and database.
        server: String,
        /// The error.
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date.
    #[error("cannot migrate the database at {server}: {source}")]
    Migrate {
        /// Its host, port and database.
        server: String,
        /// The error.
        source: MigrateError,
    },
}

/// Connects, and brings the schema up to date. Several nodes that start at once wait for each
/// other.
pub(super) async fn connect(url: &str, options: &StoreOptions) -> Result<PgPool, OpenError> {
    let address = PgConnectOptions::from_str(url)
        .map_err(|error| OpenError::Address(error.to_string()))?
        .statement_cache_capacity(256)
        .options(EACH);
    let database = address.get_database().unwrap_or_default();
    let server = format!("{}:{}/{database}", address.get_host(), address.get_port());
    let failed = |source| OpenError::Connect { server: server.clone(), source };
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
        .connect_with(address)
        .await
        .map_err(failed)?;
    let migrated = sqlx::migrate!("migrations/postgres").run(&pool).await;
    migrated.map_err(|source| OpenError::Migrate { server, source })?;
    Ok(pool)
}
