//! Keys by which look-alike names are found: filled for accounts without them, or whose keys were
//! made by another version of the rules. The writer maintains them from then on.

use bellpull_domain::confusable::{email_key, keys_version, username_key};
use sqlx::{Connection, Row, Sqlite, SqliteConnection, Transaction};

/// The setting with the version of the rules that made the keys.
const VERSION_SETTING: &str = "name_keys_version";

/// Fills the keys if they are of another version. Another process that opens the database at the
/// same time waits, and then finds them filled.
pub(super) async fn fill(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let wanted = Some(keys_version());
    if version(&mut *connection).await? == wanted {
        return Ok(());
    }
    let mut work = connection.begin_with("BEGIN IMMEDIATE").await?;
    if version(&mut work).await? != wanted {
        fill_all(&mut work).await?;
    }
    work.commit().await
}

async fn version(connection: &mut SqliteConnection) -> sqlx::Result<Option<String>> {
    let sql = "SELECT value FROM settings WHERE name = ?";
    sqlx::query_scalar(sql).bind(VERSION_SETTING).fetch_optional(connection).await
}

async fn fill_all(work: &mut Transaction<'_, Sqlite>) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM name_keys").execute(&mut **work).await?;
    // The oldest first: of accounts whose names look alike, it has the key.
    let sql = "SELECT u.id, u.username, ifnull(a.address, '') FROM users u LEFT JOIN addresses a \
               ON a.user_id = u.id AND a.channel = 'EMAIL' ORDER BY u.id";
    let users = sqlx::query(sql).fetch_all(&mut **work).await?;
    let mut alike = 0;
    for user in users {
        let (id, name, email): (i64, &str, &str) =
            (user.try_get(0)?, user.try_get(1)?, user.try_get(2)?);
        let email = Some(email).filter(|email| !email.is_empty()).map(email_key);
        let keys = [("username", Some(username_key(name))), ("email", email)];
        for (kind, key) in keys {
            let Some(key) = key else { continue };
            let sql = "INSERT INTO name_keys (kind, key, user_id) VALUES (?, ?, ?) \
                       ON CONFLICT (kind, key) DO NOTHING";
            let insert = sqlx::query(sql).bind(kind).bind(key).bind(id);
            alike += 1 - insert.execute(&mut **work).await?.rows_affected();
        }
    }
    if alike > 0 {
        tracing::warn!(alike, "there are usernames or e-mail addresses that look like others'");
    }
    let sql = "INSERT INTO settings (name, value) VALUES (?, ?) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    sqlx::query(sql).bind(VERSION_SETTING).bind(keys_version()).execute(&mut **work).await?;
    Ok(())
}
