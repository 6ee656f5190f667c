//! `/api/auth/me/`: the caller's account, as its owner reads and changes it.
//!
//! Owners change their name and their e-mail address only. A new address needs the password, so
//! that a stolen token cannot become a reset password, and gets no mail until a link has confirmed
//! it. Numbers for SMS and WhatsApp stay with admins: nothing confirms them, and each message to
//! one costs the operator money.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, State};
use bellpull_domain::address::AddressChanges;
use bellpull_domain::channel::Channel;
use bellpull_domain::user::User;
use bellpull_port::AccountStore;
use bellpull_port::accounts::UserChanges;
use tracing::warn;
use utoipa_axum::routes;

use super::Edge;
use super::account_fields::{PASSWORD_MAX, addresses, full_name};
use super::error::ApiError;
use super::fields::{Fields, TextRule};
use super::guard::spawn_uncancelled;
use super::openapi as doc;
use super::passwords::LinkLimits;
use super::responses as res;
use super::routes::Routes;
use super::who::{Address, Who};
use bellpull_auth::{Auth, Principal};

const NO_ACCOUNT: &str = "A service token belongs to no user and has no profile.";
const PASSWORD_REQUIRED: &str = "Enter your current password to change your e-mail address.";
const NUMBER_BY_ADMINS: &str = "Only an admin can change this number.";

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(me, edit_me))
}

/// The handles for changing the caller's account.
#[derive(Debug, Clone)]
struct Handles {
    accounts: Arc<dyn AccountStore>,
    auth: Auth,
    limits: LinkLimits,
}

impl FromRef<Edge> for Handles {
    fn from_ref(edge: &Edge) -> Self {
        let (accounts, auth) = (edge.store.clone(), edge.auth.clone());
        Self { accounts, auth, limits: LinkLimits::from_ref(edge) }
    }
}

/// The caller's account.
#[utoipa::path(
    get, path = "/api/auth/me/", tag = "Accounts",
    responses((status = 200, description = "The account.", body = res::User))
)]
async fn me(Who(principal): Who) -> Json<res::User> {
    Json((&*principal.user).into())
}

/// Changes the caller's name or e-mail address. A new address needs `current_password`; it counts
/// as unconfirmed, and a link that confirms it is mailed to it. Until then no other mail is sent.
/// Fields that admins change may be sent back unchanged.
#[utoipa::path(
    patch, path = "/api/auth/me/", tag = "Accounts", request_body = doc::ProfileEdit,
    responses(
        (status = 200, description = "The account as it is now.", body = res::User),
        (status = 403, description = "A new address where tokens come from elsewhere, or the \
            caller is a service."),
        (status = 409, description = "Another request changed it first."),
        (status = 429, description = "Too many attempts: there was no turn within 10 s; or too \
            many new addresses."),
    )
)]
async fn edit_me(
    State(handles): State<Handles>,
    Address(client): Address,
    Who(principal): Who,
    mut body: Fields,
) -> Result<Json<res::User>, ApiError> {
    if principal.is_service {
        return Err(ApiError::Forbidden(NO_ACCOUNT.to_owned()));
    }
    let before = handles.accounts.user(principal.user.id).await?.ok_or(ApiError::NotFound)?;
    let seen = body.seen(before.version())?;
    let full_name = full_name(&mut body);
    let email = new_email(&mut body, &before);
    let has_password = body.has("current_password");
    let password = body.text_if_sent("current_password", TextRule::opaque(PASSWORD_MAX));
    if email.is_some() && !has_password {
        body.refuse("current_password", PASSWORD_REQUIRED);
    }
    body.finish()?;
    let mut changes = UserChanges { seen, full_name, ..UserChanges::default() };
    let moves_email = email.is_some();
    if let Some(email) = email {
        let password = password.ok_or(ApiError::Internal)?;
        // Not run to completion: an attempt whose client disconnects gives up its place.
        handles.auth.prove_password(&principal, password, client).await?;
        handles.limits.admit_confirmation(principal.user.id.0).await?;
        changes.addresses.set(Channel::Email, email);
    }
    let user = spawn_uncancelled(async move {
        let user = handles.accounts.update_user(before.id, changes).await?;
        handles.auth.forget(user.id);
        if moves_email && !user.email().is_empty() {
            handles.confirm(&principal).await;
        }
        Ok(user)
    })
    .await?;
    Ok(Json((&user).into()))
}

impl Handles {
    /// Mails the link that confirms a new address. The change stands without it: the owner can ask
    /// for another.
    async fn confirm(&self, principal: &Principal) {
        if self.auth.check_confirmations(principal).is_ok()
            && let Err(error) = self.auth.send_confirmation(principal).await
        {
            warn!(user = %principal.user.id, %error, "a link for a new address was not sent");
        }
    }
}

/// The new e-mail address, if it is another one. All other addresses must be unchanged.
fn new_email(body: &mut Fields, before: &User) -> Option<String> {
    let sent: AddressChanges = addresses(body);
    for (channel, field) in Channel::address_fields() {
        let is_changed = |new: &str| new != before.addresses.get(channel);
        if channel != Channel::Email && sent.get(channel).is_some_and(is_changed) {
            body.refuse(field.name, NUMBER_BY_ADMINS);
        }
    }
    let email = sent.get(Channel::Email)?;
    (!email.eq_ignore_ascii_case(before.email())).then(|| email.to_owned())
}
