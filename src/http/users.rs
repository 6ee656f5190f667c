//! `/api/users/`: the accounts, for admins. Only a super admin manages admins, and callers cannot
//! change their own role or deactivate themselves. Two super admins may do that to each other at
//! the same time: the store makes sure that a hub keeps one, and that the account still has the
//! role that the caller's rights were checked against.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::response::Response;
use bellpull_domain::address::Addresses;
use bellpull_domain::idempotency::Used;
use bellpull_domain::ids::UserId;
use bellpull_domain::user::{Origin, Role, User};
use bellpull_domain::version::Version;
use bellpull_port::accounts::{NewUser, UserChanges, UserFilter};
use bellpull_port::{AccountStore, Clock, StoreError};
use jiff::Timestamp;
use utoipa_axum::routes;

use super::Edge;
use super::account_fields::{PASSWORD_MAX, addresses, full_name, role, username};
use super::body::{NoFields, Strict};
use super::error::{ApiError, HUBS_ACCOUNT};
use super::fields::TextRule;
use super::guard::spawn_uncancelled;
use super::once::{created, replayed};
use super::openapi as doc;
use super::page::Paging;
use super::query::{Id, Params};
use super::read_turns::InTurn;
use super::responses as res;
use super::routes::Routes;
use super::who::Admin;
use bellpull_auth::register::check_password;
use bellpull_auth::{Auth, Principal};

const SEARCH_MAX: usize = 200;
/// Fields of an account that are not changed here.
const READ_ONLY: [&str; 5] = ["id", "username", "role_display", "email_verified", "created_at"];
/// The error for an admin who tries to set a password.
const PASSWORD_ELSEWHERE: &str = "A password is not changed here: its owner changes it with \
    POST /api/auth/password/.";

pub(super) fn routes() -> Routes {
    Routes::default()
        .with(routes!(list, create))
        .with(routes!(read, edit, put))
        .with(routes!(log_out))
}

/// The handles for changing an account: the store, and what is cached and open.
#[derive(Debug, Clone)]
struct Handles {
    accounts: Arc<dyn AccountStore>,
    auth: Auth,
}

impl FromRef<Edge> for Handles {
    fn from_ref(edge: &Edge) -> Self {
        let (accounts, auth) = (edge.store.clone(), edge.auth.clone());
        Self { accounts, auth }
    }
}

/// All accounts.
#[utoipa::path(
    get, path = "/api/users/", tag = "Accounts", params(doc::UserFilters, doc::Paged),
    responses(
        (status = 200, description = "A page of them.", body = res::Page<res::User>),
        (status = 403, description = "The caller is no admin."),
        doc::TooManyReads,
    )
)]
async fn list(
    State(accounts): State<Arc<dyn AccountStore>>,
    _: InTurn<Admin>,
    paging: Paging,
    mut params: Params,
) -> Result<Response, ApiError> {
    let filter = UserFilter {
        role: params.choice("role", |slug| slug.parse::<Role>().ok()),
        search: params.bounded("search", SEARCH_MAX),
    };
    params.finish()?;
    let page = accounts.list_users(&filter, paging.request()).await?;
    paging.show(page, |user| res::User::from(&user)).await
}

/// An account.
#[utoipa::path(
    get, path = "/api/users/{id}/", tag = "Accounts", params(doc::Id),
    responses(
        (status = 200, description = "The account.", body = res::User),
        (status = 403, description = "The caller is no admin."),
    )
)]
async fn read(
    State(accounts): State<Arc<dyn AccountStore>>,
    _: Admin,
    Id(id): Id,
) -> Result<Json<res::User>, ApiError> {
    let user = accounts.user(UserId(id)).await?.ok_or(ApiError::NotFound)?;
    Ok(Json((&user).into()))
}

/// Creates an account.
#[utoipa::path(
    post, path = "/api/users/", tag = "Accounts", request_body = doc::NewUser,
    params(doc::IdempotencyHeader),
    responses(
        (status = 201, description = "The account.", body = res::User),
        (status = 403, description = "The caller is no admin, or is none that may make admins."),
    )
)]
async fn create(
    State(handles): State<Handles>,
    State(clock): State<Arc<dyn Clock>>,
    Admin(principal): Admin,
    Strict(mut body): Strict,
) -> Result<Response, ApiError> {
    let once = body.key_without("password", &principal)?;
    let username = username(&mut body);
    let password = body.text("password", TextRule::opaque(PASSWORD_MAX));
    if !password.is_empty()
        && let Err(problem) = check_password(&password)
    {
        body.refuse("password", problem);
    }
    let mut new = NewUser {
        id: None,
        // A back end numbers its users as the issuer of their tokens does.
        origin: if principal.is_service { Origin::ISSUER } else { Origin::Hub },
        username,
        addresses: Addresses::default().with(&addresses(&mut body)),
        full_name: full_name(&mut body).unwrap_or_default(),
        role: role(&mut body).unwrap_or(Role::Client),
        is_email_verified: true,
        password_hash: None,
        now: clock.now(),
    };
    body.finish()?;
    if new.role.is_admin() && !is_super(&principal) {
        return Err(only_super());
    }
    new.password_hash = Some(handles.auth.hash_password(password).await?);
    match handles.accounts.create_user_once(new, None, once).await {
        Err(StoreError::Used(Used::Repeated(id))) => {
            let user = handles.accounts.user(UserId(id)).await?.ok_or(ApiError::NotFound)?;
            Ok(replayed(created(res::User::from(&user))))
        }
        made => Ok(created(res::User::from(&made?.0))),
    }
}

/// Changes an account. A changed role ends all its sessions, and so does deactivation.
#[utoipa::path(
    patch, path = "/api/users/{id}/", tag = "Accounts", params(doc::Id),
    request_body = doc::UserEdit,
    responses(
        (status = 200, description = "The account as it is now.", body = res::User),
        (
            status = 403,
            description = "The caller may not change that of this account, or it is the last \
                active super admin's.",
        ),
        (status = 409, description = "Another request changed it first."),
    )
)]
async fn edit(
    State(handles): State<Handles>,
    Admin(principal): Admin,
    Id(id): Id,
    Strict(mut body): Strict,
) -> Result<Json<res::User>, ApiError> {
    let before = handles.accounts.user(UserId(id)).await?.ok_or(ApiError::NotFound)?;
    check_may_change(&principal, &before)?;
    let changes = UserChanges {
        seen: body.seen(before.version())?,
        addresses: addresses(&mut body),
        vouches_for_email: true,
        full_name: full_name(&mut body),
        role: role(&mut body),
        is_active: body.boolean("is_active"),
        seen_role: Some(before.role.clone()),
        ..UserChanges::default()
    };
    body.read_only(&READ_ONLY, &res::User::from(&before));
    body.refuse_if_sent("password", PASSWORD_ELSEWHERE);
    body.finish()?;
    check_rights(&principal, &before, &changes)?;
    let user = spawn_uncancelled(async move { handles.change(&before, changes).await }).await?;
    Ok(Json((&user).into()))
}

/// Creates the account with this number, or brings it to this state: for back ends, whose users
/// have numbers already. Tokens of the issuer's open it. A field that is not sent stays as it is.
#[utoipa::path(
    put, path = "/api/users/{id}/", tag = "Accounts", params(doc::Id),
    request_body = doc::UserState,
    responses(
        (status = 200, description = "The account as it is now.", body = res::User),
        (status = 201, description = "The new account.", body = res::User),
        (status = 403, description = "The role, or the account's, is above the caller's own."),
        (
            status = 409,
            description = "Another account has the username or the address, or similar ones; or \
                the account is one of the hub's own (`account_is_the_hubs`).",
        ),
    )
)]
async fn put(
    State(handles): State<Handles>,
    State(clock): State<Arc<dyn Clock>>,
    Admin(principal): Admin,
    Id(id): Id,
    Strict(mut body): Strict,
) -> Result<(StatusCode, Json<res::User>), ApiError> {
    let wanted = UserChanges {
        seen: body.integer("version").map(Version),
        username: Some(username(&mut body)),
        addresses: addresses(&mut body),
        vouches_for_email: true,
        full_name: full_name(&mut body),
        role: role(&mut body),
        is_active: body.boolean("is_active"),
        ..UserChanges::default()
    };
    body.finish()?;
    if wanted.role.as_ref().is_some_and(|role| role.rank() > principal.user.role.rank()) {
        return Err(above_own());
    }
    let now = clock.now();
    spawn_uncancelled(async move { handles.put(&principal, UserId(id), wanted, now).await }).await
}

/// Ends all logins of an account: its tokens are refused, and its sockets close with 4401. Its user
/// may log in again; to prevent that, deactivate the account. Tokens that belong to no login stay
/// valid: those of another issuer, and of `bellpull token`.
#[utoipa::path(
    post, path = "/api/users/{id}/logout/", tag = "Accounts", params(doc::Id),
    responses(
        (status = 204, description = "They have ended."),
        (status = 400, description = "The body has fields: there are none."),
        (status = 403, description = "The caller is no admin, or none that may change admins."),
    )
)]
async fn log_out(
    State(handles): State<Handles>,
    Admin(principal): Admin,
    Id(id): Id,
    _: NoFields,
) -> Result<StatusCode, ApiError> {
    let user = handles.accounts.user(UserId(id)).await?.ok_or(ApiError::NotFound)?;
    check_may_change(&principal, &user)?;
    spawn_uncancelled(async move { Ok(handles.auth.log_out_user(user.id).await?) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Handles {
    /// Creates or changes the account that a back end numbers.
    async fn put(
        &self,
        principal: &Principal,
        id: UserId,
        mut wanted: UserChanges,
        now: Timestamp,
    ) -> Result<(StatusCode, Json<res::User>), ApiError> {
        let mut status = StatusCode::OK;
        let before = match self.accounts.user(id).await? {
            Some(user) => user,
            None => {
                if !Version::default().admits(wanted.seen.take()) {
                    return Err(StoreError::Conflict.into());
                }
                status = StatusCode::CREATED;
                let new = new_by_number(id, &wanted, now);
                match self.accounts.create_user(new, None).await {
                    Ok((user, _)) => user,
                    // Another request has made it meanwhile.
                    Err(StoreError::Taken("id")) => {
                        status = StatusCode::OK;
                        self.accounts.user(id).await?.ok_or(ApiError::NotFound)?
                    }
                    Err(error) => return Err(conflict(error)),
                }
            }
        };
        if before.origin == Origin::Hub {
            let detail = format!("Account {id} is the hub's own: it is not the back end's to set.");
            return Err(ApiError::Conflict { code: HUBS_ACCOUNT, detail });
        }
        if before.role.rank() > principal.user.role.rank() {
            return Err(above_own());
        }
        check_own(principal, &before, &wanted)?;
        let changes = UserChanges { seen_role: Some(before.role.clone()), ..wanted };
        let after = self.change(&before, changes).await?;
        Ok((status, Json((&after).into())))
    }

    /// Changes an account. Sockets that were opened with a lost right are closed.
    async fn change(&self, before: &User, changes: UserChanges) -> Result<User, ApiError> {
        let renames = changes.username.is_some();
        let changed = self.accounts.update_user(before.id, changes).await;
        let after = changed
            .map_err(|error| if renames { conflict(error) } else { ApiError::from(error) })?;
        self.auth.forget(after.id);
        if before.is_active && !after.is_active {
            self.auth.deactivated(after.id).await?;
        } else if before.role != after.role {
            self.auth.role_changed(after.clone());
        }
        Ok(after)
    }
}

/// Only a super admin changes other admins.
fn check_may_change(principal: &Principal, user: &User) -> Result<(), ApiError> {
    let is_others = user.id != principal.user.id;
    if user.role.is_admin() && is_others && !is_super(principal) {
        return Err(only_super());
    }
    Ok(())
}

fn check_rights(
    principal: &Principal,
    before: &User,
    changes: &UserChanges,
) -> Result<(), ApiError> {
    check_own(principal, before, changes)?;
    let new_role = changes.role.as_ref().filter(|role| **role != before.role);
    if new_role.is_some_and(Role::is_admin) && !is_super(principal) {
        return Err(only_super());
    }
    Ok(())
}

/// Refuses what callers may not do to their own account.
fn check_own(principal: &Principal, before: &User, changes: &UserChanges) -> Result<(), ApiError> {
    let changes_role = changes.role.as_ref().is_some_and(|role| *role != before.role);
    let is_own = before.id == principal.user.id;
    if is_own && (changes_role || changes.is_active == Some(false)) {
        let text = "You cannot change your own role or switch off your own account.";
        return Err(ApiError::Forbidden(text.to_owned()));
    }
    Ok(())
}

/// The account that a back end numbers, before it is brought to its state.
fn new_by_number(id: UserId, wanted: &UserChanges, now: Timestamp) -> NewUser {
    NewUser {
        id: Some(id),
        origin: Origin::ISSUER,
        username: wanted.username.clone().unwrap_or_default(),
        addresses: Addresses::default().with(&wanted.addresses),
        full_name: wanted.full_name.clone().unwrap_or_default(),
        role: wanted.role.clone().unwrap_or(Role::Client),
        is_email_verified: true,
        password_hash: None,
        now,
    }
}

/// A name or an address of another account is a conflict between the back end's users and the
/// hub's, which no other body would solve.
fn conflict(error: StoreError) -> ApiError {
    if let StoreError::Taken(field) | StoreError::TooSimilar(field @ ("username" | "email")) = error
    {
        let detail = format!("Another account has this {field}, or a similar one.");
        return ApiError::Conflict { code: "conflict", detail };
    }
    error.into()
}

fn above_own() -> ApiError {
    let text = "A role above your own is not yours to give or to change.";
    ApiError::Forbidden(text.to_owned())
}

fn is_super(principal: &Principal) -> bool {
    principal.user.role == Role::SuperAdmin
}

fn only_super() -> ApiError {
    let text = "Only a super admin may make or change admins.";
    ApiError::Forbidden(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: i64, role: Role) -> User {
        User {
            id: UserId(id),
            username: format!("user{id}").into(),
            addresses: Addresses::default(),
            full_name: "".into(),
            role,
            is_active: true,
            is_email_verified: true,
            created_at: "2025-12-24T10:30:00Z".parse().unwrap(),
            origin: Origin::Hub,
            tokens_from: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn principal(id: i64, role: Role) -> Principal {
        let user = Arc::new(user(id, role));
        let expires_at = user.created_at;
        Principal { user, login: None, expires_at, is_service: false }
    }

    #[test]
    fn who_may_give_and_take_what() {
        use Role::{Admin, Client, Developer, SuperAdmin};
        let to = |role: Role| UserChanges { role: Some(role), ..UserChanges::default() };
        let off = UserChanges { is_active: Some(false), ..UserChanges::default() };
        for (caller, before, changes, is_allowed) in [
            ((1, Admin), (2, Client), to(Developer), true),
            ((1, Admin), (2, Client), to(Admin), false),
            ((1, Admin), (2, Client), to(SuperAdmin), false),
            ((1, SuperAdmin), (2, Client), to(SuperAdmin), true),
            ((1, SuperAdmin), (2, SuperAdmin), to(Client), true),
            ((1, SuperAdmin), (1, SuperAdmin), to(Client), false),
            ((1, SuperAdmin), (1, SuperAdmin), to(SuperAdmin), true),
            ((1, SuperAdmin), (1, SuperAdmin), off.clone(), false),
            ((1, Admin), (2, Client), off.clone(), true),
            ((1, Admin), (1, Admin), off, false),
        ] {
            let text = format!("{caller:?} {before:?} {changes:?}");
            let (principal, before) = (principal(caller.0, caller.1), user(before.0, before.1));
            let outcome = check_rights(&principal, &before, &changes);
            assert_eq!(outcome.is_ok(), is_allowed, "{text}");
        }
    }
}
