//! Accounts and logins, as the document has them.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use jiff::Timestamp;
use utoipa::{IntoParams, ToSchema};

/// An account, as its owner and admins see it.
#[derive(ToSchema)]
pub(in crate::http) struct User {
    id: i64,
    username: String,
    email: String,
    full_name: String,
    /// `client`, `developer`, `admin`, `super_admin`; any other has a client's rights.
    role: String,
    role_display: String,
    whatsapp_number: String,
    phone: String,
    is_active: bool,
    /// Whether mails may go to the address; false until its owner has confirmed it.
    email_verified: bool,
    created_at: Timestamp,
}

/// Who logs in: `username` or `email`.
#[derive(ToSchema)]
pub(in crate::http) struct Login {
    #[schema(min_length = 1, max_length = 150)]
    username: Option<String>,
    #[schema(min_length = 1, max_length = 254)]
    email: Option<String>,
    #[schema(min_length = 1, max_length = 1_024)]
    password: String,
}

/// A login's tokens.
#[derive(ToSchema)]
pub(in crate::http) struct LoggedIn {
    /// For `Authorization: Bearer`, an hour where nothing else is set.
    access: String,
    /// For `/api/auth/refresh/`.
    refresh: String,
    user: User,
}

/// A refresh token.
#[derive(ToSchema)]
pub(in crate::http) struct Refresh {
    #[schema(min_length = 1, max_length = 8_192)]
    refresh: String,
}

/// New tokens. A client that uses the new refresh token gives up the one before.
#[derive(ToSchema)]
pub(in crate::http) struct Refreshed {
    access: String,
    refresh: String,
}

/// Somebody who registers.
#[derive(ToSchema)]
pub(in crate::http) struct NewAccount {
    /// Letters, numbers and `@.+-_`.
    #[schema(min_length = 1, max_length = 150, pattern = r"^[A-Za-z0-9@.+_-]+$")]
    username: String,
    #[schema(max_length = 254, format = Email)]
    email: String,
    #[schema(min_length = 8, max_length = 1_024)]
    password: String,
    #[schema(max_length = 150)]
    full_name: Option<String>,
    /// One without rights: neither `developer` nor `admin` nor `super_admin`.
    #[schema(pattern = "^[a-z0-9_-]{1,32}$")]
    role: Option<String>,
}

/// The login that ends; without it, the one of the access token.
#[derive(ToSchema)]
pub(in crate::http) struct Logout {
    #[schema(min_length = 1, max_length = 8_192)]
    refresh: Option<String>,
}

/// Done.
#[derive(ToSchema)]
pub(in crate::http) struct LoggedOut {
    message: String,
    /// The same text.
    detail: String,
}

/// What opens a socket, once.
#[derive(ToSchema)]
pub(in crate::http) struct SocketTicket {
    ticket: String,
    /// In seconds.
    expires_in: i64,
}

/// A new password, by whoever knows the one before.
#[derive(ToSchema)]
pub(in crate::http) struct PasswordChange {
    #[schema(min_length = 1, max_length = 1_024)]
    current_password: String,
    #[schema(min_length = 8, max_length = 1_024)]
    new_password: String,
}

/// The address of an account whose password is forgotten.
#[derive(ToSchema)]
pub(in crate::http) struct ResetRequest {
    #[schema(max_length = 254, format = Email)]
    email: String,
}

/// A new password, by a link.
#[derive(ToSchema)]
pub(in crate::http) struct ResetConfirmation {
    /// What stands behind the `#` of the link.
    #[schema(min_length = 1, max_length = 200)]
    token: String,
    #[schema(min_length = 8, max_length = 1_024)]
    new_password: String,
}

/// The proof that a mail has arrived.
#[derive(ToSchema)]
pub(in crate::http) struct EmailConfirmation {
    /// What stands behind the `#` of the link.
    #[schema(min_length = 1, max_length = 200)]
    token: String,
}

/// What was done, for people.
#[derive(ToSchema)]
pub(in crate::http) struct Told {
    detail: String,
}

/// An account that an admin makes.
#[derive(ToSchema)]
pub(in crate::http) struct NewUser {
    /// Letters, numbers and `@.+-_`.
    #[schema(min_length = 1, max_length = 150, pattern = r"^[A-Za-z0-9@.+_-]+$")]
    username: String,
    #[schema(min_length = 8, max_length = 1_024)]
    password: String,
    /// Empty for none.
    #[schema(max_length = 254)]
    email: Option<String>,
    #[schema(max_length = 150)]
    full_name: Option<String>,
    /// `client` where nobody says; only a super admin makes admins.
    #[schema(pattern = "^[a-z0-9_-]{1,32}$")]
    role: Option<String>,
    /// A plus sign and up to 15 digits; empty for none.
    #[schema(max_length = 16)]
    whatsapp_number: Option<String>,
    #[schema(max_length = 16)]
    phone: Option<String>,
}

/// What is to change.
#[derive(ToSchema)]
pub(in crate::http) struct UserEdit {
    /// Another address counts as confirmed; links that were mailed to the one before are void.
    #[schema(max_length = 254)]
    email: Option<String>,
    #[schema(max_length = 150)]
    full_name: Option<String>,
    /// Whose role changes, and who is switched off, loses all sessions.
    #[schema(pattern = "^[a-z0-9_-]{1,32}$")]
    role: Option<String>,
    #[schema(max_length = 16)]
    whatsapp_number: Option<String>,
    #[schema(max_length = 16)]
    phone: Option<String>,
    is_active: Option<bool>,
}

/// Which accounts.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct UserFilters {
    #[param(pattern = "^[a-z0-9_-]{1,32}$")]
    role: Option<String>,
    /// A part of the username, the e-mail address or the full name.
    #[param(max_length = 200)]
    search: Option<String>,
}
