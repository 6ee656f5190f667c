//! What the checker found.

use std::collections::BTreeMap;

/// What kind of fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// Something acknowledged or stored is missing.
    Lost,
    /// Something is there more often than it was done.
    Doubled,
    /// Something is in another order than it was done.
    OutOfOrder,
}

/// How many findings are kept as text; all are counted.
const TEXTS_MAX: usize = 40;

/// The findings of a schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    counts: BTreeMap<Wrong, u64>,
    /// The first of them.
    pub texts: Vec<String>,
}

impl Findings {
    /// Adds one.
    pub fn add(&mut self, wrong: Wrong, text: impl FnOnce() -> String) {
        *self.counts.entry(wrong).or_default() += 1;
        if self.texts.len() < TEXTS_MAX {
            let name = match wrong {
                Wrong::Lost => "lost",
                Wrong::Doubled => "doubled",
                Wrong::OutOfOrder => "out of order",
            };
            self.texts.push(format!("{name}: {}", text()));
        }
    }

    /// The same, with the place in which they were found.
    #[must_use]
    pub fn named(mut self, place: &str) -> Self {
        for text in &mut self.texts {
            *text = text.replacen(": ", &format!(": {place}"), 1);
        }
        self
    }

    /// Adds those of another part.
    pub fn merge(&mut self, other: Self) {
        for (wrong, count) in other.counts {
            *self.counts.entry(wrong).or_default() += count;
        }
        let room = TEXTS_MAX.saturating_sub(self.texts.len());
        self.texts.extend(other.texts.into_iter().take(room));
    }

    /// How many of that kind there are.
    #[must_use]
    pub fn count(&self, wrong: Wrong) -> u64 {
        self.counts.get(&wrong).copied().unwrap_or_default()
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Compares how often something is there with how often it may be.
    pub fn compare(
        &mut self,
        found: u64,
        may_be: std::ops::RangeInclusive<u64>,
        what: impl Fn() -> String,
    ) {
        let wrong = if found < *may_be.start() {
            Wrong::Lost
        } else if found > *may_be.end() {
            Wrong::Doubled
        } else {
            return;
        };
        self.add(wrong, || format!("{} ({found} times, not {may_be:?})", what()));
    }
}
