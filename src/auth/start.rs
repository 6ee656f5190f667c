//! How authentication is set up at start.

use std::sync::Arc;

use bellpull_actors::directory::Users;
use bellpull_domain::address::Addresses;
use bellpull_domain::ids::UserId;
use bellpull_domain::user::{Origin, Role, User};
use bellpull_port::{AccountStore, Clock, StoreError};
use jiff::Timestamp;

use super::accounts::Accounts;
use super::ended::{ENDED_MAX, EndedLogins};
use super::foreign::Refused;
use super::issue::{Issuer, hub_secret};
use super::key_file::KeyFile;
use super::keys::Keys;
use super::password::Passwords;
use super::registration_limit::RegistrationLimit;
use super::withdrawn::Withdrawn;
use super::ws_tickets::WsTickets;
use super::{Auth, Inner, NodePasses};
use bellpull_config::Config;

/// A shorter secret can be guessed from one token, without asking the hub.
const SECRET_BYTES_WISE: usize = 16;

/// As many of the hub's own accounts are named to an operator.
pub const OWN_SHOWN_MAX: u32 = 10;

/// Why authentication could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum AuthStartError {
    /// A setting is invalid.
    #[error("{setting}: {problem}")]
    Setting {
        /// Its key.
        setting: &'static str,
        /// What is wrong, without any key's text.
        problem: String,
    },
    /// The secret could not be read from the store, or written to it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Another issuer may number its users as these accounts are numbered.
async fn warn_of_own(accounts: &dyn AccountStore) -> Result<(), StoreError> {
    let own = accounts.own_below_apart(OWN_SHOWN_MAX + 1).await?;
    if let Some(own) = shown_own(&own) {
        tracing::warn!(
            "tokens come from elsewhere, and these accounts are the hub's own: {own}. A token of \
             the issuer's for one of their numbers is refused; `bellpull user adopt --id N` hands \
             an account to the issuer"
        );
    }
    Ok(())
}

/// The hub's own accounts as a list for an operator; `None` if there are none.
#[must_use]
pub fn shown_own(own: &[(UserId, String)]) -> Option<String> {
    let max = usize::try_from(OWN_SHOWN_MAX).unwrap_or(usize::MAX);
    let shown = own.iter().take(max).map(|(id, name)| format!("{id} ({name})"));
    let more = (own.len() > max).then(|| "and more".to_owned());
    let all: Vec<String> = shown.chain(more).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// The account of service tokens: not stored, with all rights.
fn service_account() -> User {
    User {
        id: UserId(0),
        username: "service".into(),
        addresses: Addresses::default(),
        full_name: "".into(),
        role: Role::SuperAdmin,
        is_active: true,
        is_email_verified: true,
        created_at: Timestamp::UNIX_EPOCH,
        origin: Origin::Hub,
        tokens_from: Timestamp::UNIX_EPOCH,
    }
}

/// The keys for verifying tokens, and for signing them if they are ours, and the ended logins. Read
/// before anything starts that an invalid setting would have to stop again.
#[derive(Debug)]
pub struct Signing {
    keys: Keys,
    issuer: Option<Issuer>,
    passes: NodePasses,
    ended: EndedLogins,
}

impl Signing {
    /// Reads the keys, or the secret (generated if there is none yet) and the logins that have
    /// ended by `now`.
    ///
    /// # Errors
    /// See [`AuthStartError`].
    pub async fn read(
        config: &Config,
        accounts: &dyn AccountStore,
        now: Timestamp,
    ) -> Result<Self, AuthStartError> {
        if config.auth.has_issuer() {
            accounts.number_apart().await?;
            warn_of_own(accounts).await?;
        }
        let key_file = KeyFile::open(&config.auth)?;
        let secret = hub_secret(config, accounts).await?;
        let passes = NodePasses::new(&secret);
        if let Some(file) = key_file {
            let is_any = config.auth.issuer.is_none() && config.auth.audience.is_none();
            if is_any && config.auth.jwks_file.is_some() {
                tracing::warn!(
                    "auth.jwks_file is set without auth.issuer and auth.audience: every token is \
                     accepted that a key of the set has signed, for whatever application"
                );
            }
            let keys = Keys::Foreign(Box::new(file));
            if config.jwt_secret.is_some() {
                tracing::warn!("jwt_secret signs no tokens: they are issued elsewhere");
            }
            return Ok(Self { keys, issuer: None, passes, ended: EndedLogins::default() });
        }
        if secret.reveal().len() < SECRET_BYTES_WISE {
            tracing::warn!("jwt_secret is short: an attacker with a token can guess it");
        }
        let issuer = Issuer::new(&secret).named(config.auth.issuer.as_deref());
        let ended = EndedLogins::recall(accounts.ended_logins(now, ENDED_MAX).await?);
        Ok(Self { keys: Keys::own(&secret), issuer: Some(issuer), passes, ended })
    }
}

impl Auth {
    /// Accounts and tokens of a hub; without `users`, no sockets are closed and no limits are
    /// shared.
    #[must_use]
    pub fn new(
        signing: Signing,
        config: &Config,
        accounts: Arc<dyn AccountStore>,
        users: Option<Users>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let Signing { keys, issuer, passes, ended } = signing;
        let shared = users.as_ref().and_then(Users::shared_limits);
        let registrations = config.auth.registrations_per_min;
        Self(Arc::new(Inner {
            config: config.auth.clone(),
            keys,
            issuer,
            passes,
            accounts: Arc::new(Accounts::new(accounts)),
            ended,
            withdrawn: Withdrawn::default(),
            refused: Refused::default(),
            ws_tickets: WsTickets::default(),
            passwords: Passwords::new(shared.clone()),
            sends_mail: config.delivery.smtp.is_some(),
            registration_limit: RegistrationLimit::per_minute(registrations, shared),
            users,
            clock,
            service: Arc::new(service_account()),
        }))
    }
}
