//! Turns for lists and searches, so that a caller who asks for many does not hold up others.
//!
//! The store bounds the cost of each; this decides whose is next. Lists have one turn at a time per
//! account. Searches may take seconds, so they have places of their own, which accounts share by
//! time, and no more than one of them is a single network's. Single rows, counts and the plain list
//! of an inbox need no turn.

use std::time::Duration;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use bellpull_domain::ids::UserId;
use bellpull_domain::search::SEARCHES_AT_ONCE;
use bellpull_port::rate::network;
use bellpull_port::shares::{Share, ShareLimits, Shares};
use bellpull_port::turns::{Turn, Turns};

use super::error::ApiError;
use super::who::{Address, Admin, Who};
use bellpull_auth::Principal;
use bellpull_edge::TrustedProxies;
pub(crate) use bellpull_edge::unsent::Pages;

/// How many wait for the current one: together, as many as a browser has connections to one host,
/// so that a page that requests several lists at once is served.
const WAITING_MAX: usize = 5;
/// Searches that wait, of all accounts.
const SEARCHES_WAITING_MAX: usize = 64;
/// Those of one network: a quarter.
const SEARCHES_WAITING_PER_NETWORK: usize = 16;
/// How long a request waits. With the store's own limits it ends before the request limit of 15 s.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Normally the current one has ended by then.
const RETRY_AFTER_S: u32 = 1;

/// The turns of all accounts. Cheap to clone. All service tokens are one account.
#[derive(Debug, Clone)]
pub(super) struct ReadTurns {
    lists: Turns<UserId>,
    searches: Shares<u64, UserId>,
}

impl Default for ReadTurns {
    fn default() -> Self {
        let searches = Shares::new(ShareLimits {
            places: SEARCHES_AT_ONCE,
            // A client with many accounts has few networks.
            places_per_group: SEARCHES_AT_ONCE / 2,
            waiting: [SEARCHES_WAITING_MAX, SEARCHES_WAITING_PER_NETWORK, WAITING_MAX],
            wait_max: WAIT_MAX,
        });
        Self { lists: Turns::new(WAITING_MAX, WAIT_MAX), searches }
    }
}

/// A turn for a list or a search, which lasts until it is dropped.
#[derive(Debug)]
pub(super) enum ReadTurn {
    List { _turn: Turn<UserId> },
    Search { _share: Share<u64, UserId> },
}

/// A caller ([`Who`] or [`Admin`]) in its turn for a read that may be slow.
///
/// It comes before the handler's [`super::page::Paging`], which waits for a page's turn among all
/// users: a caller whose own turn has not come must not hold one of those.
#[derive(Debug)]
pub(super) struct InTurn<P>(pub(super) P, pub(super) ReadTurn);

impl<S, P> FromRequestParts<S> for InTurn<P>
where
    P: FromRequestParts<S, Rejection = ApiError> + AsRef<Principal> + Send,
    ReadTurns: FromRef<S>,
    TrustedProxies: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let caller = P::from_request_parts(parts, state).await?;
        let user = caller.as_ref().user.id;
        let turns = ReadTurns::from_ref(state);
        let throttled = ApiError::Throttled { retry_after_s: RETRY_AFTER_S };
        let turn = if is_search(parts.uri.query().unwrap_or_default()) {
            parts.extensions.insert(Pages::Searches);
            let Ok(Address(address)) = Address::from_request_parts(parts, state).await;
            let share = turns.searches.begin(network(address), user).await;
            ReadTurn::Search { _share: share.map_err(|_| throttled)? }
        } else {
            parts.extensions.insert(Pages::Lists);
            let turn = turns.lists.begin(&user).await;
            ReadTurn::List { _turn: turn.map_err(|_| throttled)? }
        };
        Ok(Self(caller, turn))
    }
}

/// Whether a list's query searches for something.
fn is_search(query: &str) -> bool {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.any(|(name, text)| name == "search" && !text.trim().is_empty())
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
