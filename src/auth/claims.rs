//! The claims of a token, and whether they are valid now.

use bellpull_domain::ids::{LoginId, UserId};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::AuthError;

/// The longest name of a service.
const SERVICE_NAME_MAX: usize = 80;

/// How far in the future `iat` and `nbf` may be: the clocks of two hosts differ by less, and many
/// issuers write the present second into both.
const LEEWAY_MS: i64 = 60_000;

/// What Keycloak calls its tokens that are no access tokens.
const OTHER_TYPES: [&str; 4] = ["ID", "Refresh", "Offline", "Logout"];

/// The largest integer that every client's JSON can hold.
const ID_MAX: i64 = (1 << 53) - 1;

/// The claims that are read. Other issuers may use our private claims for anything, so all are
/// parsed loosely and validated where they are used.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Claims {
    user_id: Option<Value>,
    sub: Option<Value>,
    token_type: Option<Value>,
    typ: Option<Value>,
    token_use: Option<Value>,
    exp: Option<Value>,
    nbf: Option<Value>,
    iat: Option<Value>,
    iss: Option<Value>,
    aud: Option<Value>,
    login: Option<Value>,
    generation: Option<Value>,
    username: Option<Value>,
    email: Option<Value>,
    email_verified: Option<Value>,
    full_name: Option<Value>,
    role: Option<Value>,
    service: Option<Value>,
    bellpull: Option<Value>,
}

/// What an access token authorises.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Requests of a user.
    User {
        /// The user.
        id: UserId,
        /// The login that the token was issued for, if it says so.
        login: Option<LoginId>,
    },
    /// Requests of a back end, or of our own command line, which has no name.
    Service {
        /// The name of the back end.
        name: Option<String>,
    },
}

/// The claims of a refresh token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refresh {
    pub(super) user: UserId,
    pub(super) login: LoginId,
    pub(super) generation: i64,
    pub(super) expires_at: Timestamp,
}

impl Claims {
    /// When the token ends, if it is valid now and its issuer is the expected one.
    pub(super) fn valid_until(
        &self,
        now: Timestamp,
        issuer: Option<&str>,
    ) -> Result<Timestamp, AuthError> {
        let bad = |why| Err(AuthError::BadToken(why));
        let now_ms = now.as_millisecond();
        let Some(exp_ms) = self.exp.as_ref().and_then(numeric_date_ms) else {
            return bad("it has no expiry");
        };
        if exp_ms <= now_ms {
            return bad("it has expired");
        }
        let latest_ms = now_ms.saturating_add(LEEWAY_MS);
        if begun(self.nbf.as_ref(), latest_ms)? == Begun::Later {
            return bad("it is not yet valid");
        }
        if begun(self.iat.as_ref(), latest_ms)? == Begun::Later {
            return bad("it was issued in the future");
        }
        let named = self.iss.as_ref().and_then(Value::as_str);
        if issuer.is_some_and(|wanted| named != Some(wanted)) {
            return bad("its issuer is not accepted");
        }
        Ok(Timestamp::from_millisecond(exp_ms).unwrap_or(Timestamp::MAX))
    }

    /// Refuses a token for another audience, if an audience is configured.
    pub(super) fn check_audience(&self, audience: Option<&str>) -> Result<(), AuthError> {
        if audience.is_some_and(|wanted| !is_for(self.aud.as_ref(), wanted)) {
            return Err(AuthError::BadToken("it is meant for another audience"));
        }
        Ok(())
    }

    /// The owner of an access token.
    pub(super) fn access(&self) -> Result<Access, AuthError> {
        if self.is_for_other_use() {
            return Err(AuthError::BadToken("it is not an access token"));
        }
        match self.token_type.as_ref().map(|kind| kind.as_str().unwrap_or_default()) {
            None | Some("access") => {
                let login = self.login.as_ref().and_then(Value::as_i64).map(LoginId);
                Ok(Access::User { id: self.user()?, login })
            }
            Some("service") => Ok(Access::Service { name: self.service()? }),
            Some(_) => Err(AuthError::BadToken("it is not an access token")),
        }
    }

    /// The name of the back end that a service token is for, if it says so.
    fn service(&self) -> Result<Option<String>, AuthError> {
        match &self.service {
            None => Ok(None),
            Some(Value::String(name)) if is_service_name(name) => Ok(Some(name.clone())),
            Some(_) => Err(AuthError::BadToken("its service is no name")),
        }
    }

    /// Whether its issuer says that it is an identity or a refresh token, which the same key signs:
    /// Keycloak by `typ`, Cognito by `token_use`.
    fn is_for_other_use(&self) -> bool {
        let typ = self.typ.as_ref().and_then(Value::as_str).unwrap_or_default();
        let is_other = OTHER_TYPES.iter().any(|other| other.eq_ignore_ascii_case(typ));
        is_other || self.token_use.as_ref().is_some_and(|it| it.as_str() != Some("access"))
    }

    /// The claims of a refresh token.
    pub(super) fn refresh(&self, expires_at: Timestamp) -> Result<Refresh, AuthError> {
        let number = |claim: &Option<Value>| claim.as_ref().and_then(Value::as_i64);
        let is_refresh = self.token_type.as_ref().and_then(Value::as_str) == Some("refresh");
        match (is_refresh, number(&self.login), number(&self.generation)) {
            (true, Some(login), Some(generation)) => {
                Ok(Refresh { user: self.user()?, login: LoginId(login), generation, expires_at })
            }
            _ => Err(AuthError::BadToken("it is not a refresh token of this hub")),
        }
    }

    /// Whether the hub has issued it: its tokens say so. Only of a token that the hub's secret
    /// signed.
    pub(super) fn is_hubs(&self) -> bool {
        self.bellpull == Some(Value::Bool(true))
    }

    /// When it was issued, or is valid from; the epoch if it does not say.
    pub(super) fn issued_at(&self) -> Timestamp {
        let ms = self.iat.as_ref().or(self.nbf.as_ref()).and_then(numeric_date_ms);
        ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Whether the issuer vouches for the e-mail address: unless it says that it does not.
    pub(super) fn is_email_verified(&self) -> bool {
        self.email_verified != Some(Value::Bool(false))
    }

    fn user(&self) -> Result<UserId, AuthError> {
        let Some(id) = self.user_id.as_ref().or(self.sub.as_ref()) else {
            return Err(AuthError::BadToken("it names no user"));
        };
        let number = match id {
            Value::Number(number) => number.as_i64(),
            // `parse` alone would accept a sign.
            Value::String(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok()
            }
            Value::Null
            | Value::Bool(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        };
        number
            .filter(|id| (1..=ID_MAX).contains(id))
            .map(UserId)
            .ok_or(AuthError::BadToken("its user_id is not a number"))
    }

    /// A text claim; empty if it is missing or not a text.
    pub(super) fn text(&self, claim: Profile) -> &str {
        let value = match claim {
            Profile::Username => &self.username,
            Profile::Email => &self.email,
            Profile::FullName => &self.full_name,
            Profile::Role => &self.role,
        };
        value.as_ref().and_then(Value::as_str).unwrap_or_default().trim()
    }
}

/// Whether a back end can be called so: 1 to 80 letters, digits, dots, hyphens and underscores.
#[must_use]
pub fn is_service_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=SERVICE_NAME_MAX).contains(&name.len()) && name.bytes().all(is_plain)
}

/// The claims that an account takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Profile {
    Username,
    Email,
    FullName,
    Role,
}

/// Whether the time in a claim has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    Now,
    Later,
}

/// Whether the time in a claim, if there is one, has come by `now_ms`.
fn begun(claim: Option<&Value>, now_ms: i64) -> Result<Begun, AuthError> {
    match claim.map(numeric_date_ms) {
        Some(Some(ms)) if ms > now_ms => Ok(Begun::Later),
        None | Some(Some(_)) => Ok(Begun::Now),
        Some(None) => Err(AuthError::BadToken("it is not a well-formed token")),
    }
}

fn is_for(aud: Option<&Value>, wanted: &str) -> bool {
    match aud {
        Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(wanted)),
        Some(one) => one.as_str() == Some(wanted),
        None => false,
    }
}

/// Seconds since the epoch, whole or not, in milliseconds.
fn numeric_date_ms(value: &Value) -> Option<i64> {
    if let Some(seconds) = value.as_i64() {
        return Some(seconds.saturating_mul(1000));
    }
    let seconds = std::time::Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    Some(i64::try_from(seconds.as_millis()).unwrap_or(i64::MAX))
}
