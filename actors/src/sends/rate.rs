//! How often one person may send over sockets: a token bucket each, in bounded memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::ids::UserId;

/// So many at once: a form that tells a whole team.
const BURST: u32 = 20;
/// And one more in this long (5/s): faster than anybody types, slower than a loop.
const EVERY: Duration = Duration::from_millis(200);
/// So many people's buckets are remembered. A bucket that is full again says nothing and is
/// forgotten, so this is how many may have sent within the last 4 s.
const PEOPLE_MAX: usize = 16_384;

/// The buckets, as the time at which each is full again.
#[derive(Debug, Default)]
pub(super) struct NoteRate(Mutex<HashMap<UserId, Instant>>);

impl NoteRate {
    /// Takes a token out of somebody's bucket.
    ///
    /// # Errors
    /// How long it is until there is one.
    pub(super) fn admit(&self, user: UserId, now: Instant) -> Result<(), Duration> {
        let mut full_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= PEOPLE_MAX && !full_at.contains_key(&user) {
            full_at.retain(|_, at| *at > now);
            if full_at.len() >= PEOPLE_MAX {
                return Err(EVERY);
            }
        }
        let bucket = full_at.entry(user).or_insert(now);
        let after = (*bucket).max(now) + EVERY;
        let wait = after.saturating_duration_since(now + EVERY * BURST);
        if wait.is_zero() {
            *bucket = after;
            return Ok(());
        }
        Err(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_five_a_second_each_for_themselves() {
        let (rate, start) = (NoteRate::default(), Instant::now());
        for _ in 0..BURST {
            assert_eq!(rate.admit(UserId(1), start), Ok(()));
        }
        assert_eq!(rate.admit(UserId(1), start), Err(EVERY));
        assert_eq!(rate.admit(UserId(2), start), Ok(()));
        let soon = start + Duration::from_millis(150);
        assert_eq!(rate.admit(UserId(1), soon), Err(Duration::from_millis(50)));
        for nth in 1..=10 {
            assert_eq!(rate.admit(UserId(1), start + EVERY * nth), Ok(()));
            assert_eq!(rate.admit(UserId(1), start + EVERY * nth), Err(EVERY));
        }
        let later = start + EVERY * (BURST + 10);
        assert!((0..BURST).all(|_| rate.admit(UserId(1), later).is_ok()));
        assert!(rate.admit(UserId(1), later).is_err());
    }

    #[test]
    fn buckets_that_are_full_again_make_room() {
        let (rate, start) = (NoteRate::default(), Instant::now());
        let people = i64::try_from(PEOPLE_MAX).unwrap();
        assert!((0..people).all(|user| rate.admit(UserId(user), start).is_ok()));
        assert_eq!(rate.admit(UserId(people), start), Err(EVERY));
        assert_eq!(rate.admit(UserId(0), start), Ok(()), "who is known is not turned away");
        assert_eq!(rate.admit(UserId(people), start + EVERY), Ok(()));
        assert_eq!(rate.0.lock().unwrap().len(), 2);
    }
}
