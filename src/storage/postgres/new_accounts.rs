//! New accounts. The rules are in [`bellpull_domain::plan::account`].

use bellpull_domain::confusable::{email_key, username_key};
use bellpull_domain::idempotency::{Creates, IdempotencyKey};
use bellpull_domain::ids::UserId;
use bellpull_domain::plan::account::{AdminNames, NewAccountFacts};
use bellpull_domain::user::{APART_FROM, User};
use bellpull_port::StoreError;
use bellpull_port::accounts::{APART_SETTING, NewUser};

use super::columns::user_columns;
use super::database::Connection;
use super::keys;
use super::locks::{class, lock};
use crate::rows::{claims_ms, user};

/// Locks the names of accounts until the end of the transaction: of two transactions, on whichever
/// nodes, the second sees which names the first has taken. Without it a constraint would reject the
/// second, without saying why.
pub(super) async fn lock_names(connection: &mut Connection) -> sqlx::Result<()> {
    let sql = concat!("SELECT ", lock!(account_names, "0"));
    sqlx::query(sql).execute(connection).await.map(drop)
}

/// Creates an account; a refused one leaves no trace.
pub(super) async fn create(
    connection: &mut Connection,
    new: &NewUser,
    once: Option<&IdempotencyKey>,
) -> Result<Result<User, StoreError>, sqlx::Error> {
    if let Err(used) = keys::admit(connection, once, Creates::User).await? {
        return Ok(Err(used));
    }
    lock_names(connection).await?;
    let (name_key, mail_key) = (username_key(&new.username), email_key(new.email()));
    let facts = facts(connection, new, &name_key, &mail_key).await?;
    if let Err(refusal) = facts.admit(&new.full_name, &new.role) {
        return Ok(Err(StoreError::of_account(refusal)));
    }
    let id = insert(connection, new).await?;
    keys::record(connection, once, Creates::User, id.0, new.now).await?;
    for (channel, address) in new.addresses.iter().filter(|(_, address)| !address.is_empty()) {
        let sql = "INSERT INTO addresses (user_id, channel, address) VALUES ($1, $2, $3)";
        let query = sqlx::query(sql).bind(id.0).bind(channel.as_str()).bind(address);
        query.execute(&mut *connection).await?;
    }
    for (kind, key) in [("username", &name_key), ("email", &mail_key)] {
        if key.is_empty() {
            continue;
        }
        // An account of an older version may look like another one, and then has no key of its own.
        let sql = "INSERT INTO name_keys (kind, key, user_id) VALUES ($1, $2, $3) \
                   ON CONFLICT (kind, key) DO NOTHING";
        sqlx::query(sql).bind(kind).bind(key).bind(id.0).execute(&mut *connection).await?;
    }
    let sql = concat!("SELECT ", user_columns!(), " FROM users u WHERE u.id = $1");
    let row = sqlx::query(sql).bind(id.0).fetch_one(connection).await?;
    Ok(user(&row))
}

async fn facts(
    connection: &mut Connection,
    new: &NewUser,
    name_key: &str,
    mail_key: &str,
) -> sqlx::Result<NewAccountFacts> {
    let sql = "SELECT EXISTS (SELECT 1 FROM users WHERE username = $1), \
               EXISTS (SELECT 1 FROM addresses WHERE channel = 'EMAIL' \
               AND lower(address) = lower($2 COLLATE \"C\")), \
               EXISTS (SELECT 1 FROM users WHERE id = $3), \
               EXISTS (SELECT 1 FROM name_keys WHERE kind = 'username' AND key = $4 \
               AND key <> ''), \
               EXISTS (SELECT 1 FROM name_keys WHERE kind = 'email' AND key = $5 AND key <> '')";
    let found: (bool, bool, bool, bool, bool) = sqlx::query_as(sql)
        .bind(&new.username)
        .bind(new.email())
        .bind(new.id.map(|id| id.0))
        .bind(name_key)
        .bind(mail_key)
        .fetch_one(&mut *connection)
        .await?;
    let (has_username, has_email, has_id, has_username_key, has_email_key) = found;
    let admins = admins(connection, &new.full_name, None).await?;
    Ok(NewAccountFacts { has_username, has_email, has_id, has_username_key, has_email_key, admins })
}

/// The names of the active admins but `owner`, if a full name is to be compared with them.
pub(super) async fn admins(
    connection: &mut Connection,
    full_name: &str,
    owner: Option<UserId>,
) -> sqlx::Result<AdminNames> {
    if full_name.is_empty() {
        return Ok(AdminNames::default());
    }
    let sql = "SELECT username, full_name FROM users \
               WHERE role IN ('admin', 'super_admin') AND is_active AND id IS DISTINCT FROM $1";
    let query = sqlx::query_as(sql).bind(owner.map(|owner| owner.0));
    query.fetch_all(connection).await.map(AdminNames::of)
}

async fn insert(connection: &mut Connection, new: &NewUser) -> sqlx::Result<UserId> {
    let id = match new.id {
        Some(id) => Some(id.0),
        None => next_apart(connection).await?,
    };
    let sql = "INSERT INTO users (id, username, full_name, role, password_hash, email_verified, \
               created_at, claims_at) \
               VALUES (coalesce($1, nextval(pg_get_serial_sequence('users', 'id'))), \
               $2, $3, $4, $5, $6, $7, $8) RETURNING id";
    let id: i64 = sqlx::query_scalar(sql)
        .bind(id)
        .bind(&new.username)
        .bind(&new.full_name)
        .bind(new.role.as_str())
        .bind(&new.password_hash)
        .bind(new.is_email_verified)
        .bind(new.now.as_millisecond())
        .bind(claims_ms(new.origin))
        .fetch_one(&mut *connection)
        .await?;
    if new.id.is_some() {
        // The next id that the database chooses is above all that were named.
        let sql = "SELECT setval(pg_get_serial_sequence('users', 'id'), \
                   greatest($1, (SELECT max(id) FROM users)))";
        sqlx::query(sql).bind(id).execute(connection).await?;
    }
    Ok(UserId(id))
}

/// The next of the numbers that are apart from those of issuers (see
/// [`AccountStore::number_apart`](bellpull_port::AccountStore::number_apart)); `None` if
/// they are not apart. The names are locked, so no other transaction takes it.
async fn next_apart(connection: &mut Connection) -> sqlx::Result<Option<i64>> {
    let sql = "SELECT greatest(value::bigint + 1, $2) FROM settings WHERE name = $1";
    let query = sqlx::query_scalar(sql).bind(APART_SETTING).bind(APART_FROM);
    let first: Option<i64> = query.fetch_optional(&mut *connection).await?;
    let Some(mut next) = first else { return Ok(None) };
    let sql = "SELECT EXISTS (SELECT 1 FROM users WHERE id = $1)";
    while sqlx::query_scalar(sql).bind(next).fetch_one(&mut *connection).await? {
        next += 1;
    }
    let sql = "UPDATE settings SET value = $2 WHERE name = $1";
    let query = sqlx::query(sql).bind(APART_SETTING).bind(next.to_string());
    query.execute(connection).await?;
    Ok(Some(next))
}
