//! Service tokens: what a back end, or the hub's own command line, may do all with.

use std::sync::Arc;

use bellpull_domain::user::User;
use jiff::Timestamp;

use super::{Auth, AuthError, CLOCKS_DIFFER_S, Inner, Principal};

/// What the username of a named service token begins with; no account's has such a character.
const SERVICE_PREFIX: &str = "service:";

impl Principal {
    /// The name of the back end, if a service token has one.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        let name = self.user.username.strip_prefix(SERVICE_PREFIX);
        name.filter(|_| self.is_service)
    }
}

impl Inner {
    /// The caller of a service token.
    pub(super) fn service_principal(&self, name: Option<&str>, expires_at: Timestamp) -> Principal {
        let user = match name {
            None => Arc::clone(&self.service),
            Some(name) => {
                let username = format!("{SERVICE_PREFIX}{name}").into();
                Arc::new(User { username, ..(*self.service).clone() })
            }
        };
        Principal { user, login: None, expires_at, is_service: true }
    }
}

impl Auth {
    /// The caller of a service token that ends then.
    pub(super) fn service(
        &self,
        name: Option<&str>,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Principal, AuthError> {
        if !self.0.keys.is_own() {
            return Err(AuthError::BadToken("it is not an access token"));
        }
        let ttl_max_s = self.0.config.service_ttl_s.saturating_add(CLOCKS_DIFFER_S);
        if expires_at.as_second() - now.as_second() > i64::from(ttl_max_s) {
            return Err(AuthError::BadToken("it lives longer than auth.service_ttl_s"));
        }
        Ok(self.0.service_principal(name, expires_at))
    }
}
