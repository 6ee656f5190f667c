//! A standby of a PostgreSQL of one's own, which takes its place.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::ports;
use super::postgres::{PATIENCE, Postgres, USER, private_folder};
use super::process::{LOOK, Process};
use crate::LoadError;

impl Postgres {
    /// A standby, which copies this server's data and follows it; `way` leads to this server.
    ///
    /// # Errors
    /// It does not start; with the last lines of its log.
    pub async fn standby(&self, way: SocketAddr) -> Result<Self, LoadError> {
        let address = ports::free()?;
        let data = self.folder.join(format!("standby-{}", address.port()));
        private_folder(&self.folder, &data, self.account)
            .map_err(|error| LoadError::failed(format!("{}: {error}", data.display())))?;
        let mut standby = Self {
            programs: self.programs.clone(),
            folder: self.folder.clone(),
            data,
            address,
            password: self.password.clone(),
            account: self.account,
            is_durable: self.is_durable,
            has_slow_commits: self.has_slow_commits,
            process: None,
        };
        // Some folders of a PATH have links to the server's programs alone.
        let server = self.programs.join("postgres");
        if !self.programs.join("pg_basebackup").exists()
            && let Some(folder) = server.canonicalize().ok().as_deref().and_then(Path::parent)
        {
            standby.programs = folder.to_owned();
        }
        let mut command = standby.program("pg_basebackup");
        command
            .args(["--checkpoint", "fast", "--wal-method", "stream", "--no-sync"])
            .args(["--write-recovery-conf", "--username", USER])
            .args(["--host", &way.ip().to_string(), "--port", &way.port().to_string()])
            .arg("--pgdata")
            .arg(&standby.data)
            .env("PGPASSWORD", &self.password);
        let mut copying = Process::start("pg_basebackup", command, &standby.log())?;
        let status = copying.exited(PATIENCE).await?;
        if !status.success() {
            return Err(copying.failed(status));
        }
        standby.resume().await?;
        Ok(standby)
    }

    /// From now on commits wait for a standby; returns once one has caught up.
    ///
    /// # Errors
    /// None does.
    pub async fn wait_for_standby(&self) -> Result<(), LoadError> {
        let failed = |error: sqlx::Error| LoadError::failed(format!("postgres: {error}"));
        let mut connection = PgConnection::connect(&self.url()).await.map_err(failed)?;
        // Two messages: a setting of the system cannot be changed in a transaction.
        connection
            .execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            .await
            .map_err(failed)?;
        connection.execute("SELECT pg_reload_conf()").await.map_err(failed)?;
        let sql = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')";
        until(&mut connection, sql).await
    }

    /// Returns once a standby has all that is committed now.
    ///
    /// # Errors
    /// None has.
    pub async fn wait_until_followed(&self) -> Result<(), LoadError> {
        let failed = |error: sqlx::Error| LoadError::failed(format!("postgres: {error}"));
        let mut connection = PgConnection::connect(&self.url()).await.map_err(failed)?;
        let now = sqlx::query_scalar("SELECT pg_current_wal_flush_lsn()::text");
        let now: String = now.fetch_one(&mut connection).await.map_err(failed)?;
        let sql = format!(
            "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE flush_lsn >= '{now}'::pg_lsn)"
        );
        until(&mut connection, &sql).await
    }

    /// A standby becomes a server of its own.
    ///
    /// # Errors
    /// It does not.
    pub async fn promote(&self) -> Result<(), LoadError> {
        let failed = |error: sqlx::Error| LoadError::failed(format!("the standby: {error}"));
        let mut connection = PgConnection::connect(&self.url()).await.map_err(failed)?;
        let promoted: bool = sqlx::query_scalar("SELECT pg_promote(true, 60)")
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        if promoted { Ok(()) } else { Err(LoadError::failed("the standby: it is not promoted")) }
    }

    /// Removes the data of a server that another one has replaced.
    pub fn discard(self) {
        // What is left is removed with the folder.
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// Asks until the answer is yes.
async fn until(connection: &mut PgConnection, sql: &str) -> Result<(), LoadError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut *connection);
        let is_so = query.await.map_err(|error| LoadError::failed(format!("postgres: {error}")))?;
        if is_so {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(LoadError::failed("postgres: no standby has caught up"));
        }
        tokio::time::sleep(LOOK).await;
    }
}
