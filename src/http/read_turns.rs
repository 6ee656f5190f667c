//! Lists and searches take their turn: one at a time for each account, so that nobody who asks for
//! many of them holds up those of others.
//!
//! What they cost is bounded by the store; here is decided whose are next. Single rows, counts and
//! the plain list of an inbox need no turn.

use std::time::Duration;

use bellpull_actors::domain::ids::UserId;
use bellpull_actors::turns::{Turn, Turns};

use super::error::ApiError;
use crate::auth::Principal;

/// So many wait for the one before: with it, as many as a browser has connections to one host, so
/// that a page that asks for several lists at once is served.
const WAITING_MAX: usize = 5;
/// How long one waits. With the store's own limits it ends before a request does, after 15 s.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// As a rule the one before has ended by then.
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
    /// [`ApiError::Throttled`] where too many of the caller's requests wait.
    pub(super) async fn begin(&self, caller: &Principal) -> Result<Turn<UserId>, ApiError> {
        let throttled = |_| ApiError::Throttled { retry_after_s: RETRY_AFTER_S };
        self.0.begin(&caller.user.id).await.map_err(throttled)
    }
}
