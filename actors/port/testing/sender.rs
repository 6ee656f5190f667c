//! A provider whose answers a test chooses.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::outbox::PATIENCE;
use crate::Sender;
use bellpull_domain::delivery::{Leased, Outcome};
use bellpull_domain::ids::DeliveryId;

/// A provider's behaviour by delivery id and attempt.
type Does = dyn Fn(DeliveryId, u32) -> Reaction + Send + Sync;

/// A provider's behaviour.
#[derive(Debug)]
pub enum Reaction {
    /// It answers, after so long.
    Answers(Duration, Outcome),
    /// It never does.
    Hangs,
    /// Its callers panic.
    Panics,
}

/// A provider that behaves as a test says, and records what it was sent.
pub struct FakeSender {
    does: Box<Does>,
    /// The deliveries that it was sent, with their attempts, in order.
    given: Mutex<Vec<(DeliveryId, u32)>>,
    in_flight: watch::Sender<usize>,
    most: watch::Sender<usize>,
}

impl std::fmt::Debug for FakeSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeSender").field("given", &self.given).finish_non_exhaustive()
    }
}

impl FakeSender {
    /// A provider that does so.
    #[must_use]
    pub fn new(does: impl Fn(DeliveryId, u32) -> Reaction + Send + Sync + 'static) -> Arc<Self> {
        let (given, does) = (Mutex::default(), Box::new(does));
        let (in_flight, most) = (watch::Sender::new(0), watch::Sender::new(0));
        Arc::new(Self { does, given, in_flight, most })
    }

    /// What it was sent so far.
    #[must_use]
    pub fn given(&self) -> Vec<(i64, u32)> {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.iter().map(|(id, attempt)| (id.0, *attempt)).collect()
    }

    /// The most that it had to do at once.
    #[must_use]
    pub fn most_in_flight(&self) -> usize {
        *self.most.borrow()
    }

    /// Waits until it was sent this many.
    ///
    /// # Panics
    /// If it does not happen in time.
    #[expect(clippy::panic, reason = "a fake fails the test that uses it")]
    pub async fn until_in_flight(&self, count: usize) {
        let mut in_flight = self.in_flight.subscribe();
        let waiting = in_flight.wait_for(|now| *now == count);
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("it never had {count} to do");
        }
    }
}

/// Counts down however a call ends.
struct InFlight<'a>(&'a watch::Sender<usize>);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[async_trait]
impl Sender for FakeSender {
    #[expect(clippy::panic, reason = "tests ask for it")]
    async fn send(&self, leased: &Leased) -> Outcome {
        let given = (leased.id, leased.attempt);
        self.given.lock().unwrap_or_else(PoisonError::into_inner).push(given);
        self.in_flight.send_modify(|count| *count += 1);
        let _counted = InFlight(&self.in_flight);
        self.most.send_modify(|most| *most = (*most).max(*self.in_flight.borrow()));
        match (self.does)(leased.id, leased.attempt) {
            Reaction::Answers(after, outcome) => {
                tokio::time::sleep(after).await;
                outcome
            }
            Reaction::Hangs => std::future::pending().await,
            Reaction::Panics => panic!("the provider's answer was too much"),
        }
    }
}
