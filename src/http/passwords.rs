//! `/api/auth/password/` and `/api/auth/email/`: changing and resetting passwords, confirming
//! addresses.
//!
//! A request for a link reveals nothing about the account: it is answered before the account is
//! looked up, and the limit on mails to one address applies silently.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bellpull_domain::account_link::{AccountLink, LinkPurpose};
use bellpull_port::SharedLimits;
use bellpull_port::rate::{Quota, network, retry_after_s};
use bellpull_port::shared_rate::{SharedKey, SharedRate};
use utoipa_axum::routes;

use super::account_fields::{EMAIL_MAX, PASSWORD_MAX};
use super::error::ApiError;
use super::fields::{Fields, TextRule};
use super::guard::spawn_uncancelled;
use super::openapi as doc;
use super::responses as res;
use super::routes::Routes;
use super::who::{Address, Who};
use bellpull_auth::register::{check_email, check_password};
use bellpull_auth::{Auth, AuthError};
use bellpull_delivery::account_link::TOKEN_MAX;
use bellpull_delivery::link::Links;

/// Requests for a link from one network per minute: more than a household needs.
const CLIENT_PER_MIN: u32 = 10;
/// Requests for a link from all clients per second, and at once: each costs a lookup in the
/// database, and a mail server that sends more is soon classified as a spammer.
const ALL_PER_S: u32 = 5;
const ALL_AT_ONCE: u32 = 60;
/// Mails to one address per hour, and at once: the owner may miss the first; an attacker cannot
/// flood a mailbox.
const ADDRESS_PER_HOUR: u32 = 4;
const ADDRESS_AT_ONCE: u32 = 3;
/// How many clients and addresses are held: some MiB. To fill the table takes as many requests, of
/// which [`ALL_PER_S`] are admitted: most of an hour.
const KEYS_MAX: usize = 16_384;

pub(super) fn routes() -> Routes {
    Routes::default()
        .with(routes!(change_password))
        .with(routes!(request_reset))
        .with(routes!(confirm_reset))
        .with(routes!(confirm_email))
        .with(routes!(resend_email))
}

/// Limits requests for links, over all nodes. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct LinkLimits(Arc<Limits>);

#[derive(Debug)]
struct Limits {
    clients: SharedRate<u64>,
    all: SharedRate<()>,
    /// By e-mail address.
    resets: SharedRate<str>,
    /// By account.
    confirmations: SharedRate<i64>,
}

/// A limit of that name and quota.
fn limit<K: SharedKey + ?Sized>(
    name: &'static str,
    quota: Option<Quota>,
    shared: Option<&Arc<dyn SharedLimits>>,
) -> SharedRate<K> {
    SharedRate::new(name, quota, KEYS_MAX, shared.cloned())
}

impl LinkLimits {
    /// With the limits that nodes share, if they do.
    pub(super) fn new(shared: Option<&Arc<dyn SharedLimits>>) -> Self {
        let client = Quota::per_minute(CLIENT_PER_MIN, CLIENT_PER_MIN);
        let address = Quota::per_hour(ADDRESS_PER_HOUR, ADDRESS_AT_ONCE);
        Self(Arc::new(Limits {
            clients: limit("link_clients", client, shared),
            all: limit("links", Quota::per_second(ALL_PER_S, ALL_AT_ONCE), shared),
            resets: limit("resets", address, shared),
            confirmations: limit("confirmations", address, shared),
        }))
    }

    /// Whether a client's request is admitted.
    async fn admit_client(&self, address: IpAddr) -> Result<(), ApiError> {
        let (Limits { clients, all, .. }, client) = (&*self.0, network(address));
        clients.admit_here(&client).and_then(|()| all.admit_here(&())).map_err(throttled)?;
        clients.admit_everywhere(&client).await.map_err(throttled)?;
        all.admit_everywhere(&()).await.map_err(throttled)
    }

    /// Whether a mail for a new password may be sent to an address.
    async fn admits_reset(&self, email: &str) -> bool {
        self.0.resets.admit(&email.to_lowercase()).await.is_ok()
    }

    /// Whether another link may be sent to an account.
    pub(super) async fn admit_confirmation(&self, user: i64) -> Result<(), ApiError> {
        self.0.confirmations.admit(&user).await.map_err(throttled)
    }
}

fn throttled(wait: Duration) -> ApiError {
    ApiError::Throttled { retry_after_s: retry_after_s(wait) }
}

/// Changes the caller's password. All other logins of the account end: their sockets close with
/// 4401, their tokens are refused. The caller's own login continues. A wrong password counts as a
/// failed login.
#[utoipa::path(
    post, path = "/api/auth/password/", tag = "Accounts", request_body = doc::PasswordChange,
    responses(
        (status = 204, description = "It is changed."),
        (status = 403, description = "Tokens come from elsewhere here, or the caller is a service."),
        (status = 429, description = "Too many attempts: there was no turn within 10 s."),
    )
)]
async fn change_password(
    State(auth): State<Auth>,
    Address(client): Address,
    Who(principal): Who,
    mut body: Fields,
) -> Result<StatusCode, ApiError> {
    let current = body.text("current_password", TextRule::opaque(PASSWORD_MAX));
    let new = new_password(&mut body);
    body.finish()?;
    // Not run to completion: an attempt whose client disconnects gives up its place.
    let proof = auth.prove_password(&principal, current, client).await?;
    spawn_uncancelled(async move { Ok(auth.change_password(proof, new).await?) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a link for a new password to an address, if an account has it. The answer is the same for
/// every address. The link works once, for 30 minutes.
#[utoipa::path(
    post, path = "/api/auth/password/reset/", tag = "Accounts", security(()),
    request_body = doc::ResetRequest,
    responses(
        (status = 202, description = "If an account has the address, a mail is on its way.",
            body = res::Detail),
        (status = 403, description = "Tokens come from elsewhere here, or the hub sends no mail."),
        (status = 429, description = "Too many requests."),
    )
)]
async fn request_reset(
    State(auth): State<Auth>,
    State(limits): State<LinkLimits>,
    Address(address): Address,
    mut body: Fields,
) -> Result<(StatusCode, Json<res::Detail>), ApiError> {
    let email = body.text("email", TextRule::line(EMAIL_MAX));
    if !email.is_empty()
        && let Err(problem) = check_email(&email)
    {
        body.refuse("email", problem);
    }
    body.finish()?;
    auth.check_resets()?;
    limits.admit_client(address).await?;
    if limits.admits_reset(&email).await {
        auth.send_reset(email);
    }
    let detail = "If an account has this address, a mail with a link is on its way.";
    Ok((StatusCode::ACCEPTED, Json(res::Detail { detail })))
}

/// Sets a new password with the token of a mailed link. All logins of the account end.
#[utoipa::path(
    post, path = "/api/auth/password/reset/confirm/", tag = "Accounts", security(()),
    request_body = doc::ResetConfirmation,
    responses(
        (status = 204, description = "It is set."),
        (status = 400, description = "The token is not valid, was used or has expired, or the \
            password is invalid."),
        (status = 403, description = "Tokens come from elsewhere here."),
    )
)]
async fn confirm_reset(
    State(auth): State<Auth>,
    State(links): State<Links>,
    mut body: Fields,
) -> Result<StatusCode, ApiError> {
    let link = link(&auth, &links, LinkPurpose::Password, &mut body);
    let new = new_password(&mut body);
    body.finish()?;
    let link = link?;
    spawn_uncancelled(async move { Ok(auth.reset_password(link, new).await?) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Confirms an e-mail address with the token of a mailed link; mails are sent there from now on.
#[utoipa::path(
    post, path = "/api/auth/email/confirm/", tag = "Accounts", security(()),
    request_body = doc::EmailConfirmation,
    responses(
        (status = 204, description = "It is confirmed."),
        (status = 400, description = "The token is not valid, was used or has expired."),
        (status = 403, description = "Tokens come from elsewhere here."),
    )
)]
async fn confirm_email(
    State(auth): State<Auth>,
    State(links): State<Links>,
    mut body: Fields,
) -> Result<StatusCode, ApiError> {
    let link = link(&auth, &links, LinkPurpose::Email, &mut body);
    body.finish()?;
    let link = link?;
    spawn_uncancelled(async move { Ok(auth.confirm_email(link).await?) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends the caller another link that confirms the e-mail address, unless it is confirmed.
#[utoipa::path(
    post, path = "/api/auth/email/resend/", tag = "Accounts",
    responses(
        (status = 202, description = "If the address is not confirmed yet, a mail is on its way.",
            body = res::Detail),
        (status = 403, description = "Tokens come from elsewhere here, the hub sends no mail, or \
            the caller is a service."),
        (status = 429, description = "Too many of them."),
    )
)]
async fn resend_email(
    State(auth): State<Auth>,
    State(limits): State<LinkLimits>,
    Who(principal): Who,
) -> Result<(StatusCode, Json<res::Detail>), ApiError> {
    auth.check_confirmations(&principal)?;
    limits.admit_confirmation(principal.user.id.0).await?;
    spawn_uncancelled(async move { Ok(auth.send_confirmation(&principal).await?) }).await?;
    let detail = "If your address is not confirmed yet, a mail with a link is on its way.";
    Ok((StatusCode::ACCEPTED, Json(res::Detail { detail })))
}

/// The field `new_password`, with the rules of registration.
fn new_password(body: &mut Fields) -> String {
    let password = body.text("new_password", TextRule::opaque(PASSWORD_MAX));
    if !password.is_empty()
        && let Err(problem) = check_password(&password)
    {
        body.refuse("new_password", problem);
    }
    password
}

/// The link that the field `token` names. An invalid token is reported once the other fields are
/// valid.
fn link(
    auth: &Auth,
    links: &Links,
    purpose: LinkPurpose,
    body: &mut Fields,
) -> Result<AccountLink, AuthError> {
    let token = body.text("token", TextRule::line(TOKEN_MAX));
    let found = links.accounts().and_then(|links| links.read(purpose, &token));
    found.ok_or_else(|| auth.no_such_link())
}
