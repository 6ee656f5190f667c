//! A fan-out barrier: one message to many actors, which ends once each has shown it to its
//! sessions.
//!
//! A sender to thousands waits for it before the next message: everything in the runtime's queue
//! delays all other messages too, and a ticket's must not queue behind a send's.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

/// The longest wait: a mailbox may be long for reasons of its own.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sent with each message of the fan-out, and dropped with the last one that was handled.
pub(crate) type FanOutGuard = Arc<FanOut>;

/// See [`FanOutGuard`].
#[derive(Debug)]
pub struct FanOut {
    over: Option<oneshot::Sender<()>>,
}

/// Waits for its end.
#[derive(Debug)]
pub(crate) struct FanOutBarrier(oneshot::Receiver<()>);

/// A fan-out without messages so far, and its end.
pub(crate) fn begin() -> (FanOutGuard, FanOutBarrier) {
    let (over, barrier) = oneshot::channel();
    (Arc::new(FanOut { over: Some(over) }), FanOutBarrier(barrier))
}

impl Drop for FanOut {
    fn drop(&mut self) {
        if let Some(over) = self.over.take() {
            let _ = over.send(()); // its receiver may be gone
        }
    }
}

impl FanOutBarrier {
    /// Until all recipients have handled the message, or [`PATIENCE`] ends.
    pub(crate) async fn wait(self) {
        let _ = tokio::time::timeout(PATIENCE, self.0).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wave_ends_with_its_last_message() {
        let (fan_out, barrier) = begin();
        let messages = [Arc::clone(&fan_out), Arc::clone(&fan_out)];
        drop(fan_out);
        let waiting = tokio::spawn(barrier.wait());
        for message in messages {
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished());
            drop(message);
        }
        let begun = Instant::now();
        waiting.await.unwrap();
        assert!(begun.elapsed() < PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn no_caller_waits_for_ever() {
        let (fan_out, barrier) = begin();
        barrier.wait().await;
        drop(fan_out);
    }
}
