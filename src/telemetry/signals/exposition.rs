//! Reads the node's own metrics in Prometheus' text format.

use std::collections::HashMap;

/// All series of one rendering.
#[derive(Debug, Default)]
pub(super) struct Reading(HashMap<String, Vec<Series>>);

#[derive(Debug)]
struct Series {
    /// As it is written, without braces.
    labels: String,
    value: f64,
}

impl Reading {
    pub(super) fn of(text: &str) -> Self {
        let mut all: HashMap<String, Vec<Series>> = HashMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse() else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let labels = labels.trim_end_matches('}').to_owned();
            all.entry(name.to_owned()).or_default().push(Series { labels, value });
        }
        Self(all)
    }

    /// All series of a metric together.
    pub(super) fn sum(&self, name: &str) -> f64 {
        total(self.series(name).iter())
    }

    /// Requests that were answered with 5xx.
    pub(super) fn failed_requests(&self) -> f64 {
        let series = self.series("bellpull_http_requests_total").iter();
        let is_failed = |series: &&Series| series.labels.contains("status=\"5");
        total(series.filter(is_failed))
    }

    /// The upper bound of the bucket with this quantile of what was recorded since an earlier
    /// reading; 0 where nothing was. What is above the last bound counts as that.
    pub(super) fn quantile(&self, before: &Self, name: &str, share: f64) -> f64 {
        let bucket = format!("{name}_bucket");
        let mut counts: HashMap<&str, f64> = HashMap::new();
        for (reading, sign) in [(self, 1.0), (before, -1.0)] {
            for Series { labels, value } in reading.series(&bucket) {
                let bound = labels.rsplit_once("le=\"").map(|(_, rest)| rest.trim_end_matches('"'));
                *counts.entry(bound.unwrap_or_default()).or_default() += sign * value;
            }
        }
        let parsed = counts.iter().filter_map(|(le, n)| Some((le.parse::<f64>().ok()?, *n)));
        let mut counts: Vec<(f64, f64)> = parsed.collect();
        counts.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total = counts.last().map_or(0.0, |(_, count)| *count);
        if total <= 0.0 {
            return 0.0;
        }
        let finite = counts.iter().rev().find(|(bound, _)| bound.is_finite());
        let last = finite.map_or(0.0, |(bound, _)| *bound);
        let found = counts.iter().find(|(_, count)| *count >= share * total);
        found.map_or(last, |(bound, _)| if bound.is_finite() { *bound } else { last })
    }

    fn series(&self, name: &str) -> &[Series] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

/// An empty `f64::sum` is -0.0, which is shown as that.
fn total<'a>(series: impl Iterator<Item = &'a Series>) -> f64 {
    series.fold(0.0, |total, series| total + series.value)
}
