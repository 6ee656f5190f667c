//! Whose sessions this node has closed lately for a lost right. The store names the account a
//! moment later too, when the user may have connected again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bellpull_domain::ids::UserId;
use tokio::time::Instant;

/// How long one is kept; afterwards sessions would be closed once more, which loses nothing.
const KEPT: Duration = Duration::from_secs(60);

/// How many are kept.
const ACCOUNTS_MAX: usize = 65_536;

/// See the module documentation.
#[derive(Debug, Default)]
pub(super) struct Withdrawn(Mutex<HashMap<UserId, Instant>>);

impl Withdrawn {
    /// The sessions of `user` are closed now.
    pub(super) fn note(&self, user: UserId) {
        let now = Instant::now();
        let mut closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if closed.len() >= ACCOUNTS_MAX {
            closed.retain(|_, at| now.duration_since(*at) < KEPT);
        }
        if closed.len() < ACCOUNTS_MAX || closed.contains_key(&user) {
            closed.insert(user, now);
        }
    }

    /// Whether the sessions of `user` were closed at `time` or later.
    pub(super) fn since(&self, user: UserId, time: Instant) -> bool {
        let closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        closed.get(&user).is_some_and(|at| *at >= time)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_later_change_is_another_one() {
        let withdrawn = Withdrawn::default();
        let before = Instant::now();
        assert!(!withdrawn.since(UserId(1), before));
        advance(Duration::from_millis(1)).await;
        withdrawn.note(UserId(1));
        assert!(withdrawn.since(UserId(1), before));
        assert!(withdrawn.since(UserId(1), Instant::now()));
        assert!(!withdrawn.since(UserId(2), before));
        advance(Duration::from_millis(1)).await;
        assert!(!withdrawn.since(UserId(1), Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn of_too_many_the_old_ones_make_room() {
        let withdrawn = Withdrawn::default();
        let most = i64::try_from(ACCOUNTS_MAX).unwrap();
        let start = Instant::now();
        (0..=most).for_each(|user| withdrawn.note(UserId(user)));
        assert!(!withdrawn.since(UserId(most), start), "there is no room");
        advance(KEPT).await;
        withdrawn.note(UserId(most));
        assert!(withdrawn.since(UserId(most), start));
        assert!(!withdrawn.since(UserId(0), start));
    }
}
