//! The connection for reads that come in bursts: accounts and inbox heads.
//!
//! A pool checks each returned connection with a query of its own, which takes two thread switches.
//! And when ten thousand clients reconnect at once, every connection of the pool would cache the
//! same pages. One connection without such a check avoids both.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::Mutex;

/// See the module.
#[derive(Debug)]
pub(super) struct CrowdReader {
    options: SqliteConnectOptions,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// `None` at first, and after a query that failed or was cancelled: the next one opens another.
    Open(Option<SqliteConnection>),
    Closed,
}

impl CrowdReader {
    pub(super) fn new(options: SqliteConnectOptions) -> Self {
        Self { options, state: Mutex::new(State::Open(None)) }
    }

    /// The single text that a query with one text column returns.
    pub(super) async fn text(
        &self,
        sql: &'static str,
        argument: String,
    ) -> Result<String, sqlx::Error> {
        let mut state = self.state.lock().await;
        let State::Open(slot) = &mut *state else { return Err(sqlx::Error::PoolClosed) };
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        let text = sqlx::query_scalar(sql).bind(argument).fetch_one(&mut connection).await?;
        *slot = Some(connection);
        Ok(text)
    }

    /// Closes the file; later queries are rejected.
    pub(super) async fn close(&self) {
        let before = std::mem::replace(&mut *self.state.lock().await, State::Closed);
        if let State::Open(Some(connection)) = before
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "a reader was not closed cleanly");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::for_readers;
    use super::super::{SqliteStore, StoreOptions};
    use super::*;

    #[tokio::test]
    async fn a_query_that_fails_costs_its_connection_alone_and_none_comes_after_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hub.db");
        let url = format!("sqlite://{}", file.display());
        let store = SqliteStore::open(&url, StoreOptions::default()).await.unwrap();
        let reader = CrowdReader::new(for_readers(&file));
        let text = |sql| reader.text(sql, "x".to_owned());
        assert_eq!(text("SELECT ? || 'y'").await.unwrap(), "xy");
        assert!(text("SELECT ? FROM nowhere").await.is_err());
        assert_eq!(text("SELECT ? || 'y'").await.unwrap(), "xy");
        reader.close().await;
        assert!(matches!(text("SELECT ?").await, Err(sqlx::Error::PoolClosed)));
        reader.close().await;
        store.close().await;
    }
}
