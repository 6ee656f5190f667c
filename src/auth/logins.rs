//! Logins with passwords, token refresh, logout.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bellpull_domain::address::Addresses;
use bellpull_domain::ids::{LoginId, UserId};
use bellpull_domain::user::{Origin, User};
use bellpull_port::accounts::{LoginName, NewUser, RefreshUse};
use bellpull_port::outlet::{Revoked, TokenEnd};
use bellpull_port::rate::network;
use bellpull_port::{BrokerMessage, StoreError};
use jiff::Timestamp;

use super::admission::{Admission, Name};
use super::claims::Refresh;
use super::issue::Issuer;
use super::{
    AuthError, INACTIVE, Inner, NO_ACCOUNT, Principal, Registration, Tokens, register, unavailable,
};

/// For hubs whose tokens are issued elsewhere.
const ELSEWHERE: AuthError =
    AuthError::Disabled("Logins are made elsewhere: this hub only checks tokens.");

const CLOSED: AuthError = AuthError::Disabled("Registration is closed.");

/// The generation of a login's first refresh token.
const FIRST_GENERATION: i64 = 0;

/// `seconds` after `now`, or the latest possible time.
pub(super) fn after(now: Timestamp, seconds: u32) -> Timestamp {
    now.checked_add(Duration::from_secs(u64::from(seconds))).unwrap_or(Timestamp::MAX)
}

fn text(name: &LoginName) -> &str {
    match name {
        LoginName::Username(text) | LoginName::Email(text) => text,
    }
}

/// When tokens are issued, and when they expire.
#[derive(Debug, Clone, Copy)]
struct Times {
    now: Timestamp,
    access: Timestamp,
    refresh: Timestamp,
}

impl Times {
    fn tokens(
        self,
        issuer: &Issuer,
        user: &User,
        login: LoginId,
        generation: i64,
    ) -> Result<Tokens, AuthError> {
        let Self { now, access, refresh } = self;
        Ok(Tokens {
            access: issuer.access(user, Some(login), now, access)?,
            refresh: issuer.refresh(user, login, generation, now, refresh)?,
        })
    }
}

impl Inner {
    pub(super) fn issuer(&self) -> Result<&Issuer, AuthError> {
        self.issuer.as_ref().ok_or(ELSEWHERE)
    }

    pub(super) async fn login(
        &self,
        name: LoginName,
        password: String,
        client: IpAddr,
    ) -> Result<(Tokens, Arc<User>), AuthError> {
        let issuer = self.issuer()?;
        let admission = &self.passwords.admission;
        let account = match self.credentials(&name).await? {
            (Some(user), _) => Name::Account(user.id),
            (None, _) => Admission::unknown(text(&name)),
        };
        let attempt = Admission::attempt(account, network(client));
        let turn = admission.login(attempt).await?;
        // Read again: the password may have changed while the attempt waited.
        let (user, stored) = self.credentials(&name).await?;
        let (is_match, turn) = self.passwords.verify(turn, password, stored.clone()).await?;
        let Some(user) = user.filter(|user| is_match && user.is_active) else {
            drop(turn); // which counts the failure
            admission.refusal(attempt).await?;
            return Err(AuthError::BadCredentials);
        };
        turn.succeeded(attempt);
        let now = self.clock.now();
        let times = self.times(now, after(now, self.config.refresh_ttl_s));
        let (store, hash) = (self.accounts.store(), stored.as_deref());
        let begun = store.begin_login(user.id, hash, now, times.access, times.refresh).await;
        let login = match begun {
            // The password changed while this one was checked.
            Err(StoreError::NotFound) => return Err(AuthError::BadCredentials),
            begun => begun.map_err(unavailable)?,
        };
        let tokens = times.tokens(issuer, &user, login, FIRST_GENERATION)?;
        Ok((tokens, Arc::new(user)))
    }

    async fn credentials(
        &self,
        name: &LoginName,
    ) -> Result<(Option<User>, Option<String>), AuthError> {
        let store = self.accounts.store();
        let known = store.credentials(name).await.map_err(unavailable)?;
        let known = match name {
            // A username may have an `@`, too.
            LoginName::Username(name) if known.is_none() && name.contains('@') => {
                let email = LoginName::Email(name.clone());
                store.credentials(&email).await.map_err(unavailable)?
            }
            LoginName::Username(_) | LoginName::Email(_) => known,
        };
        Ok(known.map_or((None, None), |(user, hash)| (Some(user), hash)))
    }

    /// The times of tokens issued now, for a login that ends at `ends_at`.
    fn times(&self, now: Timestamp, ends_at: Timestamp) -> Times {
        // No access token outlives its login.
        let access = after(now, self.config.access_ttl_s).min(ends_at);
        Times { now, access, refresh: ends_at }
    }

    async fn open_refresh(&self, token: &str) -> Result<Refresh, AuthError> {
        let claims = self.keys.open(token).await?;
        let expires_at = claims.valid_until(self.clock.now(), self.config.issuer.as_deref())?;
        claims.refresh(expires_at)
    }

    pub(super) async fn refresh(&self, token: &str) -> Result<Tokens, AuthError> {
        let issuer = self.issuer()?;
        let old = self.open_refresh(token).await?;
        let now = self.clock.now();
        let times = self.times(now, old.expires_at);
        let store = self.accounts.store();
        let used = store.use_refresh(old.login, old.generation, now, times.access).await;
        match used.map_err(unavailable)? {
            RefreshUse::Good(user) if user == old.user => {}
            RefreshUse::Good(_) | RefreshUse::Ended => {
                return Err(AuthError::BadToken("its login has ended"));
            }
            RefreshUse::Reused { user, access_until } => {
                tracing::warn!(%user, login = %old.login, "a refresh token came back after its \
                    successor was used: the login is revoked");
                self.end_login(old.user, old.login, Some(access_until), TokenEnd::Revoked);
                return Err(AuthError::BadToken("it was used before: its login has ended"));
            }
        }
        let user = self.accounts.find(old.user, now).await?;
        let user = user.ok_or(NO_ACCOUNT)?;
        if !user.is_active {
            return Err(INACTIVE);
        }
        let next = old.generation.saturating_add(1);
        times.tokens(issuer, &user, old.login, next)
    }

    pub(super) async fn logout(
        &self,
        who: Option<&Principal>,
        refresh: Option<&str>,
    ) -> Result<(), AuthError> {
        let (user, login) = match refresh {
            Some(token) if self.keys.is_own() => {
                let given = self.open_refresh(token).await?;
                if who.is_some_and(|who| given.user != who.user.id) {
                    return Err(AuthError::BadToken("it is another user's"));
                }
                (given.user, given.login)
            }
            // Another issuer's refresh token can only be revoked by that issuer.
            Some(_) | None => {
                let who = who.ok_or(AuthError::Missing)?;
                (who.user.id, who.login.ok_or(AuthError::NoLogin)?)
            }
        };
        let now = self.clock.now();
        let until = self.accounts.store().revoke_login(login, now).await.map_err(unavailable)?;
        self.end_login(user, login, until, TokenEnd::LoggedOut);
        Ok(())
    }

    /// Closes a login's sockets and refuses its access tokens, the last of which expires at
    /// `until`.
    pub(super) fn end_login(
        &self,
        user: UserId,
        login: LoginId,
        access_until: Option<Timestamp>,
        end: TokenEnd,
    ) {
        if let Some(until) = access_until {
            self.ended.insert(login, self.clock.now(), until);
        }
        if let Some(users) = &self.users {
            // In this order: another node's client that connects again at once is refused.
            if let Some(until) = access_until {
                users.publish(BrokerMessage::LoginEnded { login, until });
            }
            users.end_sessions(user, Some(login), Revoked::Token(end));
        }
    }

    pub(super) async fn register(
        &self,
        registration: Registration,
        client: IpAddr,
    ) -> Result<Arc<User>, AuthError> {
        self.issuer()?;
        if !self.config.registration {
            return Err(CLOSED);
        }
        let wanted = register::check(registration)?;
        let network = network(client);
        self.registration_limit.begin(network).await?;
        let turn = self.passwords.admission.registration(network).await?;
        let hash = self.passwords.hash(turn, wanted.password).await?;
        let new = NewUser {
            id: None,
            origin: Origin::Hub,
            username: wanted.username,
            addresses: Addresses::email(wanted.email),
            full_name: wanted.full_name,
            role: wanted.role,
            is_email_verified: false,
            password_hash: Some(hash),
            now: self.clock.now(),
        };
        match self.accounts.store().create_user(new, Some(register::announcement)).await {
            Ok((user, told)) => {
                if let (Some(users), Some(told)) = (&self.users, &told) {
                    users.tell_all(told);
                }
                Ok(Arc::new(user))
            }
            Err(StoreError::Taken(field)) => Err(register::taken(field)),
            Err(StoreError::TooSimilar(field)) => Err(register::too_similar(field)),
            Err(error) => Err(unavailable(error)),
        }
    }
}
