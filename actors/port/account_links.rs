//! Links in mails that change an account, as a store makes and ends them.

use jiff::Timestamp;

use bellpull_domain::account_link::LinkPurpose;
use bellpull_domain::ids::{LoginId, UserId};
pub use bellpull_domain::plan::login::EndedLogin;

/// A link to be made, with the mail that brings it.
#[derive(Debug, Clone)]
pub struct NewLink {
    /// The purpose.
    pub purpose: LinkPurpose,
    /// The account.
    pub to: LinkTo,
    /// When it is made.
    pub now: Timestamp,
}

/// The account of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkTo {
    /// That of the address, without regard to case.
    Email(String),
    /// This one.
    User(UserId),
}

/// A new password.
#[derive(Debug, Clone)]
pub struct PasswordChange {
    /// The user.
    pub user: UserId,
    /// A PHC string.
    pub password_hash: String,
    /// The hash that the account must still have; `None` for whatever it has.
    pub seen: Option<String>,
    /// The login that continues; `None`: all end.
    pub keep: Option<LoginId>,
    /// When it is set.
    pub now: Timestamp,
}
