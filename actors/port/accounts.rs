//! The store port of logins, tokens and the lists of users.

use async_trait::async_trait;
use jiff::Timestamp;

use super::account_links::{EndedLogin, NewLink, PasswordChange};
use super::tickets::AnnouncedMessage;
use super::{Page, PageRequest, SharedTickets, StoreError};
use bellpull_domain::account_link::AccountLink;
use bellpull_domain::address::Addresses;
use bellpull_domain::channel::Channel;
use bellpull_domain::confusable::{email_key, is_same_name, username_key};
use bellpull_domain::idempotency::IdempotencyKey;
use bellpull_domain::ids::{LoginId, ProjectId, UserId};
use bellpull_domain::notification::Announcement;
use bellpull_domain::plan::account::AccountRefusal;
pub use bellpull_domain::plan::account::UserChanges;
pub use bellpull_domain::plan::login::RefreshUse;
use bellpull_domain::user::{APART_FROM, Origin, Role, User};

/// The setting with the last number that the store assigned apart from issuers' numbers.
pub const APART_SETTING: &str = "last_user_id_apart";

/// Accounts, logins, and the hub's own settings.
#[async_trait]
pub trait AccountStore: std::fmt::Debug + Send + Sync + 'static {
    /// Creates an account and, in the same transaction, the announcement that `announce` returns
    /// for the account with its id.
    ///
    /// # Errors
    /// [`StoreError::Taken`] with `username`, `email` or `id`; [`StoreError::TooSimilar`] with
    /// `username` or `email`. Of two concurrent ones that look alike, one is created.
    async fn create_user(
        &self,
        new: NewUser,
        announce: Option<AnnounceUser>,
    ) -> Result<(User, Option<AnnouncedMessage>), StoreError> {
        self.create_user_once(new, announce, None).await
    }

    /// The same, for a request that may be repeated.
    ///
    /// # Errors
    /// The same, and [`StoreError::Used`].
    async fn create_user_once(
        &self,
        new: NewUser,
        announce: Option<AnnounceUser>,
        once: Option<IdempotencyKey>,
    ) -> Result<(User, Option<AnnouncedMessage>), StoreError>;

    /// The account.
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// The account of that username or e-mail address, with its password's hash (`None` where it
    /// has no password: a foreign token made the account).
    async fn credentials(
        &self,
        login: &LoginName,
    ) -> Result<Option<(User, Option<String>)>, StoreError>;

    /// The hash of the account's password; `None` if it has none, or there is no account.
    async fn password_hash(&self, id: UserId) -> Result<Option<String>, StoreError>;

    /// Changes an account; the account after it. Whatever several changes at once have seen
    /// before: where one super admin is active, one stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Taken`] or [`StoreError::TooSimilar`] with
    /// `username` or `email`; [`StoreError::LastSuperAdmin`]; [`StoreError::Conflict`] where the
    /// role is not [`UserChanges::seen_role`], or its version not
    /// [`UserChanges::seen`], or the account has the claims of a younger token.
    async fn update_user(&self, id: UserId, changes: UserChanges) -> Result<User, StoreError>;

    /// A page of the accounts that match, by id.
    async fn list_users(
        &self,
        filter: &UserFilter,
        page: PageRequest,
    ) -> Result<Page<User>, StoreError>;

    /// Begins a login, with refresh generation 0 and an access token that is good until
    /// `access_until`. The account's password must still be the one of this hash: a login that was
    /// checked against the password before is refused.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn begin_login(
        &self,
        user: UserId,
        password_hash: Option<&str>,
        now: Timestamp,
        access_until: Timestamp,
        expires_at: Timestamp,
    ) -> Result<LoginId, StoreError>;

    /// A refresh token of that generation was used, for an access token that is good until
    /// `access_until`. A generation below the highest one used so far means that a token was used
    /// after its successor: the login is revoked.
    async fn use_refresh(
        &self,
        login: LoginId,
        generation: i64,
        now: Timestamp,
        access_until: Timestamp,
    ) -> Result<RefreshUse, StoreError>;

    /// Ends a login; returns when the last of its access tokens expires, if there is such a login.
    /// Ending one twice changes nothing.
    async fn revoke_login(
        &self,
        login: LoginId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError>;

    /// Ends all logins of an account; those with an access token that is still valid. Empty for an
    /// account that has none, or does not exist.
    async fn revoke_all_logins(
        &self,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<EndedLogin>, StoreError>;

    /// The revoked logins with an access token that is still valid at `now`, each with the expiry
    /// of its last one; of more than `limit`, those whose tokens expire last.
    async fn ended_logins(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(LoginId, Timestamp)>, StoreError>;

    /// The logins that were revoked at `since` or later, by whatever process, newest first, as far
    /// as they have an access token that is still good at `now`, by the caller's clock, as tokens
    /// are; at most `limit`. Without `since` none. `since` and the time of the answer are by the
    /// store's own clock, as in [`Self::rights_withdrawn`].
    async fn logins_revoked(
        &self,
        since: Option<Timestamp>,
        now: Timestamp,
        limit: u32,
    ) -> Result<RevokedLogins, StoreError>;

    /// Whether a login was ended; of one that is not there, too.
    async fn is_login_ended(&self, login: LoginId) -> Result<bool, StoreError>;

    /// The accounts whose role was changed, or that were switched off, at `since` or later, by
    /// whatever process, newest first; at most `limit`. And the users who were removed from a
    /// project since then and may not see it now; at most `limit`. Without `since` none: a caller
    /// that begins learns the time from which on it must ask. All times are by the store's own
    /// clock, as those of [`NodeStore`](super::NodeStore). An answer does not contain what is not
    /// committed yet but has an earlier time: callers look back by as much as a transaction may
    /// take.
    async fn rights_withdrawn(
        &self,
        since: Option<Timestamp>,
        limit: u32,
    ) -> Result<WithdrawnRights, StoreError>;

    /// Sets an account's password, ends all its logins but one, and voids its open links for a new
    /// password, in one transaction; the logins that ended.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also where the password is no longer the one that was seen.
    async fn change_password(&self, change: PasswordChange) -> Result<Vec<EndedLogin>, StoreError>;

    /// Makes a link, and queues the mail that brings it, in one transaction. `false`, and nothing
    /// is made, where no active account has that address, or where the link would be of no use: a
    /// new password for an account that has none, the confirmation of an address that is verified.
    /// Older links stay good, up to a few.
    async fn mail_link(&self, new: NewLink) -> Result<bool, StoreError>;

    /// Whether a link may still be used at `now`.
    async fn is_link_open(&self, link: &AccountLink, now: Timestamp) -> Result<bool, StoreError>;

    /// Uses a link for a new password, as [`Self::change_password`] without a login to keep;
    /// the user of the link has read a mail, so the address is verified. `None`, and nothing
    /// changes, where the link is not open.
    async fn reset_password(
        &self,
        link: AccountLink,
        password_hash: String,
        now: Timestamp,
    ) -> Result<Option<Vec<EndedLogin>>, StoreError>;

    /// Uses a link that confirms an address. `false`, and nothing changes, where it is not open.
    async fn confirm_email(&self, link: AccountLink, now: Timestamp) -> Result<bool, StoreError>;

    /// The setting with that name; if there is none, `initial` is stored, and on the disk when this
    /// returns. Two processes that do this at once get the same answer.
    async fn setting_or_insert(&self, name: &str, initial: &str) -> Result<String, StoreError>;

    /// The setting with that name, if there is one.
    async fn setting(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Sets a setting.
    async fn set_setting(&self, name: &str, value: &str) -> Result<(), StoreError>;

    /// From now on the numbers that the store assigns to accounts begin at [`APART_FROM`]: lower
    /// ones are an issuer's. It stays so, for every process that opens the database.
    ///
    /// # Errors
    /// Those of [`Self::setting_or_insert`].
    async fn number_apart(&self) -> Result<(), StoreError> {
        let last = (APART_FROM - 1).to_string();
        self.setting_or_insert(APART_SETTING, &last).await.map(drop)
    }

    /// The accounts of [`Origin::Hub`] with a number below [`APART_FROM`], by number; at most
    /// `limit`.
    async fn own_below_apart(&self, limit: u32) -> Result<Vec<(UserId, String)>, StoreError>;

    /// Tickets for sockets that are good at every node. `None`: a single process uses the store,
    /// and keeps them in memory.
    fn shared_tickets(&self) -> Option<&dyn SharedTickets> {
        None
    }
}

impl StoreError {
    /// A refusal, as a store answers it.
    #[must_use]
    pub fn of_account(refusal: AccountRefusal) -> Self {
        match refusal {
            AccountRefusal::Taken(field) => Self::Taken(field),
            AccountRefusal::TooSimilar(field) => Self::TooSimilar(field),
            AccountRefusal::Changed | AccountRefusal::OlderClaims => Self::Conflict,
            AccountRefusal::LastSuperAdmin => Self::LastSuperAdmin,
            AccountRefusal::NotFound => Self::NotFound,
        }
    }
}

/// Builds the announcement of a new account, once its id is known. A plain function: it may be
/// called twice if a transaction is retried.
pub type AnnounceUser = fn(&User) -> Announcement;

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// `Some` if an issuer names the id; else the store assigns the next one.
    pub id: Option<UserId>,
    /// Who gives it its number.
    pub origin: Origin,
    /// Unique.
    pub username: String,
    /// May be empty.
    pub full_name: String,
    /// The role.
    pub role: Role,
    /// Where external messages go; the e-mail address is unique.
    pub addresses: Addresses,
    /// Whether the e-mail address is vouched for: by an operator, an admin, or a token's issuer.
    pub is_email_verified: bool,
    /// A PHC string; `None` for an account that cannot log in with a password.
    pub password_hash: Option<String>,
    /// When it is made.
    pub now: Timestamp,
}

impl NewUser {
    /// The e-mail address; empty for none.
    #[must_use]
    pub fn email(&self) -> &str {
        self.addresses.get(Channel::Email)
    }
}

/// Logins that were ended lately.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevokedLogins {
    /// When they were read.
    pub read_at: Timestamp,
    /// Them.
    pub logins: Vec<EndedLogin>,
}

/// Accounts that lost rights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WithdrawnRights {
    /// When they were read.
    pub read_at: Timestamp,
    /// Each with the last time at which it lost rights.
    pub accounts: Vec<(UserId, Timestamp)>,
    /// Who was removed from a project, and is not a member again.
    pub members: Vec<(ProjectId, UserId)>,
}

/// The name in a login, without regard to case and form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginName {
    /// The username.
    Username(String),
    /// The e-mail address.
    Email(String),
}

impl LoginName {
    /// The name, and the key by which a store finds the account that may have it.
    #[must_use]
    pub fn parts(&self) -> (&str, String) {
        match self {
            Self::Username(name) => (name, username_key(name)),
            Self::Email(email) => (email, email_key(email)),
        }
    }

    /// Whether it is that account's: one with the same key may only look like it.
    #[must_use]
    pub fn is_of(&self, user: &User) -> bool {
        match self {
            Self::Username(name) => is_same_name(name, &user.username),
            Self::Email(email) => !email.is_empty() && is_same_name(email, user.email()),
        }
    }
}

/// Which accounts a list shows.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// With this role.
    pub role: Option<Role>,
    /// With this text in username, e-mail or full name, without regard to (ASCII) case.
    pub search: Option<String>,
}
