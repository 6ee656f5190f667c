//! A shared budget of bytes: memory held for clients that have not read it yet.
//!
//! A caller reserves room before it holds bytes, and the room is released when it is dropped.
//! Callers that wait for room are served in order.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

/// A shared number of bytes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Budget {
    free: Arc<Semaphore>,
    total: u32,
}

/// Bytes of a [`Budget`] that are held.
#[derive(Debug)]
pub struct Room(OwnedSemaphorePermit);

impl Budget {
    /// A budget of this many bytes, at most 4 GiB.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let total = count(bytes);
        Self { free: Arc::new(Semaphore::new(permits(total))), total }
    }

    /// Reserves this many bytes now; a request for more than the budget takes all of it.
    #[must_use]
    pub fn try_reserve(&self, bytes: usize) -> Option<Room> {
        let bytes = count(bytes).min(self.total);
        match Arc::clone(&self.free).try_acquire_many_owned(bytes) {
            Ok(permit) => Some(Room(permit)),
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => None,
        }
    }

    /// The same, waiting until there is room. `None` never happens: a budget is never closed.
    pub async fn reserve(&self, bytes: usize) -> Option<Room> {
        let bytes = count(bytes).min(self.total);
        Arc::clone(&self.free).acquire_many_owned(bytes).await.ok().map(Room)
    }

    /// Resizes `room` now; returns whether that was possible.
    #[must_use]
    pub fn resize(&self, room: &mut Option<Room>, bytes: usize) -> bool {
        let Some(held) = room else {
            *room = self.try_reserve(bytes);
            return room.is_some();
        };
        let Some(more) = bytes.checked_sub(held.bytes()).filter(|more| *more > 0) else {
            held.shrink_to(bytes);
            return true;
        };
        let more = self.try_reserve(more);
        let is_enough = more.is_some();
        more.into_iter().for_each(|more| held.add(more));
        is_enough
    }

    /// Whether less than a quarter is free: time to be strict with those that hold much for long.
    /// Bytes that a caller waits for do not count as free.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.free.available_permits() < permits(self.total / 4)
    }
}

impl Room {
    /// How many bytes it is for.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.num_permits()
    }

    /// Releases what exceeds this many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        if let Some(excess) = self.bytes().checked_sub(bytes) {
            drop(self.0.split(excess));
        }
    }

    /// Splits off a part that is released separately; at most all of it.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Option<Self> {
        let bytes = bytes.min(self.bytes());
        self.0.split(bytes).map(Self)
    }

    /// Adds room of the same budget; room of another one is released.
    pub fn add(&mut self, more: Self) {
        if Arc::ptr_eq(self.0.semaphore(), more.0.semaphore()) {
            self.0.merge(more.0);
        }
    }
}

fn count(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn permits(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn room_is_given_back_in_parts_and_when_it_is_dropped() {
        let budget = Budget::new(100);
        let mut room = budget.try_reserve(80).unwrap();
        assert!(budget.is_short() && budget.try_reserve(21).is_none());
        room.shrink_to(50);
        let part = room.split(30).unwrap();
        assert_eq!((room.bytes(), part.bytes()), (20, 30));
        drop(room);
        room = budget.try_reserve(70).unwrap();
        drop((room, part));
        let mut all = budget.try_reserve(60).unwrap();
        all.add(budget.try_reserve(40).unwrap());
        assert_eq!(all.bytes(), 100);
        drop(all);
        assert!(!budget.is_short());
        assert_eq!(budget.try_reserve(1_000).unwrap().bytes(), 100, "more than there is");
    }

    #[test]
    fn room_grows_and_shrinks_with_what_it_is_for() {
        let budget = Budget::new(100);
        let mut room = None;
        assert!(budget.resize(&mut room, 60) && budget.try_reserve(41).is_none());
        assert!(budget.resize(&mut room, 90) && budget.try_reserve(11).is_none());
        assert!(!budget.resize(&mut room, 101), "more than there is");
        assert!(budget.resize(&mut room, 20) && budget.try_reserve(80).is_some());
    }

    #[test]
    fn room_that_is_waited_for_is_not_free() {
        let budget = Budget::new(100);
        let room = budget.try_reserve(30).unwrap();
        let mut large = Box::pin(budget.reserve(90));
        assert!(large.as_mut().now_or_never().is_none());
        assert!(budget.is_short(), "it is kept for the one that waits");
        assert!(budget.try_reserve(10).is_none());
        drop(room);
        assert_eq!(large.now_or_never().unwrap().unwrap().bytes(), 90);
    }
}
