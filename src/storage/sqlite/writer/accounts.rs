//! Accounts and other rare writes: each is its own statement in the group's transaction.

use bellpull_domain::channel::Channel;
use bellpull_domain::confusable::{email_key, username_key};
use bellpull_domain::idempotency::{Creates, IdempotencyKey};
use bellpull_domain::ids::UserId;
use bellpull_domain::notification::Announcement;
use bellpull_domain::plan::account::{self, AccountFacts, AdminNames, NewAccountFacts};
use bellpull_domain::user::{APART_FROM, User};
use bellpull_port::accounts::{APART_SETTING, NewUser, UserChanges};
use bellpull_port::clock::SystemClock;
use bellpull_port::{Clock, StoreError};
use rusqlite::Connection;

use super::super::columns::user_columns;
use super::super::rows::{claims_ms, user};
use super::super::statement::{all, execute, one, optional};
use super::failure::Failure;
use super::{Answer, Done, Write, keys, sends, ticket_words};
use crate::engine::{Db, written};
use crate::ports::{self, account_links, logins};

/// An account that was created in this group and is still to be announced.
#[derive(Debug)]
pub(super) struct Created {
    /// The index of its request in the group.
    pub(super) at: usize,
    pub(super) user: User,
    pub(super) announcement: Announcement,
}

/// Applies the write if it is one of these; `None` if the answer comes later or elsewhere.
pub(super) fn apply(
    connection: &mut Connection,
    at: usize,
    write: &Write,
    created: &mut Vec<Created>,
) -> Result<Option<Answer>, Failure> {
    let answer = match write {
        Write::CreateUser { new, announce, once } => {
            match (create(connection, new, once.as_ref())?, announce) {
                (Err(refused), _) => Err(refused),
                (Ok(user), None) => Ok(Done::Created(Box::new((user, None)))),
                (Ok(user), Some(announce)) => {
                    let announcement = announce(&user);
                    created.push(Created { at, user, announcement });
                    return Ok(None);
                }
            }
        }
        Write::UpdateUser(id, changes) => update(connection, *id, changes)?,
        Write::RenewWords(limit) => ticket_words::renew(connection, *limit)?,
        Write::ForgetKeys { before, limit } => sends::forget_keys(connection, *before, *limit)?,
        Write::Probe => probe(connection)?,
        Write::Operation(_)
        | Write::Commit(_)
        | Write::Comment(_)
        | Write::BeginSend(_)
        | Write::ContinueSends { .. }
        | Write::ReleaseSends(_)
        | Write::Mark(_)
        | Write::SaveReached(_)
        | Write::Lease(_)
        | Write::Release(..)
        | Write::SetBack(..)
        | Write::RepairDue(..)
        | Write::Record(_)
        | Write::GiveBack(..)
        | Write::Extend(..)
        | Write::Report(_)
        | Write::Retry { .. }
        | Write::Flush(_)
        | Write::FlushSome(_)
        | Write::RenewEpoch(..)
        | Write::LimitPages(_) => return Ok(None),
        #[cfg(test)]
        Write::Ping => return Ok(None),
    };
    Ok(Some(answer))
}

/// Allocates new pages: updating a row in place would need none.
fn probe(connection: &Connection) -> Result<Answer, Failure> {
    let sql = "INSERT INTO settings (name, value) VALUES ('probe', hex(zeroblob(8192)))";
    execute(connection, sql, ())?;
    execute(connection, "DELETE FROM settings WHERE name = 'probe'", ())?;
    Ok(Ok(Done::Nothing))
}

/// Reads first: a violated constraint would not say which field is taken.
fn create(
    connection: &Connection,
    new: &NewUser,
    once: Option<&IdempotencyKey>,
) -> Result<Result<User, StoreError>, Failure> {
    if let Err(used) = keys::admit(connection, once, Creates::User)? {
        return Ok(Err(used));
    }
    let (name_key, mail_key) = (username_key(&new.username), email_key(new.email()));
    let sql = "SELECT EXISTS (SELECT 1 FROM users WHERE username = ?1), \
               EXISTS (SELECT 1 FROM addresses WHERE channel = 'EMAIL' AND address = ?2), \
               EXISTS (SELECT 1 FROM users WHERE id = ?3)";
    let names = (&new.username, new.email(), new.id.map(|id| id.0));
    let (has_username, has_email, has_id) = one(connection, sql, names, |row| row.try_into())?;
    let facts = NewAccountFacts {
        has_username,
        has_email,
        has_id,
        has_username_key: is_key_taken(connection, "username", &name_key, None)?,
        has_email_key: is_key_taken(connection, "email", &mail_key, None)?,
        admins: admins(connection, &new.full_name, None)?,
    };
    if let Err(refusal) = facts.admit(&new.full_name, &new.role) {
        return Ok(Err(StoreError::of_account(refusal)));
    }
    let id = match new.id {
        Some(id) => Some(id.0),
        None => next_apart(connection)?,
    };
    let sql = "INSERT INTO users (id, username, full_name, role, password_hash, email_verified, \
               created_at, claims_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id";
    let values = (
        id,
        &new.username,
        &new.full_name,
        new.role.as_str(),
        &new.password_hash,
        new.is_email_verified,
        new.now.as_millisecond(),
        claims_ms(new.origin),
    );
    let id = UserId(one(connection, sql, values, |row| row.get(0))?);
    set_addresses(connection, id, new.addresses.iter())?;
    set_key(connection, "username", &name_key, id)?;
    set_key(connection, "email", &mail_key, id)?;
    keys::record(connection, once, Creates::User, id.0, new.now)?;
    Ok(Ok(read(connection, id)?))
}

/// The next of the numbers that are apart from those of issuers (see
/// [`AccountStore::number_apart`](bellpull_port::AccountStore::number_apart)); `None` if
/// they are not apart.
fn next_apart(connection: &Connection) -> Result<Option<i64>, Failure> {
    let sql = "SELECT max(CAST(value AS INTEGER) + 1, ?2) FROM settings WHERE name = ?1";
    let first: Option<i64> =
        optional(connection, sql, (APART_SETTING, APART_FROM), |row| row.get(0))?;
    let Some(mut next) = first else { return Ok(None) };
    let sql = "SELECT EXISTS (SELECT 1 FROM users WHERE id = ?)";
    while one(connection, sql, (next,), |row| row.get(0))? {
        next += 1;
    }
    let sql = "UPDATE settings SET value = ?2 WHERE name = ?1";
    execute(connection, sql, (APART_SETTING, next.to_string()))?;
    Ok(Some(next))
}

/// The account.
fn read(connection: &Connection, id: UserId) -> Result<User, Failure> {
    let sql = concat!("SELECT ", user_columns!(), " FROM users WHERE id = ?");
    Ok(one(connection, sql, (id.0,), |row| Ok(user(row)))??)
}

/// The names of the active admins but `owner`, if a full name is to be compared with them.
fn admins(
    connection: &Connection,
    full_name: &str,
    owner: Option<UserId>,
) -> Result<AdminNames, Failure> {
    if full_name.is_empty() {
        return Ok(AdminNames::default());
    }
    let sql = "SELECT username, full_name FROM users \
               WHERE role IN ('admin', 'super_admin') AND is_active = 1 AND id IS NOT ?";
    let owner = owner.map(|owner| owner.0);
    let rows = all(connection, sql, (owner,), |row| row.try_into())?;
    Ok(AdminNames::of(rows))
}

/// Sets these addresses; an empty one is removed.
fn set_addresses<'a>(
    connection: &Connection,
    user: UserId,
    addresses: impl Iterator<Item = (Channel, &'a str)>,
) -> rusqlite::Result<()> {
    for (channel, address) in addresses {
        let channel = channel.as_str();
        if address.is_empty() {
            let sql = "DELETE FROM addresses WHERE user_id = ? AND channel = ?";
            execute(connection, sql, (user.0, channel))?;
        } else {
            let sql = "INSERT INTO addresses (user_id, channel, address) VALUES (?, ?, ?) \
                       ON CONFLICT (user_id, channel) DO UPDATE SET address = excluded.address";
            execute(connection, sql, (user.0, channel, address))?;
        }
    }
    Ok(())
}

/// Whether an account other than `owner` has a name of that kind with this key; the empty key
/// matches none.
fn is_key_taken(
    connection: &Connection,
    kind: &'static str,
    key: &str,
    owner: Option<UserId>,
) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM name_keys \
               WHERE kind = ?1 AND key = ?2 AND key <> '' AND user_id IS NOT ?3)";
    one(connection, sql, (kind, key, owner.map(|owner| owner.0)), |row| row.get(0))
}

/// Sets the key of an account's name of that kind.
fn set_key(
    connection: &Connection,
    kind: &'static str,
    key: &str,
    owner: UserId,
) -> rusqlite::Result<()> {
    execute(connection, "DELETE FROM name_keys WHERE user_id = ? AND kind = ?", (owner.0, kind))?;
    if !key.is_empty() {
        // An account of an older version may look like another one, and then has no key of its own.
        let sql = "INSERT INTO name_keys (kind, key, user_id) VALUES (?, ?, ?) \
                   ON CONFLICT (kind, key) DO NOTHING";
        execute(connection, sql, (kind, key, owner.0))?;
    }
    Ok(())
}

fn update(
    connection: &mut Connection,
    id: UserId,
    changes: &UserChanges,
) -> Result<Answer, Failure> {
    let (name_key, mail_key) =
        (changes.username.as_deref().map(username_key), changes.email().map(email_key));
    let facts = facts(connection, id, changes, (name_key.as_deref(), mail_key.as_deref()))?;
    let plan = match account::change(&facts, changes) {
        Ok(plan) => plan,
        Err(refusal) => return Ok(Err(StoreError::of_account(refusal))),
    };
    if plan.moves_email {
        written(account_links::void_all(&mut Db::Sqlite(connection), id))?;
    }
    let sql = "UPDATE users SET full_name = coalesce(?2, full_name), role = coalesce(?3, role), \
               is_active = coalesce(?4, is_active), password_hash = coalesce(?5, password_hash), \
               email_verified = ?6, username = coalesce(?7, username), claims_at = ?8 \
               WHERE id = ?1";
    let values = (
        id.0,
        &changes.full_name,
        changes.role.as_ref().map(|role| role.as_str()),
        changes.is_active,
        &changes.password_hash,
        plan.is_email_verified,
        &changes.username,
        claims_ms(plan.origin),
    );
    execute(connection, sql, values)?;
    if plan.is_handed_over {
        hand_over(connection, id)?;
    }
    if let Some(key) = &name_key {
        set_key(connection, "username", key, id)?;
    }
    set_addresses(connection, id, changes.addresses.iter())?;
    if let Some(key) = &mail_key {
        set_key(connection, "email", key, id)?;
    }
    Ok(Ok(Done::Updated(Box::new(read(connection, id)?))))
}

/// Its password and its logins are the hub's: both end.
fn hand_over(connection: &mut Connection, id: UserId) -> Result<(), Failure> {
    execute(connection, "UPDATE users SET password_hash = NULL WHERE id = ?", (id.0,))?;
    let db = &mut Db::Sqlite(connection);
    written(account_links::void_all(db, id))?;
    written(logins::end_all(db, id, None, SystemClock.now()))?;
    Ok(())
}

/// The facts that a change of the account depends on; the keys are those of its new username and
/// address.
fn facts(
    connection: &mut Connection,
    id: UserId,
    changes: &UserChanges,
    (name_key, mail_key): (Option<&str>, Option<&str>),
) -> Result<AccountFacts, Failure> {
    let sql = "SELECT EXISTS (SELECT 1 FROM addresses \
               WHERE channel = 'EMAIL' AND address = ?1 AND user_id <> ?2), \
               EXISTS (SELECT 1 FROM users WHERE username = ?3 AND id <> ?2), \
               EXISTS (SELECT 1 FROM users \
               WHERE role = 'super_admin' AND is_active = 1 AND id <> ?2)";
    let values = (changes.email(), id.0, &changes.username);
    let (has_email, has_username, has_other_super_admin) =
        one(connection, sql, values, |row| row.try_into())?;
    let account = written(ports::accounts::account(&mut Db::Sqlite(connection), id))?;
    let connection = &*connection;
    let is_taken = |kind, key: Option<&str>| {
        key.map_or(Ok(false), |key| is_key_taken(connection, kind, key, Some(id)))
    };
    Ok(AccountFacts {
        account: account.map(|(account, _)| account),
        has_username,
        has_email,
        has_username_key: is_taken("username", name_key)?,
        has_email_key: is_taken("email", mail_key)?,
        has_other_super_admin,
        admins: admins(connection, changes.full_name.as_deref().unwrap_or_default(), Some(id))?,
    })
}
