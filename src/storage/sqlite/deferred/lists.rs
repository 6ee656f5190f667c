//! Lists with deferred entries, as the inboxes of the cache refer to them: compact, for there may
//! be a million entries.

use std::collections::BTreeMap;

use bellpull_domain::ids::UserId;

/// A deferred entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    /// The notification's id.
    pub(super) id: i64,
    /// The slot of its list, and the index of its message there.
    fan_out: u32,
    message: u32,
}

#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Slots are reused.
    places: Vec<ListSlot>,
    free: Vec<u32>,
    /// The slot of each list by its lowest notification id. One counter gives out the ids, so the
    /// ranges of the lists do not overlap.
    by_id: BTreeMap<i64, u32>,
    /// The highest row id that was ever given to a list.
    pub(super) last_id: i64,
}

#[derive(Debug, Default)]
struct ListSlot {
    /// The id of its row.
    id: i64,
    left: usize,
    messages: Vec<i64>,
    /// The recipient of each notification, ordered by notification id.
    owners: Vec<(i64, UserId)>,
}

/// How many entries of each list, by its slot.
pub(super) type Counts = BTreeMap<u32, usize>;

impl Waiting {
    /// Counts an entry of its list.
    pub(super) fn count(&self, counts: &mut Counts) {
        *counts.entry(self.fan_out).or_default() += 1;
    }
}

impl Lists {
    /// Begins a list.
    pub(super) fn begin(&mut self, id: i64) -> u32 {
        self.last_id = self.last_id.max(id);
        let slot = ListSlot { id, ..ListSlot::default() };
        if let Some(place) = self.free.pop() {
            self.places[place as usize] = slot;
            return place;
        }
        self.places.push(slot);
        u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
    }

    /// Appends an entry to a list.
    pub(super) fn add(&mut self, place: u32, user: UserId, id: i64, message: i64) -> Waiting {
        let slot = &mut self.places[place as usize];
        slot.left += 1;
        let before = slot.owners.first().map(|(first, _)| *first);
        // Nearly always at the end: ids are given out in the order of the list.
        let at = slot.owners.partition_point(|(known, _)| *known < id);
        slot.owners.insert(at, (id, user));
        if at == 0 {
            before.and_then(|first| self.by_id.remove(&first));
            self.by_id.insert(id, place);
        }
        // Nearly always the last one: the entries of one message are adjacent.
        let known = slot.messages.iter().rposition(|known| *known == message);
        let nth = known.unwrap_or_else(|| {
            slot.messages.push(message);
            slot.messages.len() - 1
        });
        Waiting { id, fan_out: place, message: u32::try_from(nth).unwrap_or(u32::MAX) }
    }

    /// The recipient of a notification, if one of the lists has it. Its row may have been written.
    pub(super) fn owner(&self, id: i64) -> Option<UserId> {
        let (_, place) = self.by_id.range(..=id).next_back()?;
        let owners = &self.places[*place as usize].owners;
        let at = owners.binary_search_by_key(&id, |(known, _)| *known).ok()?;
        Some(owners[at].1)
    }

    /// The message of an entry.
    pub(super) fn message(&self, entry: &Waiting) -> i64 {
        self.places[entry.fan_out as usize].messages[entry.message as usize]
    }

    /// The rows of the lists that are empty without this many entries.
    pub(super) fn ended_without(&self, counts: &Counts) -> Vec<i64> {
        let ended = counts.iter().map(|(place, count)| (&self.places[*place as usize], *count));
        ended.filter(|(slot, count)| slot.left <= *count).map(|(slot, _)| slot.id).collect()
    }

    /// Removes this many entries from their lists; returns how many they were.
    pub(super) fn take_off(&mut self, counts: &Counts) -> usize {
        for (place, count) in counts {
            let slot = &mut self.places[*place as usize];
            slot.left = slot.left.saturating_sub(*count);
            if slot.left == 0 {
                if let Some((first, _)) = slot.owners.first() {
                    self.by_id.remove(first);
                }
                *slot = ListSlot::default();
                self.free.push(*place);
            }
        }
        counts.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_found_whatever_the_order_of_the_ids() {
        let mut lists = Lists::default();
        let (first, second) = (lists.begin(1), lists.begin(2));
        for (place, id) in [(first, 12), (first, 11), (first, 15), (second, 22), (second, 20)] {
            lists.add(place, UserId(id + 100), id, 1);
        }
        let found = [10, 11, 12, 13, 15, 19, 20, 21, 22, 23].map(|id| lists.owner(id));
        let known = |id: i64| [11, 12, 15, 20, 22].contains(&id).then_some(UserId(id + 100));
        assert_eq!(found, [10, 11, 12, 13, 15, 19, 20, 21, 22, 23].map(known));
    }

    #[test]
    fn a_list_ends_with_its_last_birth_and_leaves_its_place() {
        let mut lists = Lists::default();
        let (first, second) = (lists.begin(7), lists.begin(8));
        let entries = [(first, 1, 10), (first, 2, 10), (first, 3, 11), (second, 4, 10)];
        let user = |id| UserId(id * 100);
        let entries = entries.map(|(place, id, message)| lists.add(place, user(id), id, message));
        assert_eq!([3, 4, 5].map(|id| lists.owner(id)), [Some(user(3)), Some(user(4)), None]);
        let mut counts = Counts::new();
        assert_eq!(entries.map(|entry| lists.message(&entry)), [10, 10, 11, 10]);
        entries[..2].iter().for_each(|entry| entry.count(&mut counts));
        assert!(lists.ended_without(&counts).is_empty());
        assert_eq!(lists.take_off(&counts), 2);
        let mut counts = Counts::new();
        entries[2].count(&mut counts);
        assert_eq!(lists.ended_without(&counts), [7]);
        lists.take_off(&counts);
        assert_eq!([3, 4].map(|id| lists.owner(id)), [None, Some(user(4))]);
        assert_eq!(lists.begin(9), first);
        assert_eq!(lists.message(&entries[3]), 10, "the other one stands");
        assert_eq!(lists.last_id, 9);
    }
}
