//! An attempt goes on only while its lease holds.
//!
//! A process may be suspended in the middle of an attempt, before it has called the provider, and
//! be continued when the lease has ended: then another node may have sent the delivery. Its timers
//! have not run when its tasks do, so a time-out does not keep an attempt from going on.
//!
//! A lease of a store that only one process can open has no end, so setting that machine's clock
//! ends no attempt.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use jiff::Timestamp;

use crate::port::Clock;

/// The attempt's result; `None` if it was still in progress when its lease had ended.
pub(super) async fn while_held<F: Future>(
    clock: &dyn Clock,
    until: Timestamp,
    attempt: F,
) -> Option<F::Output> {
    let mut attempt = pin!(attempt);
    poll_fn(|context| match clock.now() < until {
        true => attempt.as_mut().poll(context).map(Some),
        false => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use tokio::sync::oneshot;

    use super::*;
    use crate::testing::FakeClock;

    #[tokio::test]
    async fn what_was_suspended_beyond_its_lease_does_not_go_on() {
        let clock = FakeClock::default();
        let until = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(100);
        for (now_s, wanted) in [(99, Some(())), (100, None)] {
            clock.set(Timestamp::UNIX_EPOCH);
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
            let (outcome, ()) = tokio::join!(while_held(&clock, until, attempt), suspend);
            assert_eq!(outcome, wanted);
            assert_eq!(calls, i32::from(wanted.is_some()));
        }
    }
}
