//! An attempt goes on only while its lease holds.
//!
//! A process may be suspended in the middle of an attempt, before it has called the provider, and
//! be continued when the lease has ended: then another node may have sent the delivery. Its timers
//! have not run when its tasks do, so a time-out does not keep an attempt from going on.
//!
//! A mail server may take longer to answer than a lease lasts, and a hub that gave up waiting would
//! send a copy of what it takes meanwhile. So the lease of an attempt in progress is extended
//! before it ends. A lease remains short, because those of a process that has died keep others from
//! their deliveries.
//!
//! A lease of a store that only one process can open has no end, so setting that machine's clock
//! ends no attempt.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use super::ChannelActor;
use bellpull_domain::delivery::Leased;
use bellpull_domain::ids::DeliveryId;
use bellpull_port::{Clock, DeliveryStore, LeaseOwner, in_time};

/// How long to wait after a store that has failed to extend a lease.
const AGAIN: Duration = Duration::from_secs(1);

/// The lease of an attempt in progress.
#[derive(Debug)]
pub(super) struct Held {
    store: Arc<dyn DeliveryStore>,
    clock: Arc<dyn Clock>,
    owner: LeaseOwner,
    /// All that goes out with the attempt.
    leases: Vec<(DeliveryId, u32)>,
    /// How long a lease lasts.
    lease: Duration,
    /// When it ends, in ms.
    until_ms: AtomicI64,
}

impl Held {
    /// The lease of what an actor is about to send.
    pub(super) fn of(actor: &ChannelActor, leased: &Leased) -> Self {
        let leases = std::iter::once((leased.id, leased.attempt)).chain(leased.with.clone());
        Self {
            store: Arc::clone(&actor.store),
            clock: Arc::clone(&actor.clock),
            owner: actor.owner.clone(),
            leases: leases.collect(),
            lease: actor.limits.lease,
            until_ms: leased.leased_until.as_millisecond().into(),
        }
    }

    /// The attempt's result; `None` if it was still in progress when its lease had ended.
    pub(super) async fn during<F: Future>(&self, attempt: F) -> Option<F::Output> {
        let (mut attempt, mut extending) = (pin!(attempt), pin!(self.extend()));
        poll_fn(|context| {
            if self.clock.now() >= self.until() {
                return Poll::Ready(None);
            }
            // It never ends.
            let _ = extending.as_mut().poll(context);
            attempt.as_mut().poll(context).map(Some)
        })
        .await
    }

    fn until(&self) -> Timestamp {
        Timestamp::from_millisecond(self.until_ms.load(Relaxed)).unwrap_or(Timestamp::MAX)
    }

    /// Extends the lease each time when a third of it is left.
    async fn extend(&self) {
        while self.until_ms.load(Relaxed) < Timestamp::MAX.as_millisecond() {
            let left = self.until().duration_since(self.clock.now());
            let left = Duration::try_from(left).unwrap_or(Duration::ZERO);
            tokio::time::sleep(left.saturating_sub(self.lease / 3)).await;
            let lease = SignedDuration::try_from(self.lease).unwrap_or_default();
            let until = self.clock.now().saturating_add(lease).unwrap_or(Timestamp::MAX);
            let extended = self.store.extend(&self.owner, self.leases.clone(), until);
            match in_time(extended).await {
                Ok(true) => self.until_ms.store(until.as_millisecond(), Relaxed),
                // Another owner has taken it over: the attempt may go on while its own lease lasts.
                Ok(false) => break,
                Err(error) => {
                    warn!(%error, "the lease of an attempt in progress is not extended");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use bellpull_port::testing::{FakeClock, FakeOutbox};

    #[tokio::test]
    async fn what_was_suspended_beyond_its_lease_does_not_go_on() {
        let clock = Arc::new(FakeClock::default());
        let until = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(100);
        for (now_s, wanted) in [(99, Some(())), (100, None)] {
            clock.set(Timestamp::UNIX_EPOCH);
            let held = Held {
                store: Arc::new(FakeOutbox::new(clock.clone())),
                clock: clock.clone(),
                owner: LeaseOwner::new("a", Timestamp::UNIX_EPOCH),
                leases: Vec::new(),
                lease: Duration::from_secs(120),
                until_ms: until.as_millisecond().into(),
            };
            let (answer, wait) = oneshot::channel::<()>();
            let mut calls = 0;
            let attempt = async {
                wait.await.unwrap();
                calls += 1;
            };
            let suspend = async {
                clock.set(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(now_s));
                answer.send(()).unwrap();
            };
            let (outcome, ()) = tokio::join!(held.during(attempt), suspend);
            assert_eq!(outcome, wanted);
            assert_eq!(calls, i32::from(wanted.is_some()));
        }
    }
}
