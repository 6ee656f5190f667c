//! The lists of births of which something is left, as rows of inboxes refer to them: in few bytes,
//! for there may be a million of them.

use std::collections::BTreeMap;

/// A birth whose row is still to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    /// The notification.
    pub(super) id: i64,
    /// The place of its list, and of its message there.
    wave: u32,
    message: u32,
}

#[derive(Debug, Default)]
pub(super) struct Waves {
    /// Each at its place; places of lists that are gone are used again.
    places: Vec<Wave>,
    free: Vec<u32>,
    /// The highest that was ever given to a list.
    pub(super) last_id: i64,
}

#[derive(Debug, Default)]
struct Wave {
    /// Its row's.
    id: i64,
    left: usize,
    messages: Vec<i64>,
}

/// How many births of each list, by its place.
pub(super) type Counts = BTreeMap<u32, usize>;

impl Waiting {
    /// Counts it among those of its list.
    pub(super) fn count(&self, counts: &mut Counts) {
        *counts.entry(self.wave).or_default() += 1;
    }
}

impl Waves {
    /// Begins a list.
    pub(super) fn begin(&mut self, id: i64) -> u32 {
        self.last_id = self.last_id.max(id);
        let wave = Wave { id, ..Wave::default() };
        if let Some(place) = self.free.pop() {
            self.places[place as usize] = wave;
            return place;
        }
        self.places.push(wave);
        u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
    }

    /// Puts a birth on a list.
    pub(super) fn add(&mut self, place: u32, id: i64, message: i64) -> Waiting {
        let wave = &mut self.places[place as usize];
        wave.left += 1;
        // Nearly always the last one: what one message says to all stands together.
        let known = wave.messages.iter().rposition(|known| *known == message);
        let nth = known.unwrap_or_else(|| {
            wave.messages.push(message);
            wave.messages.len() - 1
        });
        Waiting { id, wave: place, message: u32::try_from(nth).unwrap_or(u32::MAX) }
    }

    /// What a birth says.
    pub(super) fn message(&self, birth: &Waiting) -> i64 {
        self.places[birth.wave as usize].messages[birth.message as usize]
    }

    /// The rows of the lists of which nothing is left without so many births.
    pub(super) fn ended_without(&self, counts: &Counts) -> Vec<i64> {
        let ended = counts.iter().map(|(place, count)| (&self.places[*place as usize], *count));
        ended.filter(|(wave, count)| wave.left <= *count).map(|(wave, _)| wave.id).collect()
    }

    /// Takes so many births off their lists; how many they were.
    pub(super) fn take_off(&mut self, counts: &Counts) -> usize {
        for (place, count) in counts {
            let wave = &mut self.places[*place as usize];
            wave.left = wave.left.saturating_sub(*count);
            if wave.left == 0 {
                *wave = Wave::default();
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
    fn a_list_ends_with_its_last_birth_and_leaves_its_place() {
        let mut waves = Waves::default();
        let (first, second) = (waves.begin(7), waves.begin(8));
        let births = [(first, 1, 10), (first, 2, 10), (first, 3, 11), (second, 4, 10)];
        let births = births.map(|(place, id, message)| waves.add(place, id, message));
        let mut counts = Counts::new();
        assert_eq!(births.map(|birth| waves.message(&birth)), [10, 10, 11, 10]);
        births[..2].iter().for_each(|birth| birth.count(&mut counts));
        assert!(waves.ended_without(&counts).is_empty());
        assert_eq!(waves.take_off(&counts), 2);
        let mut counts = Counts::new();
        births[2].count(&mut counts);
        assert_eq!(waves.ended_without(&counts), [7]);
        waves.take_off(&counts);
        assert_eq!(waves.begin(9), first);
        assert_eq!(waves.message(&births[3]), 10, "the other one stands");
        assert_eq!(waves.last_id, 9);
    }
}
