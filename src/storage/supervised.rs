//! Tasks of the store that outlive a panic.
//!
//! The store's tasks belong to no actor, so no supervisor sees them end: without this a panic in
//! one of them would leave its callers without answers while readiness stays true.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

/// Runs `work` to its end. A panic is logged, and after a pause `work` is run anew: all state that
/// must survive is outside of it.
pub(super) async fn restarted<F: Future<Output = ()>>(
    what: &'static str,
    pause: Duration,
    work: impl Fn() -> F,
) {
    while caught(what, work()).await.is_none() {
        tokio::time::sleep(pause).await;
    }
}

/// The result of `work`; `None` if it panicked, which is logged.
pub(super) async fn caught<T>(what: &'static str, work: impl Future<Output = T>) -> Option<T> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(done) => Some(done),
        Err(payload) => {
            tracing::error!(what, panic = text(&*payload), "a task of the store has panicked");
            None
        }
    }
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let owned = || payload.downcast_ref::<String>().map(String::as_str);
    payload.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_is_run_anew_after_each_panic_and_not_after_its_end() {
        let runs = Cell::new(0);
        let work = || async {
            runs.set(runs.get() + 1);
            match runs.get() {
                1 => panic!("a mistake"),
                2 => panic!("mistake {}", runs.get()),
                _ => {}
            }
        };
        restarted("work", Duration::from_secs(1), work).await;
        assert_eq!(runs.get(), 3);
        assert_eq!(caught("work", async { 5 }).await, Some(5));
    }
}
