//! Accounts of token holders: cached briefly, and created when a foreign token names a new user.

use std::sync::Arc;

use bellpull_actors::domain::address::Addresses;
use bellpull_actors::domain::ids::UserId;
use bellpull_actors::domain::user::{Role, User};
use bellpull_actors::port::accounts::NewUser;
use bellpull_actors::port::{AccountStore, StoreError};
use jiff::Timestamp;

use super::claims::{Claims, Profile};
use super::register::{FULL_NAME_CHARS_MAX, USERNAME_CHARS_MAX, check_email, check_username};
use super::remembered::Remembered;
use super::{AuthError, NO_ACCOUNT, unavailable};

/// A username may be taken, and then the derived one too; more attempts than this are no
/// coincidence.
const NAME_ATTEMPTS_MAX: u32 = 5;

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
    let email = claims.text(Profile::Email);
    let full_name = claims.text(Profile::FullName).chars().filter(|c| !c.is_control());
    NewUser {
        id: Some(id),
        username: wanted_name(id, claims),
        addresses: Addresses::email(if check_email(email).is_ok() { email } else { "" }),
        full_name: full_name.take(FULL_NAME_CHARS_MAX).collect(),
        role: Role::to_give(claims.text(Profile::Role)).unwrap_or(Role::Client),
        is_email_verified: true,
        password_hash: None,
        now,
    }
}

fn wanted_name(id: UserId, claims: &Claims) -> String {
    let name = claims.text(Profile::Username);
    if check_username(name).is_ok() { name.to_owned() } else { format!("user-{id}") }
}

fn derived(id: UserId, claims: &Claims, attempt: u32) -> String {
    let ending = if attempt == 1 { format!("-{id}") } else { format!("-{id}-{attempt}") };
    let room = USERNAME_CHARS_MAX.saturating_sub(ending.len());
    let mut name: String = wanted_name(id, claims).chars().take(room).collect();
    name.push_str(&ending);
    name
}
