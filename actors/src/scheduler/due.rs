//! Which sends are due, and which is next.
//!
//! Those that wait longest come first; several are offered to the store at once, which returns
//! whose turn it was (sends with similar progress share one) and which were continued. A send that
//! has let others catch up too often is continued alone.

use std::collections::VecDeque;

use tokio::time::Instant;

use bellpull_domain::ids::SendId;
use bellpull_port::sends::Chunk;

/// How many due sends are in memory at a time.
pub(super) const DUE_MAX: u32 = 1_000;
/// The most sends that share a chunk.
const TOGETHER_MAX: usize = 32;
/// So often in a row a send lets those go first that are further behind.
const PASSED_OVER_MAX: u32 = 32;

/// A send that is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    pub(super) id: SendId,
    /// When this node first knew of it.
    pub(super) since: Instant,
    /// How often others were continued in its turn since it was last continued itself.
    passed_over: u32,
}

/// The result of a chunk for one of its sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// How many recipients were notified.
    pub(super) recipients: usize,
    /// Whether there are more; false if it does not exist any more.
    pub(super) has_more: bool,
    /// See [`Chunk::had_turn`].
    had_turn: bool,
}

impl Step {
    pub(super) fn of(chunk: Option<&Chunk>) -> Self {
        let announced = chunk.and_then(|chunk| chunk.announced.as_ref());
        let has_more = chunk.is_some_and(|chunk| chunk.has_more);
        let had_turn = chunk.is_some_and(|chunk| chunk.had_turn);
        Self {
            recipients: announced.map_or(0, |announced| announced.entries.len()),
            has_more,
            had_turn,
        }
    }
}

/// The due sends of which no chunk is being written.
#[derive(Debug, Default)]
pub(super) struct DueList(VecDeque<Due>);

impl DueList {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Due> {
        self.0.iter()
    }

    /// Appends a send that was not known; not if there is no room for it.
    pub(super) fn add(&mut self, id: SendId) -> bool {
        let has_room = u32::try_from(self.0.len()).is_ok_and(|known| known < DUE_MAX);
        if has_room {
            self.0.push_back(Due { id, since: Instant::now(), passed_over: 0 });
        }
        has_room
    }

    /// Removes those of the next chunk: those that have waited longest, or one alone that was
    /// passed over too often. `None` if none is due.
    pub(super) fn next(&mut self) -> Vec<Due> {
        let is_late = self.0.front().is_some_and(|due| due.passed_over >= PASSED_OVER_MAX);
        let count = if is_late { 1 } else { self.0.len().min(TOGETHER_MAX) };
        self.0.drain(..count).collect()
    }

    /// Returns those of a chunk that are not finished: behind all others if it was their turn, else
    /// to where they were.
    pub(super) fn put_back(&mut self, chunk: impl Iterator<Item = (Due, Step)>) {
        let unfinished = chunk.filter(|(_, step)| step.has_more);
        let (had_turn, others): (Vec<_>, Vec<_>) = unfinished.partition(|(_, step)| step.had_turn);
        for (due, _) in others.into_iter().rev() {
            self.0.push_front(due);
        }
        self.0.extend(had_turn.into_iter().map(|(due, step)| Due {
            passed_over: if step.recipients > 0 { 0 } else { due.passed_over + 1 },
            ..due
        }));
    }

    /// Puts those of a chunk back that was not written.
    pub(super) fn put_off(&mut self, due: Vec<Due>) {
        self.0.extend(due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(ids: impl IntoIterator<Item = i64>) -> DueList {
        let mut list = DueList::default();
        ids.into_iter().for_each(|id| assert!(list.add(SendId(id))));
        list
    }

    fn ids(due: &[Due]) -> Vec<i64> {
        due.iter().map(|due| due.id.0).collect()
    }

    fn step(recipients: usize, has_more: bool, had_turn: bool) -> Step {
        Step { recipients, has_more, had_turn }
    }

    #[test]
    fn who_had_a_turn_goes_behind_the_others() {
        let mut list = list(1..=4);
        let chunk = list.next();
        assert_eq!(ids(&chunk), [1, 2, 3, 4]);
        list.add(SendId(5));
        // The first waits for the third; the second is far away; the fourth is finished.
        let steps = [step(0, true, true), step(0, true, false), step(9, true, true)];
        let steps = steps.into_iter().chain([step(9, false, true)]);
        list.put_back(chunk.into_iter().zip(steps));
        assert_eq!(ids(&list.next()), [2, 5, 1, 3]);
    }

    #[test]
    fn who_was_passed_over_too_often_goes_on_alone() {
        let mut list = list(1..=2);
        for _ in 0..PASSED_OVER_MAX {
            let chunk = list.next();
            assert_eq!(chunk.len(), 2);
            let steps = chunk.iter().map(|due| step(usize::from(due.id.0 == 2), true, true));
            let steps: Vec<_> = steps.collect();
            list.put_back(chunk.into_iter().zip(steps));
        }
        let alone = list.next();
        assert_eq!(ids(&alone), [1]);
        list.put_back(alone.into_iter().zip([step(9, true, true)]));
        assert_eq!(ids(&list.next()), [2, 1], "and then with the others again");
    }

    #[test]
    fn a_chunk_has_a_bound_and_so_has_the_list() {
        let mut list = list(1..=i64::from(DUE_MAX));
        assert!(!list.add(SendId(0)));
        let chunk = list.next();
        assert_eq!(chunk.len(), TOGETHER_MAX);
        list.put_off(chunk);
        assert_eq!((list.len(), ids(&list.next())[0]), (1_000, 33));
    }
}
