//! Backups by PostgreSQL's own programs, which know each of its versions.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use sqlx::{Connection, PgConnection};
use tempfile::NamedTempFile;
use tokio::process::Command;

use super::address;
use super::connect::connect_once;
use super::history;
use super::open_error::OpenError;
use super::own_objects::OwnObjects;

/// Parameters of a URL that libpq knows as we do.
const SHARED: [&str; 9] =
    ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "user", "dbname", "options"];

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
    /// There is no schema in which the tables could be.
    #[error("the database has no schema for its tables: create the one that search_path names")]
    NoSchema,
    /// The tables would come into another schema than the one that is used.
    #[error(
        "the backup has its tables in the schema {was}, and the database's search_path leads to \
         {is}. Restore with a URL that ends in ?options=-csearch_path={was} (the schema must \
         exist); ALTER SCHEMA can rename it afterwards"
    )]
    OtherSchema {
        /// That of the backup.
        was: String,
        /// The database's.
        is: String,
    },
    /// The database has tables.
    #[error(
        "the database is not empty: it has {0} tables of a hub. Restore into a new one (createdb)"
    )]
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
    let mut connection = connect_once(url).await?;
    let (schema, others) = relations_of_others(&mut connection).await?;
    connection.close().await?;
    let mut command = program("pg_dump", url);
    command.arg("--format=custom").arg("--no-owner").arg("--no-privileges");
    let schema = quoted(&schema);
    command.arg(format!("--schema={schema}"));
    for other in others {
        command.arg(format!("--exclude-table={schema}.{}", quoted(&other)));
    }
    command.arg("--file").arg(file.path());
    run("pg_dump", &mut command).await?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(into).map_err(|error| {
        let is_there = error.error.kind() == io::ErrorKind::AlreadyExists;
        if is_there { DumpError::Exists(into.to_owned()) } else { failed(error.error) }
    })?;
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// The schema in which the hub's tables are, and what else is in it that could be dumped: tables,
/// views, and sequences that do not belong to a column of the hub's.
async fn relations_of_others(
    connection: &mut PgConnection,
) -> Result<(String, Vec<String>), DumpError> {
    let own = OwnObjects::read();
    let schema = schema_of(connection).await?;
    let sql = "SELECT c.relname::text FROM pg_class c \
        WHERE c.relnamespace = current_schema()::regnamespace \
        AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') \
        AND NOT c.relname = ANY ($1 || $2) \
        AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid \
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid \
            AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('i', 'a') \
            AND t.relnamespace = c.relnamespace AND t.relname = ANY ($1)) \
        ORDER BY c.relname";
    let others = sqlx::query_scalar(sql).bind(own.tables).bind(own.sequences);
    Ok((schema, others.fetch_all(connection).await?))
}

async fn schema_of(connection: &mut PgConnection) -> Result<String, DumpError> {
    let sql = "SELECT current_schema()::text";
    let schema: Option<String> = sqlx::query_scalar(sql).fetch_one(connection).await?;
    schema.ok_or(DumpError::NoSchema)
}

/// A name as patterns of PostgreSQL's programs have it: within quotes no letter is special.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Restores a dump into the database at `url`, which must have no tables of a hub, in one
/// transaction. What is in the dump beside the hub's own is left out, such as extensions, which
/// only a superuser may create.
/// Streams of the old database end: clients are told to start again.
///
/// # Errors
/// See [`DumpError`].
pub async fn restore_dump(url: &str, from: &Path, epoch: &str) -> Result<(), DumpError> {
    let failed = |source| DumpError::Io { path: from.to_owned(), source };
    std::fs::File::open(from).map_err(failed)?;
    let mut connection = connect_once(url).await?;
    let own = OwnObjects::read();
    let schema = schema_of(&mut connection).await?;
    let sql = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() \
               AND tablename = ANY ($1)";
    let query = sqlx::query_scalar(sql).bind(&own.tables);
    let tables: i64 = query.fetch_one(&mut connection).await?;
    if tables > 0 {
        return Err(DumpError::NotEmpty(tables));
    }
    let mut listing = Command::new("pg_restore");
    let listed = run("pg_restore", listing.arg("--list").arg(from)).await?;
    let listed = String::from_utf8_lossy(&listed);
    let mut list = NamedTempFile::with_prefix(".bellpull-").map_err(failed)?;
    for line in listed.lines() {
        match own.schema_of(line) {
            None => {}
            Some(was) if was == schema => writeln!(list, "{line}").map_err(failed)?,
            // A dump names the schema of each entry: nothing maps it to another.
            Some(was) => return Err(DumpError::OtherSchema { was: was.to_owned(), is: schema }),
        }
    }
    let mut command = program("pg_restore", url);
    command.args(["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]);
    command.arg("--use-list").arg(list.path());
    run("pg_restore", command.arg(from)).await?;
    let sql = "DELETE FROM settings WHERE name IN ('history', 'store_id')";
    sqlx::query(sql).execute(&mut connection).await?;
    history::renew_now(&mut connection, epoch).await?;
    Ok(connection.close().await?)
}

/// A program of PostgreSQL's for this database. Its arguments are visible to others, so the
/// password is in its environment.
fn program(name: &'static str, url: &str) -> Command {
    let mut command = Command::new(name);
    command.stdin(Stdio::null()).kill_on_drop(true);
    // One that cannot be read was refused before.
    let Ok(mut url) = address::readable(url) else { return command };
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

/// Runs a program to its end; what it printed.
async fn run(program: &'static str, command: &mut Command) -> Result<Vec<u8>, DumpError> {
    let output = command.output().await.map_err(|error| {
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        let said = error.to_string();
        if is_missing { DumpError::NoProgram(program) } else { DumpError::Failed { program, said } }
    })?;
    let Output { status, stdout, stderr } = output;
    if status.success() {
        return Ok(stdout);
    }
    let said = String::from_utf8_lossy(&stderr);
    let said = said.lines().next().unwrap_or_default().trim();
    let said = said.strip_prefix(program).map_or(said, |said| said.trim_start_matches(": "));
    Err(DumpError::Failed { program, said: format!("{said} ({status})") })
}
