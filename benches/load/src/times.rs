//! Latencies: a histogram in microseconds, sent between processes as counts.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::clock::figure;

/// Three significant digits.
const DIGITS: u8 = 3;
/// Longer latencies count as one hour, in µs.
const US_MAX: u64 = 3_600_000_000;

/// Latencies.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Counts", into = "Counts")]
pub struct Times(Histogram<u64>);

/// Each value with its count.
#[derive(Debug, Serialize, Deserialize)]
struct Counts(Vec<(u64, u64)>);

impl Default for Times {
    #[expect(clippy::expect_used, reason = "up to five digits and any such bound are taken")]
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, US_MAX, DIGITS).expect("good bounds"))
    }
}

impl From<Counts> for Times {
    fn from(Counts(counts): Counts) -> Self {
        let mut times = Self::default();
        for (us, count) in counts {
            times.0.saturating_record_n(us, count);
        }
        times
    }
}

impl From<Times> for Counts {
    fn from(Times(histogram): Times) -> Self {
        let value = |step: hdrhistogram::iterators::IterationValue<u64>| {
            (step.value_iterated_to(), step.count_at_value())
        };
        Self(histogram.iter_recorded().map(value).collect())
    }
}

impl Times {
    /// Adds one, in nanoseconds.
    pub fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns / 1_000);
    }

    /// Removes all of them.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    /// Their count.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// A quantile, in milliseconds.
    #[must_use]
    pub fn ms(&self, quantile: f64) -> f64 {
        figure(self.0.value_at_quantile(quantile)) / 1_000.0
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "count": self.count(),
            "p50_ms": self.ms(0.5),
            "p90_ms": self.ms(0.9),
            "p99_ms": self.ms(0.99),
            "p99_9_ms": self.ms(0.999),
            "max_ms": self.ms(1.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_to_another_process_arrives_as_it_was() {
        let mut times = Times::default();
        for ms in 1..=1000 {
            times.record(ms * 1_000_000);
        }
        let sent = serde_json::to_string(&times).unwrap();
        let mut both: Times = serde_json::from_str(&sent).unwrap();
        both.add(&times);
        assert_eq!(both.count(), 2000);
        for (quantile, wanted) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let off = (both.ms(quantile) - wanted).abs();
            assert!(off <= wanted / 500.0, "{quantile}: {}", both.ms(quantile));
        }
        assert_eq!(both.json()["count"], 2000);
        both.record(u64::MAX);
        assert!(both.ms(1.0) > 3_500_000.0, "more than an hour is an hour");
    }
}
