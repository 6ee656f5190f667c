//! The caller: the principal of a request's bearer token, whose writes are limited here, and the
//! client's address.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};

use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use bellpull_actors::write_rate::WriteRate;
use bellpull_port::rate::retry_after_s;

use super::audit::{Act, AuditLog};
use super::error::ApiError;
use super::in_flight::Slot;
use bellpull_auth::{Auth, AuthError, Principal};
use bellpull_edge::{TrustedProxies, peer};
use bellpull_nodes::peers::{PASS_SCHEME, PASSED_ON};

/// The caller's account. A request that writes (by its method) is counted against the account's
/// limit here, so no handler that knows its caller can bypass the limit.
#[derive(Debug, Clone)]
pub(super) struct Who(pub(super) Principal);

/// The same without the limit: for a request that must succeed for an account that is over it.
#[derive(Debug, Clone)]
pub(super) struct Unlimited(pub(super) Principal);

/// The same; what an admin changes is recorded.
#[derive(Debug, Clone)]
pub(super) struct Recorded(pub(super) Principal);

/// The same, but only an admin or a super admin (a service token is one).
#[derive(Debug, Clone)]
pub(super) struct Admin(pub(super) Principal);

/// The same, but only a super admin (a service token is one).
#[derive(Debug, Clone)]
pub(super) struct Operator(pub(super) Principal);

impl<S> FromRequestParts<S> for Unlimited
where
    Auth: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let auth = Auth::from_ref(state);
        let principal = match pass(&parts.headers) {
            Some(pass) => {
                let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
                let request = format!("{} {path}", parts.method);
                let (principal, body) = auth.open_pass(pass, &request).await?;
                // What reads the body compares it.
                parts.extensions.insert(body);
                principal
            }
            None => auth.authenticate(bearer(&parts.headers)?).await?,
        };
        if let Some(slot) = parts.extensions.get::<Slot>() {
            slot.belongs_to(&principal)?;
        }
        Ok(Self(principal))
    }
}

impl<S> FromRequestParts<S> for Who
where
    Auth: FromRef<S>,
    WriteRate: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Unlimited(principal) = Unlimited::from_request_parts(parts, state).await?;
        if !parts.method.is_safe() {
            let user = &principal.user;
            let admitted = WriteRate::from_ref(state).admit(user.id, &user.role);
            admitted.map_err(|wait| ApiError::Throttled { retry_after_s: retry_after_s(wait) })?;
        }
        Ok(Self(principal))
    }
}

impl<S> FromRequestParts<S> for Recorded
where
    Auth: FromRef<S>,
    WriteRate: FromRef<S>,
    AuditLog: FromRef<S>,
    TrustedProxies: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Who(principal) = Who::from_request_parts(parts, state).await?;
        if principal.user.role.is_admin() {
            note(parts, &principal, state);
        }
        Ok(Self(principal))
    }
}

impl<S> FromRequestParts<S> for Admin
where
    Auth: FromRef<S>,
    WriteRate: FromRef<S>,
    AuditLog: FromRef<S>,
    TrustedProxies: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Who(principal) = Who::from_request_parts(parts, state).await?;
        if principal.user.role.is_admin() {
            note(parts, &principal, state);
            Ok(Self(principal))
        } else {
            Err(ApiError::forbidden())
        }
    }
}

impl<S> FromRequestParts<S> for Operator
where
    Auth: FromRef<S>,
    WriteRate: FromRef<S>,
    AuditLog: FromRef<S>,
    TrustedProxies: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        use bellpull_domain::user::Role;
        let Who(principal) = Who::from_request_parts(parts, state).await?;
        if principal.user.role == Role::SuperAdmin {
            note(parts, &principal, state);
            Ok(Self(principal))
        } else {
            Err(ApiError::forbidden())
        }
    }
}

/// Keeps what an admin's request changes, for the record that its end makes.
fn note<S>(parts: &Parts, principal: &Principal, state: &S)
where
    AuditLog: FromRef<S>,
    TrustedProxies: FromRef<S>,
{
    let Some(slot) = parts.extensions.get::<Slot>() else { return };
    let address = address(parts, state);
    let act = Act::of(parts, principal, address, AuditLog::from_ref(state));
    act.into_iter().for_each(|act| slot.note(act));
}

/// The pass of a request that another node has passed on.
fn pass(headers: &HeaderMap) -> Option<&str> {
    headers.get(PASSED_ON)?;
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix(PASS_SCHEME)?.strip_prefix(' ')
}

/// The token of `Authorization: Bearer …`. Credentials of another scheme are ignored.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let value = headers.get(AUTHORIZATION).ok_or(ApiError::NotAuthenticated)?;
    let value = value.to_str().map_err(|_| AuthError::BadToken("it is not readable"))?.trim();
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ApiError::NotAuthenticated);
    }
    match token.trim() {
        "" => Err(AuthError::BadToken("it is empty").into()),
        token => Ok(token),
    }
}

/// The client's address: the peer of the connection or, if that is a trusted proxy, the address
/// that the proxy reports. `0.0.0.0` if the server does not provide it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address(pub(super) IpAddr);

impl<S> FromRequestParts<S> for Address
where
    TrustedProxies: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self(address(parts, state)))
    }
}

fn address<S>(parts: &Parts, state: &S) -> IpAddr
where
    TrustedProxies: FromRef<S>,
{
    let peer = peer(&parts.extensions).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    TrustedProxies::from_ref(state).client(peer, &parts.headers)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(value: &[u8]) -> Result<String, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        bearer(&headers).map(str::to_owned)
    }

    #[test]
    fn only_a_bearer_token_counts() {
        assert_eq!(bearer(&HeaderMap::new()), Err(ApiError::NotAuthenticated));
        assert_eq!(of(b"Bearer a.b.c"), Ok("a.b.c".to_owned()));
        assert_eq!(of(b"bearer  a.b.c "), Ok("a.b.c".to_owned()));
        assert_eq!(of(b"Basic dTpw"), Err(ApiError::NotAuthenticated));
        assert_eq!(of(b"Token abc"), Err(ApiError::NotAuthenticated));
        for bad in [&b"Bearer"[..], b"Bearer ", b"Bearer \xff"] {
            assert!(matches!(of(bad), Err(ApiError::BadToken(_))), "{bad:?}");
        }
    }
}
