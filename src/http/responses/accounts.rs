//! Accounts and logins.

use std::collections::BTreeMap;

use bellpull_domain::channel::Channel;
use bellpull_domain::user;
use compact_str::CompactString;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::times;
use bellpull_auth::Tokens;

/// An account, as its owner and admins see it.
#[derive(Serialize, ToSchema)]
pub(crate) struct User {
    id: i64,
    #[schema(value_type = String)]
    username: CompactString,
    #[schema(value_type = String)]
    full_name: CompactString,
    /// `client`, `developer`, `admin`, `super_admin`; any other role has a client's rights.
    #[schema(value_type = String)]
    role: CompactString,
    role_display: String,
    /// By the field's name in the table of channels, which the document adds.
    #[serde(flatten)]
    #[schema(ignore)]
    addresses: BTreeMap<&'static str, String>,
    is_active: bool,
    /// Whether mails are sent to the address; false until its owner has confirmed it.
    email_verified: bool,
    version: i64,
    #[serde(serialize_with = "times::time")]
    created_at: Timestamp,
}

impl From<&user::User> for User {
    fn from(user: &user::User) -> Self {
        Self {
            id: user.id.0,
            username: user.username.clone(),
            full_name: user.full_name.clone(),
            role: user.role.as_str().into(),
            role_display: user.role.display(),
            addresses: Channel::address_fields()
                .map(|(channel, field)| (field.name, user.addresses.get(channel).to_owned()))
                .collect(),
            is_active: user.is_active,
            email_verified: user.is_email_verified,
            version: user.version().0,
            created_at: user.created_at,
        }
    }
}

/// A login's tokens.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoggedIn {
    /// For `Authorization: Bearer`; valid for an hour by default.
    access: String,
    /// For `/api/auth/refresh/`.
    refresh: String,
    user: User,
}

impl LoggedIn {
    pub(crate) fn new(tokens: Tokens, user: &user::User) -> Self {
        Self { access: tokens.access, refresh: tokens.refresh, user: user.into() }
    }
}

/// New tokens. Using the new refresh token invalidates the previous one.
#[derive(Serialize, ToSchema)]
pub(crate) struct Refreshed {
    access: String,
    refresh: String,
}

impl From<Tokens> for Refreshed {
    fn from(tokens: Tokens) -> Self {
        Self { access: tokens.access, refresh: tokens.refresh }
    }
}

/// Success.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoggedOut {
    pub(crate) message: &'static str,
    /// The same text.
    pub(crate) detail: &'static str,
}

/// A ticket that opens one socket.
#[derive(Serialize, ToSchema)]
pub(crate) struct SocketTicket {
    pub(crate) ticket: String,
    /// In seconds.
    pub(crate) expires_in: i64,
}

/// The result, as a text for users.
#[derive(Serialize, ToSchema)]
pub(crate) struct Detail {
    pub(crate) detail: &'static str,
}

#[cfg(test)]
mod tests {
    use bellpull_domain::address::Addresses;
    use bellpull_domain::ids::UserId;
    use bellpull_domain::user::{Origin, Role};
    use serde_json::json;

    use super::*;

    #[test]
    fn an_account_is_shown_without_anything_secret() {
        let user = user::User {
            id: UserId(7),
            username: "user7".into(),
            full_name: "".into(),
            role: Role::SuperAdmin,
            addresses: Addresses::default(),
            is_active: true,
            is_email_verified: true,
            created_at: "2025-12-24T10:30:00Z".parse().unwrap(),
            origin: Origin::Hub,
            tokens_from: Timestamp::UNIX_EPOCH,
        };
        let wanted = json!({"id": 7, "username": "user7", "email": "", "full_name": "",
            "role": "super_admin", "role_display": "Super Admin", "whatsapp_number": "",
            "phone": "", "is_active": true, "email_verified": true, "version": user.version().0,
            "created_at": "2025-12-24T10:30:00.000Z"});
        assert_eq!(serde_json::to_value(User::from(&user)).unwrap(), wanted);
    }
}
