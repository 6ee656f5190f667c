//! `/api/auth/`: login, registration, logout.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bellpull_domain::user::Role;
use bellpull_port::accounts::LoginName;
use utoipa_axum::routes;

use super::account_fields::{EMAIL_MAX, PASSWORD_MAX, USERNAME_MAX, full_name, role};
use super::error::ApiError;
use super::fields::{Fields, TextRule};
use super::guard::spawn_uncancelled;
use super::openapi as doc;
use super::responses as res;
use super::routes::Routes;
use super::who::{Address, Unlimited, Who};
use bellpull_auth::{Auth, Registration, WS_TICKET_TTL_S};

/// Longer than any token of ours; bounds what is parsed.
const TOKEN_MAX: usize = 8_192;

pub(super) fn routes() -> Routes {
    Routes::default()
        .with(routes!(login))
        .with(routes!(refresh))
        .with(routes!(register))
        .with(routes!(logout))
        .with(routes!(ws_ticket))
}

/// Logs in with a username or an e-mail address; `username` may be either.
///
/// After 10 wrong passwords for an account, the next attempts on it wait for a turn, one in 5 s.
#[utoipa::path(
    post, path = "/api/auth/login/", tag = "Accounts", security(()), request_body = doc::Login,
    responses(
        (status = 200, description = "The tokens, and whose they are.", body = res::LoggedIn),
        (status = 401, description = "Wrong name or password, or the account is switched off."),
        (status = 403, description = "Tokens come from elsewhere here."),
        (status = 429, description = "Too many attempts: there was no turn within 10 s."),
    )
)]
async fn login(
    State(auth): State<Auth>,
    Address(client): Address,
    mut body: Fields,
) -> Result<Json<res::LoggedIn>, ApiError> {
    // Forms send both, one of them empty.
    body.drop_empty("username");
    body.drop_empty("email");
    let is_email = body.has("email") && !body.has("username");
    let name = body.text(if is_email { "email" } else { "username" }, TextRule::line(EMAIL_MAX));
    let password = body.text("password", TextRule::opaque(PASSWORD_MAX));
    body.finish()?;
    let name = if is_email { LoginName::Email(name) } else { LoginName::Username(name) };
    // Not run to completion: an attempt whose client disconnects gives up its place.
    let (tokens, user) = auth.login(name, password, client).await?;
    Ok(Json(res::LoggedIn::new(tokens, &user)))
}

/// Issues new tokens for a refresh token.
///
/// A client may keep its first refresh token. If an older refresh token is used after a newer one,
/// the login ends, because the older one must have been copied.
#[utoipa::path(
    post, path = "/api/auth/refresh/", tag = "Accounts", security(()), request_body = doc::Refresh,
    responses(
        (status = 200, description = "New tokens.", body = res::Refreshed),
        (status = 401, description = "The token is not valid, or its login has ended."),
        (status = 403, description = "Tokens come from elsewhere here."),
    )
)]
async fn refresh(
    State(auth): State<Auth>,
    mut body: Fields,
) -> Result<Json<res::Refreshed>, ApiError> {
    let token = body.text("refresh", TextRule::line(TOKEN_MAX));
    body.finish()?;
    let tokens = spawn_uncancelled(async move { Ok(auth.refresh(&token).await?) }).await?;
    Ok(Json(tokens.into()))
}

/// Registers an account; every super admin is notified.
#[utoipa::path(
    post, path = "/api/auth/register/", tag = "Accounts", security(()),
    request_body = doc::NewAccount,
    responses(
        (status = 201, description = "The account.", body = res::User),
        (status = 403, description = "Tokens are issued elsewhere, or registration is disabled."),
        (status = 429, description = "Too many registrations, from this address or from all."),
    )
)]
async fn register(
    State(auth): State<Auth>,
    Address(client): Address,
    mut body: Fields,
) -> Result<(StatusCode, Json<res::User>), ApiError> {
    let registration = Registration {
        username: body.text("username", TextRule::line(USERNAME_MAX)),
        email: body.text("email", TextRule::line(EMAIL_MAX)),
        password: body.text("password", TextRule::opaque(PASSWORD_MAX)),
        full_name: full_name(&mut body).unwrap_or_default(),
        role: role(&mut body).unwrap_or(Role::Client),
    };
    body.finish()?;
    let user =
        spawn_uncancelled(async move { Ok(auth.register(registration, client).await?) }).await?;
    Ok((StatusCode::CREATED, Json((&*user).into())))
}

/// Ends a login and closes its sockets: that of the refresh token in the body, which needs no
/// access token beside it, or that of the access token.
#[utoipa::path(
    post, path = "/api/auth/logout/", tag = "Accounts", security(()), request_body = doc::Logout,
    responses(
        (status = 200, description = "It has ended.", body = res::LoggedOut),
        (
            status = 400,
            description = "The token belongs to no login (`no_login`): it stays valid until it \
                expires. Or the body is invalid.",
        ),
        (status = 401, description = "The refresh token, or the access token, is invalid."),
    )
)]
async fn logout(
    State(auth): State<Auth>,
    caller: Result<Unlimited, ApiError>,
    mut body: Fields,
) -> Result<Json<res::LoggedOut>, ApiError> {
    let token = body.text_if_sent("refresh", TextRule::line(TOKEN_MAX));
    // An access token that has expired is no reason to stay logged in.
    let caller = match (caller, &token) {
        (Ok(Unlimited(principal)), _) => Some(principal),
        (Err(error @ ApiError::Throttled { .. }), _) | (Err(error), None) => return Err(error),
        (Err(_), Some(_)) => None,
    };
    body.finish()?;
    let work = async move { Ok(auth.logout(caller.as_ref(), token.as_deref()).await?) };
    spawn_uncancelled(work).await?;
    Ok(Json(res::LoggedOut { message: "Logged out", detail: "Logged out" }))
}

/// Issues a ticket for `?ticket=` of one socket, so that no long-lived token appears in a URL.
#[utoipa::path(
    post, path = "/api/auth/ws-ticket/", tag = "Accounts",
    responses(
        (
            status = 200, description = "The ticket, for half a minute and a single use.",
            body = res::SocketTicket,
        ),
        (status = 403, description = "The caller is a service, or may not open sockets."),
    )
)]
async fn ws_ticket(
    State(auth): State<Auth>,
    Who(principal): Who,
) -> Result<Json<res::SocketTicket>, ApiError> {
    let ticket = auth.issue_ticket(&principal).await?;
    Ok(Json(res::SocketTicket { ticket, expires_in: WS_TICKET_TTL_S.into() }))
}
