//! Passes: what a node shows another for an operator whose request it passes on.
//!
//! The operator's own token is never passed on: where the other node is reached is a row of the
//! database, and a token that is sent to a wrong address is good for all that the operator may do.
//! A pass is good for one request (method, path with its query, which names the node, and body) and
//! for half a minute. It is signed with a key that all nodes derive from the hub's secret, also
//! where tokens are issued elsewhere.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bellpull_domain::ids::{LoginId, UserId};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Auth, AuthError, INACTIVE, NO_ACCOUNT, Principal};
use bellpull_config::Secret;

/// How long a pass is good.
const TTL_S: i64 = 30;
/// By how much the clocks of two nodes may differ.
const LEEWAY_S: i64 = 60;
/// What the key is derived for.
const PURPOSE: &[u8] = b"bellpull: requests that nodes pass on";

/// Signs and opens passes; clones share the keys.
#[derive(Clone)]
pub struct NodePasses(Arc<(EncodingKey, DecodingKey)>);

// Keys are never printed.
impl std::fmt::Debug for NodePasses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodePasses").finish_non_exhaustive()
    }
}

/// A request's body must have this hash (SHA-256).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedBody([u8; 32]);

impl SignedBody {
    fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }

    /// Whether it is the one that was signed.
    #[must_use]
    pub fn is(self, body: &[u8]) -> bool {
        self == Self::of(body)
    }
}

#[derive(Serialize, Deserialize)]
struct Pass {
    user: i64,
    login: Option<i64>,
    is_service: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    /// When the operator's own token expires, in ms: a stream ends then.
    until: i64,
    /// `GET /path?query`.
    request: String,
    /// The hash of the body.
    body: String,
    /// When the pass itself expires, in s.
    exp: i64,
}

impl NodePasses {
    /// Those of nodes with that secret.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        let key = match Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()) {
            Ok(mac) => mac.chain_update(PURPOSE).finalize().into_bytes(),
            // HMAC takes keys of any length.
            Err(_) => Sha256::digest(secret.reveal()),
        };
        Self(Arc::new((EncodingKey::from_secret(&key), DecodingKey::from_secret(&key))))
    }

    /// A pass for that caller's request.
    ///
    /// # Errors
    /// [`AuthError::Unavailable`] if it cannot be signed.
    pub fn sign(
        &self,
        caller: &Principal,
        request: String,
        body: &[u8],
        now: Timestamp,
    ) -> Result<String, AuthError> {
        let pass = Pass {
            user: caller.user.id.0,
            login: caller.login.map(|login| login.0),
            is_service: caller.is_service,
            service: caller.service().map(str::to_owned),
            until: caller.expires_at.as_millisecond(),
            request,
            body: URL_SAFE_NO_PAD.encode(SignedBody::of(body).0),
            exp: now.as_second().saturating_add(TTL_S),
        };
        encode(&Header::new(Algorithm::HS256), &pass, &self.0.0).map_err(|error| {
            tracing::error!(%error, "a pass for another node could not be signed");
            AuthError::Unavailable
        })
    }

    fn open(&self, pass: &str, request: &str, now: Timestamp) -> Result<Pass, AuthError> {
        let mut validation = Validation::new(Algorithm::HS256);
        // Times are checked against the hub's own clock.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let opened = decode::<Pass>(pass, &self.0.1, &validation);
        let pass = opened.map_err(|_| AuthError::BadToken("it is no pass of a node"))?.claims;
        if pass.exp.saturating_add(LEEWAY_S) <= now.as_second() {
            return Err(AuthError::BadToken("expired"));
        }
        if pass.request != request {
            return Err(AuthError::BadToken("it is a pass for another request"));
        }
        Ok(pass)
    }
}

impl Auth {
    /// Authenticates a request (`GET /path?query`) that another node has passed on, by its pass:
    /// the caller as if this node had been asked, and the body that the request must have.
    ///
    /// # Errors
    /// [`AuthError::BadToken`], [`AuthError::Unavailable`].
    pub async fn open_pass(
        &self,
        pass: &str,
        request: &str,
    ) -> Result<(Principal, SignedBody), AuthError> {
        let inner = &*self.0;
        let now = inner.clock.now();
        let pass = inner.passes.open(pass, request, now)?;
        let expires_at = Timestamp::from_millisecond(pass.until).unwrap_or_default();
        if expires_at <= now {
            return Err(AuthError::BadToken("expired"));
        }
        let body = URL_SAFE_NO_PAD.decode(&pass.body).ok().and_then(|hash| hash.try_into().ok());
        let body = SignedBody(body.ok_or(AuthError::BadToken("it is no pass of a node"))?);
        if pass.is_service {
            return Ok((inner.service_principal(pass.service.as_deref(), expires_at), body));
        }
        let login = pass.login.map(LoginId);
        self.check_login(login, now).await?;
        let user = inner.accounts.find(UserId(pass.user), now).await?.ok_or(NO_ACCOUNT)?;
        if !user.is_active {
            return Err(INACTIVE);
        }
        Ok((Principal { user, login, expires_at, is_service: false }, body))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Accounts;
    use super::*;

    fn passes(secret: &str) -> NodePasses {
        NodePasses::new(&Secret::new(secret.to_owned()))
    }

    fn why(opened: Result<Pass, AuthError>) -> String {
        opened.map(drop).unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_pass_is_good_for_one_request_for_half_a_minute() {
        let accounts = Accounts::gather().await;
        let caller = accounts.auth.authenticate(&accounts.token(1, "access", 900)).await.unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let request = "POST /api/operator/actors/users%2F0/restart/?node=b";
        let pass = passes("s").sign(&caller, request.to_owned(), b"{}", at(1_000)).unwrap();
        let opened = passes("s").open(&pass, request, at(1_000)).unwrap();
        assert_eq!((opened.user, opened.until), (1, caller.expires_at.as_millisecond()));
        assert!(why(passes("other").open(&pass, request, at(1_000))).contains("no pass"));
        assert!(passes("s").open(&pass, request, at(1_000 + TTL_S + LEEWAY_S - 1)).is_ok());
        let late = at(1_000 + TTL_S + LEEWAY_S);
        assert!(why(passes("s").open(&pass, request, late)).contains("expired"));
        for other in ["GET /api/auth/me/", "POST /api/operator/actors/users%2F0/restart/?node=a"] {
            assert!(why(passes("s").open(&pass, other, at(1_000))).contains("another request"));
        }
        assert!(SignedBody::of(b"{}").is(b"{}") && !SignedBody::of(b"{}").is(b"{ }"));
    }
}
