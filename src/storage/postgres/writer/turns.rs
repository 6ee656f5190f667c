//! Turns: how the groups of several nodes that need the same rows become large.
//!
//! Tickets of one project, or tickets that concern the same people, lock the same rows. A group
//! that waits for such a lock is formed already, so under load each node would write many small
//! groups, each with its round trips and its commit. A node that notices this takes turns with the
//! others: it waits first, and what arrives meanwhile joins the group.
//!
//! Turns save work and are not needed for correctness; the locks of rows are. A node that meets no
//! others leaves them, so nodes with different projects and people write at once. A turn that does
//! not come soon is not waited for: a node may have been suspended in its own.

use std::time::Duration;

use tokio::time::Instant;

use super::super::database::Database;
use super::super::transaction::{Work, begin_turn};

/// How many groups take turns after one that met others.
const GROUPS: u32 = 32;
/// Locks that took longer were held by others,
const LOCKED: Duration = Duration::from_millis(1);
/// if they also took more than one part of so many of the group's whole time.
const PART: u32 = 3;
/// A turn that took longer to come was another node's before.
const MET: Duration = Duration::from_micros(500);
/// How long no turns are taken after one did not come.
const WITHOUT: Duration = Duration::from_secs(10);

/// Whether this writer takes turns.
#[derive(Debug)]
pub(super) struct Turns {
    /// The groups that still do.
    left: u32,
    /// No turns before this time.
    resumes_at: Instant,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { left: 0, resumes_at: Instant::now() }
    }

    /// Waits for the turn, if the next group takes one. `None`: it begins without, and a database
    /// that is away is met there.
    pub(super) async fn take(&mut self, database: &Database) -> Option<Work> {
        if self.left == 0 {
            return None;
        }
        let since = Instant::now();
        let work = begin_turn(database).await;
        self.took(since.elapsed(), work.is_ok());
        work.ok()
    }

    fn took(&mut self, waited: Duration, has_come: bool) {
        self.left = match (has_come, waited > MET) {
            (false, _) => {
                self.resumes_at = Instant::now() + WITHOUT;
                0
            }
            (true, true) => GROUPS,
            (true, false) => self.left - 1,
        };
    }

    /// How long a group has waited for locks of rows, and taken in all.
    pub(super) fn note(&mut self, locks: Duration, whole: Duration) {
        if locks > LOCKED && locks * PART > whole && Instant::now() >= self.resumes_at {
            self.left = GROUPS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[tokio::test(start_paused = true)]
    async fn groups_that_wait_for_each_other_take_turns() {
        let mut turns = Turns::new();
        turns.note(ms(1), ms(2));
        turns.note(ms(2), ms(8));
        assert_eq!(turns.left, 0, "short, or a small part");
        turns.note(ms(3), ms(8));
        assert_eq!(turns.left, GROUPS);
        for _ in 1..GROUPS {
            turns.took(MET, true);
        }
        assert_eq!(turns.left, 1, "no other node was there");
        turns.took(ms(2), true);
        assert_eq!(turns.left, GROUPS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_does_not_come_is_not_asked_for_again_at_once() {
        let mut turns = Turns::new();
        turns.note(ms(3), ms(8));
        turns.took(ms(250), false);
        turns.note(ms(3), ms(8));
        assert_eq!(turns.left, 0);
        tokio::time::advance(WITHOUT).await;
        turns.note(ms(3), ms(8));
        assert_eq!(turns.left, GROUPS);
    }
}
