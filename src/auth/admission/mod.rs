//! Admission of logins: whose password is hashed next, and how many wrong ones may be tried.
//!
//! Hashing is the scarce resource: one password at a time, some 50 a second. An attacker can
//! exhaust it in three ways:
//!
//! - Guesses at one account. They are slowed down, over all addresses together, to a burst of 10
//!   and then one in 5 s ([`budgets`]). The right password is never locked out: past the budget an
//!   attempt waits for its turn. Only if [`WAIT_MAX`] is not enough it is answered with 429. An
//!   account that has logged in from a network recently has a budget of its own for that network.
//! - Made-up names, or many attempts of any kind. Turns are given by class and, within a class, in
//!   rounds ([`queue`]): all unknown names together have the smallest share, and every account has
//!   a turn in each round, whatever its address does.
//! - Requests without reading the answers. The queue is bounded, and attempts whose clients have
//!   disconnected leave it. A hashed password counts as a failure even if its client has left.
//!
//! A wrong password is answered in the turn that an unknown name would have had
//! ([`Admission::refusal`]), so the time of an answer does not tell an attacker who fills the queue
//! which names exist.
//!
//! With several nodes, guesses at one account and the failures of one network are counted over all
//! of them, where nodes have a way to ([`shared`]); made-up names too, or an answer would tell them
//! from accounts. What nodes do not share: the queue (each node hashes for itself) and which
//! networks an account has logged in from.
//!
//! One limit remains: clients behind one address that guess at one account without a pause compete
//! with that account's owner for one turn in 5 s, if the owner comes from that address too.
//! `http.trusted_proxies` tells clients behind a proxy apart.

mod budgets;
mod claim;
mod queue;
mod shared;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bellpull_port::SharedLimits;
use bellpull_port::rate::retry_after_s;
use bellpull_port::slow::{Wait, waiting};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use self::budgets::Budgets;
pub(super) use self::claim::Name;
use self::claim::{Claim, Class, Subject};
use self::queue::{AFTER_TURN, CROWDED_RETRY, Next, Queue};
use self::shared::Taken;
use super::AuthError;

/// How long an attempt may wait: clients should find it slow, not broken. A request may take 15 s,
/// and hashing and the store need the rest.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Admits logins and other work with passwords. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Admission(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    budgets: Budgets,
    state: Mutex<State>,
    /// A turn has ended, or an attempt has come.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue<Waiter>,
    /// Whether a turn is taken.
    is_busy: bool,
    /// Whether a task hands out turns; there is none while the queue is empty.
    is_dispatched: bool,
}

type Waiter = oneshot::Sender<Result<Turn, Throttled>>;

/// No turn became free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Throttled(Duration);

impl From<Throttled> for AuthError {
    fn from(Throttled(wait): Throttled) -> Self {
        Self::Throttled { retry_after_s: retry_after_s(wait) }
    }
}

/// An attempt to log in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) name: Name,
    /// Where it comes from, see [`bellpull_port::rate::network`].
    pub(super) network: u64,
    deadline: Instant,
}

/// The right to hash one password, until it is dropped. A turn that was begun and is dropped
/// without [`Turn::succeeded`] counts as a failure.
#[derive(Debug)]
pub(super) struct Turn {
    shared: Arc<Shared>,
    /// What a failure is counted against, if anything.
    counted: Option<(Subject, u64)>,
    /// What is given back unless it was a failure.
    taken: Option<Taken>,
    is_begun: bool,
}

impl Turn {
    /// A password is being tried.
    pub(super) fn begin(&mut self) {
        self.is_begun = true;
    }

    /// Takes a guess from the budget that all nodes share.
    ///
    /// # Errors
    /// How long until there is one.
    async fn take(&mut self) -> Result<(), Duration> {
        if let Some((subject, network)) = self.counted {
            self.taken = self.shared.budgets.take(subject, network).await?;
        }
        Ok(())
    }

    /// The password was right.
    pub(super) fn succeeded(mut self, attempt: Attempt) {
        self.counted = None;
        if let Name::Account(user) = attempt.name {
            self.shared.budgets.succeeded(user, attempt.network);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some((subject, network)) = self.counted.take_if(|_| self.is_begun) {
            self.shared.budgets.failed(subject, network);
        } else if let Some(taken) = self.taken.take() {
            self.shared.budgets.give_back(taken);
        }
        self.shared.lock().is_busy = false;
        self.shared.changed.notify_one();
    }
}

impl Admission {
    /// With the limits that nodes share, if they do.
    pub(super) fn new(shared: Option<Arc<dyn SharedLimits>>) -> Self {
        let (budgets, state) = (Budgets::new(shared), Mutex::default());
        Self(Arc::new(Shared { budgets, state, changed: Notify::new() }))
    }

    /// An attempt on a name that no account has.
    pub(super) fn unknown(name: &str) -> Name {
        Budgets::unknown(name)
    }

    /// An attempt that begins now.
    pub(super) fn attempt(name: Name, network: u64) -> Attempt {
        Attempt { name, network, deadline: Instant::now() + WAIT_MAX }
    }

    /// Waits for an attempt's turn.
    pub(super) async fn login(&self, attempt: Attempt) -> Result<Turn, Throttled> {
        loop {
            let claim = self.0.budgets.claim(attempt.name, attempt.network);
            let mut turn = self.enter(claim, attempt.deadline).await?;
            let Err(wait) = turn.take().await else { return Ok(turn) };
            // Another node has used up the budget. This one knows now, and has the attempt wait.
            if Instant::now() + wait + AFTER_TURN > attempt.deadline {
                return Err(Throttled(wait));
            }
        }
    }

    /// Waits until a failed attempt may be answered: as long as an unknown name, which fails in its
    /// own turn, would have waited.
    pub(super) async fn refusal(&self, attempt: Attempt) -> Result<(), Throttled> {
        if let Name::Unknown(_) = attempt.name {
            return Ok(());
        }
        let claim = self.0.budgets.work(Class::Unknown, attempt.network);
        self.enter(claim, attempt.deadline).await.map(drop)
    }

    /// Waits for a turn to hash the password of an authenticated client.
    pub(super) async fn work(&self) -> Result<Turn, Throttled> {
        let claim = self.0.budgets.work(Class::Trusted, 0);
        self.enter(claim, Instant::now() + WAIT_MAX).await
    }

    /// Waits for a turn to hash a new account's password.
    pub(super) async fn registration(&self, network: u64) -> Result<Turn, Throttled> {
        let claim = self.0.budgets.work(Class::Ordinary, network);
        self.enter(claim, Instant::now() + WAIT_MAX).await
    }

    async fn enter(&self, claim: Claim, deadline: Instant) -> Result<Turn, Throttled> {
        let answer = match self.join(claim, deadline) {
            Joined::Turn(turn) => return Ok(turn),
            Joined::Waits(answer) => answer,
        };
        // The dispatcher answers every attempt, unless the hub stops or the time is up.
        let crowded = Err(Throttled(CROWDED_RETRY));
        match waiting(Wait::Turn, timeout_at(deadline, answer)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => crowded,
        }
    }

    /// Takes the turn if it is free, or a place in the queue.
    fn join(&self, claim: Claim, deadline: Instant) -> Joined {
        let shared = &self.0;
        let mut state = shared.lock();
        if !state.is_busy && state.queue.is_empty() && shared.is_open(claim) {
            state.is_busy = true;
            drop(state);
            return Joined::Turn(shared.turn(claim));
        }
        let (waiter, answer) = oneshot::channel();
        if state.queue.is_full() {
            state.queue.retain(|waiter| !waiter.is_closed());
        }
        let given_way = state.queue.push(claim, deadline, waiter);
        let is_dispatched = std::mem::replace(&mut state.is_dispatched, true);
        drop(state);
        if let Some(waiter) = given_way {
            // The client may just have disconnected.
            let _ = waiter.send(Err(Throttled(CROWDED_RETRY)));
        }
        if is_dispatched {
            shared.changed.notify_one();
        } else {
            tokio::spawn(Arc::clone(shared).dispatch());
        }
        Joined::Waits(answer)
    }
}

enum Joined {
    Turn(Turn),
    Waits(oneshot::Receiver<Result<Turn, Throttled>>),
}

/// What the dispatcher does next.
enum Step {
    Give(Waiter, Claim),
    WaitUntil(Instant),
    WaitForChange,
    Done,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self, claim: Claim) -> bool {
        claim.subject.is_none_or(|subject| self.budgets.wait(subject).is_zero())
    }

    fn turn(self: &Arc<Self>, claim: Claim) -> Turn {
        let counted = claim.subject.map(|subject| (subject, claim.network));
        Turn { shared: Arc::clone(self), counted, taken: None, is_begun: false }
    }

    /// Hands out turns until the queue is empty.
    async fn dispatch(self: Arc<Self>) {
        loop {
            match self.step() {
                // A turn that cannot be handed over is dropped, which frees it.
                Step::Give(waiter, claim) => drop(waiter.send(Ok(self.turn(claim)))),
                Step::WaitUntil(at) => {
                    // On either event the queue is checked again.
                    let _ = timeout_at(at, self.changed.notified()).await;
                }
                Step::WaitForChange => self.changed.notified().await,
                Step::Done => return,
            }
        }
    }

    fn step(&self) -> Step {
        let now = Instant::now();
        let wait = |subject| self.budgets.wait(subject);
        let mut state = self.lock();
        // The queue is searched once per turn, not once per attempt.
        if state.is_busy {
            return Step::WaitForChange;
        }
        state.queue.retain(|waiter| !waiter.is_closed());
        for (waiter, turn_in) in state.queue.shed(now, wait) {
            let _ = waiter.send(Err(Throttled(turn_in)));
        }
        if state.queue.is_empty() {
            state.is_dispatched = false;
            return Step::Done;
        }
        match state.queue.next(now, wait) {
            Next::Turn(waiter, claim) => {
                state.is_busy = true;
                Step::Give(waiter, claim)
            }
            Next::At(at) => Step::WaitUntil(at),
            Next::Empty => Step::WaitForChange,
        }
    }
}
