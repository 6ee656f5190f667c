//! Accounts and tokens: authentication and account management.
//!
//! `keys` verifies a token's signature with keys that `key_file` reads, `claims` validates its
//! content, `accounts` finds (or creates) its account, `foreign` decides which accounts another
//! issuer's token opens and applies its claims; `logins` handles passwords and refresh
//! tokens, [`credentials`] changes and resets passwords and confirms addresses, [`follow`] reads
//! what other processes ended or withdrew (`withdrawn`: which of it is done already), `register`
//! validates names, `registration_limit` limits registrations; `admission` decides whose password
//! is hashed next, [`password`] hashes it, in `hash_memory`; `ws_tickets` opens sockets without a
//! token in the URL; [`issue`] signs the hub's own tokens, `service` is whose those of back ends
//! are, `pass` what nodes show each other.

mod accounts;
mod admission;
mod claims;
pub mod credentials;
mod ended;
pub mod follow;
mod foreign;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod hash_memory;
pub mod issue;
mod key;
mod key_file;
mod keys;
mod logins;
mod pass;
pub mod password;
pub mod register;
mod registration_limit;
mod remembered;
mod service;
mod start;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod withdrawn;
mod ws_tickets;

use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bellpull_actors::directory::Users;
use bellpull_domain::account_link::LinkPurpose;
use bellpull_domain::ids::{LoginId, UserId};
use bellpull_domain::ticket::Caller;
use bellpull_domain::user::{Role, User};
use bellpull_port::account_links::LinkTo;
use bellpull_port::accounts::LoginName;
use bellpull_port::outlet::{Ending, Revoked, TokenEnd};
use bellpull_port::{Broker, BrokerMessage, Clock, StoreError, Subscriber};
use jiff::Timestamp;

use self::accounts::Accounts;
use self::claims::Access;
pub use self::claims::is_service_name;
use self::ended::{EndedLogins, Known};
use self::foreign::Refused;
use self::issue::Issuer;
use self::keys::Keys;
use self::logins::after;
pub use self::pass::{NodePasses, SignedBody};
use self::password::Passwords;
use self::registration_limit::RegistrationLimit;
pub use self::start::{AuthStartError, OWN_SHOWN_MAX, Signing, shown_own};
use self::withdrawn::Withdrawn;
pub use self::ws_tickets::TTL_S as WS_TICKET_TTL_S;
use self::ws_tickets::WsTickets;
use bellpull_config::AuthConfig;

/// Accounts and tokens, for both edges. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Auth(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: AuthConfig,
    keys: Keys,
    /// `None` if another issuer signs the tokens.
    issuer: Option<Issuer>,
    passes: NodePasses,
    accounts: Arc<Accounts>,
    ended: EndedLogins,
    withdrawn: Withdrawn,
    refused: Refused,
    ws_tickets: WsTickets,
    passwords: Passwords,
    registration_limit: RegistrationLimit,
    /// Whether the hub can send mails.
    sends_mail: bool,
    /// `None` in tests without connections.
    users: Option<Users>,
    clock: Arc<dyn Clock>,
    service: Arc<User>,
}

/// The authenticated caller.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The current account. For a service token (a back end, or the hub's own command line) an
    /// account that is not stored: id 0, username `service:NAME` or `service`, role super admin.
    pub user: Arc<User>,
    /// The login that the token came from; `None` for a foreign or a service token.
    pub login: Option<LoginId>,
    /// When the token expires.
    pub expires_at: Timestamp,
    /// Whether this is a service token: it has an admin's rights but no inbox and no tickets.
    pub is_service: bool,
}

impl Principal {
    /// The caller as the domain's rules see it.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller::from(&*self.user)
    }
}

/// Why a caller was not authenticated; the text may be shown to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No token, where one is required.
    #[error("Authentication credentials were not provided.")]
    Missing,
    /// The token is invalid; the text says why, without repeating it.
    #[error("Given token not valid: {0}")]
    BadToken(&'static str),
    /// The account is the hub's own, and the token another issuer's.
    #[error(
        "Given token not valid: this account is the hub's own, another issuer's do not open it"
    )]
    HubsAccount,
    /// No such account, a wrong password, or an inactive account: not distinguished.
    #[error("No active account found with the given credentials")]
    BadCredentials,
    /// Another issuer manages logins (a public key or key set is configured), or registration is
    /// closed.
    #[error("{0}")]
    Disabled(&'static str),
    /// A logout with a token that belongs to no login: there is nothing to end.
    #[error("This token does not belong to a login and stays valid until it expires.")]
    NoLogin,
    /// A field is invalid: its name, and what is wrong with it.
    #[error("{0}: {1}")]
    Invalid(&'static str, String),
    /// Too many attempts.
    #[error("Too many of these at once; try again in {retry_after_s} seconds.")]
    Throttled {
        /// When to try again.
        retry_after_s: u32,
    },
    /// The hub cannot answer now.
    #[error("the hub cannot answer now")]
    Unavailable,
}

/// The answer to a login.
#[derive(Clone)]
pub struct Tokens {
    /// For requests and sockets.
    pub access: String,
    /// For the next access token.
    pub refresh: String,
}

// A token grants access: it is never printed.
impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// A registration (validated by [`Auth::register`]).
#[derive(Clone)]
pub struct Registration {
    /// Unique, and not similar to another; 1 to 150 of letters, digits and `@.+-_`.
    pub username: String,
    /// Unique.
    pub email: String,
    /// At least 8 characters, at most 1,024 bytes.
    pub password: String,
    /// May be empty.
    pub full_name: String,
    /// `client` where none was given.
    pub role: Role,
}

// Without the password.
impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registration")
            .field("username", &self.username)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

const NO_ACCOUNT: AuthError = AuthError::BadToken("there is no such account");

/// By how much the clock of the node that has issued a token may be ahead of this one's.
const CLOCKS_DIFFER_S: u32 = 60;

const INACTIVE: AuthError = AuthError::BadToken("the account is not active");

fn count_refusal(answer: &Result<Principal, AuthError>) {
    let why = match answer {
        Err(AuthError::BadToken(why)) => *why,
        Err(AuthError::HubsAccount) => "the account is the hub's own",
        Ok(_) | Err(_) => return,
    };
    metrics::counter!("bellpull_tokens_refused_total", "why" => why).increment(1);
}

/// A store's failure as the client sees it; the details are logged.
fn unavailable(error: StoreError) -> AuthError {
    tracing::warn!(%error, "accounts: the store does not answer");
    AuthError::Unavailable
}

impl Auth {
    /// Authenticates an access (or service) token; the account is current, or at most two seconds
    /// old if another node changed it.
    ///
    /// # Errors
    /// [`AuthError::BadToken`], [`AuthError::Unavailable`].
    pub async fn authenticate(&self, token: &str) -> Result<Principal, AuthError> {
        let answer = self.principal(token).await;
        count_refusal(&answer);
        answer
    }

    async fn principal(&self, token: &str) -> Result<Principal, AuthError> {
        let inner = &*self.0;
        let claims = inner.keys.open(token).await?;
        let now = inner.clock.now();
        let expires_at = claims.valid_until(now, inner.config.issuer.as_deref())?;
        claims.check_audience(inner.config.audience.as_deref())?;
        let (id, login) = match claims.access()? {
            Access::User { id, login } => (id, login.filter(|_| inner.keys.is_own())),
            Access::Service { name } => return self.service(name.as_deref(), now, expires_at),
        };
        self.check_login(login, now).await?;
        let is_foreign = inner.config.has_issuer() && !(inner.keys.is_own() && claims.is_hubs());
        let user = match inner.accounts.find(id, now).await? {
            Some(user) if is_foreign => inner.open_foreign(user, &claims).await?,
            Some(user) => user,
            None if inner.config.auto_provision && is_foreign => {
                inner.accounts.provision(id, &claims, now).await?
            }
            None => return Err(NO_ACCOUNT),
        };
        if !user.is_active {
            return Err(INACTIVE);
        }
        // Logins have ended with the deactivation; other tokens are known by their age alone.
        if login.is_none()
            && user.tokens_from > Timestamp::UNIX_EPOCH
            && claims.issued_at() <= user.tokens_from
        {
            return Err(AuthError::BadToken("it is older than the account's last deactivation"));
        }
        Ok(Principal { user, login, expires_at, is_service: false })
    }

    async fn check_login(&self, login: Option<LoginId>, now: Timestamp) -> Result<(), AuthError> {
        let Some(login) = login else { return Ok(()) };
        match self.0.is_ended(login, now).await.map_err(unavailable)? {
            true => Err(AuthError::BadToken("its login has ended")),
            false => Ok(()),
        }
    }

    /// Whether a principal's token is still valid. A caller that keeps a connection open asks again
    /// once it *is* open: a logout in between closed only the connections that were open by then.
    ///
    /// # Errors
    /// Why the connection must be closed. A store that does not answer is no reason, unless only
    /// the store knows whether the login has ended.
    pub async fn recheck(&self, principal: &Principal) -> Result<(), Ending> {
        let inner = &*self.0;
        let now = inner.clock.now();
        if principal.expires_at <= now {
            return Err(Ending::TokenEnded(TokenEnd::Expired));
        }
        if let Some(login) = principal.login {
            match inner.is_ended(login, now).await {
                Ok(true) => return Err(Ending::TokenEnded(TokenEnd::LoggedOut)),
                Ok(false) => {}
                Err(_) => return Err(Ending::Restarting { retry_after_ms: 1_000 }),
            }
        }
        if principal.is_service {
            return Ok(());
        }
        match inner.accounts.find(principal.user.id, now).await {
            Ok(Some(user)) if user.is_active && user.role == principal.user.role => Ok(()),
            Ok(Some(user)) if user.is_active => Err(Revoked::Role.into()),
            Ok(_) => Err(Ending::RightWithdrawn),
            Err(_) => Ok(()),
        }
    }

    /// How long a principal's token is still valid.
    #[must_use]
    pub fn time_left(&self, principal: &Principal) -> Duration {
        let left = principal.expires_at.duration_since(self.0.clock.now());
        Duration::try_from(left).unwrap_or_default()
    }

    /// Logs in a client at that address, by username or e-mail address. Failed attempts on an
    /// account slow further ones down; this may take 10 s.
    ///
    /// # Errors
    /// [`AuthError::BadCredentials`], `Disabled`, `Throttled`, `Unavailable`.
    pub async fn login(
        &self,
        name: LoginName,
        password: String,
        client: IpAddr,
    ) -> Result<(Tokens, Arc<User>), AuthError> {
        let answer = self.0.login(name, password, client).await;
        let outcome = match &answer {
            Ok(_) => "good",
            Err(AuthError::BadCredentials) => "refused",
            Err(AuthError::Throttled { .. }) => "throttled",
            Err(_) => "failed",
        };
        metrics::counter!("bellpull_logins_total", "outcome" => outcome).increment(1);
        answer
    }

    /// A new access token (and a new refresh token) for a refresh token. A client may keep using
    /// the refresh token that it has; once a successor was used, the previous one ends the login.
    ///
    /// # Errors
    /// [`AuthError::BadToken`], `Disabled`, `Unavailable`.
    pub async fn refresh(&self, refresh: &str) -> Result<Tokens, AuthError> {
        self.0.refresh(refresh).await
    }

    /// Creates an account for a client at that address; every super admin is notified, in the same
    /// transaction, and live. If addresses must be verified, the new user is sent a link that
    /// confirms the e-mail address; it can be requested again.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], `Disabled`, `Throttled`, `Unavailable`.
    pub async fn register(
        &self,
        registration: Registration,
        client: IpAddr,
    ) -> Result<Arc<User>, AuthError> {
        let user = self.0.register(registration, client).await?;
        if self.0.sends_mail && self.0.config.verify_email {
            let mailed = self.mail(LinkPurpose::Email, LinkTo::User(user.id)).await;
            if let Err(error) = mailed {
                tracing::warn!(%error, user = %user.id, "no link to confirm the address was sent");
            }
        }
        Ok(user)
    }

    /// Ends the login of the principal's token, or of the refresh token, if given and the
    /// principal's own; its sockets are closed with 4401, and its access tokens are refused, by
    /// this process and its successors.
    ///
    /// # Errors
    /// [`AuthError::NoLogin`] for a token of another issuer or of our own command line;
    /// [`AuthError::BadToken`], `Unavailable`.
    pub async fn logout(
        &self,
        who: Option<&Principal>,
        refresh: Option<&str>,
    ) -> Result<(), AuthError> {
        self.0.logout(who, refresh).await
    }

    /// Hashes a password for a caller that may set passwords; one is hashed at a time, the others
    /// wait.
    ///
    /// # Errors
    /// [`AuthError::Throttled`], `Unavailable`.
    pub async fn hash_password(&self, password: String) -> Result<String, AuthError> {
        let turn = self.0.passwords.admission.work().await?;
        self.0.passwords.hash(turn, password).await
    }

    /// Reads the key file periodically, if another issuer signs the tokens; never returns.
    pub async fn follow_keys(self) {
        self.0.keys.follow().await;
    }

    /// Reads the keys of tokens anew, if they are in a file.
    pub async fn read_keys_anew(&self) {
        self.0.keys.read_anew().await;
    }

    /// Subscribes it to what other nodes tell of logins and accounts.
    pub fn subscribe(&self, broker: &dyn Broker) {
        let weak: Weak<Inner> = Arc::downgrade(&self.0);
        broker.subscribe(weak);
    }

    /// Drops an account from the cache: call it after changing one.
    pub fn forget(&self, user: UserId) {
        self.0.forget(user);
    }

    /// An account has another role now: closes the sessions that were opened with the one before,
    /// on every node, so that they come back with the rights of this one.
    pub fn role_changed(&self, after: User) {
        self.0.role_changed(&Arc::new(after));
    }
}

impl Inner {
    async fn is_ended(&self, login: LoginId, now: Timestamp) -> Result<bool, StoreError> {
        match self.ended.look(login, now) {
            Known::Ended => Ok(true),
            Known::Open => Ok(false),
            Known::Missing => self.accounts.store().is_login_ended(login).await,
        }
    }

    /// Another node has ended a login. No token of ours lives longer than its setting says, so a
    /// later time is not believed: it would only fill the memory. Should it be of a token that was
    /// issued under a longer setting, it is read from the store within seconds.
    fn login_ended(&self, login: LoginId, until: Timestamp) {
        let now = self.clock.now();
        let last = after(now, self.config.access_ttl_s.saturating_add(CLOCKS_DIFFER_S));
        if until <= last {
            self.ended.insert(login, now, until);
        }
    }

    /// Drops an account from the cache, on every node.
    fn forget(&self, user: UserId) {
        self.accounts.forget(user);
        if let Some(users) = &self.users {
            users.publish(BrokerMessage::AccountChanged(user));
        }
    }

    /// An account has lost the right to be here: closes all of its sessions, on every node.
    fn end_all(&self, user: UserId) {
        self.withdrawn.note(user);
        if let Some(users) = &self.users {
            users.end_sessions(user, None, Revoked::Right);
        }
    }
}

impl Subscriber for Inner {
    fn receive(&self, message: BrokerMessage<'_>) {
        match message {
            BrokerMessage::LoginEnded { login, until } => {
                self.login_ended(login, until);
            }
            BrokerMessage::AccountChanged(user) => self.accounts.forget(user),
            BrokerMessage::SessionsEnded { user, login: None, why: Revoked::Role } => {
                self.role_changed_elsewhere(user);
            }
            // The actors close them.
            BrokerMessage::SessionsEnded { user, login: None, why: Revoked::Right } => {
                self.withdrawn.note(user);
            }
            // These are not about accounts; the actors close the sessions.
            BrokerMessage::Changed { .. }
            | BrokerMessage::Moved(_)
            | BrokerMessage::Announced(_)
            | BrokerMessage::ProjectNews { .. }
            | BrokerMessage::Presence { .. }
            | BrokerMessage::MemberRemoved { .. }
            | BrokerMessage::SessionsEnded { .. }
            | BrokerMessage::TemplatesChanged
            | BrokerMessage::ChannelsDue(_)
            | BrokerMessage::Compare
            | BrokerMessage::Missed => {}
        }
    }
}
