//! Turns for lists and searches: one at a time per account, so that a caller who asks for many does
//! not hold up others.
//!
//! The store bounds the cost of each; this decides whose is next. Single rows, counts and the plain
//! list of an inbox need no turn.

use std::time::Duration;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use bellpull_actors::domain::ids::UserId;
use bellpull_actors::turns::{Turn, Turns};

use super::error::ApiError;
use super::who::{Admin, Who};
use crate::auth::Principal;

/// How many wait for the current one: together, as many as a browser has connections to one host,
/// so that a page that requests several lists at once is served.
const WAITING_MAX: usize = 5;
/// How long a request waits. With the store's own limits it ends before the request limit of 15 s.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Normally the current one has ended by then.
const RETRY_AFTER_S: u32 = 1;

/// The turns of all accounts. Cheap to clone. All service tokens are one account.
#[derive(Debug, Clone)]
pub(super) struct ReadTurns(Turns<UserId>);

impl Default for ReadTurns {
    fn default() -> Self {
        Self(Turns::new(WAITING_MAX, WAIT_MAX))
    }
}

impl ReadTurns {
    /// Waits for the caller's turn, which lasts until it is dropped.
    ///
    /// # Errors
    /// [`ApiError::Throttled`] if too many of the caller's requests wait.
    async fn begin(&self, caller: &Principal) -> Result<Turn<UserId>, ApiError> {
        let throttled = |_| ApiError::Throttled { retry_after_s: RETRY_AFTER_S };
        self.0.begin(&caller.user.id).await.map_err(throttled)
    }
}

/// A caller ([`Who`] or [`Admin`]) in its turn for a read that may be slow.
///
/// It comes before the handler's [`super::page::Paging`], which waits for a page's turn among all
/// users: a caller whose own turn has not come must not hold one of those.
#[derive(Debug)]
pub(super) struct InTurn<P>(pub(super) P, pub(super) Turn<UserId>);

/// Marks a request whose page comes from a slow read, so that it waits among those.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlowRead;

impl<S, P> FromRequestParts<S> for InTurn<P>
where
    P: FromRequestParts<S, Rejection = ApiError> + AsRef<Principal> + Send,
    ReadTurns: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let caller = P::from_request_parts(parts, state).await?;
        let turn = ReadTurns::from_ref(state).begin(caller.as_ref()).await?;
        parts.extensions.insert(SlowRead);
        Ok(Self(caller, turn))
    }
}

impl AsRef<Principal> for Who {
    fn as_ref(&self) -> &Principal {
        &self.0
    }
}

impl AsRef<Principal> for Admin {
    fn as_ref(&self) -> &Principal {
        &self.0
    }
}
