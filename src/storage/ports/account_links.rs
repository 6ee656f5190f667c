//! Account links, which are sent by e-mail: created with their e-mail, used, and revoked. Every
//! write of one locks its account first, so that a link is used once.
//!
//! The e-mail's delivery has no notification. Like a project's webhook's, it names its message
//! itself; its `target_id` is the link, whose row names the account.

use bellpull_domain::account_link::{AccountLink, LinkPurpose};
use bellpull_domain::confusable::{email_key, is_same_name};
use bellpull_domain::ids::{LinkId, UserId};
use bellpull_domain::notification::Message;
use bellpull_domain::plan::Route;
use bellpull_domain::plan::link::{self, StoredLink};
use bellpull_domain::plan::login::EndedLogin;
use bellpull_domain::routing::Channel;
use bellpull_domain::user::User;
use bellpull_port::StoreError;
use bellpull_port::account_links::{LinkTo, NewLink, PasswordChange};
use jiff::Timestamp;

use super::{accounts, logins};
use crate::engine::{
    Db, Dialect, Engine, Failure, NewIds, Operation, Row, Sql, among, sql, values,
};
use crate::rows::{Columns, get_name, get_time, int, optional_timestamp, string, to_json};

/// Expired rows that are removed with each new one.
const SWEPT_MAX: i64 = 100;

/// As `AccountStore::mail_link`.
pub(in super::super) async fn mail(
    store: &Engine<impl Dialect>,
    new: NewLink,
) -> Result<bool, StoreError> {
    store.write(Mail { new, ids: store.ids() }).await
}

/// As `AccountStore::is_link_open`.
pub(in super::super) async fn is_open(
    store: &Engine<impl Dialect>,
    link: &AccountLink,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let stored = store.row(stored(), values![link.id], stored_link).await?;
    Ok(link::is_open(stored.as_ref(), link, now))
}

/// As `AccountStore::reset_password`.
pub(in super::super) async fn reset(
    store: &Engine<impl Dialect>,
    link: AccountLink,
    password_hash: String,
    now: Timestamp,
) -> Result<Option<Vec<EndedLogin>>, StoreError> {
    let change = PasswordChange { user: link.user, password_hash, seen: None, keep: None, now };
    store.write(Reset { link, change }).await
}

/// As `AccountStore::confirm_email`.
pub(in super::super) async fn confirm(
    store: &Engine<impl Dialect>,
    link: AccountLink,
    now: Timestamp,
) -> Result<bool, StoreError> {
    store.write(Confirm { link, now }).await
}

/// As `AccountStore::change_password`.
pub(in super::super) async fn change_password(
    store: &Engine<impl Dialect>,
    change: PasswordChange,
) -> Result<Vec<EndedLogin>, StoreError> {
    store.write(ChangePassword(change)).await
}

/// Creates a link and queues its e-mail if the account may have one; `false` if not.
#[derive(Debug)]
struct Mail {
    new: NewLink,
    ids: NewIds,
}

impl Operation for Mail {
    type Answer = bool;

    async fn run(&self, db: &mut Db<'_>) -> Result<bool, Failure> {
        let Self { new, ids } = self;
        let Some(user) = account_for(db, new).await? else { return Ok(false) };
        let displaced = link::displaced(open(db, user.id, new.purpose).await?);
        let displaced: Vec<i64> = displaced.into_iter().map(|link| link.0).collect();
        let sql = sql!("UPDATE account_links SET ended_at = $2 WHERE id ", among!("$1"));
        db.execute(sql, values![displaced, new.now]).await?;
        let sql = sql!(
            "INSERT INTO account_links (user_id, purpose, email, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5) RETURNING id"
        );
        let expires_at = new.purpose.expires_at(new.now);
        let values = values![user.id, new.purpose.as_str(), user.email(), new.now, expires_at];
        let link = LinkId(db.count(sql, values).await?);
        queue(db, ids, link, &new.purpose.message(&user, new.now), new.now).await?;
        sweep(db, new.now).await?;
        Ok(true)
    }
}

/// The account of a new link, locked, if the link is of use to it.
async fn account_for(db: &mut Db<'_>, new: &NewLink) -> Result<Option<User>, Failure> {
    let id = match &new.to {
        LinkTo::User(id) => *id,
        LinkTo::Email(email) => {
            let sql = sql!(
                "SELECT coalesce((SELECT user_id FROM addresses WHERE channel = 'EMAIL' \
                 AND {address = $1|lower(address) = lower($1 COLLATE \"C\")}), \
                 (SELECT user_id FROM name_keys WHERE kind = 'email' AND key = $2 AND key <> ''))"
            );
            match db.int(sql, values![email, email_key(email)]).await? {
                Some(id) => UserId(id),
                None => return Ok(None),
            }
        }
    };
    let Some((user, has_password)) = accounts::locked(db, id).await? else { return Ok(None) };
    // It may have had another address a moment ago; and one with the same key may only look like
    // it.
    let is_another = match &new.to {
        LinkTo::User(_) => false,
        LinkTo::Email(email) => !is_same_name(user.email(), email),
    };
    Ok((!is_another && link::is_of_use(new.purpose, &user, has_password)).then_some(user))
}

/// The account's open links of that purpose.
async fn open(
    db: &mut Db<'_>,
    user: UserId,
    purpose: LinkPurpose,
) -> Result<Vec<(Timestamp, LinkId)>, Failure> {
    let sql = sql!(
        "SELECT created_at, id FROM account_links \
         WHERE ended_at IS NULL AND user_id = $1 AND purpose = $2"
    );
    let link = |row: &Row| Ok((get_time(row, "created_at")?, LinkId(int(row, "id")?)));
    db.all(sql, values![user, purpose.as_str()], link).await
}

/// The last step that waits for no lock: two that sweep at once hold rows of each other's accounts.
async fn sweep(db: &mut Db<'_>, now: Timestamp) -> Result<(), Failure> {
    let sql = sql!(
        "DELETE FROM account_links WHERE id IN (SELECT id FROM account_links \
         WHERE expires_at < $1 ORDER BY expires_at LIMIT $2{| FOR UPDATE SKIP LOCKED})"
    );
    db.execute(sql, values![link::forgotten_before(now), SWEPT_MAX]).await.map(drop)
}

/// Writes the e-mail's message and its delivery.
async fn queue(
    db: &mut Db<'_>,
    ids: &NewIds,
    link: LinkId,
    message: &Message,
    now: Timestamp,
) -> Result<(), Failure> {
    let id = ids.message(db).await?;
    let sql = sql!(
        "INSERT INTO messages (id, event, kind, title, body, action_url, metadata, sender_id, \
         priority, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    );
    let values = values![
        id,
        message.event.as_str(),
        message.kind.as_str(),
        message.title.as_str(),
        message.body.as_str(),
        message.action_url.as_str(),
        to_json(&message.metadata)?,
        message.sender,
        message.priority.as_str(),
        message.created_at,
    ];
    db.execute(sql, values).await?;
    let (delivery, route) = (ids.delivery(db).await?, Route::plain(Channel::Email, now));
    let sql = sql!(
        "INSERT INTO deliveries (id, message_id, channel, target_id, lane, status, rule, due_at) \
         VALUES ($1, $2, $3, $4, '', $5, $6, $7)"
    );
    let values = values![
        delivery,
        id,
        route.channel.as_str(),
        link,
        route.status.as_str(),
        route.rule.map(|rule| rule.as_str()),
        route.due_at,
    ];
    db.execute(sql, values).await.map(drop)
}

/// A new password, set by a link.
#[derive(Debug)]
struct Reset {
    link: AccountLink,
    change: PasswordChange,
}

impl Operation for Reset {
    type Answer = Option<Vec<EndedLogin>>;

    /// It may verify an address.
    fn changes_people(&self) -> bool {
        true
    }

    async fn run(&self, db: &mut Db<'_>) -> Result<Option<Vec<EndedLogin>>, Failure> {
        let Self { link, change } = self;
        if !spend(db, link, change.now).await? {
            return Ok(None);
        }
        verify(db, link).await?;
        set_password(db, change).await?;
        logins::end_all(db, link.user, None, change.now).await.map(Some)
    }
}

/// Verification of an e-mail address, by a link.
#[derive(Debug)]
struct Confirm {
    link: AccountLink,
    now: Timestamp,
}

impl Operation for Confirm {
    type Answer = bool;

    fn changes_people(&self) -> bool {
        true
    }

    async fn run(&self, db: &mut Db<'_>) -> Result<bool, Failure> {
        let is_used = spend(db, &self.link, self.now).await?;
        if is_used {
            verify(db, &self.link).await?;
        }
        Ok(is_used)
    }
}

/// A new password.
#[derive(Debug)]
struct ChangePassword(PasswordChange);

impl Operation for ChangePassword {
    type Answer = Vec<EndedLogin>;

    async fn run(&self, db: &mut Db<'_>) -> Result<Vec<EndedLogin>, Failure> {
        let change = &self.0;
        if !set_password(db, change).await? {
            return Err(StoreError::NotFound.into());
        }
        logins::end_all(db, change.user, change.keep, change.now).await
    }
}

/// Uses the link; whether it may be used.
async fn spend(db: &mut Db<'_>, link: &AccountLink, now: Timestamp) -> Result<bool, Failure> {
    let account = accounts::locked(db, link.user).await?.map(|(account, _)| account);
    let stored = db.optional(stored(), values![link.id], stored_link).await?;
    let is_used = link::may_use(stored.as_ref(), account.as_ref(), link, now);
    if is_used {
        let sql = sql!("UPDATE account_links SET ended_at = $2 WHERE id = $1");
        db.execute(sql, values![link.id, now]).await?;
    }
    Ok(is_used)
}

/// The holder of a link has received an e-mail at the account's address.
async fn verify(db: &mut Db<'_>, link: &AccountLink) -> Result<(), Failure> {
    let sql = sql!("UPDATE users SET email_verified = true WHERE id = $1");
    db.execute(sql, values![link.user]).await.map(drop)
}

/// Whether the account still has the password that was verified; with another one its open links
/// for a new password are void. Locks the account.
async fn set_password(db: &mut Db<'_>, change: &PasswordChange) -> Result<bool, Failure> {
    let PasswordChange { user, password_hash, seen, now, .. } = change;
    let sql = sql!(
        "UPDATE users SET password_hash = $2 \
         WHERE id = $1 AND ($3 IS NULL OR password_hash = $3)"
    );
    if db.execute(sql, values![*user, password_hash, seen]).await? == 0 {
        return Ok(false);
    }
    let sql = sql!(
        "UPDATE account_links SET ended_at = $2 \
         WHERE ended_at IS NULL AND user_id = $1 AND purpose = 'password'"
    );
    db.execute(sql, values![*user, *now]).await?;
    Ok(true)
}

/// The account, which the caller has locked, has another address: links sent to the previous one
/// are void.
pub(in super::super) async fn void_all(db: &mut Db<'_>, user: UserId) -> Result<(), Failure> {
    let sql = sql!(
        "UPDATE account_links SET ended_at = created_at WHERE ended_at IS NULL AND user_id = $1"
    );
    db.execute(sql, values![user]).await.map(drop)
}

/// A link's row, by its id.
fn stored() -> &'static Sql {
    sql!(
        "SELECT id, user_id, purpose, email, created_at, expires_at, ended_at \
         FROM account_links WHERE id = $1"
    )
}

fn stored_link(row: &Row) -> Result<StoredLink, StoreError> {
    Ok(StoredLink {
        id: LinkId(int(row, "id")?),
        user: UserId(int(row, "user_id")?),
        purpose: get_name(row, "purpose", LinkPurpose::from_name)?,
        email: string(row, "email")?,
        created_at: get_time(row, "created_at")?,
        expires_at: get_time(row, "expires_at")?,
        ended_at: optional_timestamp(row.int("ended_at")?)?,
    })
}
