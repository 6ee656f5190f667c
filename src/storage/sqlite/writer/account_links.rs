//! Links in mails that change an account: made with their mail, used, and ended.
//!
//! A mail's delivery is nobody's notification: like a project's webhook's, it names its message
//! itself, and its `target_id` is the link. Whose it is stands in the link's row.

use bellpull_actors::domain::account_link::{AccountLink, LinkPurpose};
use bellpull_actors::domain::ids::{LinkId, LoginId, UserId};
use bellpull_actors::domain::inbox::Letter;
use bellpull_actors::domain::plan::{Address, External, Ids, NewDelivery, Route, Rows, Subject};
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::domain::user::User;
use bellpull_actors::port::StoreError;
use bellpull_actors::port::account_links::{EndedLogin, LinkTo, NewLink, PasswordChange};
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

use super::super::rows::{timestamp, user, user_columns};
use super::super::statement::{all, execute, one, optional};
use super::group::{Failure, Place};
use super::{Answer, Done, Write, rows};

/// Links of one account and purpose that may be open at once; the oldest give way. More than the
/// mails that the edge lets go to one address within a link's life.
const OPEN_MAX: i64 = 5;
/// How long a link's row is kept after its end, for the list of deliveries shows whose mail it
/// was: longer than deliveries are, where nothing else is set.
const KEPT: SignedDuration = SignedDuration::from_hours(100 * 24);
/// Rows that are swept with each new one.
const SWEPT_MAX: i64 = 100;

/// What can be asked of links, and of passwords.
#[derive(Debug)]
pub(in super::super) enum LinkWrite {
    /// A link, and its mail.
    Mail(NewLink),
    /// A new password's hash, by a link.
    Reset { link: AccountLink, password_hash: String, now: Timestamp },
    /// The proof that mails arrive, by a link.
    Confirm { link: AccountLink, now: Timestamp },
    /// A new password's hash.
    ChangePassword(PasswordChange),
}

impl LinkWrite {
    /// Whether it may have an address count as verified.
    pub(super) fn verifies(&self) -> bool {
        matches!(self, Self::Reset { .. } | Self::Confirm { .. })
    }
}

/// Applies what the group asks of links.
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
                let ended = end_logins(connection, change.user, change.keep, change.now)?;
                Ok(Done::Ended(Some(ended)))
            }
            false => Err(StoreError::NotFound),
        },
    })
}

/// Makes a link and queues its mail, for an active account that it is of use to. `false` where
/// there is none.
fn mail(connection: &Connection, place: Place<'_>, new: &NewLink) -> Result<bool, Failure> {
    let Some(user) = whose(connection, new)? else { return Ok(false) };
    sweep(connection, new.now)?;
    let (purpose, now_ms) = (new.purpose.as_str(), new.now.as_millisecond());
    let sql = "UPDATE account_links SET ended_at = ?3 WHERE ended_at IS NULL AND user_id = ?1 \
               AND purpose = ?2 AND id NOT IN (SELECT id FROM account_links \
               WHERE ended_at IS NULL AND user_id = ?1 AND purpose = ?2 \
               ORDER BY id DESC LIMIT ?4)";
    execute(connection, sql, (user.id.0, purpose, now_ms, OPEN_MAX - 1))?;
    let sql = "INSERT INTO account_links (user_id, purpose, email, created_at, expires_at) \
               VALUES (?, ?, ?, ?, ?) RETURNING id";
    let expires_ms = new.purpose.expires_at(new.now).as_millisecond();
    let values = (user.id.0, purpose, user.email.as_str(), now_ms, expires_ms);
    let link: i64 = one(connection, sql, values, |row| row.get(0))?;
    queue(connection, place, LinkId(link), new.purpose, &user, new.now)?;
    Ok(true)
}

/// The account that a link would be for.
fn whose(connection: &Connection, new: &NewLink) -> Result<Option<User>, Failure> {
    macro_rules! select {
        ($condition:literal) => {
            concat!(
                "SELECT ",
                user_columns!(),
                " FROM users WHERE is_active = 1 AND email <> '' AND iif(?2 = 'password', \
                 password_hash IS NOT NULL, email_verified = 0) AND ",
                $condition
            )
        };
    }
    let purpose = new.purpose.as_str();
    let found = match &new.to {
        LinkTo::Email(email) => {
            optional(connection, select!("email = ?1"), (email, purpose), |row| Ok(user(row)))?
        }
        LinkTo::User(id) => {
            optional(connection, select!("id = ?1"), (id.0, purpose), |row| Ok(user(row)))?
        }
    };
    Ok(found.transpose()?)
}

fn sweep(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let before = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
    let sql = "DELETE FROM account_links WHERE id IN (SELECT id FROM account_links \
               WHERE expires_at < ? ORDER BY expires_at LIMIT ?)";
    execute(connection, sql, (before.as_millisecond(), SWEPT_MAX)).map(drop)
}

fn queue(
    connection: &Connection,
    place: Place<'_>,
    link: LinkId,
    purpose: LinkPurpose,
    user: &User,
    now: Timestamp,
) -> Result<(), Failure> {
    let letter = Letter::new(purpose.message(user, now));
    let message = place.ids.message();
    let to = Address { id: link.0, lane: String::new() };
    let external = External { to: &to, route: Route::plain(Channel::Email, now) };
    let (id, subject) = (place.ids.delivery(), Subject::Message(message));
    let deliveries = vec![NewDelivery::new(id, subject, &external, None)];
    let messages = vec![(message, letter)];
    rows::write(connection, place, Rows { messages, deliveries, ..Rows::default() })
}

/// Whether the link was open; it no longer is. One whose account has another address by now, or
/// is switched off, is not.
fn spend(
    connection: &Connection,
    link: &AccountLink,
    now: Timestamp,
) -> Result<bool, rusqlite::Error> {
    let sql = "UPDATE account_links SET ended_at = ?4 WHERE id = ?1 AND user_id = ?2 \
               AND purpose = ?3 AND ended_at IS NULL AND expires_at > ?4 AND EXISTS \
               (SELECT 1 FROM users u WHERE u.id = user_id AND u.is_active = 1 \
               AND u.email = account_links.email)";
    let values = (link.id.0, link.user.0, link.purpose.as_str(), now.as_millisecond());
    Ok(execute(connection, sql, values)? > 0)
}

/// Whoever has a link has read a mail to the account's address.
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
    Ok(Some(end_logins(connection, link.user, None, now)?))
}

/// Whether the account has the password that was seen; with another one its open links for a new
/// password are void.
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

/// The account has another address: what was mailed to the one before is void.
pub(super) fn void_all(connection: &Connection, user: UserId) -> rusqlite::Result<()> {
    let sql = "UPDATE account_links SET ended_at = created_at \
               WHERE ended_at IS NULL AND user_id = ?";
    execute(connection, sql, (user.0,)).map(drop)
}

/// Ends the account's logins but one; those of which an access token may still be good.
fn end_logins(
    connection: &Connection,
    user: UserId,
    keep: Option<LoginId>,
    now: Timestamp,
) -> Result<Vec<EndedLogin>, Failure> {
    let now_ms = now.as_millisecond();
    let sql = "UPDATE logins SET revoked_at = ?3 WHERE user_id = ?1 AND id IS NOT ?2 \
               AND revoked_at IS NULL AND expires_at > ?3 RETURNING id, access_until";
    let values = (user.0, keep.map(|login| login.0), now_ms);
    let rows: Vec<(i64, i64)> = all(connection, sql, values, |row| row.try_into())?;
    let mut ended = Vec::new();
    for (id, until_ms) in rows.into_iter().filter(|(_, until_ms)| *until_ms > now_ms) {
        ended.push(EndedLogin { id: LoginId(id), user, access_until: timestamp(until_ms)? });
    }
    Ok(ended)
}
