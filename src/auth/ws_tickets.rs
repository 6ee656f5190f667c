//! Tickets for sockets: single-use and valid for half a minute, so that no long-lived token is in a
//! URL, which proxies and browsers log.
//!
//! A process that has its store for itself keeps them in memory: a restarted one knows none of
//! them, and clients request new ones. Nodes that share a store keep them there, so that a ticket
//! of one node is good at any. A ticket names its user, not the user's rights: those are checked
//! when it is used, so a logout in between ends the ticket too.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bellpull_domain::ids::UserId;
use bellpull_port::StoreError;
use bellpull_port::shared_tickets::{TicketHash, TicketHolder as Holder};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{Auth, AuthError, INACTIVE, NO_ACCOUNT, Principal, count_refusal};

/// How long a ticket waits for its socket, in seconds.
pub const TTL_S: u32 = 30;

const TTL_MS: i64 = TTL_S as i64 * 1_000;
const TTL: Duration = Duration::from_secs(TTL_S as u64);

/// The most unused tickets of all users: what 100,000 clients that reconnect at once need, in about
/// 15 MB.
const WAITING_MAX: usize = 131_072;

/// The most unused tickets of one user: two for each socket that a user may have. No single user
/// can fill the hub's memory.
const WAITING_PER_USER_MAX: u32 = 64;

/// How often expired tickets are removed.
const SWEEP_MS: i64 = 1_000;

const NOT_GOOD: AuthError = AuthError::BadToken("the ticket was used, has expired or never was");

/// A ticket as it is stored.
type Key = [u8; 32];

/// The unused tickets.
#[derive(Debug, Default)]
pub(super) struct WsTickets(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// With the time at which each was made.
    tickets: HashMap<Key, (Holder, i64)>,
    per_user: HashMap<UserId, u32>,
    swept_ms: i64,
}

// A ticket grants access: it is never printed.
impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("tickets", &self.tickets.len()).finish_non_exhaustive()
    }
}

impl WsTickets {
    /// Issues a ticket.
    ///
    /// # Errors
    /// [`AuthError::Throttled`] if the user has too many unused ones, [`AuthError::Unavailable`] if
    /// all users together have.
    fn issue(&self, holder: Holder, now: Timestamp) -> Result<String, AuthError> {
        let key = new_key()?;
        let now_ms = now.as_millisecond();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.sweep(now_ms);
        if waiting.tickets.len() >= WAITING_MAX {
            tracing::warn!("too many tickets for sockets wait to be used");
            return Err(AuthError::Unavailable);
        }
        let of_user = waiting.per_user.entry(holder.user).or_default();
        if *of_user >= WAITING_PER_USER_MAX {
            return Err(AuthError::Throttled { retry_after_s: TTL_S });
        }
        *of_user += 1;
        waiting.tickets.insert(key, (holder, now_ms));
        Ok(URL_SAFE_NO_PAD.encode(key))
    }

    /// Redeems a ticket. Of concurrent attempts one succeeds.
    ///
    /// # Errors
    /// [`AuthError::BadToken`].
    fn redeem(&self, ticket: &str, now: Timestamp) -> Result<Holder, AuthError> {
        let key = key(ticket)?;
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (holder, made_ms) = waiting.tickets.remove(&key).ok_or(NOT_GOOD)?;
        waiting.forget_one(holder.user);
        if is_good(made_ms, now.as_millisecond()) { Ok(holder) } else { Err(NOT_GOOD) }
    }
}

fn new_key() -> Result<Key, AuthError> {
    let mut key: Key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| {
        tracing::error!(%error, "the system gives no random bytes");
        AuthError::Unavailable
    })?;
    Ok(key)
}

fn key(ticket: &str) -> Result<Key, AuthError> {
    let mut key: Key = [0; 32];
    // Longer texts are no tickets.
    match URL_SAFE_NO_PAD.decode_slice(ticket, &mut key) {
        Ok(length) if length == key.len() => Ok(key),
        Ok(_) | Err(_) => Err(NOT_GOOD),
    }
}

/// Who reads the database cannot open sockets with what it says.
fn hash(key: Key) -> TicketHash {
    Sha256::digest(key).into()
}

fn unavailable(error: StoreError) -> AuthError {
    tracing::warn!(%error, "the store does not keep tickets for sockets");
    AuthError::Unavailable
}

impl Waiting {
    fn sweep(&mut self, now_ms: i64) {
        // Also if the clock was set back.
        if (0..SWEEP_MS).contains(&now_ms.saturating_sub(self.swept_ms)) {
            return;
        }
        self.swept_ms = now_ms;
        let per_user = &mut self.per_user;
        self.tickets.retain(|_, (holder, made_ms)| {
            let stays = is_good(*made_ms, now_ms);
            if !stays {
                forget_one(per_user, holder.user);
            }
            stays
        });
        // Frees the memory after a reconnect storm.
        self.tickets.shrink_to(1_024);
        self.per_user.shrink_to(1_024);
    }

    fn forget_one(&mut self, user: UserId) {
        forget_one(&mut self.per_user, user);
    }
}

fn forget_one(per_user: &mut HashMap<UserId, u32>, user: UserId) {
    if let Some(count) = per_user.get_mut(&user) {
        *count -= 1;
        if *count == 0 {
            per_user.remove(&user);
        }
    }
}

fn is_good(made_ms: i64, now_ms: i64) -> bool {
    // Not valid either if the clock was set back: then the age is unknown.
    (0..TTL_MS).contains(&now_ms.saturating_sub(made_ms))
}

impl Auth {
    /// A ticket that opens one socket (or one event stream) within [`TTL_S`] seconds.
    ///
    /// # Errors
    /// [`AuthError::Throttled`], [`AuthError::Unavailable`]; [`AuthError::Disabled`] for a service
    /// token, which opens none.
    pub async fn issue_ticket(&self, who: &Principal) -> Result<String, AuthError> {
        if who.is_service {
            return Err(AuthError::Disabled("A service token opens no sockets."));
        }
        let holder = Holder { user: who.user.id, login: who.login, expires_at: who.expires_at };
        let Some(shared) = self.0.accounts.store().shared_tickets() else {
            return self.0.ws_tickets.issue(holder, self.0.clock.now());
        };
        let key = new_key()?;
        let kept = shared.keep_ticket(hash(key), holder, TTL, WAITING_PER_USER_MAX).await;
        if kept.map_err(unavailable)? {
            return Ok(URL_SAFE_NO_PAD.encode(key));
        }
        Err(AuthError::Throttled { retry_after_s: TTL_S })
    }

    /// The user a ticket was issued to, with the current account; the ticket is used up in any
    /// case. If its token, login or account has ended since, so has the ticket.
    ///
    /// # Errors
    /// [`AuthError::BadToken`], [`AuthError::Unavailable`].
    pub async fn redeem_ticket(&self, ticket: &str) -> Result<Principal, AuthError> {
        let answer = self.holder(ticket).await;
        count_refusal(&answer);
        answer
    }

    async fn holder(&self, ticket: &str) -> Result<Principal, AuthError> {
        let inner = &*self.0;
        let now = inner.clock.now();
        let holder = match inner.accounts.store().shared_tickets() {
            None => inner.ws_tickets.redeem(ticket, now)?,
            Some(shared) => {
                let taken = shared.take_ticket(hash(key(ticket)?), TTL).await;
                taken.map_err(unavailable)?.ok_or(NOT_GOOD)?
            }
        };
        let Holder { user, login, expires_at } = holder;
        if expires_at <= now {
            return Err(AuthError::BadToken("it has expired"));
        }
        self.check_login(login, now).await?;
        let user = inner.accounts.find(user, now).await?.ok_or(NO_ACCOUNT)?;
        if !user.is_active {
            return Err(INACTIVE);
        }
        Ok(Principal { user, login, expires_at, is_service: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use bellpull_domain::ids::LoginId;

    const ADA: Holder =
        Holder { user: UserId(1), login: Some(LoginId(7)), expires_at: Timestamp::MAX };

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap()
    }

    #[test]
    fn a_ticket_is_good_once_and_for_half_a_minute() {
        let tickets = WsTickets::default();
        let [one, two, three] = [0; 3].map(|ms| tickets.issue(ADA, at(ms)).unwrap());
        assert_eq!(one.len(), 43, "32 bytes");
        assert_eq!(tickets.redeem(&one, at(1)), Ok(ADA));
        assert_eq!(tickets.redeem(&one, at(1)), Err(NOT_GOOD));
        assert_eq!(tickets.redeem(&two, at(29_999)), Ok(ADA));
        assert_eq!(tickets.redeem(&three, at(30_000)), Err(NOT_GOOD));
        let early = tickets.issue(ADA, at(0)).unwrap();
        assert_eq!(tickets.redeem(&early, at(-1)), Err(NOT_GOOD), "the clock was set back");
    }

    #[test]
    fn what_is_no_ticket() {
        let tickets = WsTickets::default();
        let good = tickets.issue(ADA, at(0)).unwrap();
        let long = format!("{good}AAAA");
        for bad in ["", "x", "a.b.c", &good[..42], &long, &"A".repeat(43), &"A".repeat(9_000)] {
            assert_eq!(tickets.redeem(bad, at(0)), Err(NOT_GOOD), "{bad}");
        }
        assert_eq!(tickets.redeem(&good, at(0)), Ok(ADA));
    }

    #[test]
    fn of_many_who_use_one_ticket_one_gets_in() {
        let tickets = WsTickets::default();
        for _ in 0..50 {
            let ticket = tickets.issue(ADA, at(0)).unwrap();
            let wins: usize = std::thread::scope(|scope| {
                let tries: Vec<_> = (0..8)
                    .map(|_| scope.spawn(|| usize::from(tickets.redeem(&ticket, at(1)).is_ok())))
                    .collect();
                tries.into_iter().map(|one| one.join().unwrap()).sum()
            });
            assert_eq!(wins, 1);
        }
    }

    #[test]
    fn a_user_has_so_many_and_what_expired_or_was_used_makes_room() {
        let tickets = WsTickets::default();
        let first = tickets.issue(ADA, at(0)).unwrap();
        for _ in 1..WAITING_PER_USER_MAX {
            tickets.issue(ADA, at(0)).unwrap();
        }
        let throttled = Err(AuthError::Throttled { retry_after_s: TTL_S });
        assert_eq!(tickets.issue(ADA, at(0)), throttled);
        let bob = Holder { user: UserId(2), ..ADA };
        tickets.issue(bob, at(0)).unwrap();
        tickets.redeem(&first, at(1)).unwrap();
        tickets.issue(ADA, at(1)).unwrap();
        assert_eq!(tickets.issue(ADA, at(1)), throttled);
        tickets.issue(ADA, at(30_001)).unwrap();
        let waiting = tickets.0.lock().unwrap();
        assert_eq!((waiting.tickets.len(), waiting.per_user.len()), (1, 1), "the others are gone");
    }

    #[test]
    fn all_users_together_have_so_many() {
        let tickets = WsTickets::default();
        for user in 0..i64::try_from(WAITING_MAX).unwrap() {
            tickets.issue(Holder { user: UserId(user), ..ADA }, at(0)).unwrap();
        }
        assert_eq!(tickets.issue(ADA, at(0)), Err(AuthError::Unavailable));
        assert!(tickets.issue(ADA, at(30_000)).is_ok());
    }
}
