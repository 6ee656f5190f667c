//! Looks at a database without changing it: what `check` tells an operator.

use bellpull_domain::ids::UserId;
use bellpull_domain::user::APART_FROM;
use sqlx::{Connection, PgConnection};

use super::postgres::Schema;
use super::sqlite::backup::BackupError;
use super::{postgres, sqlite};
use crate::engine::{Sql, sql};

/// The hub's own accounts with numbers below `$1`, at most `$2`.
pub(super) fn own_below() -> &'static Sql {
    sql!("SELECT id, username FROM users WHERE claims_at IS NULL AND id < $1 ORDER BY id LIMIT $2")
}

/// What is known of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// It can be used; what it is.
    Usable(String),
    /// There is none; the hub makes it.
    Absent,
}

/// Looks at the database at `url`; a file up to this size is looked through for damage.
///
/// # Errors
/// What is wrong, in one line without a password.
pub async fn look_at(url: &str, damage_max_bytes: u64) -> Result<Looked, String> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return look_at_server(url).await.map(Looked::Usable);
    }
    let url = url.to_owned();
    let looking =
        tokio::task::spawn_blocking(move || sqlite::backup::look_at(&url, damage_max_bytes));
    match looking.await.map_err(|error| error.to_string())? {
        Ok(text) => Ok(Looked::Usable(text)),
        Err(BackupError::Open(sqlite::OpenError::Missing(_))) => Ok(Looked::Absent),
        Err(error) => Err(error.to_string()),
    }
}

/// What the nodes of a PostgreSQL database have in common.
#[derive(Debug)]
pub struct Identity {
    /// The store's epoch.
    pub epoch: String,
    /// As `NodeStore::database_id`.
    pub database: String,
    /// The secret that is used where `jwt_secret` is not set.
    pub stored_secret: Option<String>,
}

/// Reads it; `None` if no hub has run there yet, or it cannot be read.
pub async fn identity(url: &str) -> Option<Identity> {
    let mut connection = postgres::connect_once(url).await.ok()?;
    let sql = "SELECT value FROM settings WHERE name = $1";
    let mut setting = async |name: &str| {
        sqlx::query_scalar(sql).bind(name).fetch_optional(&mut connection).await.ok().flatten()
    };
    let (epoch, stored_secret) = (setting("epoch").await?, setting("jwt_secret").await);
    let database = sqlx::query_scalar(postgres::DATABASE_ID).fetch_one(&mut connection).await;
    let _ = connection.close().await;
    Some(Identity { epoch, database: database.ok()?, stored_secret })
}

async fn look_at_server(url: &str) -> Result<String, String> {
    let mut connection = postgres::connect_once(url).await.map_err(|error| error.to_string())?;
    let found = match postgres::unusable_at(&mut connection, url).await {
        Ok(None) => ask(&mut connection).await.map_err(|error| error.to_string()),
        Ok(Some(reason)) => Ok(Err(reason)),
        Err(error) => Err(error.to_string()),
    };
    // The server ends it in any case.
    let _ = connection.close().await;
    found?
}

async fn ask(connection: &mut PgConnection) -> sqlx::Result<Result<String, String>> {
    let version: String =
        sqlx::query_scalar("SHOW server_version").fetch_one(&mut *connection).await?;
    let sql = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    if !sqlx::query_scalar::<_, bool>(sql).fetch_one(&mut *connection).await? {
        // Without a schema there is no right either.
        let sql = "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), FALSE), \
                   current_user::text";
        let (may, user): (bool, String) = sqlx::query_as(sql).fetch_one(&mut *connection).await?;
        if !may {
            return Ok(Err(format!(
                "there are no tables yet, and the user {user} may not create any (PostgreSQL 15 \
                 gives that right to the database's owner alone): ALTER DATABASE … OWNER TO {user}"
            )));
        }
        return Ok(Ok(format!("PostgreSQL {version}, no tables yet: `serve` makes them")));
    }
    let schema = match postgres::schema(connection).await? {
        Schema::Known(schema) => schema.to_string(),
        Schema::Newer { newest, is_readable: true } => {
            format!("{newest} (of a newer version of bellpull, and fit for this one)")
        }
        Schema::Newer { newest, is_readable: false } => {
            return Ok(Err(format!(
                "it was migrated by a newer version of bellpull (migration {newest} is unknown \
                 here): run that version or a later one"
            )));
        }
    };
    let users: i64 =
        sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(&mut *connection).await?;
    Ok(Ok(format!("PostgreSQL {version}, schema {schema}, {users} users")))
}

/// The hub's own accounts with numbers that issuers give, by number; at most `limit`. It changes
/// nothing.
///
/// # Errors
/// Why they cannot be read; also if there is no database, or it has an older schema.
pub async fn own_below_apart(url: &str, limit: u32) -> Result<Vec<(UserId, String)>, String> {
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        let url = url.to_owned();
        let reading =
            tokio::task::spawn_blocking(move || sqlite::backup::own_accounts(&url, limit));
        return reading.await.map_err(|error| error.to_string())?.map_err(|e| e.to_string());
    }
    let mut connection = postgres::connect_once(url).await.map_err(|error| error.to_string())?;
    let query = sqlx::query_as(own_below().postgres()).bind(APART_FROM).bind(i64::from(limit));
    let found: sqlx::Result<Vec<(i64, String)>> = query.fetch_all(&mut connection).await;
    // The server ends it in any case.
    let _ = connection.close().await;
    let found = found.map_err(|error| error.to_string())?;
    Ok(found.into_iter().map(|(id, name)| (UserId(id), name)).collect())
}
