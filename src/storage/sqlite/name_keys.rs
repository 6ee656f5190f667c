//! Keys by which look-alike names are found: filled for accounts without them, or whose keys were
//! made by another version of the rules. The writer maintains them from then on.

use bellpull_domain::confusable::{email_key, keys_version, username_key};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

/// The setting with the version of the rules that made the keys.
const VERSION_SETTING: &str = "name_keys_version";

/// Fills the keys if they are of another version. Another process that opens the database at the
/// same time waits, and then finds them filled.
pub(super) fn fill(connection: &mut Connection) -> rusqlite::Result<()> {
    let wanted = Some(keys_version());
    if version(connection)? == wanted {
        return Ok(());
    }
    let work = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if version(&work)? != wanted {
        fill_all(&work)?;
    }
    work.commit()
}

fn version(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT value FROM settings WHERE name = ?";
    connection.query_row(sql, [VERSION_SETTING], |row| row.get(0)).optional()
}

fn fill_all(work: &Transaction<'_>) -> rusqlite::Result<()> {
    work.execute("DELETE FROM name_keys", ())?;
    // The oldest first: of accounts whose names look alike, it has the key.
    let sql = "SELECT u.id, u.username, a.address FROM users u LEFT JOIN addresses a \
               ON a.user_id = u.id AND a.channel = 'EMAIL' ORDER BY u.id";
    let mut users = work.prepare(sql)?;
    let mut users = users.query(())?;
    let sql = "INSERT INTO name_keys (kind, key, user_id) VALUES (?, ?, ?) \
               ON CONFLICT (kind, key) DO NOTHING";
    let mut insert = work.prepare(sql)?;
    let mut alike = 0;
    while let Some(user) = users.next()? {
        let (id, name, email): (i64, String, Option<String>) =
            (user.get(0)?, user.get(1)?, user.get(2)?);
        let email = email.as_deref().map(email_key);
        for (kind, key) in [("username", Some(username_key(&name))), ("email", email)] {
            let Some(key) = key else { continue };
            alike += 1 - insert.execute((kind, key, id))?;
        }
    }
    if alike > 0 {
        tracing::warn!(alike, "there are usernames or e-mail addresses that look like others'");
    }
    let sql = "INSERT INTO settings (name, value) VALUES (?, ?) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    work.execute(sql, (VERSION_SETTING, keys_version())).map(drop)
}
