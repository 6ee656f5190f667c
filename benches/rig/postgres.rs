//! A PostgreSQL database for a bench, and PostgreSQL alone: the upper bound of what is built on it.

use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt};
use sqlx::{Connection, PgConnection};

/// The server; without it a bench uses SQLite only.
const SERVER: &str = "BENCH_POSTGRES";

/// A database that is dropped by [`Database::drop_it`].
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// An empty database on the server that `BENCH_POSTGRES` names, if it names one.
    pub async fn create() -> Option<Self> {
        let server = std::env::var(SERVER).ok().filter(|url| !url.is_empty())?;
        let database = Self { server, name: format!("bench_{}", std::process::id()) };
        database.run(&format!("CREATE DATABASE {}", database.name)).await;
        Some(database)
    }

    /// Its URL: the server's with another path.
    pub fn url(&self) -> String {
        let mut url = reqwest::Url::parse(&self.server).expect("a URL");
        url.set_path(&self.name);
        url.into()
    }

    /// Removes it.
    pub async fn drop_it(self) {
        self.run(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
    }

    async fn run(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.server).await.expect("the server");
        // Its name is made here.
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).execute(&mut connection).await.expect("a statement");
    }
}

/// Copies all stored notifications into a table with the same indexes by `COPY`; returns rows per
/// second. It is the fastest way into PostgreSQL, without inboxes, rules and readers.
pub async fn copy_notifications(url: &str) -> f64 {
    let mut connection = PgConnection::connect(url).await.expect("the database");
    let run = "CREATE TABLE copied (LIKE notifications INCLUDING ALL)";
    sqlx::raw_sql(run).execute(&mut connection).await.expect("a table");
    let rows = connection.copy_out_raw("COPY notifications TO STDOUT (FORMAT binary)").await;
    let rows: Vec<u8> = rows
        .expect("rows")
        .map(|part| part.map(|part| part.to_vec()))
        .try_concat()
        .await
        .expect("rows");
    let begun = Instant::now();
    let copying = connection.copy_in_raw("COPY copied FROM STDIN (FORMAT binary)").await;
    let mut copying = copying.expect("a copy");
    copying.send(rows).await.expect("a copy");
    let count = copying.finish().await.expect("a copy");
    let took = begun.elapsed().as_secs_f64();
    sqlx::raw_sql("DROP TABLE copied").execute(&mut connection).await.expect("a statement");
    #[allow(clippy::cast_precision_loss, reason = "a figure")]
    let count = count as f64;
    count / took
}
