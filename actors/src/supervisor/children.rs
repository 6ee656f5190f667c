//! A supervisor's children, in the slots of its wheel.

use std::collections::HashMap;

use metrics::Gauge;
use ractor::ActorId;

/// The children by actor, counted for as long as they are kept, however they or their supervisor
/// end. 17 bytes each plus the maps' free slots: there is one for each connected user.
pub(super) struct Children<I> {
    /// By the number of the actor, which is of this process.
    wheel: Vec<HashMap<u64, I>>,
    hand: usize,
    count: Gauge,
}

impl<I> Children<I> {
    /// No children, on a wheel of this many slots.
    pub(super) fn new(slots: usize, kind: &'static str) -> Self {
        let wheel = std::iter::repeat_with(HashMap::new).take(slots.max(1)).collect();
        Self { wheel, hand: 0, count: metrics::gauge!("bellpull_actors", "kind" => kind) }
    }

    fn slot(&mut self, actor: ActorId) -> &mut HashMap<u64, I> {
        let slots = self.wheel.len();
        let slot = usize::try_from(actor.pid()).unwrap_or(0) % slots;
        &mut self.wheel[slot]
    }

    pub(super) fn insert(&mut self, actor: ActorId, id: I) {
        if self.slot(actor).insert(actor.pid(), id).is_none() {
            self.count.increment(1.0);
        }
    }

    /// The child that is kept no longer; `None` where it was not.
    pub(super) fn remove(&mut self, actor: ActorId) -> Option<I> {
        let id = self.slot(actor).remove(&actor.pid())?;
        self.count.decrement(1.0);
        Some(id)
    }

    pub(super) fn len(&self) -> usize {
        self.wheel.iter().map(HashMap::len).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &I> {
        self.wheel.iter().flat_map(HashMap::values)
    }

    /// Moves the wheel by a slot; the children of that.
    pub(super) fn turn(&mut self) -> impl Iterator<Item = &I> {
        self.hand = (self.hand + 1) % self.wheel.len();
        self.wheel[self.hand].values()
    }
}

impl<I> Drop for Children<I> {
    fn drop(&mut self) {
        self.count.decrement(f64::from(u32::try_from(self.len()).unwrap_or(u32::MAX)));
    }
}

impl<I> std::fmt::Debug for Children<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Children").field("len", &self.len()).finish_non_exhaustive()
    }
}
