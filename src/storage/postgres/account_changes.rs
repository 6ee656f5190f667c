//! Changes of accounts. What a change depends on is locked first: the names, if an address changes;
//! then the account, and the active super admins where one could go.

use bellpull_domain::channel::Channel;
use bellpull_domain::confusable::{email_key, username_key};
use bellpull_domain::ids::UserId;
use bellpull_domain::plan::account::{self, AccountFacts, UserChanges};
use bellpull_domain::user::User;
use bellpull_port::clock::SystemClock;
use bellpull_port::{Clock, StoreError};

use super::database::Connection;
use super::new_accounts;
use super::transaction::failed;
use crate::engine::Db;
use crate::ports::{account_links, accounts, logins};
use crate::rows::claims_ms;

/// Changes an account; its state afterwards.
pub(super) async fn update(
    connection: &mut Connection,
    id: UserId,
    changes: &UserChanges,
) -> Result<User, StoreError> {
    if changes.email().is_some() || changes.username.is_some() {
        new_accounts::lock_names(connection).await.map_err(failed)?;
    }
    lock(connection, id, changes).await?;
    let (name_key, mail_key) =
        (changes.username.as_deref().map(username_key), changes.email().map(email_key));
    let keys = (name_key.as_deref(), mail_key.as_deref());
    let facts = facts(connection, id, changes, keys).await?;
    let plan = account::change(&facts, changes).map_err(StoreError::of_account)?;
    if plan.moves_email {
        account_links::void_all(&mut Db::Postgres(connection), id).await?;
    }
    let sql = "UPDATE users SET full_name = coalesce($2, full_name), role = coalesce($3, role), \
               is_active = coalesce($4, is_active), password_hash = coalesce($5, password_hash), \
               email_verified = $6, username = coalesce($7, username), claims_at = $8 \
               WHERE id = $1";
    let query = sqlx::query(sql)
        .bind(id.0)
        .bind(&changes.full_name)
        .bind(changes.role.as_ref().map(|role| role.as_str()))
        .bind(changes.is_active)
        .bind(&changes.password_hash)
        .bind(plan.is_email_verified)
        .bind(&changes.username)
        .bind(claims_ms(plan.origin));
    query.execute(&mut *connection).await.map_err(failed)?;
    if plan.is_handed_over {
        hand_over(connection, id).await?;
    }
    set_addresses(connection, id, changes).await?;
    for (kind, key) in [("username", &name_key), ("email", &mail_key)] {
        if let Some(key) = key {
            set_key(connection, kind, key, id).await?;
        }
    }
    let after = accounts::account(&mut Db::Postgres(connection), id).await?;
    after.map(|(after, _)| after).ok_or(StoreError::NotFound)
}

/// Its password and its logins are the hub's: both end.
async fn hand_over(connection: &mut Connection, id: UserId) -> Result<(), StoreError> {
    let sql = "UPDATE users SET password_hash = NULL WHERE id = $1";
    sqlx::query(sql).bind(id.0).execute(&mut *connection).await.map_err(failed)?;
    let db = &mut Db::Postgres(connection);
    account_links::void_all(db, id).await?;
    logins::end_all(db, id, None, SystemClock.now()).await?;
    Ok(())
}

/// Locks the account, and with a change that could take a super admin away all that are active: of
/// two that demote each other, one waits here and then sees what the other has done.
async fn lock(
    connection: &mut Connection,
    id: UserId,
    changes: &UserChanges,
) -> Result<(), StoreError> {
    let with_chiefs = changes.role.is_some() || changes.is_active.is_some();
    let sql = "SELECT id FROM users WHERE id = $1 \
               OR ($2 AND role = 'super_admin' AND is_active) ORDER BY id FOR NO KEY UPDATE";
    let query = sqlx::query(sql).bind(id.0).bind(with_chiefs);
    query.fetch_all(connection).await.map_err(failed)?;
    Ok(())
}

/// The facts that a change of the account depends on; the keys are those of its new username and
/// address.
async fn facts(
    connection: &mut Connection,
    id: UserId,
    changes: &UserChanges,
    (name_key, mail_key): (Option<&str>, Option<&str>),
) -> Result<AccountFacts, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM addresses \
               WHERE channel = 'EMAIL' AND lower(address) = lower($1) AND user_id <> $3), \
               EXISTS (SELECT 1 FROM name_keys \
               WHERE kind = 'email' AND key = $2 AND key <> '' AND user_id <> $3), \
               EXISTS (SELECT 1 FROM users \
               WHERE role = 'super_admin' AND is_active AND id <> $3), \
               EXISTS (SELECT 1 FROM users WHERE username = $4 AND id <> $3), \
               EXISTS (SELECT 1 FROM name_keys \
               WHERE kind = 'username' AND key = $5 AND key <> '' AND user_id <> $3)";
    let query = sqlx::query_as(sql).bind(changes.email()).bind(mail_key).bind(id.0);
    let query = query.bind(&changes.username).bind(name_key);
    let (has_email, has_email_key, has_other_super_admin, has_username, has_username_key) =
        query.fetch_one(&mut *connection).await.map_err(failed)?;
    let full_name = changes.full_name.as_deref().unwrap_or_default();
    let admins = new_accounts::admins(connection, full_name, Some(id)).await.map_err(failed)?;
    let account = accounts::account(&mut Db::Postgres(connection), id).await?;
    Ok(AccountFacts {
        account: account.map(|(account, _)| account),
        has_username,
        has_email,
        has_username_key,
        has_email_key,
        has_other_super_admin,
        admins,
    })
}

/// Sets the named addresses; an empty one is removed.
async fn set_addresses(
    connection: &mut Connection,
    id: UserId,
    changes: &UserChanges,
) -> Result<(), StoreError> {
    let (set, removed): (Vec<(Channel, &str)>, Vec<_>) =
        changes.addresses.iter().partition(|(_, address)| !address.is_empty());
    if !removed.is_empty() {
        let removed: Vec<&str> = removed.iter().map(|(channel, _)| channel.as_str()).collect();
        let sql = "DELETE FROM addresses WHERE user_id = $1 AND channel = ANY($2)";
        let query = sqlx::query(sql).bind(id.0).bind(removed);
        query.execute(&mut *connection).await.map_err(failed)?;
    }
    if !set.is_empty() {
        let (channels, addresses): (Vec<&str>, Vec<&str>) =
            set.into_iter().map(|(channel, address)| (channel.as_str(), address)).unzip();
        let sql = "INSERT INTO addresses (user_id, channel, address) \
                   SELECT $1, * FROM unnest($2::TEXT[], $3::TEXT[]) \
                   ON CONFLICT (user_id, channel) DO UPDATE SET address = excluded.address";
        let query = sqlx::query(sql).bind(id.0).bind(channels).bind(addresses);
        query.execute(connection).await.map_err(failed)?;
    }
    Ok(())
}

/// Sets the key of an account's name of that kind.
async fn set_key(
    connection: &mut Connection,
    kind: &str,
    key: &str,
    owner: UserId,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM name_keys WHERE user_id = $1 AND kind = $2";
    let query = sqlx::query(sql).bind(owner.0).bind(kind);
    query.execute(&mut *connection).await.map_err(failed)?;
    // An account of an older version may look like another one, and then has no key of its own.
    let sql = "INSERT INTO name_keys (kind, key, user_id) SELECT $3, $1, $2 WHERE $1 <> '' \
               ON CONFLICT (kind, key) DO NOTHING";
    let query = sqlx::query(sql).bind(key).bind(owner.0).bind(kind);
    query.execute(connection).await.map_err(failed)?;
    Ok(())
}
