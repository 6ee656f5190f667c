//! What each connection is set to.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Executor};

/// How long one waits for the locks of others: less than for an answer, so that such a wait ends by
/// the server's word and the connection stays.
const LOCK_MAX: Duration = Duration::from_secs(4);
/// How long a transaction may wait for our next statement. It is short, as the transaction of a
/// lost connection holds its locks until then.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// The name by which the server lists our connections.
pub(super) const NAME: &str = "bellpull";

/// Settings of each connection. A commit that was answered is on the server's disk, whatever the
/// server's default; a statement or a lock that takes too long fails instead of holding up others.
///
/// They are set by a statement: a pooler before the server drops what a client wishes at its start.
pub(super) fn settings() -> String {
    let (lock_ms, idle_ms) = (LOCK_MAX.as_millis(), IDLE_MAX.as_millis());
    format!(
        "{ALWAYS}; SET statement_timeout = '30s'; SET lock_timeout = {lock_ms}; \
         SET idle_in_transaction_session_timeout = {idle_ms}; \
         SET jit = off" // each query here is short, and an estimate of its rows may be far off
    )
}

/// What no transaction of ours is without, whatever the database's own settings are.
const ALWAYS: &str = "SET synchronous_commit = on; \
    SET default_transaction_isolation = 'read committed'";

/// A connection of its own, whose statements may take long.
pub(super) async fn unlimited(address: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let mut connection = address.connect().await?;
    connection.execute(ALWAYS).await?;
    Ok(connection)
}
