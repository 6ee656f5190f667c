//! Account links, which are sent by e-mail: created with their e-mail, used, and revoked.
//!
//! The e-mail's delivery has no notification. Like a project's webhook's, it names its message
//! itself; its `target_id` is the link, whose row names the account.

use bellpull_domain::account_link::{AccountLink, LinkPurpose};
use bellpull_domain::confusable::{email_key, is_same_name};
use bellpull_domain::ids::{LinkId, UserId};
use bellpull_domain::inbox::MessageContent;
use bellpull_domain::plan::login::EndedLogin;
use bellpull_domain::plan::{Address, External, Ids, NewDelivery, Route, Rows, Subject, link};
use bellpull_domain::routing::Channel;
use bellpull_domain::user::User;
use bellpull_port::StoreError;
use bellpull_port::account_links::{LinkTo, NewLink, PasswordChange};
use jiff::Timestamp;
use rusqlite::{Connection, Row};

use super::super::columns::STORED_LINK;
use super::super::columns::user_columns;
use super::super::link_rows::stored_link;
use super::super::rows::{timestamp, user};
use super::super::statement::{all, execute, one, optional};
use super::context::Place;
use super::failure::Failure;
use super::{Answer, Done, Write, logins, rows};

/// Expired rows that are removed with each new one.
const SWEPT_MAX: i64 = 100;

/// Writes of links and passwords.
#[derive(Debug)]
pub(in super::super) enum LinkWrite {
    /// A link and its e-mail.
    Mail(NewLink),
    /// A new password's hash, set by a link.
    Reset { link: AccountLink, password_hash: String, now: Timestamp },
    /// Verification of an e-mail address, by a link.
    Confirm { link: AccountLink, now: Timestamp },
    /// A new password's hash.
    ChangePassword(PasswordChange),
}

impl LinkWrite {
    /// Whether it may verify an address.
    pub(super) fn verifies(&self) -> bool {
        matches!(self, Self::Reset { .. } | Self::Confirm { .. })
    }
}

/// Applies the group's writes of links.
pub(super) fn apply(
    connection: &Connection,
    place: Place<'_>,
    writes: &[&Write],
    answers: &mut [Option<Answer>],
) -> Result<(), Failure> {
    for (at, write) in writes.iter().enumerate() {
        if let Write::Link(write) = write {
            answers[at] = Some(one_of(connection, place, write)?);
        }
    }
    Ok(())
}

fn one_of(connection: &Connection, place: Place<'_>, write: &LinkWrite) -> Result<Answer, Failure> {
    Ok(match write {
        LinkWrite::Mail(new) => Ok(Done::Changed(u64::from(mail(connection, place, new)?))),
        LinkWrite::Reset { link, password_hash, now } => {
            Ok(Done::Ended(reset(connection, link, password_hash, *now)?))
        }
        LinkWrite::Confirm { link, now } => {
            let is_used = spend(connection, link, *now)?;
            if is_used {
                verify(connection, link)?;
            }
            Ok(Done::Changed(u64::from(is_used)))
        }
        LinkWrite::ChangePassword(change) => match set_password(connection, change)? {
            true => {
                let ended = logins::end_all(connection, change.user, change.keep, change.now)?;
                Ok(Done::Ended(Some(ended)))
            }
            false => Err(StoreError::NotFound),
        },
    })
}

/// Creates a link and queues its e-mail if the account may have one; `false` if not.
fn mail(connection: &Connection, place: Place<'_>, new: &NewLink) -> Result<bool, Failure> {
    let found = match &new.to {
        LinkTo::Email(email) => account_of(connection, email)?,
        LinkTo::User(id) => account(connection, *id)?,
    };
    let is_of_use = |(account, has_password): &(User, bool)| {
        link::is_of_use(new.purpose, account, *has_password)
    };
    let Some((user, _)) = found.filter(is_of_use) else { return Ok(false) };
    sweep(connection, new.now)?;
    let (purpose, now_ms) = (new.purpose.as_str(), new.now.as_millisecond());
    for displaced in link::displaced(open(connection, user.id, purpose)?) {
        let sql = "UPDATE account_links SET ended_at = ?2 WHERE id = ?1";
        execute(connection, sql, (displaced.0, now_ms))?;
    }
    let sql = "INSERT INTO account_links (user_id, purpose, email, created_at, expires_at) \
               VALUES (?, ?, ?, ?, ?) RETURNING id";
    let expires_ms = new.purpose.expires_at(new.now).as_millisecond();
    let values = (user.id.0, purpose, user.email(), now_ms, expires_ms);
    let link: i64 = one(connection, sql, values, |row| row.get(0))?;
    queue(connection, place, LinkId(link), new.purpose, &user, new.now)?;
    Ok(true)
}

macro_rules! select_account {
    ($condition:literal) => {
        concat!(
            "SELECT ",
            user_columns!(),
            ", password_hash IS NOT NULL AS has_password FROM users WHERE ",
            $condition
        )
    };
}

/// An account, and whether it has a password.
pub(super) fn account(
    connection: &Connection,
    id: UserId,
) -> Result<Option<(User, bool)>, Failure> {
    let found = optional(connection, select_account!("id = ?"), (id.0,), with_password)?;
    Ok(found.transpose()?)
}

/// The account with an address; the empty address has none.
fn account_of(connection: &Connection, email: &str) -> Result<Option<(User, bool)>, Failure> {
    let sql = select_account!(
        "id = coalesce((SELECT user_id FROM addresses WHERE channel = 'EMAIL' AND address = ?1), \
         (SELECT user_id FROM name_keys WHERE kind = 'email' AND key = ?2 AND key <> ''))"
    );
    let found = optional(connection, sql, (email, email_key(email)), with_password)?.transpose()?;
    // An address with the same key may only look like it.
    Ok(found.filter(|(user, _)| is_same_name(user.email(), email)))
}

fn with_password(row: &Row<'_>) -> rusqlite::Result<Result<(User, bool), StoreError>> {
    let has_password = row.get("has_password")?;
    Ok(user(row).map(|user| (user, has_password)))
}

/// The account's open links of that purpose.
fn open(
    connection: &Connection,
    user: UserId,
    purpose: &str,
) -> Result<Vec<(Timestamp, LinkId)>, Failure> {
    let sql = "SELECT created_at, id FROM account_links \
               WHERE ended_at IS NULL AND user_id = ? AND purpose = ?";
    let rows: Vec<(i64, i64)> = all(connection, sql, (user.0, purpose), |row| row.try_into())?;
    let link = |(created_ms, id)| Ok((timestamp(created_ms)?, LinkId(id)));
    rows.into_iter().map(link).collect()
}

fn sweep(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "DELETE FROM account_links WHERE id IN (SELECT id FROM account_links \
               WHERE expires_at < ? ORDER BY expires_at LIMIT ?)";
    let before_ms = link::forgotten_before(now).as_millisecond();
    execute(connection, sql, (before_ms, SWEPT_MAX)).map(drop)
}

fn queue(
    connection: &Connection,
    place: Place<'_>,
    link: LinkId,
    purpose: LinkPurpose,
    user: &User,
    now: Timestamp,
) -> Result<(), Failure> {
    let content = MessageContent::new(purpose.message(user, now));
    let message = place.ids.message();
    let to = Address { id: link.0, lane: String::new() };
    let external = External { to: &to, route: Route::plain(Channel::Email, now) };
    let (id, subject) = (place.ids.delivery(), Subject::Message(message));
    let deliveries = vec![NewDelivery::new(id, subject, &external, None)];
    let messages = vec![(message, content)];
    rows::write(connection, place, Rows { messages, deliveries, ..Rows::default() })
}

/// Uses the link; whether it may be used.
fn spend(connection: &Connection, link: &AccountLink, now: Timestamp) -> Result<bool, Failure> {
    let row = optional(connection, STORED_LINK, (link.id.0,), |row| Ok(stored_link(row)))?;
    let account = account(connection, link.user)?.map(|(account, _)| account);
    let is_used = link::may_use(row.transpose()?.as_ref(), account.as_ref(), link, now);
    if is_used {
        let sql = "UPDATE account_links SET ended_at = ?2 WHERE id = ?1";
        execute(connection, sql, (link.id.0, now.as_millisecond()))?;
    }
    Ok(is_used)
}

/// The holder of a link has received an e-mail at the account's address.
fn verify(connection: &Connection, link: &AccountLink) -> rusqlite::Result<()> {
    let sql = "UPDATE users SET email_verified = 1 WHERE id = ?";
    execute(connection, sql, (link.user.0,)).map(drop)
}

fn reset(
    connection: &Connection,
    link: &AccountLink,
    password_hash: &str,
    now: Timestamp,
) -> Result<Option<Vec<EndedLogin>>, Failure> {
    if !spend(connection, link, now)? {
        return Ok(None);
    }
    verify(connection, link)?;
    let (user, password_hash) = (link.user, password_hash.to_owned());
    let change = PasswordChange { user, password_hash, seen: None, keep: None, now };
    set_password(connection, &change)?;
    Ok(Some(logins::end_all(connection, link.user, None, now)?))
}

/// Whether the account still has the password that was verified; with another one its open links
/// for a new password are void.
fn set_password(connection: &Connection, change: &PasswordChange) -> rusqlite::Result<bool> {
    let PasswordChange { user, password_hash, seen, now, .. } = change;
    let sql = "UPDATE users SET password_hash = ?2 \
               WHERE id = ?1 AND (?3 IS NULL OR password_hash = ?3)";
    if execute(connection, sql, (user.0, password_hash, seen))? == 0 {
        return Ok(false);
    }
    let sql = "UPDATE account_links SET ended_at = ?2 \
               WHERE ended_at IS NULL AND user_id = ?1 AND purpose = 'password'";
    execute(connection, sql, (user.0, now.as_millisecond()))?;
    Ok(true)
}

/// The account has another address: links sent to the previous one are void.
pub(super) fn void_all(connection: &Connection, user: UserId) -> rusqlite::Result<()> {
    let sql = "UPDATE account_links SET ended_at = created_at \
               WHERE ended_at IS NULL AND user_id = ?";
    execute(connection, sql, (user.0,)).map(drop)
}
