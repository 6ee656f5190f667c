//! The right to take or to end a channel's leases.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Held by one task at a time, which reports to the channel's actor by [`Self::end`] alone.
#[derive(Debug)]
pub(super) struct LeasePermit(OwnedSemaphorePermit);

impl LeasePermit {
    /// It, when it is free. `None` never: the semaphore is not closed.
    pub(super) async fn when_free(leasing: Arc<Semaphore>) -> Option<Self> {
        leasing.acquire_owned().await.ok().map(Self)
    }

    /// It, if it is free now.
    pub(super) fn if_free(leasing: &Arc<Semaphore>) -> Option<Self> {
        Arc::clone(leasing).try_acquire_owned().ok().map(Self)
    }

    /// Returns it, and reports then. The actor takes the next one as soon as it has the report, on
    /// whichever thread it runs; where the permit was still held it would not ask again.
    pub(super) fn end(self, report: impl FnOnce()) {
        let Self(permit) = self;
        drop(permit);
        report();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use super::*;

    /// Another thread takes the permit at the moment of the report.
    #[test]
    fn who_has_the_report_may_take_the_permit_at_once() {
        const TIMES: u32 = 20_000;
        let leasing = Arc::new(Semaphore::new(1));
        let (reported, taken) = (AtomicU32::new(0), AtomicU32::new(0));
        let missed = std::thread::scope(|scope| {
            let actor = scope.spawn(|| {
                let mut missed = 0;
                for time in 1..=TIMES {
                    while reported.load(SeqCst) < time {
                        std::hint::spin_loop();
                    }
                    missed += u32::from(LeasePermit::if_free(&leasing).is_none());
                    taken.store(time, SeqCst);
                }
                missed
            });
            for time in 1..=TIMES {
                let permit = loop {
                    match LeasePermit::if_free(&leasing) {
                        Some(permit) => break permit,
                        None => std::hint::spin_loop(),
                    }
                };
                permit.end(|| reported.store(time, SeqCst));
                while taken.load(SeqCst) < time {
                    std::hint::spin_loop();
                }
            }
            actor.join().unwrap()
        });
        assert_eq!(missed, 0, "of {TIMES}");
    }
}
