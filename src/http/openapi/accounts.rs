//! OpenAPI schemas: accounts and logins.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use std::collections::BTreeMap;

use bellpull_domain::channel::Channel;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, ToSchema};

/// Adds the fields with addresses to the schemas of accounts, from the table of channels.
pub(super) fn add_addresses(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    for (_, field) in Channel::address_fields() {
        for name in ["User", "NewUser", "UserEdit", "UserState"] {
            let Some(RefOr::T(Schema::Object(object))) = schemas.get_mut(name) else { continue };
            let mut property = ObjectBuilder::new().schema_type(Type::String);
            if name == "User" {
                object.required.push(field.name.to_owned());
            } else {
                let text = format!("{}; may be empty.", field.help);
                property = property.description(Some(text)).max_length(Some(field.chars_max));
            }
            object.properties.insert(field.name.to_owned(), Schema::from(property).into());
        }
    }
}

/// The login: `username` or `email`.
#[derive(ToSchema)]
pub(crate) struct Login {
    #[schema(min_length = 1, max_length = 150)]
    username: Option<String>,
    #[schema(min_length = 1, max_length = 254)]
    email: Option<String>,
    #[schema(min_length = 1, max_length = 1_024)]
    password: String,
}

/// A refresh token.
#[derive(ToSchema)]
pub(crate) struct Refresh {
    #[schema(min_length = 1, max_length = 8_192)]
    refresh: String,
}

/// A registration.
#[derive(ToSchema)]
pub(crate) struct NewAccount {
    /// Letters, digits and `@.+-_`.
    #[schema(min_length = 1, max_length = 150, pattern = r"^[A-Za-z0-9@.+_-]*[A-Za-z0-9]$")]
    username: String,
    #[schema(max_length = 254, format = Email)]
    email: String,
    #[schema(min_length = 8, max_length = 1_024)]
    password: String,
    #[schema(max_length = 255)]
    full_name: Option<String>,
    /// A role without rights: not `developer`, `admin` or `super_admin`.
    #[schema(pattern = "^[a-z0-9_-]{1,32}$")]
    role: Option<String>,
}

/// The login to end; by default the one of the access token.
#[derive(ToSchema)]
pub(crate) struct Logout {
    #[schema(min_length = 1, max_length = 8_192)]
    refresh: Option<String>,
}

/// A new password, with the current one as proof.
#[derive(ToSchema)]
pub(crate) struct PasswordChange {
    #[schema(min_length = 1, max_length = 1_024)]
    current_password: String,
    #[schema(min_length = 8, max_length = 1_024)]
    new_password: String,
}

/// The address of an account whose password is forgotten.
#[derive(ToSchema)]
pub(crate) struct ResetRequest {
    #[schema(max_length = 254, format = Email)]
    email: String,
}

/// A new password, set through a link.
#[derive(ToSchema)]
pub(crate) struct ResetConfirmation {
    /// The part of the link after `#`.
    #[schema(min_length = 1, max_length = 200)]
    token: String,
    #[schema(min_length = 8, max_length = 1_024)]
    new_password: String,
}

/// The token of a mailed link.
#[derive(ToSchema)]
pub(crate) struct EmailConfirmation {
    /// The part of the link after `#`.
    #[schema(min_length = 1, max_length = 200)]
    token: String,
}

/// An account that an admin creates.
#[derive(ToSchema)]
pub(crate) struct NewUser {
    /// Letters, digits and `@.+-_`, ending in a letter or digit.
    #[schema(min_length = 1, max_length = 150, pattern = r"^[A-Za-z0-9@.+_-]*[A-Za-z0-9]$")]
    username: String,
    #[schema(min_length = 8, max_length = 1_024)]
    password: String,
    #[schema(max_length = 255)]
    full_name: Option<String>,
    /// `client` by default; only a super admin creates admins.
    #[schema(pattern = "^[a-z0-9_-]{1,32}$")]
    role: Option<String>,
}

/// The state of an account that a back end numbers; what is not sent stays as it is.
#[derive(ToSchema)]
pub(crate) struct UserState {
    /// Letters, digits and `@.+-_`, ending in a letter or digit.
    #[schema(min_length = 1, max_length = 150, pattern = r"^[A-Za-z0-9@.+_-]*[A-Za-z0-9]$")]
    username: String,
    #[schema(max_length = 255)]
    full_name: Option<String>,
    /// `client` by default; none above the caller's own.
    #[schema(pattern = "^[a-z0-9_-]{1,32}$")]
    role: Option<String>,
    is_active: Option<bool>,
    /// The version that the caller has seen: if it has changed, the answer is 409.
    version: Option<i64>,
}

/// The changes. A new e-mail address counts as confirmed; links mailed to the previous one become
/// invalid.
#[derive(ToSchema)]
pub(crate) struct UserEdit {
    #[schema(max_length = 255)]
    full_name: Option<String>,
    /// A changed role ends all sessions of the account, and so does deactivation.
    #[schema(pattern = "^[a-z0-9_-]{1,32}$")]
    role: Option<String>,
    is_active: Option<bool>,
    /// The version that the caller has seen: if it has changed, the answer is 409.
    version: Option<i64>,
}

/// The changes of the caller's own account.
#[derive(ToSchema)]
pub(crate) struct ProfileEdit {
    #[schema(max_length = 255)]
    full_name: Option<String>,
    /// A new address needs `current_password`; an empty one removes it.
    #[schema(max_length = 254)]
    email: Option<String>,
    #[schema(min_length = 1, max_length = 1_024)]
    current_password: Option<String>,
    /// The version that the caller has seen: if it has changed, the answer is 409.
    version: Option<i64>,
}

/// Filters of the list of accounts.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UserFilters {
    #[param(pattern = "^[a-z0-9_-]{1,32}$")]
    role: Option<String>,
    /// A part of the username, the e-mail address or the full name.
    #[param(max_length = 200)]
    search: Option<String>,
}
