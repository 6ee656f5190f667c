//! Looks at a database that a hub may be running on.

use bellpull_domain::ids::UserId;
use bellpull_domain::user::APART_FROM;

use super::super::file::{check_head, look_for_damage};
use super::super::found;
use super::super::given;
use super::super::identity::resolve;
use super::super::lock::Traces;
use super::super::log_damage;
use super::super::options::{OpenError, Place, place};
use super::super::own_schema;
use super::{BackupError, Contents, database, io_error, open};
use crate::checks::own_below;

/// What is in the database at `url`; it is looked through for damage up to that size.
///
/// # Errors
/// See [`BackupError`].
pub fn look_at(url: &str, damage_max_bytes: u64) -> Result<String, BackupError> {
    let path = match place(url)? {
        Place::File(path) => resolve(&path, true)?,
        Place::Temporary => return Ok("in memory: it ends with the hub".to_owned()),
    };
    let traces = found::look(&path, true)?;
    if !path.exists() {
        return Err(OpenError::Missing(path).into());
    }
    check_head(&path)?;
    if traces != Traces::Running {
        given::check_log(&path)?;
        log_damage::check(&path)?;
    }
    look_for_damage(&path, damage_max_bytes)?;
    let size = path.metadata().map_err(io_error(&path))?.len();
    let failed = database(&path);
    let connection = open(&path).map_err(&failed)?;
    let sql = "SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'";
    let has_schema: bool = connection.query_row(sql, (), |row| row.get(0)).map_err(&failed)?;
    if !has_schema {
        return Ok("no tables yet: `serve` makes them".to_owned());
    }
    let sql = "SELECT max(version) FROM _sqlx_migrations";
    let found: i64 = connection.query_row(sql, (), |row| row.get(0)).map_err(&failed)?;
    let own = own_schema();
    if found > own {
        return Err(OpenError::Newer { path: path.clone(), version: found }.into());
    }
    if found < own {
        return Ok(format!("SQLite, schema {found}: `serve` or `migrate` brings it to {own}"));
    }
    let held = Contents::of(&connection).map_err(database(&path))?;
    let hub = if traces == Traces::Running { "; a hub is running on it" } else { "" };
    Ok(format!("SQLite, schema {found}, {} MiB; {held}{hub}", size.div_ceil(1 << 20)))
}

/// The hub's own accounts with numbers that issuers give, in the database at `url`.
///
/// # Errors
/// See [`BackupError`].
pub fn own_accounts(url: &str, limit: u32) -> Result<Vec<(UserId, String)>, BackupError> {
    let Place::File(path) = place(url)? else { return Ok(Vec::new()) };
    let path = resolve(&path, true)?;
    if !path.exists() {
        return Err(OpenError::Missing(path).into());
    }
    let failed = database(&path);
    let connection = open(&path).map_err(&failed)?;
    let read = || {
        let mut statement = connection.prepare(own_below().sqlite())?;
        let rows = statement
            .query_map((APART_FROM, limit), |row| Ok((UserId(row.get(0)?), row.get(1)?)))?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    read().map_err(&failed)
}
