//! Requests in progress: how many each user has, and how much memory they hold.
//!
//! Each request has a [`Slot`] among its extensions. It is anonymous until the token is checked;
//! from then on it counts for its user, until the last byte of its answer is written.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bellpull_domain::ids::UserId;
use bellpull_port::StoreError;
use bellpull_port::budget::{Budget, Room};
use bellpull_port::slow::{Wait, waiting};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::audit::Act;
use super::error::ApiError;
use bellpull_auth::Principal;
use bellpull_config::HttpConfig;
pub(crate) use bellpull_edge::unsent::{self, Pages, Turn, UNCOUNTED_MAX, Unsent};

/// Admins and service tokens may have this many times as many requests in progress: back ends act
/// for many users.
const ADMINS_MORE: u32 = 10;

/// How many pages of one user are read and written at once; the others wait.
const PAGES_PER_USER: usize = 2;

/// How long a page waits for its turn, and then for room: less than the request limit, so that the
/// client gets an explanation.
const WAIT_MAX: Duration = Duration::from_secs(6);

/// How many of the largest bodies may be read at once by all clients; one user, or all
/// unauthenticated clients together, a quarter of that.
const BODIES: usize = 32;

/// When a client with too many requests in progress may try again: most take some milliseconds.
const RETRY_AFTER_S: u32 = 1;

/// All requests in progress. Cheap to clone.
#[derive(Debug, Clone)]
pub struct InFlight(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    requests_max: u32,
    unsent: Unsent,
    bodies: Budget,
    bodies_share: usize,
    users: Mutex<HashMap<UserId, Use>>,
    /// Requests whose user is not known yet.
    anonymous: Arc<Account>,
}

/// A user with requests in progress.
#[derive(Debug)]
struct Use {
    requests: u32,
    account: Arc<Account>,
}

#[derive(Debug)]
struct Account {
    /// Bytes of answers that are not sent yet.
    unsent: AtomicUsize,
    /// Notified when they become fewer.
    sent: Notify,
    /// Bytes of bodies that are being read.
    bodies: AtomicUsize,
    pages: Arc<Semaphore>,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            unsent: AtomicUsize::new(0),
            sent: Notify::new(),
            bodies: AtomicUsize::new(0),
            pages: Arc::new(Semaphore::new(PAGES_PER_USER)),
        }
    }
}

impl InFlight {
    /// No requests, with the configured limits.
    pub(crate) fn new(config: &HttpConfig) -> Self {
        let bodies = config.max_body_bytes.saturating_mul(BODIES);
        Self(Arc::new(Shared {
            requests_max: config.max_requests_per_user,
            unsent: Unsent::new(config.max_unsent_bytes),
            bodies: Budget::new(bodies),
            bodies_share: bodies / 4,
            users: Mutex::default(),
            anonymous: Arc::default(),
        }))
    }

    /// The budget of unsent answers.
    pub fn unsent(&self) -> &Unsent {
        &self.0.unsent
    }

    fn users(&self) -> MutexGuard<'_, HashMap<UserId, Use>> {
        // The lock is never held across code that can panic.
        self.0.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request of a user.
    fn enter(&self, user: UserId, requests_max: u32) -> Result<Entry, ApiError> {
        let mut users = self.users();
        let found =
            users.entry(user).or_insert_with(|| Use { requests: 0, account: Arc::default() });
        if requests_max > 0 && found.requests >= requests_max {
            drop(users);
            metrics::counter!("bellpull_http_requests_refused_total").increment(1);
            return Err(ApiError::Throttled { retry_after_s: RETRY_AFTER_S });
        }
        found.requests += 1;
        let account = Arc::clone(&found.account);
        drop(users);
        Ok(Entry { in_flight: self.clone(), user, account })
    }
}

/// A counted request of a user.
#[derive(Debug)]
struct Entry {
    in_flight: InFlight,
    user: UserId,
    account: Arc<Account>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut users = self.in_flight.users();
        if let Some(found) = users.get_mut(&self.user) {
            found.requests -= 1;
            if found.requests == 0 {
                users.remove(&self.user);
            }
        }
    }
}

/// One request's slot. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Slot(Arc<Place>);

#[derive(Debug)]
struct Place {
    in_flight: InFlight,
    entry: OnceLock<Entry>,
    /// The room of its body.
    body: OnceLock<BodyRoom>,
    /// What an admin changes by it.
    act: OnceLock<Arc<Act>>,
}

impl Slot {
    /// An anonymous slot.
    pub(super) fn new(in_flight: &InFlight) -> Self {
        let (entry, body, act) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self(Arc::new(Place { in_flight: in_flight.clone(), entry, body, act }))
    }

    /// Keeps what an admin changes by this request.
    pub(super) fn note(&self, act: Act) {
        let _ = self.0.act.set(Arc::new(act));
    }

    /// Records what an admin changes by this request, in a task of its own: it is not ended with
    /// the request. A handler that knows the outcome before it has the answer begins with it.
    pub(super) fn record(
        &self,
        status: Option<StatusCode>,
    ) -> Option<JoinHandle<Result<(), StoreError>>> {
        let act = Arc::clone(self.0.act.get()?);
        Some(tokio::spawn(async move { act.record(status).await }))
    }

    /// Assigns the request to this principal.
    ///
    /// # Errors
    /// [`ApiError::Throttled`] if the user has too many in progress.
    pub(super) fn belongs_to(&self, principal: &Principal) -> Result<(), ApiError> {
        if self.0.entry.get().is_some() {
            return Ok(()); // several extractors look at the token
        }
        let Shared { requests_max, .. } = *self.0.in_flight.0;
        let has_more = principal.is_service || principal.user.role.is_admin();
        let more = if has_more { ADMINS_MORE } else { 1 };
        let most = requests_max.saturating_mul(more);
        let entry = self.0.in_flight.enter(principal.user.id, most)?;
        let _ = self.0.entry.set(entry);
        Ok(())
    }

    fn account(&self) -> &Arc<Account> {
        self.0.entry.get().map_or(&self.0.in_flight.0.anonymous, |entry| &entry.account)
    }

    /// Waits for the request's turn to read a page: after the user's other pages, once they are
    /// sent so far that they hold no more than the user's share, and after other users' pages.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] if that takes too long.
    pub(super) async fn turn(&self, pages: Pages) -> Result<Turn, ApiError> {
        let turn = timeout(WAIT_MAX, self.next_turn(pages));
        waiting(Wait::Turn, turn).await.ok().flatten().ok_or_else(no_room)
    }

    async fn next_turn(&self, pages: Pages) -> Option<Turn> {
        let (account, unsent) = (self.account(), self.0.in_flight.unsent());
        let own = Arc::clone(&account.pages).acquire_owned().await.ok();
        loop {
            account.wait_until_below(unsent.share).await;
            let all = unsent.turn(pages).await?;
            if account.unsent.load(Ordering::Relaxed) < unsent.share {
                return Some(Turn::new(own, all));
            }
        }
    }

    /// Reserves room for a page that was written in its turn.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] if too many answers are waiting, or for too long.
    pub(super) async fn reserve(&self, bytes: usize, turn: Option<Turn>) -> Result<Room, ApiError> {
        let room = timeout(WAIT_MAX, self.0.in_flight.unsent().reserve(bytes, turn)).await;
        room.ok().flatten().ok_or_else(no_room)
    }

    /// Counts bytes of an answer for the user until they are sent.
    pub(super) fn hold(&self, bytes: usize) -> HeldBytes {
        let account = Arc::clone(self.account());
        account.unsent.fetch_add(bytes, Ordering::Relaxed);
        HeldBytes { account, bytes }
    }

    /// Counts an answer that was not made in [`Slot::turn`]. A read without room is answered 503;
    /// the result of a write is sent in any case.
    pub(super) async fn count(&self, method: &Method, response: Response) -> Response {
        let (parts, body) = response.into_parts();
        let length = axum::body::HttpBody::size_hint(&body).exact().unwrap_or(0);
        let is_counted = parts.extensions.get::<Reserved>().is_some();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if is_counted || length <= UNCOUNTED_MAX {
            return Response::from_parts(parts, body);
        }
        let bytes = match unsent::made(body).await {
            Ok(bytes) => bytes,
            Err(body) => return Response::from_parts(parts, body),
        };
        match self.0.in_flight.unsent().try_reserve(length) {
            Some(room) => Response::from_parts(
                parts,
                unsent::within(room, bytes, |length| Some(self.hold(length))),
            ),
            None if method.is_safe() => no_room().into_response(),
            None => Response::from_parts(parts, Body::from(bytes)),
        }
    }

    /// Room for a body that is being read.
    pub(super) fn body(&self) -> BodyRoom {
        let (in_flight, account) = (self.0.in_flight.clone(), Arc::clone(self.account()));
        BodyRoom { in_flight, account, held: 0, room: None }
    }

    /// Keeps it until the request ends: the bytes live on in its fields.
    pub(super) fn keep(&self, body: BodyRoom) {
        let _ = self.0.body.set(body);
    }
}

/// Marks an answer whose bytes are already counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reserved;

fn no_room() -> ApiError {
    metrics::counter!("bellpull_http_answers_refused_total").increment(1);
    ApiError::Unavailable
}

impl Account {
    async fn wait_until_below(&self, bytes: usize) {
        loop {
            let sent = self.sent.notified();
            if self.unsent.load(Ordering::Relaxed) < bytes {
                return;
            }
            sent.await;
        }
    }
}

/// Bytes of an answer that count for its user until this is dropped.
#[derive(Debug)]
pub(super) struct HeldBytes {
    /// The one to which they were added: the request may have been assigned to a user since.
    account: Arc<Account>,
    bytes: usize,
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        let account = &self.account;
        account.unsent.fetch_sub(self.bytes, Ordering::Relaxed);
        account.sent.notify_waiters();
    }
}

/// Bytes of a body that is being read; they grow as they arrive.
#[derive(Debug)]
pub(super) struct BodyRoom {
    in_flight: InFlight,
    account: Arc<Account>,
    held: usize,
    room: Option<Room>,
}

impl BodyRoom {
    /// Reserves more.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] if the budget, or the user's share of it, is used up.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), ApiError> {
        let shared = &self.in_flight.0;
        let held = self.account.bodies.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.held += bytes; // given back when this is dropped
        let more = shared.bodies.try_reserve(bytes).filter(|_| held <= shared.bodies_share);
        let Some(more) = more else {
            metrics::counter!("bellpull_http_bodies_refused_total").increment(1);
            return Err(ApiError::Unavailable);
        };
        match &mut self.room {
            Some(room) => room.add(more),
            None => self.room = Some(more),
        }
        Ok(())
    }
}

impl Drop for BodyRoom {
    fn drop(&mut self) {
        self.account.bodies.fetch_sub(self.held, Ordering::Relaxed);
    }
}
