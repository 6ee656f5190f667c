//! Backups by PostgreSQL's own programs, which know each of its versions.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use sqlx::Connection;
use tempfile::NamedTempFile;
use tokio::process::Command;

use super::connect::connect_once;
use super::open_error::OpenError;

/// Parameters of a URL that libpq knows as we do.
const SHARED: [&str; 8] =
    ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "user", "dbname"];

/// Why there is no dump, or no database from one.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// A program is not there.
    #[error("{0} is not installed: Debian has it in postgresql-client")]
    NoProgram(&'static str),
    /// A program failed.
    #[error("{program}: {said}")]
    Failed {
        /// Which one.
        program: &'static str,
        /// The first line of what it said.
        said: String,
    },
    /// A file could not be written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// A file exists that would be overwritten.
    #[error("{} exists already: nothing is overwritten", .0.display())]
    Exists(PathBuf),
    /// The database has tables.
    #[error("the database is not empty: it has {0} tables. Restore into a new one (createdb)")]
    NotEmpty(i64),
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database does not answer.
    #[error("PostgreSQL: {0}")]
    Database(#[from] sqlx::Error),
}

/// Dumps the database at `url` into a new file, beside nodes that may be writing to it. It has what
/// was committed when `pg_dump` began.
///
/// # Errors
/// See [`DumpError`].
pub async fn dump(url: &str, into: &Path) -> Result<(), DumpError> {
    if into.exists() {
        return Err(DumpError::Exists(into.to_owned()));
    }
    let failed = |source| DumpError::Io { path: into.to_owned(), source };
    let folder = into.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let file = NamedTempFile::with_prefix_in(".bellpull-", folder).map_err(failed)?;
    let mut command = program("pg_dump", url);
    command.arg("--format=custom").arg("--no-owner").arg("--no-privileges");
    command.arg("--file").arg(file.path());
    run("pg_dump", &mut command).await?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(into).map_err(|error| {
        let is_there = error.error.kind() == io::ErrorKind::AlreadyExists;
        if is_there { DumpError::Exists(into.to_owned()) } else { failed(error.error) }
    })?;
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Restores a dump into the database at `url`, which must have no tables, in one transaction.
/// Streams of the old database end: clients are told to start again.
///
/// # Errors
/// See [`DumpError`].
pub async fn restore_dump(url: &str, from: &Path, epoch: &str) -> Result<(), DumpError> {
    let failed = |source| DumpError::Io { path: from.to_owned(), source };
    std::fs::File::open(from).map_err(failed)?;
    let mut connection = connect_once(url).await?;
    let sql = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()";
    let tables: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
    if tables > 0 {
        return Err(DumpError::NotEmpty(tables));
    }
    let mut command = program("pg_restore", url);
    command.args(["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]);
    run("pg_restore", command.arg(from)).await?;
    let sql = "UPDATE settings SET value = $1 WHERE name = 'epoch'";
    sqlx::query(sql).bind(epoch).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// A program of PostgreSQL's for this database. Its arguments are visible to others, so the
/// password is in its environment.
fn program(name: &'static str, url: &str) -> Command {
    let mut command = Command::new(name);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let Ok(mut url) = reqwest::Url::parse(url) else {
        command.arg("--dbname").arg(url);
        return command;
    };
    let mut password = url.password().map(str::to_owned);
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    url.set_query(None);
    for (key, value) in pairs {
        if key == "password" {
            password = Some(value);
        } else if SHARED.contains(&key.as_str()) {
            url.query_pairs_mut().append_pair(&key, &value);
        }
    }
    if let Some(password) = password {
        let decoded = percent_encoding::percent_decode_str(&password).decode_utf8_lossy();
        command.env("PGPASSWORD", &*decoded);
        // Refused for a URL without a host, which then has no password here either.
        let _ = url.set_password(None);
    }
    command.arg("--dbname").arg(url.as_str());
    command
}

async fn run(program: &'static str, command: &mut Command) -> Result<(), DumpError> {
    let output = command.output().await.map_err(|error| {
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        let said = error.to_string();
        if is_missing { DumpError::NoProgram(program) } else { DumpError::Failed { program, said } }
    })?;
    let Output { status, stderr, .. } = output;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&stderr);
    let said = said.lines().next().unwrap_or_default().trim();
    let said = said.strip_prefix(program).map_or(said, |said| said.trim_start_matches(": "));
    Err(DumpError::Failed { program, said: format!("{said} ({status})") })
}
