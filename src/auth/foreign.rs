//! Tokens of another issuer: which accounts they open, and how accounts follow their claims.
//!
//! An account is opened by tokens of the party that gave it its number. Otherwise a user whom
//! the hub has numbered 6, and a user whom the issuer has numbered 6, would share an account.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use bellpull_domain::address::AddressChanges;
use bellpull_domain::ids::UserId;
use bellpull_domain::plan::account::origin_after;
use bellpull_domain::user::{Origin, User};
use bellpull_port::StoreError;
use bellpull_port::accounts::UserChanges;

use super::accounts::{NAME_ATTEMPTS_MAX, derived, email, full_name, role, username};
use super::claims::Claims;
use super::{AuthError, Inner, unavailable};

/// As many accounts are named in the log, each once; an operator needs no more to see the reason.
const NAMED_MAX: usize = 1_024;

/// The hub's accounts for which another issuer's token was refused.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<HashSet<UserId>>);

impl Refused {
    /// Names the account in the log, the first time.
    fn warn(&self, user: &User) {
        let mut named = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() < NAMED_MAX && named.insert(user.id) {
            let User { id, username, .. } = user;
            tracing::warn!(
                "a token of another issuer names user {id}, but account {id} ({username}) is the \
                 hub's own: it was refused. If both are one user, `bellpull user adopt --id {id}` \
                 hands the account to the issuer"
            );
        }
    }
}

impl Inner {
    /// The account that another issuer's token opens, with the claims of that token if they are
    /// news.
    pub(super) async fn open_foreign(
        &self,
        user: Arc<User>,
        claims: &Claims,
    ) -> Result<Arc<User>, AuthError> {
        if user.origin == Origin::Hub {
            self.refused.warn(&user);
            return Err(AuthError::HubsAccount);
        }
        if !self.config.follow_claims || !user.is_active {
            return Ok(user);
        }
        let Some(changes) = news(&user, claims) else { return Ok(user) };
        let Some(after) = self.follow(user.id, changes, claims).await? else {
            // A younger token came first, on another node perhaps.
            self.accounts.forget(user.id);
            let current = self.accounts.find(user.id, self.clock.now()).await?;
            return Ok(current.unwrap_or(user));
        };
        tracing::info!(user = %user.id, role = %after.role, "an account follows a token's claims");
        self.forget(user.id);
        let after = Arc::new(after);
        if user.role != after.role {
            self.role_changed(&after);
        }
        Ok(after)
    }

    /// Applies a token's claims; `None` if the account has those of a younger one. A name or an
    /// address that another account has is treated as when an account is created.
    async fn follow(
        &self,
        id: UserId,
        mut changes: UserChanges,
        claims: &Claims,
    ) -> Result<Option<User>, AuthError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.accounts.store().update_user(id, changes.clone()).await {
                Ok(after) => return Ok(Some(after)),
                Err(StoreError::Taken("username") | StoreError::TooSimilar("username")) => {
                    let next = || derived(id, claims, attempt);
                    changes.username = (attempt < NAME_ATTEMPTS_MAX).then(next);
                }
                Err(StoreError::TooSimilar("full_name")) => changes.full_name = None,
                Err(StoreError::Taken(_) | StoreError::TooSimilar(_)) => {
                    changes.addresses = AddressChanges::default();
                }
                Err(StoreError::LastSuperAdmin) => {
                    tracing::warn!(user = %id, "a token takes the role of the last active super \
                        admin: it was not applied");
                    changes.role = None;
                }
                Err(StoreError::Conflict) => return Ok(None),
                Err(error) => return Err(unavailable(error)),
            }
        }
    }
}

/// What the account does not have of a token's claims, if it may follow them. What an account
/// cannot have is ignored.
fn news(user: &User, claims: &Claims) -> Option<UserChanges> {
    let is_own = |name: &str| {
        // The number in a derived name tells that it is this account's.
        let is_derived = |attempt| user.username == derived(user.id, claims, attempt);
        user.username == name || (1..=NAME_ATTEMPTS_MAX).any(is_derived)
    };
    let username = username(claims).filter(|name| !is_own(name));
    let email = email(claims).filter(|email| !user.email().eq_ignore_ascii_case(email));
    let full_name = Some(full_name(claims));
    let full_name = full_name.filter(|name| !name.is_empty() && user.full_name != *name);
    let role = role(claims).filter(|role| *role != user.role);
    if username.is_none() && email.is_none() && full_name.is_none() && role.is_none() {
        return None;
    }
    let changes = UserChanges {
        username,
        addresses: email.map(AddressChanges::email).unwrap_or_default(),
        vouches_for_email: claims.is_email_verified(),
        full_name,
        role,
        claims_at: Some(claims.issued_at()),
        ..UserChanges::default()
    };
    origin_after(user, &changes).is_ok().then_some(changes)
}
