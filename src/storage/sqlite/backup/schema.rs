//! Whether a file has the schema that Bellpull has given it, and numbers that it can have given.
//!
//! A backup may come from another's hands. A trigger in it would run with the hub's writes, a view
//! could stand for a table, and a number near the end of its range would stop its sequence. So
//! what `restore` takes is compared with a database of the same version, before anything is written
//! to it.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::super::migrations::{MIGRATIONS, own_schema};
use super::super::options::OpenError;
use super::{BackupError, database};

/// The largest integer that is exact in JSON (RFC 8259, section 6): ids and times are up to it.
const NUMBER_MAX: i64 = (1 << 53) - 1;
/// Positions and counters, from which numbers go on.
const POSITION_MAX: i64 = 1 << 52;
/// Columns with positions, in whichever table.
const POSITIONS: [&str; 6] =
    ["last_seq", "delivered_seq", "seq", "changed_seq", "last_number", "value"];
/// Tables of SQLite's own, and of `sqlx`, which the migrations do not make.
const NOT_MIGRATED: [&str; 3] = ["sqlite_stat1", "sqlite_stat4", "_sqlx_migrations"];

/// What `sqlite_schema` has of an object, by its name.
type Schema = BTreeMap<String, (String, String)>;

/// Returns an error, with its name, for whatever is in a database of this version that Bellpull has
/// not put there. Returns the version.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<i64, BackupError> {
    let failed = database(path);
    // No function of a view or an index is run, and no table of a virtual one is written to.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false).map_err(&failed)?;
    let found = read(connection).map_err(&failed)?;
    let altered = |what: String| BackupError::Altered { path: path.to_owned(), what };
    match found.get("_sqlx_migrations") {
        Some((kind, _)) if kind == "table" => {}
        Some((kind, _)) => return Err(altered(format!("_sqlx_migrations is a {kind}"))),
        None => return Err(altered("the table _sqlx_migrations is missing".to_owned())),
    }
    let version = migrations(connection, path)?;
    let wanted = expected(version).and_then(|made| read(&made).map(|schema| (made, schema)));
    let (made, wanted) = wanted.map_err(&failed)?;
    if let Some(what) = difference(&found, &wanted) {
        return Err(altered(what));
    }
    match extreme(connection, &made, &wanted).map_err(&failed)? {
        Some(what) => Err(altered(what)),
        None => Ok(version),
    }
}

/// Compares the migrations that were run with those that are known; returns the last one.
fn migrations(connection: &Connection, path: &Path) -> Result<i64, BackupError> {
    let sql = "SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version";
    let read = || {
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map((), |row| <(i64, Vec<u8>, bool)>::try_from(row))?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    let run = read().map_err(database(path))?;
    let found = run.last().map_or(0, |(version, ..)| *version);
    if found > own_schema() {
        return Err(OpenError::Newer { path: path.to_owned(), version: found }.into());
    }
    let altered = |what: String| BackupError::Altered { path: path.to_owned(), what };
    for wanted in MIGRATIONS.iter().filter(|wanted| wanted.version <= found) {
        let number = wanted.version;
        match run.iter().find(|(version, ..)| *version == number) {
            None => return Err(altered(format!("migration {number} is missing"))),
            Some((_, checksum, true)) if checksum[..] == wanted.checksum[..] => {}
            Some((_, _, true)) => {
                return Err(altered(format!("migration {number} has another checksum")));
            }
            Some((_, _, false)) => {
                return Err(altered(format!("migration {number} was not finished")));
            }
        }
    }
    let known = |version: i64| MIGRATIONS.iter().any(|wanted| wanted.version == version);
    match run.iter().find(|(version, ..)| !known(*version)) {
        Some((version, ..)) => Err(altered(format!("migration {version} is not known"))),
        None => Ok(found),
    }
}

/// An empty database of this version.
fn expected(version: i64) -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    for migration in MIGRATIONS.iter().filter(|migration| migration.version <= version) {
        connection.execute_batch(migration.sql.as_str())?;
    }
    Ok(connection)
}

fn read(connection: &Connection) -> rusqlite::Result<Schema> {
    let sql = "SELECT name, type, ifnull(sql, '') FROM sqlite_schema";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map((), |row| {
        let sql: String = row.get(2)?;
        let words: Vec<&str> = sql.split_whitespace().collect();
        Ok((row.get(0)?, (row.get(1)?, words.join(" "))))
    })?;
    rows.collect()
}

fn difference(found: &Schema, wanted: &Schema) -> Option<String> {
    let is_known = |name: &str| wanted.contains_key(name) || NOT_MIGRATED.contains(&name);
    let more = found.iter().find(|(name, _)| {
        // The index of the key of sqlx's table.
        !is_known(name) && *name != "sqlite_autoindex__sqlx_migrations_1"
    });
    if let Some((name, (kind, _))) = more {
        return Some(format!("the {kind} {name} is not Bellpull's"));
    }
    wanted.iter().find_map(|(name, (kind, sql))| match found.get(name) {
        None => Some(format!("the {kind} {name} is missing")),
        Some((other, _)) if other != kind => Some(format!("{name} is a {other}, not a {kind}")),
        Some((_, other)) if other != sql => Some(format!("the {kind} {name} is another one")),
        Some(_) => None,
    })
}

/// The first column with a number that no hub gives. The tables behind virtual ones have numbers of
/// SQLite's own.
fn extreme(
    connection: &Connection,
    made: &Connection,
    wanted: &Schema,
) -> rusqlite::Result<Option<String>> {
    let is_virtual = |sql: &str| sql.starts_with("CREATE VIRTUAL");
    let of_virtual: Vec<String> = wanted
        .iter()
        .filter(|(_, (_, sql))| is_virtual(sql))
        .map(|(name, _)| format!("{name}_"))
        .collect();
    let tables = wanted.iter().filter(|(name, (kind, sql))| {
        let is_behind = of_virtual.iter().any(|begin| name.starts_with(begin));
        kind == "table" && !is_virtual(sql) && !is_behind
    });
    for (table, _) in tables {
        let sql = "SELECT name FROM pragma_table_info(?1) WHERE type = 'INTEGER' OR name = 'seq'";
        let mut statement = made.prepare(sql)?;
        let columns = statement.query_map([table], |row| row.get(0))?;
        for column in columns.collect::<rusqlite::Result<Vec<String>>>()? {
            let is_position = POSITIONS.contains(&column.as_str());
            let max = if is_position { POSITION_MAX } else { NUMBER_MAX };
            let sql = format!(
                "SELECT \"{column}\" FROM \"{table}\" \
                 WHERE \"{column}\" NOT BETWEEN -{max} AND {max} LIMIT 1"
            );
            let mut rows = connection.prepare(&sql)?;
            let value: Option<i64> = rows.query_map((), |row| row.get(0))?.next().transpose()?;
            if let Some(value) = value {
                return Ok(Some(format!("{table}.{column} has the number {value}")));
            }
        }
    }
    Ok(None)
}
