//! Databases for tests, on the PostgreSQL server that `TEST_POSTGRES` names.
//!
//! Each test has a database of its own: a copy of a template, which the first test creates and
//! migrates. It is dropped with the test.

use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// The variable with the server's URL; its user may create databases.
const SERVER: &str = "TEST_POSTGRES";

/// The server's URL, if there is one.
pub fn server() -> Option<String> {
    std::env::var(SERVER).ok().filter(|url| !url.is_empty())
}

/// A database, dropped with this.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// One without any table.
    pub async fn blank() -> Self {
        Self::blank_with("").await
    }

    /// The same with these options of `CREATE DATABASE`.
    pub async fn blank_with(options: &str) -> Self {
        let server = server().expect("TEST_POSTGRES names a PostgreSQL server");
        let mut admin = connect(&server, "postgres").await;
        let name = format!("t{:016x}", fastrand::u64(..));
        let sql = format!("CREATE DATABASE {name} TEMPLATE template0 {options}");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
        Self { server, name }
    }

    /// An empty one with the current schema.
    pub async fn create() -> Self {
        let server = server().expect("TEST_POSTGRES names a PostgreSQL server");
        let mut admin = connect(&server, "postgres").await;
        let template = template(&mut admin, &server).await;
        Self::of_template(server, admin, &template).await
    }

    /// A copy of this one, which nothing may use meanwhile.
    pub async fn copy(&self) -> Self {
        let admin = connect(&self.server, "postgres").await;
        Self::of_template(self.server.clone(), admin, &self.name).await
    }

    async fn of_template(server: String, mut admin: PgConnection, template: &str) -> Self {
        let name = format!("t{:016x}", fastrand::u64(..));
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template}");
        // Two tests at once may not copy a template that one of them has just left.
        for _ in 0..100 {
            match sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut admin).await {
                Ok(_) => return Self { server, name },
                Err(error) if error.to_string().contains("being accessed") => {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the template database stays in use")
    }

    /// Its URL.
    pub fn url(&self) -> String {
        let options = PgConnectOptions::from_str(&self.server).unwrap().database(&self.name);
        options.to_url_lossy().to_string()
    }

    /// A connection of the test's own.
    pub async fn connect(&self) -> PgConnection {
        connect(&self.server, &self.name).await
    }

    /// Runs a statement past the hub.
    pub async fn execute(&self, sql: &str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let drop = async move {
            let mut admin = connect(&server, "postgres").await;
            let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            let _ = sqlx::query(AssertSqlSafe(sql)).execute(&mut admin).await;
        };
        // The test's runtime may be ending.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(drop);
        });
        let _ = thread.join();
    }
}

async fn connect(server: &str, database: &str) -> PgConnection {
    let options = PgConnectOptions::from_str(server).unwrap().database(database);
    options.connect().await.unwrap()
}

/// The name of the migrated template. Its name contains the newest migration and a hash of all, so
/// that a changed schema has another.
async fn template(admin: &mut PgConnection, server: &str) -> String {
    let migrator = sqlx::migrate!("migrations/postgres");
    let mut sum = 0_u64;
    for byte in migrator.iter().flat_map(|migration| migration.checksum.iter()) {
        sum = sum.wrapping_mul(31).wrapping_add(u64::from(*byte));
    }
    let name = format!("template_{sum:016x}");
    // One test makes it; the others wait.
    sqlx::query("SELECT pg_advisory_lock(7305804402)").execute(&mut *admin).await.unwrap();
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)";
    let exists: bool = sqlx::query_scalar(sql).bind(&name).fetch_one(&mut *admin).await.unwrap();
    if !exists {
        let making = format!("{name}_new");
        for sql in
            [format!("DROP DATABASE IF EXISTS {making}"), format!("CREATE DATABASE {making}")]
        {
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *admin).await.unwrap();
        }
        let mut inside = connect(server, &making).await;
        // Not `run`: its future is not `Send` behind a reference.
        migrator.run_direct(None, &mut inside, false).await.unwrap();
        inside.close().await.unwrap();
        let sql = format!("ALTER DATABASE {making} RENAME TO {name}");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *admin).await.unwrap();
    }
    sqlx::query("SELECT pg_advisory_unlock(7305804402)").execute(admin).await.unwrap();
    name
}
