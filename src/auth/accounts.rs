//! Accounts of token holders: cached briefly, and created when a foreign token names a new user.

use std::sync::Arc;

use bellpull_domain::address::Addresses;
use bellpull_domain::confusable::normal_name;
use bellpull_domain::ids::UserId;
use bellpull_domain::text::{made_line, shortened};
use bellpull_domain::user::{Origin, Role, User};
use bellpull_port::accounts::NewUser;
use bellpull_port::{AccountStore, StoreError};
use jiff::Timestamp;

use super::claims::{Claims, Profile};
use super::register::{
    FULL_NAME_CHARS_MAX, SIGNS, USERNAME_CHARS_MAX, check_email, check_username,
};
use super::remembered::Remembered;
use super::{AuthError, NO_ACCOUNT, unavailable};

/// A username may be taken, and then the derived one too, and the other names refused; more
/// attempts than this are no coincidence.
pub(super) const NAME_ATTEMPTS_MAX: u32 = 6;

/// The accounts, read through a small cache.
#[derive(Debug)]
pub(super) struct Accounts {
    store: Arc<dyn AccountStore>,
    remembered: Remembered,
}

impl Accounts {
    pub(super) fn new(store: Arc<dyn AccountStore>) -> Self {
        Self { store, remembered: Remembered::default() }
    }

    pub(super) fn store(&self) -> &dyn AccountStore {
        &*self.store
    }

    /// The account, at most two seconds old.
    pub(super) async fn find(
        &self,
        id: UserId,
        now: Timestamp,
    ) -> Result<Option<Arc<User>>, AuthError> {
        let now_ms = now.as_millisecond();
        if let Some(user) = self.remembered.get(id, now_ms) {
            return Ok(Some(user));
        }
        let before = self.remembered.forgotten();
        let Some(user) = self.store.user(id).await.map_err(unavailable)? else { return Ok(None) };
        let user = Arc::new(user);
        self.remembered.keep(&user, before, now_ms);
        Ok(Some(user))
    }

    pub(super) fn forget(&self, id: UserId) {
        self.remembered.forget(id);
    }

    /// Creates the account of a valid foreign token. A claim that an account cannot have is
    /// ignored; a username that is taken, or looks like one that is, gets the id appended, and such
    /// an e-mail address is left out: the issuer has admitted this user, and the id identifies
    /// them. Concurrent requests of one user create one account.
    pub(super) async fn provision(
        &self,
        id: UserId,
        claims: &Claims,
        now: Timestamp,
    ) -> Result<Arc<User>, AuthError> {
        let mut new = new_user(id, claims, now);
        for attempt in 1..=NAME_ATTEMPTS_MAX {
            match self.store.create_user(new.clone(), None).await {
                Ok((user, _)) => {
                    tracing::info!(user = %user.id, role = %user.role, "a token brought a new user");
                    return Ok(Arc::new(user));
                }
                Err(StoreError::Taken("username") | StoreError::TooSimilar("username")) => {
                    new.username = derived(id, claims, attempt);
                }
                Err(StoreError::Taken("email") | StoreError::TooSimilar("email")) => {
                    new.addresses = Addresses::default();
                }
                Err(StoreError::TooSimilar("full_name")) => new.full_name.clear(),
                // A concurrent request of the same user won (whichever field the error names).
                Err(StoreError::Taken(_)) => break,
                Err(error) => return Err(unavailable(error)),
            }
            if let Some(user) = self.store.user(id).await.map_err(unavailable)? {
                return Ok(Arc::new(user));
            }
        }
        let made = self.store.user(id).await.map_err(unavailable)?;
        made.map(Arc::new).ok_or(NO_ACCOUNT)
    }
}

fn new_user(id: UserId, claims: &Claims, now: Timestamp) -> NewUser {
    NewUser {
        id: Some(id),
        origin: Origin::Issuer { claims_at: claims.issued_at() },
        username: wanted_name(id, claims),
        addresses: Addresses::email(email(claims).unwrap_or_default()),
        full_name: full_name(claims),
        role: role(claims).unwrap_or(Role::Client),
        is_email_verified: claims.is_email_verified(),
        password_hash: None,
        now,
    }
}

/// The e-mail address of a token, if an account may have it.
pub(super) fn email(claims: &Claims) -> Option<&str> {
    Some(claims.text(Profile::Email)).filter(|email| check_email(email).is_ok())
}

/// The full name of a token as an account has it; empty for none.
pub(super) fn full_name(claims: &Claims) -> String {
    shortened(&made_line(claims.text(Profile::FullName)), FULL_NAME_CHARS_MAX)
}

/// The role of a token, if an account may have it.
pub(super) fn role(claims: &Claims) -> Option<Role> {
    Role::to_give(claims.text(Profile::Role)).ok()
}

/// The username of a token, if an account may have it.
pub(super) fn username(claims: &Claims) -> Option<String> {
    let name = normal_name(claims.text(Profile::Username));
    let name = name.trim_end_matches(|c: char| SIGNS.contains(c));
    Some(name.to_owned()).filter(|name| check_username(name).is_ok())
}

fn wanted_name(id: UserId, claims: &Claims) -> String {
    username(claims).unwrap_or_else(|| format!("user-{id}"))
}

/// The username of a token's account if another account has the one of the token, or a similar one.
pub(super) fn derived(id: UserId, claims: &Claims, attempt: u32) -> String {
    let ending = if attempt == 1 { format!("-{id}") } else { format!("-{id}-{attempt}") };
    let room = USERNAME_CHARS_MAX.saturating_sub(ending.len());
    let mut name: String = wanted_name(id, claims).chars().take(room).collect();
    name.push_str(&ending);
    name
}
