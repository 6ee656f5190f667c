//! Keys by which look-alike names are found: filled for accounts without them, or whose keys were
//! made by another version of the rules. What changes an account maintains them from then on.

use bellpull_domain::confusable::{email_key, keys_version, username_key};
use sqlx::{Connection, PgConnection};

/// The setting with the version of the rules that made the keys.
const VERSION_SETTING: &str = "name_keys_version";
/// Accounts that are read at once.
const READ_AT_ONCE: i64 = 10_000;

/// Fills the keys if they are of another version. Another node that opens the database at the same
/// time waits, and then finds them filled. One that writes a key waits as well, so that no account
/// is left without. The connection has no time-outs: filling takes long where accounts are many.
pub(super) async fn fill(connection: &mut PgConnection) -> sqlx::Result<()> {
    let wanted = Some(keys_version());
    if version(connection).await? == wanted {
        return Ok(());
    }
    let mut work = connection.begin().await?;
    sqlx::query("LOCK TABLE name_keys IN SHARE ROW EXCLUSIVE MODE").execute(&mut *work).await?;
    if version(&mut work).await? != wanted {
        fill_all(&mut work).await?;
    }
    work.commit().await
}

async fn version(connection: &mut PgConnection) -> sqlx::Result<Option<String>> {
    let sql = "SELECT value FROM settings WHERE name = $1";
    sqlx::query_scalar(sql).bind(VERSION_SETTING).fetch_optional(connection).await
}

async fn fill_all(work: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM name_keys").execute(&mut *work).await?;
    let (mut after, mut alike) = (i64::MIN, 0);
    loop {
        // The oldest first: of accounts whose names look alike, it has the key.
        let sql = "SELECT u.id, u.username, a.address FROM users u LEFT JOIN addresses a \
                   ON a.user_id = u.id AND a.channel = 'EMAIL' WHERE u.id > $1 \
                   ORDER BY u.id LIMIT $2";
        let query = sqlx::query_as(sql).bind(after).bind(READ_AT_ONCE);
        let users: Vec<(i64, String, Option<String>)> = query.fetch_all(&mut *work).await?;
        let Some((last, ..)) = users.last() else { break };
        after = *last;
        alike += insert(work, &users).await?;
    }
    if alike > 0 {
        tracing::warn!(alike, "there are usernames or e-mail addresses that look like others'");
    }
    let sql = "INSERT INTO settings (name, value) VALUES ($1, $2) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    sqlx::query(sql).bind(VERSION_SETTING).bind(keys_version()).execute(work).await?;
    Ok(())
}

/// Inserts the keys of these accounts; how many of them others have.
async fn insert(
    work: &mut PgConnection,
    users: &[(i64, String, Option<String>)],
) -> sqlx::Result<u64> {
    let (mut kinds, mut keys, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for (id, name, email) in users {
        let email = email.as_deref().map(email_key);
        for (kind, key) in [("username", Some(username_key(name))), ("email", email)] {
            let Some(key) = key else { continue };
            kinds.push(kind);
            keys.push(key);
            ids.push(*id);
        }
    }
    let wanted = u64::try_from(ids.len()).unwrap_or(u64::MAX);
    let sql = "INSERT INTO name_keys (kind, key, user_id) \
               SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[]) \
               ON CONFLICT (kind, key) DO NOTHING";
    let inserted = sqlx::query(sql).bind(kinds).bind(keys).bind(ids).execute(work).await?;
    Ok(wanted - inserted.rows_affected())
}
