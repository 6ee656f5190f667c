//! Changed and forgotten passwords, confirmed addresses, and the logins that end with them.

use std::net::IpAddr;

use bellpull_domain::account_link::{AccountLink, LinkPurpose};
use bellpull_domain::ids::{LoginId, UserId};
use bellpull_domain::routing::{Channel, Channels};
use bellpull_port::StoreError;
use bellpull_port::account_links::{EndedLogin, LinkTo, NewLink, PasswordChange};
use bellpull_port::outlet::{Revoked, TokenEnd};
use bellpull_port::rate::network;

use super::admission::{Admission, Name};
use super::ended::ENDED_MAX;
use super::follow::looking_back;
use super::register::check_password;
use super::{Auth, AuthError, Inner, Principal, unavailable};

const NO_MAIL: AuthError = AuthError::Disabled(
    "E-mail is not configured on this hub (smtp.url), so no link can be sent. An operator can set \
     a new password with `bellpull user password`.",
);

const NO_CONFIRMATION: AuthError = AuthError::Disabled(
    "E-mail is not configured on this hub (smtp.url), so no link can be sent. An admin can set \
     the address, which confirms it.",
);

const NO_ACCOUNT: AuthError = AuthError::Disabled("A service token has no password.");

fn wrong_password() -> AuthError {
    AuthError::Invalid("current_password", "This is not your current password.".to_owned())
}

/// Proves that a caller knew the account's password.
pub struct PasswordProof {
    user: UserId,
    /// The caller's own.
    login: Option<LoginId>,
    /// The hash of that password: if it has changed, the proof is void.
    hash: String,
}

// Without the hash.
impl std::fmt::Debug for PasswordProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordProof").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The error for a link that is not open: used, void, expired, or not of this hub.
fn bad_link() -> AuthError {
    let why = "This link is not valid any more: it has expired, or it was used. Ask for a new one.";
    AuthError::Invalid("token", why.to_owned())
}

/// Validates a new password.
fn check_new(password: &str) -> Result<(), AuthError> {
    check_password(password).map_err(|problem| AuthError::Invalid("new_password", problem))
}

impl Auth {
    /// Checks the account's password; a wrong one counts as a failed login. The proof is for
    /// [`Self::change_password`].
    ///
    /// # Errors
    /// [`AuthError::Invalid`] with `current_password`, `Disabled`, `Throttled`, `Unavailable`.
    pub async fn prove_password(
        &self,
        who: &Principal,
        current: String,
        client: IpAddr,
    ) -> Result<PasswordProof, AuthError> {
        let inner = &*self.0;
        inner.issuer()?;
        if who.is_service {
            return Err(NO_ACCOUNT);
        }
        let id = who.user.id;
        let attempt = Admission::attempt(Name::Account(id), network(client));
        let turn = inner.passwords.admission.login(attempt).await?;
        // Read only now: the password may have changed while the attempt waited.
        let stored = inner.accounts.store().password_hash(id).await.map_err(unavailable)?;
        let (is_match, turn) = inner.passwords.verify(turn, current, stored.clone()).await?;
        let Some(hash) = stored.filter(|_| is_match) else { return Err(wrong_password()) };
        turn.succeeded(attempt);
        Ok(PasswordProof { user: id, login: who.login, hash })
    }

    /// Sets a new password for a caller who has proved knowledge of the current one. All other
    /// logins end; the one of the caller's token continues.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] with `new_password`, or with `current_password` if it has changed
    /// meanwhile; `Throttled`, `Unavailable`.
    pub async fn change_password(
        &self,
        proof: PasswordProof,
        new: String,
    ) -> Result<(), AuthError> {
        let inner = &*self.0;
        check_new(&new)?;
        let turn = inner.passwords.admission.work().await?;
        let PasswordProof { user: id, login: keep, hash: seen } = proof;
        let password_hash = inner.passwords.hash(turn, new).await?;
        let (user, seen, now) = (id, Some(seen), inner.clock.now());
        let change = PasswordChange { user, password_hash, seen, keep, now };
        let ended = match inner.accounts.store().change_password(change).await {
            Err(StoreError::NotFound) => return Err(wrong_password()),
            changed => changed.map_err(unavailable)?,
        };
        inner.end_logins(&ended, TokenEnd::PasswordChanged);
        tracing::info!(user = %id, logins = ended.len(), "a password was changed");
        Ok(())
    }

    /// Whether links for new passwords can be sent at all.
    ///
    /// # Errors
    /// [`AuthError::Disabled`], which says what is missing.
    pub fn check_resets(&self) -> Result<(), AuthError> {
        self.0.issuer()?;
        if self.0.sends_mail { Ok(()) } else { Err(NO_MAIL) }
    }

    /// Sends a link for a new password, if an account has that address. The caller cannot tell:
    /// this returns at once, and the mail is queued in a task.
    pub fn send_reset(&self, email: String) {
        let auth = self.clone();
        tokio::spawn(async move {
            if let Err(error) = auth.mail(LinkPurpose::Password, LinkTo::Email(email)).await {
                tracing::warn!(%error, "a link for a new password was not sent");
            }
        });
    }

    /// Sets a new password through a link. All logins end, and all sockets of the account close.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] with `token` or `new_password`, `Disabled`, `Unavailable`.
    pub async fn reset_password(&self, link: AccountLink, new: String) -> Result<(), AuthError> {
        let inner = &*self.0;
        inner.issuer()?;
        // Checked before the hash: a used link costs no hashing.
        let is_open = inner.accounts.store().is_link_open(&link, inner.clock.now()).await;
        if !is_open.map_err(unavailable)? {
            return Err(bad_link());
        }
        check_new(&new)?;
        let turn = inner.passwords.admission.work().await?;
        let hash = inner.passwords.hash(turn, new).await?;
        let reset = inner.accounts.store().reset_password(link, hash, inner.clock.now());
        let ended = reset.await.map_err(unavailable)?.ok_or_else(bad_link)?;
        inner.forget(link.user);
        inner.end_logins(&ended, TokenEnd::PasswordReset);
        if let Some(users) = &inner.users {
            users.end_sessions(link.user, None, Revoked::Token(TokenEnd::PasswordReset));
        }
        tracing::info!(user = %link.user, logins = ended.len(), "a password was reset by a link");
        Ok(())
    }

    /// Whether links that confirm an address can be sent at all.
    ///
    /// # Errors
    /// [`AuthError::Disabled`], which says what is missing.
    pub fn check_confirmations(&self, who: &Principal) -> Result<(), AuthError> {
        self.0.issuer()?;
        if who.is_service {
            return Err(NO_ACCOUNT);
        }
        if self.0.sends_mail { Ok(()) } else { Err(NO_CONFIRMATION) }
    }

    /// Sends the link that confirms the caller's address, unless it is already verified.
    ///
    /// # Errors
    /// [`AuthError::Unavailable`].
    pub async fn send_confirmation(&self, who: &Principal) -> Result<(), AuthError> {
        self.mail(LinkPurpose::Email, LinkTo::User(who.user.id)).await.map_err(unavailable)
    }

    /// Confirms an address through a link.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] with `token`, `Disabled`, `Unavailable`.
    pub async fn confirm_email(&self, link: AccountLink) -> Result<(), AuthError> {
        let inner = &*self.0;
        inner.issuer()?;
        let confirmed = inner.accounts.store().confirm_email(link, inner.clock.now()).await;
        if !confirmed.map_err(unavailable)? {
            return Err(bad_link());
        }
        inner.forget(link.user);
        Ok(())
    }

    /// Ends all logins of an account and closes all its sockets. A client whose token
    /// belongs to no login may come back.
    ///
    /// # Errors
    /// [`AuthError::Unavailable`].
    pub async fn log_out_user(&self, user: UserId) -> Result<(), AuthError> {
        let inner = &*self.0;
        let ended = inner.accounts.store().revoke_all_logins(user, inner.clock.now()).await;
        let ended = ended.map_err(unavailable)?;
        inner.end_logins(&ended, TokenEnd::Revoked);
        if let Some(users) = &inner.users {
            users.end_sessions(user, None, Revoked::Token(TokenEnd::Revoked));
        }
        tracing::info!(%user, logins = ended.len(), "an admin logged a user out");
        Ok(())
    }

    /// An account was deactivated: its sessions are closed and its logins have ended, on every
    /// node. In the store they have ended already, so a node that is not told reads it.
    ///
    /// # Errors
    /// [`AuthError::Unavailable`].
    pub async fn deactivated(&self, user: UserId) -> Result<(), AuthError> {
        let inner = &*self.0;
        inner.end_all(user);
        let now = inner.clock.now();
        let since = Some(looking_back(now));
        let read = inner.accounts.store().logins_revoked(since, now, ENDED_MAX).await;
        let mut ended = read.map_err(unavailable)?.logins;
        ended.retain(|login| login.user == user);
        inner.end_logins(&ended, TokenEnd::Revoked);
        Ok(())
    }

    /// The error for a token that names no link of this hub.
    #[must_use]
    pub fn no_such_link(&self) -> AuthError {
        self.0.issuer().err().unwrap_or_else(bad_link)
    }

    pub(super) async fn mail(&self, purpose: LinkPurpose, to: LinkTo) -> Result<(), StoreError> {
        let inner = &*self.0;
        let new = NewLink { purpose, to, now: inner.clock.now() };
        let is_queued = inner.accounts.store().mail_link(new).await?;
        if let (true, Some(users)) = (is_queued, &inner.users) {
            users.nudge(Channels::of(&[Channel::Email]));
        }
        Ok(())
    }
}

impl Inner {
    fn end_logins(&self, ended: &[EndedLogin], end: TokenEnd) {
        for login in ended {
            self.end_login(login.user, login.id, Some(login.access_until), end);
        }
    }
}
