//! The suite on PostgreSQL, and what is PostgreSQL's own: several processes on one database.

use std::sync::Arc;

use async_trait::async_trait;
use bellpull::storage::StoreOptions;
use bellpull::storage::postgres::PostgresStore;
use bellpull_domain::routing::Channels;
use bellpull_port::Store;

use super::{Fixture, suite};
use crate::support::postgres::{Database, server};

/// A store on a database of its own.
pub(crate) struct Postgres {
    store: Arc<PostgresStore>,
    channels: Channels,
    database: Database,
}

impl Postgres {
    async fn on(database: Database, channels: Channels) -> Self {
        let options =
            StoreOptions { channels, exclusive: true, connections: 4, ..StoreOptions::default() };
        let store = Arc::new(PostgresStore::open(&database.url(), options).await.unwrap());
        Self { store, channels, database }
    }
}

#[async_trait]
impl Fixture for Postgres {
    type Store = PostgresStore;
    const IS_EXCLUSIVE: bool = false;

    fn missing() -> Option<&'static str> {
        server().is_none().then_some("TEST_POSTGRES names no PostgreSQL server")
    }

    async fn with_channels(channels: Channels) -> Self {
        Self::on(Database::create().await, channels).await
    }

    fn store(&self) -> &Arc<PostgresStore> {
        &self.store
    }

    async fn reopen(self) -> Self {
        let Self { store, channels, database } = self;
        store.close().await;
        drop(store);
        Self::on(database, channels).await
    }

    async fn execute(&self, sql: &str) {
        self.database.execute(sql).await;
    }
}

suite!(crate::store::postgres::Postgres);
