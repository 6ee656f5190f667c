//! Accounts and tokens: who is there, and how they prove it.

use std::sync::Arc;

use bellpull_actors::domain::ids::LoginId;
use bellpull_actors::domain::ticket::Caller;
use bellpull_actors::domain::user::{Role, User};
use jiff::Timestamp;

/// Accounts and tokens, for both edges. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Auth;

/// Whoever a good token speaks for.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The account as it stands now. For a service token (the hub's own command line) an account
    /// that exists nowhere: id 0, username `service`, role super admin.
    pub user: Arc<User>,
    /// The login that the token came from; `None` for a foreign or a service token.
    pub login: Option<LoginId>,
    /// When the token expires.
    pub expires_at: Timestamp,
    /// Whether this is a service token: it has an admin's rights but no inbox and no tickets.
    pub is_service: bool,
}

impl Principal {
    /// The principal as the rules see it.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller::from(&*self.user)
    }
}

/// Why somebody was not let in; the text may be shown to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No token where one is needed.
    #[error("Authentication credentials were not provided.")]
    Missing,
    /// The token will not do; the text says in what way, without repeating it.
    #[error("Given token not valid: {0}")]
    BadToken(&'static str),
    /// No such account, a wrong password, or an inactive account: not told apart.
    #[error("No active account found with the given credentials")]
    BadCredentials,
    /// Logins are made elsewhere (a public key or key set is configured), or not open.
    #[error("{0}")]
    Disabled(&'static str),
    /// A field will not do: its name, and what is wrong with it.
    #[error("{0}: {1}")]
    Invalid(&'static str, String),
    /// The store cannot answer now.
    #[error("the store is unavailable")]
    Unavailable,
}

/// What a login answers.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// For requests and sockets.
    pub access: String,
    /// For the next access token.
    pub refresh: String,
}

/// What somebody registers with (checked by [`Auth::register`]).
#[derive(Debug, Clone)]
pub struct Registration {
    /// Unique; 1 to 150 of letters, digits and `@.+-_`.
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

impl Auth {
    /// Whoever the access (or service) token speaks for, as the account stands now.
    ///
    /// # Errors
    /// [`AuthError::BadToken`], [`AuthError::Unavailable`].
    pub async fn authenticate(&self, token: &str) -> Result<Principal, AuthError> {
        todo!("{token}")
    }

    /// Logs somebody in by username or e-mail address.
    ///
    /// # Errors
    /// [`AuthError::BadCredentials`], `Disabled`, `Unavailable`.
    pub async fn login(
        &self,
        name: bellpull_actors::port::accounts::LoginName,
        password: String,
    ) -> Result<(Tokens, Arc<User>), AuthError> {
        todo!("{name:?} {password}")
    }

    /// A new access token (and a new refresh token) for a refresh token. A client that keeps
    /// using the one that it has may; once a successor was used, the one before it ends the login.
    ///
    /// # Errors
    /// [`AuthError::BadToken`], `Disabled`, `Unavailable`.
    pub async fn refresh(&self, refresh: &str) -> Result<Tokens, AuthError> {
        todo!("{refresh}")
    }

    /// Makes an account; every super admin is told, in the same transaction, and live.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], `Disabled`, `Unavailable`.
    pub async fn register(&self, registration: Registration) -> Result<Arc<User>, AuthError> {
        todo!("{registration:?}")
    }

    /// Ends the login of the principal's token, or (where given) of the refresh token, if it is
    /// the principal's own; its sockets are closed with 4401.
    ///
    /// # Errors
    /// [`AuthError::BadToken`], `Unavailable`.
    pub async fn logout(&self, who: &Principal, refresh: Option<&str>) -> Result<(), AuthError> {
        todo!("{who:?} {refresh:?}")
    }

    /// A password's hash as accounts keep it; a few of them are made at a time, the others wait.
    ///
    /// # Errors
    /// [`AuthError::Unavailable`].
    pub async fn hash_password(&self, password: String) -> Result<String, AuthError> {
        todo!("{password}")
    }

    /// Forgets what is remembered of an account: call it after changing one.
    pub fn forget(&self, user: bellpull_actors::domain::ids::UserId) {
        todo!("{user}")
    }
}
