//! Issues the hub's own tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bellpull_actors::domain::ids::LoginId;
use bellpull_actors::domain::user::User;
use bellpull_actors::port::{AccountStore, StoreError};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

use super::AuthError;
use crate::config::{Config, Secret};

/// The setting that holds a generated secret.
const SECRET_SETTING: &str = "jwt_secret";

/// How long a token for one request of our own command line lives, in seconds.
const CALL_TTL_S: i64 = 60;

/// Signs tokens with the hub's secret.
#[derive(Debug)]
pub struct Issuer {
    key: EncodingKey,
    /// The `iss` claim of its tokens.
    name: Option<String>,
}

#[derive(Serialize)]
struct Signed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    user_id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    token_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<i64>,
    iat: i64,
    exp: i64,
    jti: String,
    /// Another issuer may have the same secret: the hub's tokens say that they are the hub's.
    bellpull: bool,
}

impl Issuer {
    /// An issuer with that secret; its tokens have no `iss`.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self { key: EncodingKey::from_secret(secret.reveal().as_bytes()), name: None }
    }

    /// Sets the `iss` claim of its tokens (`auth.issuer`), if a name is given.
    #[must_use]
    pub fn named(self, name: Option<&str>) -> Self {
        Self { name: name.map(str::to_owned), ..self }
    }

    /// An access token for an account.
    ///
    /// # Errors
    /// [`AuthError::Unavailable`] if the system has no randomness.
    pub fn access(
        &self,
        user: &User,
        login: Option<LoginId>,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<String, AuthError> {
        self.sign(&Signed {
            iss: self.name.as_deref(),
            user_id: user.id.0,
            username: Some(&user.username),
            role: Some(user.role.as_str()),
            token_type: "access",
            service: None,
            login: login.map(|login| login.0),
            generation: None,
            iat: now.as_second(),
            exp: expires_at.as_second(),
            jti: random_text::<16>()?,
            bellpull: true,
        })
    }

    /// A refresh token of a login.
    pub(super) fn refresh(
        &self,
        user: &User,
        login: LoginId,
        generation: i64,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<String, AuthError> {
        self.sign(&Signed {
            iss: self.name.as_deref(),
            user_id: user.id.0,
            username: None,
            role: None,
            token_type: "refresh",
            service: None,
            login: Some(login.0),
            generation: Some(generation),
            iat: now.as_second(),
            exp: expires_at.as_second(),
            jti: random_text::<16>()?,
            bellpull: true,
        })
    }

    /// A token for one request of our own command line to a hub on the same database.
    ///
    /// # Errors
    /// [`AuthError::Unavailable`] if the system has no randomness.
    pub fn service(&self, now: Timestamp) -> Result<String, AuthError> {
        self.sign_service(None, now.as_second(), now.as_second().saturating_add(CALL_TTL_S))
    }

    /// A token for a back end: it has all rights, and no inbox.
    ///
    /// # Errors
    /// [`AuthError::Unavailable`] if the system has no randomness.
    pub fn back_end(
        &self,
        name: &str,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<String, AuthError> {
        self.sign_service(Some(name), now.as_second(), expires_at.as_second())
    }

    fn sign_service(&self, service: Option<&str>, iat: i64, exp: i64) -> Result<String, AuthError> {
        self.sign(&Signed {
            iss: self.name.as_deref(),
            user_id: 0,
            username: None,
            role: None,
            token_type: "service",
            service,
            login: None,
            generation: None,
            iat,
            exp,
            jti: random_text::<16>()?,
            bellpull: true,
        })
    }

    fn sign(&self, claims: &Signed<'_>) -> Result<String, AuthError> {
        encode(&Header::new(Algorithm::HS256), claims, &self.key).map_err(|error| {
            tracing::error!(%error, "a token could not be signed");
            AuthError::Unavailable
        })
    }
}

/// The configured secret, or the one in the database, generated by the first caller.
///
/// # Errors
/// Those of the store.
pub async fn hub_secret(
    config: &Config,
    accounts: &dyn AccountStore,
) -> Result<Secret, StoreError> {
    if let Some(secret) = &config.jwt_secret {
        return Ok(secret.clone());
    }
    let fresh = random_text::<32>().map_err(|error| StoreError::Unavailable(error.to_string()))?;
    accounts.setting_or_insert(SECRET_SETTING, &fresh).await.map(Secret::new)
}

/// `N` random bytes as text that is safe in a URL.
fn random_text<const N: usize>() -> Result<String, AuthError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system gives no random bytes");
        AuthError::Unavailable
    })?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
