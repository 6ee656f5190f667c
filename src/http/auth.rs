//! `/api/auth/`: who is there.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::{get, post};
use axum::{Json, Router};
use bellpull_actors::domain::user::Role;
use bellpull_actors::port::Clock;
use bellpull_actors::port::accounts::LoginName;
use serde_json::{Value, json};

use super::error::ApiError;
use super::fields::{Fields, TextRule};
use super::guard::to_the_end;
use super::login_limit::LoginLimit;
use super::users::user_json;
use super::who::Who;
use super::{Edge, at};
use crate::auth::{Auth, Registration, WS_TICKET_TTL_S};

/// An e-mail address has at most so many characters (RFC 5321, 4.5.3.1.3).
pub(super) const EMAIL_MAX: usize = 254;

/// The rest is what Django's own user has; the clients' forms are made for it.
pub(super) const USERNAME_MAX: usize = 150;
pub(super) const FULL_NAME_MAX: usize = 150;
/// Longer than any token of ours; only there to bound what is looked at.
const TOKEN_MAX: usize = 8_192;
pub(super) const PASSWORD_MAX: usize = 1_024;

pub(super) fn routes() -> Router<Edge> {
    let routes = at(Router::new(), "/api/auth/login", post(login));
    let routes = at(routes, "/api/auth/refresh", post(refresh));
    let routes = at(routes, "/api/auth/register", post(register));
    let routes = at(routes, "/api/auth/logout", post(logout));
    let routes = at(routes, "/api/auth/ws-ticket", post(ws_ticket));
    at(routes, "/api/auth/me", get(me))
}

async fn login(
    State(auth): State<Auth>,
    State(limit): State<LoginLimit>,
    State(clock): State<Arc<dyn Clock>>,
    Address(address): Address,
    mut body: Fields,
) -> Result<Json<Value>, ApiError> {
    let is_email = body.has("email") && !body.has("username");
    let name = body.text(if is_email { "email" } else { "username" }, TextRule::line(EMAIL_MAX));
    let password = body.text("password", TextRule::opaque(PASSWORD_MAX));
    body.finish()?;
    let throttled = |retry_after_s| ApiError::Throttled { retry_after_s };
    limit.begin(&name, address, clock.now()).map_err(throttled)?;
    let login_name = match is_email {
        true => LoginName::Email(name.clone()),
        false => LoginName::Username(name.clone()),
    };
    let (tokens, user) = auth.login(login_name, password).await?;
    limit.succeeded(&name, address);
    Ok(Json(json!({
        "access": tokens.access, "refresh": tokens.refresh, "user": user_json(&user)
    })))
}

async fn refresh(State(auth): State<Auth>, mut body: Fields) -> Result<Json<Value>, ApiError> {
    let token = body.text("refresh", TextRule::line(TOKEN_MAX));
    body.finish()?;
    let tokens = to_the_end(async move { Ok(auth.refresh(&token).await?) }).await?;
    Ok(Json(json!({ "access": tokens.access, "refresh": tokens.refresh })))
}

async fn register(
    State(auth): State<Auth>,
    mut body: Fields,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let registration = Registration {
        username: body.text("username", TextRule::line(USERNAME_MAX)),
        email: body.text("email", TextRule::line(EMAIL_MAX)),
        password: body.text("password", TextRule::opaque(PASSWORD_MAX)),
        full_name: full_name(&mut body).unwrap_or_default(),
        role: role(&mut body).unwrap_or(Role::Client),
    };
    body.finish()?;
    let user = to_the_end(async move { Ok(auth.register(registration).await?) }).await?;
    Ok((StatusCode::CREATED, Json(user_json(&user))))
}

async fn logout(
    State(auth): State<Auth>,
    Who(principal): Who,
    mut body: Fields,
) -> Result<Json<Value>, ApiError> {
    let token = body.text_if_sent("refresh", TextRule::line(TOKEN_MAX));
    body.finish()?;
    let work = async move { Ok(auth.logout(&principal, token.as_deref()).await?) };
    to_the_end(work).await?;
    Ok(Json(json!({ "message": "Logged out", "detail": "Logged out" })))
}

async fn ws_ticket(State(auth): State<Auth>, Who(principal): Who) -> Result<Json<Value>, ApiError> {
    let ticket = auth.issue_ticket(&principal)?;
    Ok(Json(json!({ "ticket": ticket, "expires_in": WS_TICKET_TTL_S })))
}

async fn me(Who(principal): Who) -> Json<Value> {
    Json(user_json(&principal.user))
}

/// The field `full_name`, where it was sent.
pub(super) fn full_name(body: &mut Fields) -> Option<String> {
    body.text_if_sent("full_name", TextRule::line(FULL_NAME_MAX).or_blank())
}

/// The field `role`, where it was sent.
pub(super) fn role(body: &mut Fields) -> Option<Role> {
    // Longer than any role may be: the role's own text then says how long that is.
    let slug = body.text_if_sent("role", TextRule::line(USERNAME_MAX))?;
    slug.parse()
        .map_err(|bad: bellpull_actors::domain::user::BadRole| {
            body.refuse("role", bad.to_string());
        })
        .ok()
}

/// The address at the other end of the connection: what a proxy adds in a header anybody could
/// add. Unknown where whoever serves the router does not say.
#[derive(Debug, Clone, Copy)]
struct Address(IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Ok(Self(peer.map_or(unknown, |ConnectInfo(peer)| peer.ip())))
    }
}
