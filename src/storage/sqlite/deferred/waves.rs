//! The lists of births of which something is left, as rows of inboxes refer to them: in few bytes,
//! for there may be a million of them.

use std::collections::BTreeMap;

use bellpull_actors::domain::ids::UserId;

/// A birth whose row is still to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    /// The notification.
    pub(super) id: i64,
    /// The place of its list, and of its message there.
    fan_out: u32,
    message: u32,
}

#[derive(Debug, Default)]
pub(super) struct Waves {
    /// Each at its place; places of lists that are gone are used again.
    places: Vec<FanOutGuard>,
    free: Vec<u32>,
    /// The place of each by the lowest of its notifications. One counter gives the ids of one list
    /// after those of another, so that the lists' ranges are apart.
    by_id: BTreeMap<i64, u32>,
    /// The highest that was ever given to a list.
    pub(super) last_id: i64,
}

#[derive(Debug, Default)]
struct FanOutGuard {
    /// Its row's.
    id: i64,
    left: usize,
    messages: Vec<i64>,
    /// Whose each notification is, in the order of their ids.
    owners: Vec<(i64, UserId)>,
}

/// How many births of each list, by its place.
pub(super) type Counts = BTreeMap<u32, usize>;

impl Waiting {
    /// Counts it among those of its list.
    pub(super) fn count(&self, counts: &mut Counts) {
        *counts.entry(self.fan_out).or_default() += 1;
    }
}

impl Waves {
    /// Begins a list.
    pub(super) fn begin(&mut self, id: i64) -> u32 {
        self.last_id = self.last_id.max(id);
        let fan_out = FanOutGuard { id, ..FanOutGuard::default() };
        if let Some(place) = self.free.pop() {
            self.places[place as usize] = fan_out;
            return place;
        }
        self.places.push(fan_out);
        u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
    }

    /// Puts a birth on a list.
    pub(super) fn add(&mut self, place: u32, user: UserId, id: i64, message: i64) -> Waiting {
        let fan_out = &mut self.places[place as usize];
        fan_out.left += 1;
        let before = fan_out.owners.first().map(|(first, _)| *first);
        // Nearly always the end: ids are given in the order of the list.
        let at = fan_out.owners.partition_point(|(known, _)| *known < id);
        fan_out.owners.insert(at, (id, user));
        if at == 0 {
            before.and_then(|first| self.by_id.remove(&first));
            self.by_id.insert(id, place);
        }
        // Nearly always the last one: what one message says to all stands together.
        let known = fan_out.messages.iter().rposition(|known| *known == message);
        let nth = known.unwrap_or_else(|| {
            fan_out.messages.push(message);
            fan_out.messages.len() - 1
        });
        Waiting { id, fan_out: place, message: u32::try_from(nth).unwrap_or(u32::MAX) }
    }

    /// Whose a notification is, if a list has it of which something is left; its row may be written
    /// already.
    pub(super) fn owner(&self, id: i64) -> Option<UserId> {
        let (_, place) = self.by_id.range(..=id).next_back()?;
        let owners = &self.places[*place as usize].owners;
        let at = owners.binary_search_by_key(&id, |(known, _)| *known).ok()?;
        Some(owners[at].1)
    }

    /// What a birth says.
    pub(super) fn message(&self, entry: &Waiting) -> i64 {
        self.places[entry.fan_out as usize].messages[entry.message as usize]
    }

    /// The rows of the lists of which nothing is left without so many births.
    pub(super) fn ended_without(&self, counts: &Counts) -> Vec<i64> {
        let ended = counts.iter().map(|(place, count)| (&self.places[*place as usize], *count));
        ended
            .filter(|(fan_out, count)| fan_out.left <= *count)
            .map(|(fan_out, _)| fan_out.id)
            .collect()
    }

    /// Takes so many births off their lists; how many they were.
    pub(super) fn take_off(&mut self, counts: &Counts) -> usize {
        for (place, count) in counts {
            let fan_out = &mut self.places[*place as usize];
            fan_out.left = fan_out.left.saturating_sub(*count);
            if fan_out.left == 0 {
                if let Some((first, _)) = fan_out.owners.first() {
                    self.by_id.remove(first);
                }
                *fan_out = FanOutGuard::default();
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
        let mut waves = Waves::default();
        let (first, second) = (waves.begin(1), waves.begin(2));
        for (place, id) in [(first, 12), (first, 11), (first, 15), (second, 22), (second, 20)] {
            waves.add(place, UserId(id + 100), id, 1);
        }
        let found = [10, 11, 12, 13, 15, 19, 20, 21, 22, 23].map(|id| waves.owner(id));
        let known = |id: i64| [11, 12, 15, 20, 22].contains(&id).then_some(UserId(id + 100));
        assert_eq!(found, [10, 11, 12, 13, 15, 19, 20, 21, 22, 23].map(known));
    }

    #[test]
    fn a_list_ends_with_its_last_birth_and_leaves_its_place() {
        let mut waves = Waves::default();
        let (first, second) = (waves.begin(7), waves.begin(8));
        let entries = [(first, 1, 10), (first, 2, 10), (first, 3, 11), (second, 4, 10)];
        let user = |id| UserId(id * 100);
        let entries = entries.map(|(place, id, message)| waves.add(place, user(id), id, message));
        assert_eq!([3, 4, 5].map(|id| waves.owner(id)), [Some(user(3)), Some(user(4)), None]);
        let mut counts = Counts::new();
        assert_eq!(entries.map(|entry| waves.message(&entry)), [10, 10, 11, 10]);
        entries[..2].iter().for_each(|entry| entry.count(&mut counts));
        assert!(waves.ended_without(&counts).is_empty());
        assert_eq!(waves.take_off(&counts), 2);
        let mut counts = Counts::new();
        entries[2].count(&mut counts);
        assert_eq!(waves.ended_without(&counts), [7]);
        waves.take_off(&counts);
        assert_eq!([3, 4].map(|id| waves.owner(id)), [None, Some(user(4))]);
        assert_eq!(waves.begin(9), first);
        assert_eq!(waves.message(&entries[3]), 10, "the other one stands");
        assert_eq!(waves.last_id, 9);
    }
}
